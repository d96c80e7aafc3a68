/**
 * Batches of programs for the instruction oracle, and the records that carry them to `harness.c` and back. Both runners
 * write results as the same bytes, so that only batches with a difference need to be read.
 *
 * Everything a program sees and leaves is one array of 64-bit words: registers first, the data pages behind them.
 */
import { invariant } from '#v8a/base/index.js';

export const PAGE_BYTES = 4096;

/** Two pages next to each other, so that accesses can cross from one to the other. */
export const DATA_BYTES = 2 * PAGE_BYTES;

/** Positions in the array; V has two words for each register, the low one first. */
export const AT = { x: 0, sp: 31, v: 32, nzcv: 96, fpcr: 97, fpsr: 98, memory: 128 } as const;
/** Words of a state: all before `AT.memory` that mean something. */
export const STATE_WORDS = 99;
export const MEMORY_WORDS = DATA_BYTES / 8;

// ---- the programs' address space: code and data, everything else faults

export const DATA_PAGES = 0x20_0000_0000n;
const CODE_AREA = 0x10_0000_0000n;
/** Each program has a slot of the code area to itself. */
export const SLOTS = 1024;
export const SLOT_WORDS = 32;
export const CODE_BYTES = SLOTS * SLOT_WORDS * 4;
/** Fills the code area: a branch astray ends at once. */
export const BRK = 0xd420_0000;
/** First word of a program in its slot; before it and behind the program are BRKs to branch to. */
export const FIRST_WORD = 12;
export const MAX_WORDS = 16;

/** Where a program goes on when it has come to its end; out of reach of literals. */
export const TRAMPOLINE = CODE_AREA + 0x1f_0000n;
/** What the harness has before a program: MRS X30, TPIDR_EL0. */
const PROLOGUE = 0xd53b_d05e;
export const B = 0x1400_0000;

export function programAddress(slot: number): bigint {
  return CODE_AREA + BigInt(4 * (slot * SLOT_WORDS + FIRST_WORD));
}

// ---- programs

/** 64-bit words, unsigned, by `AT`; `STATE_WORDS` of them. */
export type State = BigUint64Array;

/** One word of a state or of the data pages. */
export interface Word {
  readonly at: number;
  readonly value: bigint;
}

export interface Program {
  readonly slot: number;
  /** At most `MAX_WORDS`. */
  readonly words: readonly number[];
}

/** All words of a program's slot. */
export function slotWords({ slot, words }: Program): number[] {
  const filled = Array<number>(SLOT_WORDS).fill(BRK);
  const distance = Number(TRAMPOLINE - programAddress(slot)) / 4 - words.length;
  filled.splice(FIRST_WORD - 1, 1 + words.length + 1, PROLOGUE, ...words, (B | distance) >>> 0);
  invariant(filled.length === SLOT_WORDS, 'a program fits into its slot');
  return filled;
}

export interface Run {
  /** Index of the batch's program. */
  readonly program: number;
  /** Index of the batch's state that the program starts with … */
  readonly state: number;
  /** … except for these words. */
  readonly overrides: readonly Word[];
}

/** Programs of a slot each, run one after the other, each run with the data pages as they were. */
export interface Batch {
  readonly programs: readonly Program[];
  readonly states: readonly State[];
  /** Content of the data pages. */
  readonly memory: BigUint64Array;
  readonly runs: readonly Run[];
}

export function runOf(batch: Batch, index: number): Run & { readonly words: readonly number[] } {
  const run = batch.runs[index];
  const program = run && batch.programs[run.program];
  invariant(run !== undefined && program !== undefined, `no run ${index}`);
  return { ...run, words: program.words };
}

/** The state that a run starts with, and the data pages behind it. */
export function startOf(batch: Batch, { state, overrides }: Run): BigUint64Array {
  const start = new BigUint64Array(AT.memory + MEMORY_WORDS);
  const base = batch.states[state];
  invariant(base !== undefined, `no state ${state}`);
  start.set(base);
  start.set(batch.memory, AT.memory);
  for (const { at, value } of overrides) start[at] = value;
  return start;
}

