/** Cases of the instruction oracle and the records that carry them to `harness.c` and back. All little-endian. */
import { invariant } from '#v8a/base/index.js';
import { randomSource } from '#v8a/isa/random-encoder.js';

/** Code and data of a case are one page each; everything else faults. */
export const PAGE_BYTES = 4096;
export const CODE_PAGE = 0x10_0000_0000n;
export const DATA_PAGE = 0x20_0000_0000n;
/** Where the words of a case are; the rest of the code page is BRK. */
export const PROGRAM = CODE_PAGE + BigInt(PAGE_BYTES / 2);
export const MAX_WORDS = 8;
/** Fills the code page. */
export const BRK = 0xd420_0000;

/** What a program sees at EL0. */
export interface ProgramState {
  /** X0 to X30, unsigned. */
  readonly x: readonly bigint[];
  readonly sp: bigint;
  readonly pc: bigint;
  /** N in bit 3 … V in bit 0. */
  readonly nzcv: number;
  readonly fpcr: number;
  readonly fpsr: number;
  /** V0 to V31, unsigned. */
  readonly v: readonly bigint[];
}

export interface Case {
  /** At most `MAX_WORDS`, at `PROGRAM`. */
  readonly words: readonly number[];
  /** `initialMemory` of it is the content of the data page. */
  readonly memorySeed: number;
  /** `pc` is `PROGRAM`. */
  readonly before: ProgramState;
}

/** How a program ended: a BRK is what all should reach. */
export type Ending = 'brk' | 'undefined' | 'data or instruction abort' | 'alignment fault' | 'unexpected';

export interface Result {
  readonly ending: Ending;
  /** `pc` is the address of the instruction that ended the program. */
  readonly after: ProgramState;
  /** Doublewords of the data page that changed: offset in bytes and new value. */
  readonly changes: readonly { readonly offset: number; readonly value: bigint }[];
}

/** Runs programs: QEMU, v8a, silicon. */
export interface Runner {
  runCases(cases: readonly Case[]): Result[];
}

const STATE_BYTES = 288 + 32 * 16;
const CASE_BYTES = 48 + STATE_BYTES;
const RESULT_BYTES = 16 + STATE_BYTES;
const CHANGE_BYTES = 16;

const ENDINGS: Readonly<Record<number, Ending>> = {
  4: 'undefined',
  5: 'brk',
  7: 'alignment fault',
  11: 'data or instruction abort',
};

/** Offsets inside `struct state` of harness.c; the vectors are aligned to 16 bytes. */
const STATE = { x: 0, sp: 31 * 8, pc: 32 * 8, nzcv: 264, fpcr: 268, fpsr: 272, v: 288 } as const;

function writeState(view: DataView, at: number, state: ProgramState): void {
  state.x.forEach((value, i) => {
    view.setBigUint64(at + STATE.x + 8 * i, value, true);
  });
  view.setBigUint64(at + STATE.sp, state.sp, true);
  view.setBigUint64(at + STATE.pc, state.pc, true);
  view.setUint32(at + STATE.nzcv, state.nzcv, true);
  view.setUint32(at + STATE.fpcr, state.fpcr, true);
  view.setUint32(at + STATE.fpsr, state.fpsr, true);
  state.v.forEach((value, i) => {
    view.setBigUint64(at + STATE.v + 16 * i, BigInt.asUintN(64, value), true);
    view.setBigUint64(at + STATE.v + 16 * i + 8, value >> 64n, true);
  });
}

function readState(view: DataView, at: number): ProgramState {
  return {
    x: Array.from({ length: 31 }, (_, i) => view.getBigUint64(at + STATE.x + 8 * i, true)),
    sp: view.getBigUint64(at + STATE.sp, true),
    pc: view.getBigUint64(at + STATE.pc, true),
    nzcv: view.getUint32(at + STATE.nzcv, true),
    fpcr: view.getUint32(at + STATE.fpcr, true),
    fpsr: view.getUint32(at + STATE.fpsr, true),
    v: Array.from({ length: 32 }, (_, i) => {
      const low = view.getBigUint64(at + STATE.v + 16 * i, true);
      return (view.getBigUint64(at + STATE.v + 16 * i + 8, true) << 64n) | low;
    }),
  };
}

export function encodeCases(cases: readonly Case[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(cases.length * CASE_BYTES));
  cases.forEach(({ words, memorySeed, before }, i) => {
    invariant(words.length <= MAX_WORDS, `a case has at most ${MAX_WORDS} words`);
    const at = i * CASE_BYTES;
    view.setUint32(at, words.length, true);
    view.setUint32(at + 4, memorySeed, true);
    words.forEach((word, k) => {
      view.setUint32(at + 8 + 4 * k, word, true);
    });
    writeState(view, at + 48, before);
  });
  return new Uint8Array(view.buffer);
}

export function decodeResults(bytes: Uint8Array): Result[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const results: Result[] = [];
  for (let at = 0; at + RESULT_BYTES <= bytes.length;) {
    const ending = ENDINGS[view.getUint32(at, true)];
    invariant(ending !== undefined, 'the harness reports the signals it handles');
    const count = view.getUint32(at + 4, true);
    const after = readState(view, at + 16);
    at += RESULT_BYTES;
    const changes = Array.from({ length: count }, (_, i) => ({
      offset: Number(view.getBigUint64(at + CHANGE_BYTES * i, true)),
      value: view.getBigUint64(at + CHANGE_BYTES * i + 8, true),
    }));
    at += CHANGE_BYTES * count;
    results.push({ ending, after, changes });
  }
  return results;
}

/** The content of a data page. The same numbers as `fill_memory` of harness.c. */
export function initialMemory(seed: number): Uint8Array {
  const random = randomSource(seed);
  const view = new DataView(new ArrayBuffer(PAGE_BYTES));
  for (let at = 0; at < PAGE_BYTES; at += 4) view.setUint32(at, random(), true);
  return new Uint8Array(view.buffer);
}
