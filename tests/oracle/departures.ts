/** Where QEMU 7.2 departs from the Arm ARM, as programs at EL0 see it. Listed in docs/conformance.md. */
import { A64 } from '#v8a/isa/a64.js';
import type { Row } from '#v8a/isa/row.js';
import type { Mismatch } from './compare.js';
import type { Batch } from './format.js';
import { AT, ENDING, MEMORY_WORDS, programAddress, runOf, startOf } from './format.js';

export interface Departure {
  readonly title: string;
  /** Document and clause that QEMU departs from. */
  readonly clause: string;
  /** Names of the rows that meet it. */
  readonly rows: RegExp;
  /** It shows in what the instruction leaves: programs of several can't tell, and don't have it. */
  readonly isInResult?: true;
  /** True for a run that meets it. */
  readonly applies: (batch: Batch, mismatch: Mismatch) => boolean;
}

/** Bits that say how much an exclusive accesses: size, and whether it is a pair. */
const EXCLUSIVE_SIZE = 0xc020_0000;
const isExclusive = (word: number): boolean => (word & 0x3f80_0000) >>> 0 === 0x0800_0000;
const isLoadExclusive = (word: number): boolean => isExclusive(word) && (word & 0x0040_0000) !== 0;

/** The word of the run's program at an address. */
function wordAt(batch: Batch, index: number, pc: bigint): number {
  const { words, program } = runOf(batch, index);
  const slot = batch.programs[program]?.slot ?? 0;
  return words[Number(pc - programAddress(slot)) / 4] ?? 0;
}

/** Registers and memory at the end. */
function stateAfter(batch: Batch, { run, ...results }: Mismatch, whose: 'ours' | 'theirs'): BigUint64Array {
  const state = startOf(batch, runOf(batch, run));
  for (const { at, value } of results[whose].changes) state[at] = value;
  return state;
}

export const DEPARTURES: readonly Departure[] = [
  {
    title:
      'A Store-Exclusive of another size than the Load-Exclusive before it may store and report a failure. The architecture leaves it open whether it passes; in v8a it fails.',
    clause: 'DDI0487 B2.9.5',
    rows: /^STL?X[RP]/,
    applies: (batch, { run }) => {
      let marked: number | undefined;
      return runOf(batch, run).words.some((word) => {
        if (!isExclusive(word)) return false;
        const size = word & EXCLUSIVE_SIZE;
        if (!isLoadExclusive(word)) return marked !== undefined && marked !== size;
        marked = size;
        return false;
      });
    },
  },
  {
    title:
      'A Store-Exclusive to address 0xffffffffffffffff passes where the monitor is open, and faults; QEMU marks an open monitor with that address.',
    clause: 'DDI0487 B2.9.1',
    rows: /^STL?X[RP]/,
    applies: (batch, { run, theirs }) => {
      const word = wordAt(batch, run, theirs.pc);
      const Rn = (word >>> 5) & 31;
      const value =
        theirs.changes.find(({ at }) => at === AT.x + Rn)?.value ??
        startOf(batch, runOf(batch, run))[AT.x + Rn];
      return isExclusive(word) && !isLoadExclusive(word) && value === BigInt.asUintN(64, -1n);
    },
  },
  {
    title: 'LDAPR, LDAPRH of an address that is not aligned is an alignment fault; QEMU loads.',
    clause: 'DDI0487 B2.5.2',
    rows: /^LDAPR/,
    applies: (batch, { run, ours }) =>
      ours.ending === ENDING.alignment &&
      A64.decode(wordAt(batch, run, ours.pc))?.name.startsWith('LDAPR') === true,
  },
  {
    title:
      'FCVTZS (vector, fixed-point) of a half-precision scalar extends the sign through bits 31:16; the architecture, and v8a, have zeros above the element.',
    clause: 'DDI0487 C7.2 FCVTZS (vector, fixed-point)',
    rows: /^FCVTZS \(vector, fixed-point\), scalar, half/,
    isInResult: true,
    applies: (batch, mismatch) => {
      const [word, next] = runOf(batch, mismatch.run).words;
      if (word === undefined || next !== undefined) return false;
      const at = AT.v + 2 * (word & 31);
      const [ours, theirs] = [stateAfter(batch, mismatch, 'ours'), stateAfter(batch, mismatch, 'theirs')];
      const isSameElsewhere = ours.every((value, n) => n === at || value === theirs[n]);
      const value = ours[at] ?? 0n;
      const isWrong = theirs[at] === BigInt.asUintN(32, BigInt.asIntN(16, value));
      return mismatch.ours.ending === ENDING.end && isSameElsewhere && value < 1n << 16n && isWrong;
    },
  },
  {
    title:
      'A store of 128 bits across the end of memory aborts; QEMU has stored the first half. The architecture leaves it open; v8a stores nothing.',
    clause: 'DDI0487 B2.2.1',
    rows: /ST[RUP].*SIMD&FP/,
    applies: (batch, mismatch) => {
      const [ours, theirs] = [stateAfter(batch, mismatch, 'ours'), stateAfter(batch, mismatch, 'theirs')];
      const lastWord = AT.memory + MEMORY_WORDS - 1;
      return (
        mismatch.ours.ending === ENDING.abort &&
        mismatch.theirs.ending === ENDING.abort &&
        ours.every((value, n) => value === theirs[n] || n >= lastWord - 1)
      );
    },
  },
];

/** Whether QEMU departs in what the row leaves. */
export function departsInResult({ name }: Row): boolean {
  return DEPARTURES.some(({ rows, isInResult }) => isInResult === true && rows.test(name));
}

/** What explains a mismatch. */
export function departureOf(batch: Batch, mismatch: Mismatch): Departure | undefined {
  const names = runOf(batch, mismatch.run).words.map((word) => A64.decode(word)?.name ?? '');
  return DEPARTURES.find(
    ({ rows, applies }) => names.some((name) => rows.test(name)) && applies(batch, mismatch),
  );
}
