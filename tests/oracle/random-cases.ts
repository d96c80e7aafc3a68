/**
 * Random batches for the instruction oracle. Words come from the rows' encoder; the state before is chosen so that most
 * instructions do something, and something on the edge.
 */
import { invariant } from '#v8a/base/index.js';
import type { CpuModel } from '#v8a/cpu/models.js';
import { exists, hasFeature, implementsRow } from '#v8a/cpu/models.js';
import { A64 } from '#v8a/isa/a64.js';
import { randomSource, randomWord } from '#v8a/isa/random-encoder.js';
import type { FieldLayout, Row } from '#v8a/isa/row.js';
import { fieldValue } from '#v8a/isa/row.js';
import { systemRegister } from '#v8a/isa/system-registers.js';
import { departsInResult } from './departures.js';
import type { Batch, Run, State, Word } from './format.js';
import {
  AT,
  B,
  DATA_PAGES,
  FIRST_WORD,
  MAX_WORDS,
  MEMORY_WORDS,
  PAGE_BYTES,
  SLOTS,
  SLOT_WORDS,
  STATE_WORDS,
  programAddress,
} from './format.js';
import { notComparedBecause } from './not-compared.js';
import { randomRegister, randomVectorInto } from './operands.js';
import type { Random } from './operands.js';
import { pick } from './operands.js';

/** The rows whose programs can be compared for a CPU model. */
function comparableRows(model: CpuModel, rows: readonly Row[]): Row[] {
  return rows.filter((row) => implementsRow(model, row) && notComparedBecause(row) === undefined);
}

// ---- states

/** States in a batch; runs take one of them and change what the instruction reads. */
const STATES = 16;

/** RMode, FZ, DN and AHP of FPCR, and where the CPU has it FZ16. DDI0487 C5.2.8. */
function randomFpcr(model: CpuModel, random: Random): number {
  const FZ16 = 1 << 19;
  return (random() & (0x1f << 22)) | (hasFeature(model, 'FP16') ? random() & FZ16 : 0);
}

/** QC and the cumulative exceptions of FPSR, which stay set. DDI0487 C5.2.9. */
const FPSR_FLAGS = 0x0800_009f;

function randomState(random: Random, fpcr: number): State {
  const state = new BigUint64Array(STATE_WORDS);
  for (let n = 0; n < AT.sp; n++) state[AT.x + n] = randomRegister(random);
  state[AT.sp] = DATA_PAGES + BigInt(PAGE_BYTES / 2 + 16 * (random() % 16));
  for (let n = 0; n < 64; n += 2) randomVectorInto(random, state, AT.v + n);
  state[AT.nzcv] = BigInt(random() & 15);
  state[AT.fpcr] = BigInt(fpcr >>> 0);
  state[AT.fpsr] = random() % 2 === 0 ? BigInt(random() & FPSR_FLAGS) : 0n;
  return state;
}

function randomMemory(random: Random): BigUint64Array {
  const memory = new BigUint64Array(MEMORY_WORDS);
  for (let n = 0; n < MEMORY_WORDS; n += 2) randomVectorInto(random, memory, n);
  return memory;
}

// ---- words

function field(row: Row, name: string): FieldLayout | undefined {
  return row.fields.find((f) => f.name === name);
}

function withField(row: Row, word: number, name: string, value: number): number {
  const layout = field(row, name);
  if (!layout) return word;
  const mask = (2 ** layout.width - 1) * 2 ** layout.low;
  return ((word & ~mask) | ((value * 2 ** layout.low) & mask)) >>> 0;
}

/** Distances in words, from the instruction at `index` of its program, to the BRKs of its slot. */
function nearDistance(random: Random, index: number): number {
  const at = FIRST_WORD + index;
  // Not the word before the program, which is the harness's.
  const targets = [...Array(FIRST_WORD - 1).keys(), SLOT_WORDS - 1, SLOT_WORDS - 2, SLOT_WORDS - 3];
  return pick(random, targets) - at;
}

