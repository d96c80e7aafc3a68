/**
 * Which words are instructions: over all words at a coarse stride and along every boundary of the rows, whether
 * executing the word raises Undefined at EL0, in v8a and under QEMU.
 */
import type { CpuModel } from '#v8a/cpu/models.js';
import { implementsRow } from '#v8a/cpu/models.js';
import { A64 } from '#v8a/isa/a64.js';
import { randomSource, randomWord } from '#v8a/isa/random-encoder.js';
import type { Row } from '#v8a/isa/row.js';
import type { Batch, State } from './format.js';
import {
  AT,
  DATA_PAGES,
  ENDING,
  MEMORY_WORDS,
  PAGE_BYTES,
  RESULT,
  SLOTS,
  STATE_WORDS,
  programAddress,
  resultOffsets,
} from './format.js';
import type { Pair } from './reduce.js';

// ---- words

/** Each `stride`th of all words. */
export function* strideWords(stride: number): Generator<number> {
  for (let word = 0; word < 2 ** 32; word += stride) yield word;
}

/** The row's words with every field at its ends, their neighbours, and random ones with each of their bits changed. */
function* rowBoundaries(row: Row, random: () => number, perRow: number): Generator<number> {
  const isFixed = row.mask;
  for (const word of [row.match, row.match | ~isFixed])
    for (const neighbour of [word - 1, word, word + 1]) yield neighbour >>> 0;
  for (const { low, width } of row.fields) {
    const ones = (2 ** width - 1) * 2 ** low;
    const word = randomWord(row, random);
    yield (word & ~ones) >>> 0;
    yield (word | ones) >>> 0;
    // Small fields choose among instructions: all their values.
    if (width <= 4)
      for (let value = 0; value < 2 ** width; value++) yield ((word & ~ones) | (value * 2 ** low)) >>> 0;
  }
  for (let i = 0; i < perRow; i++) {
    const word = randomWord(row, random);
    yield word;
    for (let bit = 0; bit < 32; bit++) yield (word ^ (1 << bit)) >>> 0;
  }
}

/** Boundaries of all rows; `perRow` random words of each are varied. */
export function* boundaryWords(seed: number, perRow: number): Generator<number> {
  const random = randomSource(seed);
  for (const row of A64.rows) yield* rowBoundaries(row, random, perRow);
}

const matches = (word: number, mask: number, match: number): boolean => (word & mask) >>> 0 === match;

/** Why `word` isn't run. */
function isLeftOut(word: number): boolean {
  return (
    // SVC, and the HLT of semihosting: they do something, on QEMU's host.
    matches(word, 0xffe0_001f, 0xd400_0001) ||
    word === 0xd45e_0000 ||
    // MRS, MSR and SYS: whether they are undefined is the register's matter (system-registers.test.ts).
    (matches(word, 0xffc0_0000, 0xd500_0000) && (word & 0x0018_0000) !== 0) ||
    // Unallocated words among the two-register instructions of half precision, such as scalar FABS: QEMU ends.
    ((matches(word, 0x9f7e_0c00, 0x0e78_0800) || matches(word, 0xdf7e_0c00, 0x5e78_0800)) &&
      A64.decode(word) === undefined) ||
    // MSR SVCR turns on the mode in which most instructions are undefined.
    matches(word, 0xffff_f0ff, 0xd503_407f) ||
    // YIELD, WFE and WFI wait for what never comes.
    matches(word, 0xffff_ff9f, 0xd503_201f)
  );
}

/** Distance of branches, in words, to a BRK of the slot. */
const DISTANCE = 12;

/** The word with another distance where it is a branch, which might go in circles otherwise. */
function withoutLoops(word: number): number {
  if (matches(word, 0x7c00_0000, 0x1400_0000)) return ((word & 0xfc00_0000) | DISTANCE) >>> 0;
  const isConditional = matches(word, 0xfe00_0000, 0x5400_0000) || matches(word, 0x7e00_0000, 0x3400_0000);
  if (isConditional) return ((word & 0xff00_001f) | (DISTANCE << 5)) >>> 0;
  if (matches(word, 0x7e00_0000, 0x3600_0000)) return ((word & 0xfff8_001f) | (DISTANCE << 5)) >>> 0;
  return word;
}

// ---- running them

/** All registers point into the first data page; both are zero. */
function sweepState(): State {
  const state = new BigUint64Array(STATE_WORDS);
  state.fill(DATA_PAGES + BigInt(PAGE_BYTES / 2), AT.x, AT.sp + 1);
  return state;
}

function batchOf(words: readonly number[]): Batch {
  return {
    programs: words.map((word, slot) => ({ slot, words: [word] })),
    states: [sweepState()],
    memory: new BigUint64Array(MEMORY_WORDS),
    runs: words.map((_, program) => ({ program, state: 0, overrides: [] })),
  };
}