// ---- to the harness

const PROGRAM_BYTES = 8 + 4 * MAX_WORDS;
const RUN_BYTES = 16;
const WORD_BYTES = 16;
const HEADER_BYTES = 16;

export function encodeBatch({ programs, states, memory, runs }: Batch): Uint8Array {
  const overrides = runs.reduce((sum, run) => sum + run.overrides.length, 0);
  const sizeBytes =
    HEADER_BYTES +
    DATA_BYTES +
    PROGRAM_BYTES * programs.length +
    8 * STATE_WORDS * states.length +
    RUN_BYTES * runs.length +
    WORD_BYTES * overrides;
  const view = new DataView(new ArrayBuffer(sizeBytes));
  view.setUint32(0, programs.length, true);
  view.setUint32(4, states.length, true);
  view.setUint32(8, runs.length, true);
  view.setUint32(12, overrides, true);
  let at = HEADER_BYTES;
  const put64 = (value: bigint): void => {
    view.setBigUint64(at, value, true);
    at += 8;
  };
  memory.forEach(put64);
  for (const { slot, words } of programs) {
    invariant(words.length <= MAX_WORDS && slot < SLOTS, 'a program fits into its slot');
    view.setUint32(at, words.length, true);
    view.setUint32(at + 4, slot, true);
    words.forEach((word, i) => {
      view.setUint32(at + 8 + 4 * i, word, true);
    });
    at += PROGRAM_BYTES;
  }
  for (const state of states) state.forEach(put64);
  for (const run of runs) {
    view.setUint32(at, run.program, true);
    view.setUint32(at + 4, run.state, true);
    view.setUint32(at + 8, run.overrides.length, true);
    at += RUN_BYTES;
  }
  for (const run of runs)
    for (const override of run.overrides) {
      put64(BigInt(override.at));
      put64(override.value);
    }
  return new Uint8Array(view.buffer);
}

// ---- and back

/** How a program ended, by the number of the signal; 0 where it ran to its end, as all should. */
export const ENDING = { end: 0, undefined: 4, brk: 5, alignment: 7, abort: 11, unexpected: 99 } as const;

const ENDING_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries({
    'the end': ENDING.end,
    undefined: ENDING.undefined,
    BRK: ENDING.brk,
    'alignment fault': ENDING.alignment,
    'data or instruction abort': ENDING.abort,
  }).map(([name, number]) => [number, name]),
);

export function endingName(ending: number): string {
  return ENDING_NAMES.get(ending) ?? `something unexpected (${ending})`;
}

export interface Result {
  /** Of `ENDING`. */
  readonly ending: number;
  /** Address of the instruction that ended the program. */
  readonly pc: bigint;
  /** What differs from the start, by ascending position. */
  readonly changes: readonly Word[];
}

/** A result: ending and number of changes, pc, then position and value of each change. */
export const RESULT = { ending: 0, changes: 4, pc: 8, headerBytes: 16, changeBytes: WORD_BYTES } as const;

/** Where each result is, and behind the last the length of all. */
export function resultOffsets(bytes: Uint8Array, runs: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offsets = [0];
  let at = 0;
  for (let i = 0; i < runs; i++) {
    at += RESULT.headerBytes + RESULT.changeBytes * view.getUint32(at + RESULT.changes, true);
    offsets.push(at);
  }
  return offsets;
}

export function decodeResult(bytes: Uint8Array, at: number): Result {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    ending: view.getUint32(at + RESULT.ending, true),
    pc: view.getBigUint64(at + RESULT.pc, true),
    changes: Array.from({ length: view.getUint32(at + RESULT.changes, true) }, (_, i) => ({
      at: Number(view.getBigUint64(at + RESULT.headerBytes + RESULT.changeBytes * i, true)),
      value: view.getBigUint64(at + RESULT.headerBytes + RESULT.changeBytes * i + 8, true),
    })),
  };
}