/** Makes branches relative to PC go to a BRK of the slot, or out of the code area. */
function aimBranch(row: Row, word: number, slot: number, index: number, random: Random): number {
  for (const name of ['imm26', 'imm19', 'imm14']) {
    const layout = field(row, name);
    if (layout?.kind !== 'label') continue;
    const limit = 2 ** layout.width;
    const value = fieldValue(word, layout);
    const distance = value >= limit / 2 ? value - limit : value;
    const target = slot * SLOT_WORDS + FIRST_WORD + index + distance;
    if (target < -SLOT_WORDS || target > 2 * SLOTS * SLOT_WORDS) continue;
    return withField(row, word, name, nearDistance(random, index));
  }
  return word;
}

function isBranchToRegister(row: Row): boolean {
  return /^(BR|BLR|RET)$/.test(row.name);
}

/** Bits 27 and 25 are loads and stores, DDI0487 C4.1. */
function isMemoryAccess(word: number): boolean {
  return ((word >>> 25) & 5) === 4;
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
  return row.fields.some(({ name }) => name === 'cond') || /^(ADC|SBC)/.test(row.name);
}

/** ADC, SBCS, CSINC and CCMN, 64 bits, from X3 and X4 to X5. */
const FLAG_READERS = [0x9a04_0065, 0xfa04_0065, 0x9a84_0465, 0xba44_0060] as const;
const LAST_FLAG_READERS_WITH_CONDITION = 2;

function randomFlagReader(random: Random): number {
  const index = random() % FLAG_READERS.length;
  const reader = FLAG_READERS[index] ?? 0;
  const hasCondition = index >= FLAG_READERS.length - LAST_FLAG_READERS_WITH_CONDITION;
  return (hasCondition ? reader | ((random() & 15) << 12) : reader) >>> 0;
}

function setsFlags(row: Row): boolean {
  return /\b(ADDS|SUBS|ADCS|SBCS|ANDS|BICS|CCMP|CCMN|FCMPE?|FCCMPE?)\b/.test(row.name);
}

interface RowProgram {
  readonly words: readonly number[];
  /** Index of the word of the row. */
  readonly subject: number;
}

function randomProgram(row: Row, slot: number, random: Random): RowProgram {
  let word = randomWord(row, random);
  const before: number[] = [];
  if (isStoreExclusive(row) && random() % 4 !== 0) before.push(loadExclusiveOf(word));
  if (readsFlags(row) && random() % 4 !== 0) before.push(randomFlagSetter(random));
  word = aimBranch(row, word, slot, before.length, random);
  const after = setsFlags(row) && random() % 4 === 0 ? [randomFlagReader(random)] : [];
  return { words: [...before, word, ...after], subject: before.length };
}

// ---- what a run changes

/**
 * Middle of the first data page or near its end, a little to either side, most often aligned. Not the end of the second
 * one: what an access has loaded or stored before it aborts is left open, and QEMU keeps some of it.
 */
function dataAddress(random: Random): bigint {
  switch (random() % 8) {
    case 0:
      // From far enough before the second page to just before it: most cross into it.
      return DATA_PAGES + BigInt(PAGE_BYTES - 1 - (random() % pick(random, [4, 8, 16, 64])));
    case 1:
      return DATA_PAGES + BigInt(PAGE_BYTES / 2 + (random() % 512));
    default: {
      const offset = pick(random, [0, 0, 16, 32, 64, 8, 4, 1, 3]) + 16 * (random() % 32);
      return DATA_PAGES + BigInt(PAGE_BYTES / 2 + offset);
    }
  }
}

/** Makes the addresses of `row` fall into the pages, if it uses any. */
function aimRegisters(row: Row, word: number, slot: number, random: Random, put: Put): void {
  const value = (name: string): number | undefined => {
    const layout = field(row, name);
    return layout && fieldValue(word, layout);
  };
  const isMemory = isMemoryAccess(word);
  const Rn = value('Rn');
  if (Rn === undefined || Rn === 31 || (!isBranchToRegister(row) && !isMemory)) return;
  if (!isMemory) {
    put(AT.x + Rn, programAddress(slot) + BigInt(4 * nearDistance(random, 0)));
    return;
  }
  const Rm = value('Rm');
  if (Rm !== undefined && Rm !== 31) put(AT.x + Rm, BigInt.asUintN(64, BigInt((random() % 96) - 16)));
  if (isStoreExclusive(row)) {
    // Aligned: without the monitor QEMU fails the store before it looks at the address, others fault.
    put(AT.x + Rn, DATA_PAGES + BigInt(PAGE_BYTES / 2));
    return;
  }
  const imm12 = value('imm12') ?? 0;
  const is128 = (word & 0x0480_0000) === 0x0480_0000 && word >>> 30 === 0;
  const scale = is128 ? 4 : word >>> 30;
  const address = dataAddress(random);
  put(AT.x + Rn, BigInt.asUintN(64, address - (BigInt(imm12) << BigInt(scale))));
  meetExpectation(row, word, address, random, put);
}

