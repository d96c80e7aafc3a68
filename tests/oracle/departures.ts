/** Where QEMU 7.2 departs from the Arm ARM, as programs at EL0 see it. Listed in docs/conformance.md. */
import { A64 } from '#v8a/isa/a64.js';
import type { Mismatch } from './compare.js';
import type { Batch } from './format.js';
import { AT, ENDING, programAddress, runOf, startOf } from './format.js';

export interface Departure {
  readonly title: string;
  /** Document and clause that QEMU departs from. */
  readonly clause: string;
  /** Names of the rows that meet it. */
  readonly rows: RegExp;
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
    applies: (batch, { run, ours, theirs }) => {
      const { words } = runOf(batch, run);
      // What follows may make anything of it.
      const [word, next] = words;
      if (word === undefined || next !== undefined) return true;
      const at = AT.v + 2 * (word & 31);
      const low = (changes: typeof ours.changes): bigint | undefined =>
        changes.find((change) => change.at === at)?.value;
      const value = low(ours.changes);
      return value !== undefined && low(theirs.changes) === BigInt.asUintN(32, BigInt.asIntN(16, value));
    },
  },
];

/** What explains a mismatch. */
export function departureOf(batch: Batch, mismatch: Mismatch): Departure | undefined {
  const names = runOf(batch, mismatch.run).words.map((word) => A64.decode(word)?.name ?? '');
  return DEPARTURES.find(
    ({ rows, applies }) => names.some((name) => rows.test(name)) && applies(batch, mismatch),
  );
}