/** For each of the words, whether it raised Undefined. */
function undefinedOnes(results: Uint8Array, words: number): boolean[] {
  const view = new DataView(results.buffer, results.byteOffset);
  return resultOffsets(results, words)
    .slice(0, -1)
    .map(
      (at, slot) =>
        view.getUint32(at + RESULT.ending, true) === ENDING.undefined &&
        view.getBigUint64(at + RESULT.pc, true) === programAddress(slot),
    );
}

// ---- differences

/** A difference with a reason. */
interface Explanation {
  readonly mask: number;
  readonly match: number;
  readonly undefinedIn: 'v8a' | 'QEMU';
  readonly why: string;
}

/** Words that QEMU executes and that are unallocated. Listed in docs/conformance.md. */
export const EXPLANATIONS: readonly Explanation[] = [
  {
    mask: 0xdf7e_0c00,
    match: 0x5e70_0800,
    undefinedIn: 'v8a',
    why: 'scalar pairwise of half precision with sz = 1 is unallocated; QEMU executes it (DDI0487 C4.1.97)',
  },
  {
    mask: 0xbf7e_0c00,
    match: 0x0e70_0800,
    undefinedIn: 'v8a',
    why: 'across lanes of half precision with sz = 1 is unallocated; QEMU executes it (DDI0487 C4.1.97)',
  },
  {
    mask: 0xbff8_fc00,
    match: 0x2f00_fc00,
    undefinedIn: 'v8a',
    why: 'FMOV (vector, immediate) of half precision with op = 1 is unallocated; QEMU executes it (DDI0487 C4.1.97)',
  },
];

export interface SweepLine {
  /** Name of the row, or none where the word is unallocated. */
  readonly row: string | undefined;
  readonly undefinedIn: 'v8a' | 'QEMU';
  readonly why: string | undefined;
  count: number;
  readonly examples: number[];
}

export interface SweepResult {
  words: number;
  /** Words that both execute. */
  defined: number;
  readonly lines: Map<string, SweepLine>;
}

function explain(
  model: CpuModel,
  row: Row | undefined,
  word: number,
  undefinedIn: 'v8a' | 'QEMU',
): string | undefined {
  if (undefinedIn === 'v8a' && row && !implementsRow(model, row)) return 'not advertised';
  return EXPLANATIONS.find((one) => one.undefinedIn === undefinedIn && matches(word, one.mask, one.match))
    ?.why;
}

const EXAMPLES = 4;

function add(model: CpuModel, result: SweepResult, word: number, undefinedIn: 'v8a' | 'QEMU'): void {
  const row = A64.decode(word);
  const why = explain(model, row, word, undefinedIn);
  const key = `${row?.name} ${undefinedIn} ${why}`;
  const line = result.lines.get(key) ?? {
    row: row?.name,
    undefinedIn,
    why,
    count: 0,
    examples: [],
  };
  result.lines.set(key, line);
  line.count++;
  if (line.examples.length < EXAMPLES) line.examples.push(word);
}

/** Runs the words, as a CPU model has them. */
export async function sweep(pair: Pair, words: Iterable<number>): Promise<SweepResult> {
  const result: SweepResult = { words: 0, defined: 0, lines: new Map() };
  let chunk: number[] = [];
  const flush = async (): Promise<void> => {
    const batch = batchOf(chunk);
    const theirs = pair.qemu.run(batch);
    const ours = undefinedOnes(pair.v8a.run(batch), chunk.length);
    const qemu = undefinedOnes(await theirs, chunk.length);
    chunk.forEach((word, i) => {
      if (ours[i] !== qemu[i]) add(pair.model, result, word, ours[i] === true ? 'v8a' : 'QEMU');
      else if (ours[i] === false) result.defined++;
    });
    result.words += chunk.length;
    chunk = [];
  };
  for (const word of words) {
    if (isLeftOut(word)) continue;
    chunk.push(withoutLoops(word));
    if (chunk.length === SLOTS) await flush();
  }
  if (chunk.length > 0) await flush();
  return result;
}

export function sweepText({ words, defined, lines }: SweepResult): string {
  const hex = (word: number): string => `0x${word.toString(16).padStart(8, '0')}`;
  const text = [...lines.values()]
    .sort((a, b) =>
      (a.why === undefined) === (b.why === undefined) ? b.count - a.count : a.why === undefined ? -1 : 1,
    )
    .map(
      ({ row, undefinedIn, why, count, examples }) =>
        `    ${count} of ${row ?? 'no row'}, undefined in ${undefinedIn}: ${why ?? `UNEXPLAINED, such as ${examples.map(hex).join(' ')}`}`,
    );
  return [`${words} words, ${defined} instructions`, ...text].join('\n');
}