type Put = (at: number, value: bigint) => void;

/** Half of the compare-and-swaps find what they expect: bytes that are all the same, at whatever address. */
function meetExpectation(row: Row, word: number, address: bigint, random: Random, put: Put): void {
  if (!row.name.startsWith('CAS') || random() % 2 === 0) return;
  const [Rn, Rs] = ['Rn', 'Rs'].map((name) => {
    const layout = field(row, name);
    return layout && fieldValue(word, layout);
  });
  if (Rs === undefined || Rn === Rs || Rn === Rs + 1) return;
  const bytes = 0x0101_0101_0101_0101n * BigInt(random() & 0xff);
  const isWord = word >>> 30 !== 3 && field(row, 'sz') === undefined;
  const registers = row.name.startsWith('CASP') ? [Rs, Rs + 1] : [Rs];
  for (const n of registers) if (n !== 31) put(AT.x + n, isWord ? bytes ^ (BigInt(random()) << 32n) : bytes);
  const at = AT.memory + Number((address - DATA_PAGES) >> 3n);
  for (const word64 of [at, at + 1]) put(word64, bytes);
}

const scratch = new BigUint64Array(2);

/** New values for the registers that the instruction names, often with a relation to each other. */
function freshOperands(row: Row, word: number, random: Random, put: Put): void {
  let last: bigint | undefined;
  let lastVector: readonly [bigint, bigint] | undefined;
  for (const layout of row.fields) {
    const n = fieldValue(word, layout);
    switch (layout.kind) {
      case 'register':
      case 'register-or-sp': {
        if (n === 31) break;
        const value =
          last !== undefined && random() % 6 === 0 ? relative(last, random) : randomRegister(random);
        put(AT.x + n, value);
        last = value;
        break;
      }
      case 'vector': {
        if (lastVector !== undefined && random() % 8 === 0) {
          scratch.set(lastVector);
          // The same but for a sign or a last bit.
          const at = random() & 1;
          scratch[at] = (scratch[at] ?? 0n) ^ (random() % 2 === 0 ? 1n << 63n : 1n);
        } else {
          randomVectorInto(random, scratch, 0);
        }
        lastVector = [scratch[0] ?? 0n, scratch[1] ?? 0n];
        put(AT.v + 2 * n, lastVector[0]);
        put(AT.v + 2 * n + 1, lastVector[1]);
        break;
      }
      default:
    }
  }
}

function relative(value: bigint, random: Random): bigint {
  const candidates = [
    value,
    ~value,
    -value,
    value + 1n,
    value - 1n,
    value ^ (1n << 63n),
    value ^ (1n << 31n),
  ];
  return BigInt.asUintN(64, pick(random, candidates));
}

// ---- batches

/** What is compared under one name: an instruction, or programs of several. */
export interface Subject {
  readonly name: string;
  /** Each case is a program of several instructions. */
  readonly isOfPrograms?: true;
  /** `runs` cases, at most `MAX_RUNS`; the same seed gives the same. */
  batch(seed: number, runs: number): Batch;
}

/** Runs of a program: decoding and translating it costs more than running it. */
const RUNS_PER_PROGRAM = 3;

/** A number of its own for each subject and chunk, so that new rows leave the cases of the others as they are. */
export function batchSeed(seed: number, name: string, chunk: number): number {
  let hash = seed >>> 0;
  for (const letter of `${name} ${chunk}`) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x0100_0193);
  return hash >>> 0;
}

