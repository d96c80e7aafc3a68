/** Random cases for the instruction oracle: the state before is chosen so that most instructions do something. */
import { invariant } from '#v8a/base/index.js';
import type { Row } from '#v8a/isa/row.js';
import { fieldValue } from '#v8a/isa/row.js';
import { randomSource, randomWord } from '#v8a/isa/random-encoder.js';
import type { Case, ProgramState } from './format.js';
import { DATA_PAGE, MAX_WORDS, PAGE_BYTES, PROGRAM } from './format.js';

/**
 * Rows that user mode under QEMU cannot judge: they reach the operating system or a debugger, need EL1, or belong to
 * extensions that the oracle's CPU lacks.
 */
const NOT_COMPARED = /^(SVC|HVC|SMC|BRK|HLT|ERET|MSR|MRS|SYS|SYSL|YIELD|HINT)\b|FEAT_LOR/;

/** True where a program of `row` can be compared. */
export function isComparable(row: Row): boolean {
  return row.status === 'done' && !NOT_COMPARED.test(row.name);
}

type Random = () => number;

function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[random() % values.length];
  invariant(value !== undefined, 'something to pick from');
  return value;
}

function random64(random: Random): bigint {
  return (BigInt(random()) << 32n) | BigInt(random());
}

const EDGES_64 = [
  0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_8000_0000n, 0xffff_ffff_ffff_ffffn,
]; // prettier-ignore

function randomRegister(random: Random): bigint {
  switch (random() % 4) {
    case 0:
      return pick(random, EDGES_64);
    case 1:
      return BigInt.asUintN(64, pick(random, EDGES_64) + BigInt(random() % 5) - 2n);
    default:
      return random64(random);
  }
}

/** Floating-point numbers of all sizes that meet special cases: zeros, ones, subnormals, infinities, NaNs. */
const EDGES_FP64 = [
  0n, 0x8000_0000_0000_0000n, 0x3ff0_0000_0000_0000n, 0xbff0_0000_0000_0000n, 0x7ff0_0000_0000_0000n,
  0xfff0_0000_0000_0000n, 0x7ff8_0000_0000_0001n, 0x7ff0_0000_0000_0001n, 1n, 0x000f_ffff_ffff_ffffn,
  0x7fef_ffff_ffff_ffffn, 0x4330_0000_0000_0000n, 0x43e0_0000_0000_0000n, 0x3fe0_0000_0000_0000n,
]; // prettier-ignore
const EDGES_FP32 = [
  0n, 0x8000_0000n, 0x3f80_0000n, 0xbf80_0000n, 0x7f80_0000n, 0xff80_0000n, 0x7fc0_0001n, 0x7f80_0001n, 1n,
  0x007f_ffffn, 0x7f7f_ffffn, 0x4b00_0000n, 0x4f00_0000n, 0x3f00_0000n,
]; // prettier-ignore

function randomVector(random: Random): bigint {
  switch (random() % 4) {
    case 0:
      return (pick(random, EDGES_FP64) << 64n) | pick(random, EDGES_FP64);
    case 1:
      return [0, 1, 2, 3].reduce((value) => (value << 32n) | pick(random, EDGES_FP32), 0n);
    case 2: {
      // Numbers of ordinary size, so that arithmetic does not only overflow.
      const double = (): bigint => (random64(random) & ~(0x7c0n << 52n)) | (0x3c0n << 52n);
      return (double() << 64n) | double();
    }
    default:
      return (random64(random) << 64n) | random64(random);
  }
}

function randomState(random: Random, withFpModes: boolean): ProgramState {
  return {
    x: Array.from({ length: 31 }, () => randomRegister(random)),
    sp: DATA_PAGE + BigInt(PAGE_BYTES / 2 + 16 * (random() % 16)),
    pc: PROGRAM,
    nzcv: random() & 15,
    // RMode, FZ and DN.
    fpcr: withFpModes ? ((random() & 15) << 22) | ((random() & 1) << 25) : 0,
    fpsr: 0,
    v: Array.from({ length: 32 }, () => randomVector(random)),
  };
}

/** Middle of the data page, a little to either side, most often aligned. */
function dataAddress(random: Random): bigint {
  const offset = pick(random, [0, 0, 16, 32, 64, 8, 4, 1, 3]);
  return DATA_PAGE + BigInt(PAGE_BYTES / 2 + offset);
}

/** The farthest a branch or literal goes, in words, to stay in the code page. */
const NEAR_WORDS = 200;

interface Draft {
  word: number;
  x: bigint[];
}