/** Most runs that a batch can have. */
export const MAX_RUNS = SLOTS * RUNS_PER_PROGRAM;

/** A program in its slot and what its runs change. */
interface Draft {
  readonly words: readonly number[];
  overrides(put: Put): void;
}

/** `hasFpModes`: half of the states have random modes of floating point. */
function batchOf(
  model: CpuModel,
  random: Random,
  runs: number,
  hasFpModes: boolean,
  draft: (slot: number) => Draft,
): Batch {
  invariant(runs <= MAX_RUNS, 'a slot for each program');
  const states = Array.from({ length: STATES }, (_, i) =>
    randomState(random, hasFpModes && i % 2 === 1 ? randomFpcr(model, random) : 0),
  );
  const memory = randomMemory(random);
  const drafts = Array.from({ length: Math.ceil(runs / RUNS_PER_PROGRAM) }, (_, slot) => draft(slot));
  return {
    programs: drafts.map(({ words }, slot) => ({ slot, words })),
    states,
    memory,
    runs: Array.from({ length: runs }, (_, i): Run => {
      const program = Math.floor(i / RUNS_PER_PROGRAM);
      const overrides: Word[] = [];
      drafts[program]?.overrides((at, value) => overrides.push({ at, value }));
      return { program, state: random() % STATES, overrides };
    }),
  };
}

function rowSubject(model: CpuModel, row: Row): Subject {
  return {
    name: row.name,
    batch(seed, runs) {
      const random = randomSource(seed);
      return batchOf(model, random, runs, row.simd, (slot) => {
        const { words, subject } = randomProgram(row, slot, random);
        const word = words[subject] ?? 0;
        return {
          words,
          overrides(put) {
            freshOperands(row, word, random, put);
            aimRegisters(row, word, slot, random, put);
          },
        };
      });
    },
  };
}

// ---- programs of several instructions

/** Base of their loads and stores; nothing else writes it on purpose. */
const BASE_REGISTER = 28;
const [MIN_SEQUENCE, MAX_SEQUENCE] = [3, 8];

function sequenceWord(rows: readonly Row[], random: Random): number {
  for (;;) {
    const row = pick(random, rows);
    const word = randomWord(row, random);
    if (!isMemoryAccess(word)) return word;
    const based = withField(row, word, 'Rn', BASE_REGISTER);
    // An offset of any size would leave the page.
    const near = ['imm12', 'imm9', 'imm7'].reduce((w, name) => withField(row, w, name, random() % 8), based);
    if (row.accepts(near)) return near;
  }
}

/**
 * Rows for programs of several instructions: no branches, which one of them would end, and nothing whose result in QEMU
 * departs in a way that can only be told from what it leaves.
 */
function straightOf(rows: readonly Row[]): Row[] {
  return rows.filter(
    (row) =>
      !isBranchToRegister(row) && !row.fields.some(({ kind }) => kind === 'label') && !departsInResult(row),
  );
}

/** Rows for loads and stores say so in all their words. */
function isMemoryRow({ match }: Row): boolean {
  return isMemoryAccess(match);
}

/** Sequences of instructions. */
function sequences(model: CpuModel, rows: readonly Row[]): Subject {
  const straight = straightOf(rows);
  const integer = straight.filter((row) => !row.simd);
  return {
    name: SEQUENCES,
    isOfPrograms: true,
    batch(seed, runs) {
      const random = randomSource(seed);
      return batchOf(model, random, runs, true, () => {
        const of = random() % 2 === 0 ? integer : straight;
        const words = Array.from(
          { length: MIN_SEQUENCE + (random() % (MAX_SEQUENCE - MIN_SEQUENCE + 1)) },
          () =>
            random() % 8 === 0
              ? pick(random, [randomFlagSetter, randomFlagReader])(random)
              : sequenceWord(of, random),
        );
        return {
          words,
          overrides(put) {
            put(AT.x + BASE_REGISTER, dataAddress(random));
            for (let i = 0; i < 3; i++) put(AT.x + (random() % BASE_REGISTER), randomRegister(random));
          },
        };
      });
    },
  };
}

/** Name of the subject that has programs of several instructions. */
const SEQUENCES = '(sequences of instructions)';

// ---- programs with branches

/**
 * Registers that nothing else writes: how often the program may still branch back, where it branches to by a register. All
 * are even, as the first of a pair of registers is.
 */
const [COUNTER, TARGET, LINK] = [26, 24, 30];
const RESERVED: ReadonlySet<number> = new Set([COUNTER, TARGET, LINK, BASE_REGISTER]);

function isFreeOfReserved(word: number): boolean {
  const fields = A64.decode(word)?.fields ?? [];
  const registers = fields.filter(({ kind }) => kind === 'register' || kind === 'register-or-sp');
  return registers.every(
    (register) =>
      (register.name === 'Rn' && isMemoryAccess(word)) || !RESERVED.has(fieldValue(word, register)),
  );
}

const branch = (opcode: number, distance: number): number => (opcode | (distance & 0x3ff_ffff)) >>> 0;
const branchIf = (opcode: number, distance: number, rest: number): number =>
  (opcode | ((distance & 0x7_ffff) << 5) | rest) >>> 0;
const testBit = (opcode: number, bit: number, register: number, distance: number): number =>
  (opcode | ((bit >> 5) << 31) | ((bit & 31) << 19) | ((distance & 0x3fff) << 5) | register) >>> 0;
const [BL, B_COND, CBZ, TBZ, TBNZ, ADR, BR, BLR, RET] = [
  0x9400_0000, 0x5400_0000, 0x3400_0000, 0x3600_0000, 0x3700_0000, 0x1000_0000, 0xd61f_0000, 0xd63f_0000, 0xd65f_0000,
]; // prettier-ignore
const GT = 12;
const toRegister = (opcode: number, register: number): number => (opcode | (register << 5)) >>> 0;
/** SUB and SUBS of 1 from the counter. */
const COUNT_DOWN = (0xd100_0400 | (COUNTER << 5) | COUNTER) >>> 0;
const COUNT_DOWN_WITH_FLAGS = (COUNT_DOWN | (1 << 29)) >>> 0;
const SIGN = 63;

/** Words that only their first is branched to; `ahead` and `back` are distances from it. */
interface Piece {
  readonly length: number;
  words(ahead: number, back: number): number[];
}

/** A branch ahead, taken or not. */
function randomBranchAhead(random: Random): Piece {
  const register = random() & 31;
  const high = (random() & 1) << 31;
  const invert = (random() & 1) << 24;
  return pick<Piece>(random, [
    { length: 1, words: (ahead) => [branchIf(B_COND, ahead, random() & 15)] },
    { length: 1, words: (ahead) => [branchIf(B_COND, ahead, random() & 15)] },
    { length: 1, words: (ahead) => [branchIf(CBZ | high | invert, ahead, register)] },
    { length: 1, words: (ahead) => [testBit(TBZ | invert, random() & 63, register, ahead)] },
    { length: 1, words: (ahead) => [branch(B, ahead)] },
    { length: 1, words: (ahead) => [branch(BL, ahead)] },
    {
      length: 2,
      words: (ahead) => [
        branchIf(ADR, ahead, TARGET),
        toRegister(pick(random, [BR, BLR, RET] as const), TARGET),
      ],
    },
  ]);
}

/** A branch back, for as long as the counter is not used up. */
function randomBranchBack(random: Random): Piece {
  return pick<Piece>(random, [
    { length: 2, words: (_, back) => [COUNT_DOWN_WITH_FLAGS, branchIf(B_COND, back - 1, GT)] },
    { length: 2, words: (_, back) => [COUNT_DOWN, testBit(TBZ, SIGN, COUNTER, back - 1)] },
    { length: 3, words: () => [COUNT_DOWN, testBit(TBNZ, SIGN, COUNTER, 2), toRegister(RET, LINK)] },
    {
      length: 4,
      words: (_, back) => [
        COUNT_DOWN,
        testBit(TBNZ, SIGN, COUNTER, 3),
        branchIf(ADR, back - 2, TARGET),
        toRegister(pick(random, [BR, BLR] as const), TARGET),
      ],
    },
  ]);
}