function withField(row: Row, word: number, name: string, value: number): number {
  const field = row.fields.find((f) => f.name === name);
  if (!field) return word;
  const mask = (2 ** field.width - 1) * 2 ** field.low;
  return ((word & ~mask) | ((value * 2 ** field.low) & mask)) >>> 0;
}

/** Makes the addresses of `row` fall into the pages, if it uses any. */
function aim(row: Row, draft: Draft, random: Random): void {
  const value = (name: string): number | undefined => {
    const field = row.fields.find((f) => f.name === name);
    return field && fieldValue(draft.word, field);
  };
  // PC-relative: a branch into the program might never end, one far away only faults.
  for (const name of ['imm26', 'imm19', 'imm14']) {
    const current = value(name);
    if (current === undefined) continue;
    const limit = 2 ** Number(name.slice('imm'.length));
    const isInsideProgram = current < MAX_WORDS || current > limit - MAX_WORDS;
    if (isInsideProgram || random() % 8 !== 0) {
      const distance = MAX_WORDS + (random() % NEAR_WORDS);
      draft.word = withField(row, draft.word, name, random() % 2 === 0 ? distance : -distance);
    }
  }
  const isBranch = /^(BR|BLR|RET)$/.test(row.name);
  // Bits 27 and 25 are loads and stores, DDI0487 C4.1.
  const isMemory = ((draft.word >>> 25) & 5) === 4;
  const Rn = value('Rn');
  if (Rn === undefined || Rn === 31 || (!isBranch && !isMemory)) return;
  if (isBranch) {
    draft.x[Rn] = PROGRAM + BigInt(4 * (MAX_WORDS + (random() % NEAR_WORDS)));
    return;
  }
  const Rm = value('Rm');
  if (Rm !== undefined && Rm !== 31) draft.x[Rm] = BigInt.asUintN(64, BigInt((random() % 96) - 16));
  if (isStoreExclusive(row)) {
    // Aligned: without the monitor QEMU fails the store before it looks at the address, others fault.
    draft.x[Rn] = DATA_PAGE + BigInt(PAGE_BYTES / 2);
    return;
  }
  const imm12 = value('imm12') ?? 0;
  const is128 = (draft.word & 0x0480_0000) === 0x0480_0000 && draft.word >>> 30 === 0;
  const scale = is128 ? 4 : draft.word >>> 30;
  draft.x[Rn] = dataAddress(random) - (BigInt(imm12) << BigInt(scale));
}

function isStoreExclusive(row: Row): boolean {
  return /^STL?X[RP]/.test(row.name);
}

/** The load-exclusive of the same registers as a store-exclusive. */
function loadExclusiveOf(word: number): number {
  const load = 1 << 22;
  const noStatus = 31 << 16;
  return (word | load | noStatus) >>> 0;
}

/** ADDS, SUBS and ANDS (shifted register) of no shift into the zero register, 32 bits. */
const FLAG_SETTERS = [0x2b00_001f, 0x6b00_001f, 0x6a00_001f] as const;

/** Sets the flags from two registers: flags need not be kept in the form they are restored in. */
function randomFlagSetter(random: Random): number {
  const [Rn, Rm] = [random() & 31, random() & 31];
  return (pick(random, FLAG_SETTERS) | ((random() & 1) << 31) | (Rm << 16) | (Rn << 5)) >>> 0;
}

function readsFlags(row: Row): boolean {
  return row.fields.some((field) => field.name === 'cond') || /^(ADC|SBC)/.test(row.name);
}

/**
 * `perRow` cases of one instruction for each of the rows; `withFpModes` also in other rounding modes, flushing to zero
 * and with default NaNs. The same seed gives the same cases.
 */
export function randomCases(
  rows: readonly Row[],
  seed: number,
  perRow: number,
  { withFpModes }: { readonly withFpModes: boolean },
): Case[] {
  const random = randomSource(seed);
  return rows.flatMap((row) =>
    Array.from({ length: perRow }, (_, i) => {
      const before = randomState(random, withFpModes && row.simd && i % 2 === 1);
      const draft = { word: randomWord(row, random), x: [...before.x] };
      aim(row, draft, random);
      const words = [draft.word];
      if (isStoreExclusive(row) && i % 4 !== 0) words.unshift(loadExclusiveOf(draft.word));
      if (readsFlags(row) && i % 4 !== 0) words.unshift(randomFlagSetter(random));
      return { words, memorySeed: random(), before: { ...before, x: draft.x } };
    }),
  );
}