/** Programs with loops, calls and branches ahead. */
function branches(model: CpuModel, rows: readonly Row[]): Subject {
  // Whether a store-exclusive follows on a load-exclusive depends on the way there.
  const straight = straightOf(rows).filter((row) => !/^(LDA?|STL?)X[RP]/.test(row.name));
  const integer = straight.filter((row) => !row.simd);
  const freeWord = (of: readonly Row[], random: Random): number => {
    for (;;) {
      const word =
        random() % 6 === 0
          ? pick(random, [randomFlagSetter, randomFlagReader])(random)
          : sequenceWord(of, random);
      if (isFreeOfReserved(word)) return word;
    }
  };
  const randomPiece = (of: readonly Row[], random: Random): Piece => {
    switch (random() % 5) {
      case 0:
        return randomBranchAhead(random);
      case 1:
        return randomBranchBack(random);
      default:
        return { length: 1, words: () => [freeWord(of, random)] };
    }
  };
  return {
    name: BRANCHES,
    isOfPrograms: true,
    batch(seed, runs) {
      const random = randomSource(seed);
      return batchOf(model, random, runs, true, (slot) => {
        const of = random() % 2 === 0 ? integer : straight;
        const pieces: Piece[] = [];
        const starts = [0];
        for (let length = 0; ;) {
          const piece = randomPiece(of, random);
          length += piece.length;
          if (length > MAX_WORDS) break;
          pieces.push(piece);
          starts.push(length);
        }
        const words = pieces.flatMap((piece, i) => {
          const at = starts[i] ?? 0;
          const ahead = pick(random, starts.slice(i + 1)) - at;
          return piece.words(ahead, pick(random, starts.slice(0, i + 1)) - at);
        });
        return {
          words,
          overrides(put) {
            put(AT.x + BASE_REGISTER, dataAddress(random));
            put(AT.x + COUNTER, BigInt(random() % 6));
            put(AT.x + LINK, programAddress(slot) + BigInt(4 * pick(random, starts)));
            for (let i = 0; i < 3; i++) put(AT.x + (random() % COUNTER), randomRegister(random));
          },
        };
      });
    },
  };
}

const BRANCHES = '(programs with branches)';

// ---- system registers that EL0 has

/** Linux leaves them to programs; the counters' values are the host's. TPIDR_EL0 is the harness's before and after. */
const EL0_REGISTERS = ['NZCV', 'FPCR', 'FPSR', 'TPIDR_EL0', 'DIT', 'SSBS'] as const;

const MSR_REGISTER = 0xd510_0000;
const MRS = 0xd530_0000;

/** MSR (register) or MRS of a register and X0 … X30. */
function moveOf(instruction: number, encoding: number, random: Random): number {
  return (instruction | ((encoding & 0x7fff) << 5) | (random() % 31)) >>> 0;
}

/** MSR of all the bits of a register, perhaps instructions that go by it or set it, and MRS. */
function systemRegisters(model: CpuModel, rows: readonly Row[]): Subject {
  const registers = EL0_REGISTERS.map(systemRegister).filter((register) => exists(model, register));
  const immediate = A64.rows.filter(({ name }) => name === 'MSR (immediate)');
  const straight = straightOf(rows).filter((row) => !isMemoryRow(row));
  return {
    name: 'MSR (register), MRS at EL0',
    batch(seed, runs) {
      const random = randomSource(seed);
      return batchOf(model, random, runs, true, () => {
        const { encoding } = pick(random, registers);
        const between = Array.from({ length: random() % 4 }, () =>
          randomWord(pick(random, random() % 4 === 0 ? immediate : straight), random),
        );
        const words = [moveOf(MSR_REGISTER, encoding, random), ...between, moveOf(MRS, encoding, random)];
        return {
          words,
          overrides(put) {
            for (let i = 0; i < 3; i++) put(AT.x + (random() % 31), randomRegister(random));
          },
        };
      });
    },
  };
}

/** All that is compared for a CPU model. */
export function subjectsOf(model: CpuModel): Subject[] {
  const rows = comparableRows(model, A64.rows);
  return [
    ...rows.map((row) => rowSubject(model, row)),
    sequences(model, rows),
    branches(model, rows),
    systemRegisters(model, rows),
  ];
}
