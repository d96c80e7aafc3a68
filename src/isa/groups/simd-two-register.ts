/** Advanced SIMD two-register miscellaneous, across lanes, scalar pairwise. DDI0487 C4.1.97. */
import type { V128 } from '../../wasm/expr.js';
import { i32, i64 } from '../../wasm/expr.js';
import { bitselect, shuffle, vector } from '../../wasm/simd.js';
import type { Row } from '../row.js';
import { insn } from '../row.js';
import type { Narrowing, Shape } from '../simd-arithmetic.js';
import {
  bitAnd, bitAndNot, bitNot, bitOr, bitXor, elementBits, leastEach, maximum, minimum, narrow, oneEach, saturatingSub,
  setHalf, signMask, signedLimit, zeros,
} from '../simd-arithmetic.js'; // prettier-ignore
import { laneBinary, laneShift, laneSplat, laneUnary, noteSaturation, setLow, widen } from '../simd-lanes.js';
import { scalar, vec } from '../simd-text.js';
import type { Stage } from '../stage.js';

/** `a` and `d` (the destination before) are used any number of times. */
type Compute = (s: Stage, shape: Shape, a: V128, d: V128) => V128;

// ---- bits

/** Elements of `size` in reverse order within containers of `container` bytes. */
function reversed(size: number, container: number, a: V128): V128 {
  const last = container - (1 << size);
  const from = Array.from({ length: 16 }, (_, i) => {
    const inContainer = i % container;
    const element = inContainer & ~((1 << size) - 1);
    return i - inContainer + (last - element) + (inContainer - element);
  });
  return shuffle(a, a, from);
}

/** Swaps neighbouring groups of `by` bits. */
function swapped(a: V128, by: number, mask: number): V128 {
  const low = bitAnd(a, laneSplat(0, i64(mask)));
  const high = bitAnd(laneShift('shr_u', 0, a, i32(by)), laneSplat(0, i64(mask)));
  return bitOr(laneShift('shl', 0, low, i32(by)), high);
}

function reversedBits(s: Stage, a: V128): V128 {
  const pairs = s.let(swapped(a, 1, 0x55));
  return swapped(s.let(swapped(pairs, 2, 0x33)), 4, 0x0f);
}

function leadingZeros(s: Stage, size: number, a: V128): V128 {
  // All ones from the highest one down; what is left to count are zeros.
  let filled = a;
  for (let by = 1; by < elementBits(size); by *= 2)
    filled = s.let(bitOr(filled, laneShift('shr_u', size, filled, i32(by))));
  const bytes = vector('i8x16.popcnt', bitNot(filled));
  if (size === 0) return bytes;
  const halfwords = vector('i16x8.extadd_pairwise_i8x16_u', bytes);
  return size === 1 ? halfwords : vector('i32x4.extadd_pairwise_i16x8_u', halfwords);
}

function leadingSigns(s: Stage, size: number, a: V128): V128 {
  const changes = s.let(bitXor(a, signMask(size, a)));
  return laneBinary('sub', size, leadingZeros(s, size, changes), oneEach(size));
}

// ---- arithmetic

/** Sums of neighbours, elements of twice the size. */
function pairSums(U: number, size: number, a: V128): V128 {
  const suffix = U === 1 ? 'u' : 's';
  if (size === 0) return vector(`i16x8.extadd_pairwise_i8x16_${suffix}`, a);
  if (size === 1) return vector(`i32x4.extadd_pairwise_i16x8_${suffix}`, a);
  const even = shuffle(a, a, [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
  const odd = shuffle(a, a, [4, 5, 6, 7, 12, 13, 14, 15, 4, 5, 6, 7, 12, 13, 14, 15]);
  return laneBinary('add', 3, widen(2, 'low', U === 0, even), widen(2, 'low', U === 0, odd));
}

/** SUQADD adds an unsigned number to a signed one, USQADD a signed to an unsigned one. */
const saturatingAddMixed: Compute = (s, { U, size, bytes }, a, d) => {
  const sum = s.let(laneBinary('add', size, a, d));
  if (U === 0) {
    // Upwards only: where d and a, read as signed, tell that the sum passed the greatest number.
    const passed = bitOr(bitAnd(bitNot(d), bitOr(a, sum)), bitAnd(bitAnd(d, a), sum));
    const isOver = s.let(signMask(size, passed));
    noteSaturation(s, bytes, isOver);
    return bitselect(signedLimit(size, zeros()), sum, isOver);
  }
  const isOver = signMask(size, bitAnd(bitAndNot(d, a), bitNot(sum)));
  const isUnder = s.let(signMask(size, bitAnd(bitAndNot(a, d), sum)));
  const isOut = s.let(bitOr(isOver, isUnder));
  noteSaturation(s, bytes, isOut);
  return bitAndNot(bitOr(sum, isOut), isUnder);
};

const saturatingAbsNeg: Compute = (s, { U, size, bytes }, a) => {
  if (U === 1) return saturatingSub(s, { U: 0, size, bytes }, s.let(zeros()), a);
  const isLeast = s.let(laneBinary('eq', size, a, leastEach(size)));
  noteSaturation(s, bytes, isLeast);
  // The absolute value of the least number is one too many.
  return bitXor(laneUnary('abs', size, a), isLeast);
};

interface TwoRegister {
  readonly opcode: string;
  /** For U = 0 and U = 1; an empty name is unallocated. */
  readonly names: readonly [string, string];
  readonly sizes: readonly number[];
  readonly scalarSizes?: readonly number[];
  readonly compute: Compute;
  /** Follows the operands, with the comma. */
  readonly suffix?: string;
}

const BYTE = [0];
const NARROW = [0, 1, 2];
const ALL = [0, 1, 2, 3];

const INSTRUCTIONS: readonly TwoRegister[] = [
  { opcode: '00000', names: ['rev64', ''], sizes: NARROW, compute: (_, { size }, a) => reversed(size, 8, a) },
  { opcode: '00000', names: ['', 'rev32'], sizes: [0, 1], compute: (_, { size }, a) => reversed(size, 4, a) },
  { opcode: '00001', names: ['rev16', ''], sizes: BYTE, compute: (_, { size }, a) => reversed(size, 2, a) },
  {
    opcode: '00011',
    names: ['suqadd', 'usqadd'],
    sizes: ALL,
    scalarSizes: ALL,
    compute: saturatingAddMixed,
  },
  {
    opcode: '00100',
    names: ['cls', 'clz'],
    sizes: NARROW,
    compute: (s, { U, size }, a) => (U === 1 ? leadingZeros : leadingSigns)(s, size, a),
  },
  { opcode: '00101', names: ['cnt', ''], sizes: BYTE, compute: (_, _shape, a) => vector('i8x16.popcnt', a) },
  {
    opcode: '00111',
    names: ['sqabs', 'sqneg'],
    sizes: ALL,
    scalarSizes: ALL,
    compute: saturatingAbsNeg,
  },
  {
    opcode: '01000',
    names: ['cmgt', 'cmge'],
    sizes: ALL,
    scalarSizes: [3],
    suffix: ', #0',
    compute: (_, { U, size }, a) => laneBinary(U === 1 ? 'ge_s' : 'gt_s', size, a, zeros()),
  },
  {
    opcode: '01001',
    names: ['cmeq', 'cmle'],
    sizes: ALL,
    scalarSizes: [3],
    suffix: ', #0',
    compute: (_, { U, size }, a) =>
      U === 1 ? laneBinary('ge_s', size, zeros(), a) : laneBinary('eq', size, a, zeros()),
  },
  {
    opcode: '01010',
    names: ['cmlt', ''],
    sizes: ALL,
    scalarSizes: [3],
    suffix: ', #0',
    compute: (_, { size }, a) => signMask(size, a),
  },
  {
    opcode: '01011',
    names: ['abs', 'neg'],
    sizes: ALL,
    scalarSizes: [3],
    compute: (_, { U, size }, a) => laneUnary(U === 1 ? 'neg' : 'abs', size, a),
  },
];

function nameOf(names: readonly [string, string], suffix = ''): string {
  const text = names
    .filter((name) => name !== '')
    .join(', ')
    .toUpperCase();
  return suffix === '' ? text : `${text} (zero)`;
}

function vectorRow({ opcode, names, sizes, compute, suffix }: TwoRegister): Row {
  const bits = '0 Q U 01110 size:2 10000 00000 10 Vn:5 Vd:5';
  return insn(`${nameOf(names, suffix)} (vector, one operand)`, {
    bits: bits.replace(' 00000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names, suffix)}`,
    static: ['Q', 'U', 'size'],
    allocated: ({ Q, U, size }) => names[U] !== '' && sizes.includes(size) && (Q === 1 || size !== 3),
    simd: true,
    text: ({ Q, U, size, Vn, Vd }) => `${names[U]}\t${vec(Vd, size, Q)}, ${vec(Vn, size, Q)}${suffix ?? ''}`,
    exec(s, { Q, U, size, Vn, Vd }) {
      const bytes = 8 << Q;
      setLow(s, bytes, Vd, compute(s, { U, size, bytes }, s.let(s.v(Vn)), s.v(Vd)));
    },
  });
}

function scalarRow({ opcode, names, scalarSizes = [], compute, suffix }: TwoRegister): Row {
  const bits = '01 U 11110 size:2 10000 00000 10 Vn:5 Vd:5';
  return insn(`${nameOf(names, suffix)} (scalar, one operand)`, {
    bits: bits.replace(' 00000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names, suffix)}`,
    static: ['U', 'size'],
    allocated: ({ U, size }) => names[U] !== '' && scalarSizes.includes(size),
    simd: true,
    text: ({ U, size, Vn, Vd }) => `${names[U]}\t${scalar(Vd, size)}, ${scalar(Vn, size)}${suffix ?? ''}`,
    exec(s, { U, size, Vn, Vd }) {
      const bytes = 1 << size;
      setLow(s, bytes, Vd, compute(s, { U, size, bytes }, s.let(s.v(Vn)), s.v(Vd)));
    },
  });
}

// ---- other shapes

const SPECIAL = [
  insn('NOT, RBIT (vector)', {
    bits: '0 Q 1 01110 0 isRbit 10000 00101 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 NOT, RBIT (vector)',
    static: ['Q', 'isRbit'],
    simd: true,
    text: ({ Q, isRbit, Vn, Vd }) => `${isRbit === 1 ? 'rbit' : 'not'}\t${vec(Vd, 0, Q)}, ${vec(Vn, 0, Q)}`,
    exec(s, { Q, isRbit, Vn, Vd }) {
      const a = s.let(s.v(Vn));
      setLow(s, 8 << Q, Vd, isRbit === 1 ? reversedBits(s, a) : bitNot(a));
    },
  }),
  insn('SADDLP, UADDLP, SADALP, UADALP', {
    bits: '0 Q U 01110 size:2 10000 00 accumulate 10 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 SADDLP, UADDLP, SADALP, UADALP',
    static: ['Q', 'U', 'size', 'accumulate'],
    allocated: ({ size }) => size !== 3,
    simd: true,
    text: ({ Q, U, size, accumulate, Vn, Vd }) =>
      `${U === 1 ? 'u' : 's'}${accumulate === 1 ? 'adalp' : 'addlp'}\t${vec(Vd, size + 1, Q)}, ${vec(Vn, size, Q)}`,
    exec(s, { Q, U, size, accumulate, Vn, Vd }) {
      const sums = pairSums(U, size, s.let(s.v(Vn)));
      setLow(s, 8 << Q, Vd, accumulate === 1 ? laneBinary('add', size + 1, s.v(Vd), sums) : sums);
    },
  }),
  insn('SHLL', {
    bits: '0 Q 1 01110 size:2 10000 10011 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 SHLL',
    static: ['Q', 'size'],
    allocated: ({ size }) => size !== 3,
    simd: true,
    text: ({ Q, size, Vn, Vd }) =>
      `shll${Q === 1 ? '2' : ''}\t${vec(Vd, size + 1, 1)}, ${vec(Vn, size, Q)}, #${elementBits(size)}`,
    exec(s, { Q, size, Vn, Vd }) {
      const wide = widen(size, Q === 1 ? 'high' : 'low', false, s.v(Vn));
      s.setV(Vd, laneShift('shl', size + 1, wide, i32(elementBits(size))));
    },
  }),
];

interface NarrowingMove {
  readonly opcode: string;
  readonly names: readonly [string, string];
  /** For U = 0 and U = 1. */
  readonly narrowings: readonly [Narrowing, Narrowing];
}

const NARROWING: readonly NarrowingMove[] = [
  { opcode: '10010', names: ['xtn', 'sqxtun'], narrowings: ['truncate', 'signed to unsigned'] },
  { opcode: '10100', names: ['sqxtn', 'uqxtn'], narrowings: ['signed', 'unsigned'] },
];

function narrowingVectorRow({ opcode, names, narrowings }: NarrowingMove): Row {
  const bits = '0 Q U 01110 size:2 10000 00000 10 Vn:5 Vd:5';
  return insn(`${nameOf(names)} (vector)`, {
    bits: bits.replace(' 00000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)}`,
    static: ['Q', 'U', 'size'],
    allocated: ({ size }) => size !== 3,
    simd: true,
    text: ({ Q, U, size, Vn, Vd }) =>
      `${names[U]}${Q === 1 ? '2' : ''}\t${vec(Vd, size, Q)}, ${vec(Vn, size + 1, 1)}`,
    exec(s, { Q, U, size, Vn, Vd }) {
      setHalf(s, Q, Vd, narrow(s, size, 16, narrowings[U] ?? 'truncate', s.let(s.v(Vn))));
    },
  });
}

function narrowingScalarRow({ opcode, names, narrowings }: NarrowingMove): Row {
  const bits = '01 U 11110 size:2 10000 00000 10 Vn:5 Vd:5';
  return insn(`${nameOf(names)} (scalar)`, {
    bits: bits.replace(' 00000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)}`,
    static: ['U', 'size'],
    allocated: ({ U, size }) => narrowings[U] !== 'truncate' && size !== 3,
    simd: true,
    text: ({ U, size, Vn, Vd }) => `${names[U]}\t${scalar(Vd, size)}, ${scalar(Vn, size + 1)}`,
    exec(s, { U, size, Vn, Vd }) {
      const narrowing = narrowings[U] ?? 'truncate';
      setLow(s, 1 << size, Vd, narrow(s, size, 2 << size, narrowing, s.let(s.v(Vn))));
    },
  });
}

// ---- across lanes

/** Combines all elements of the low `bytes` bytes; the result is in the lowest element. */
function across(s: Stage, size: number, bytes: number, a: V128, combine: (a: V128, b: V128) => V128): V128 {
  let result = a;
  for (let distance = bytes >> 1; distance >= 1 << size; distance >>= 1) {
    const from = Array.from({ length: 16 }, (_, i) => (i + distance) % 16);
    const part = s.let(result);
    result = combine(part, shuffle(part, part, from));
  }
  return result;
}

interface AcrossLanes {
  readonly opcode: string;
  readonly names: readonly [string, string];
  readonly compute: (s: Stage, shape: Shape, a: V128) => V128;
  /** The result is of twice the size. */
  readonly isLong?: true;
}

const ACROSS: readonly AcrossLanes[] = [
  {
    opcode: '00011',
    names: ['saddlv', 'uaddlv'],
    isLong: true,
    compute: (s, { U, size, bytes }, a) =>
      across(s, size + 1, bytes, pairSums(U, size, a), (x, y) => laneBinary('add', size + 1, x, y)),
  },
  {
    opcode: '01010',
    names: ['smaxv', 'umaxv'],
    compute: (s, { U, size, bytes }, a) => across(s, size, bytes, a, (x, y) => maximum(U, size, x, y)),
  },
  {
    opcode: '11010',
    names: ['sminv', 'uminv'],
    compute: (s, { U, size, bytes }, a) => across(s, size, bytes, a, (x, y) => minimum(U, size, x, y)),
  },
  {
    opcode: '11011',
    names: ['addv', ''],
    compute: (s, { size, bytes }, a) => across(s, size, bytes, a, (x, y) => laneBinary('add', size, x, y)),
  },
];

function acrossRow({ opcode, names, compute, isLong }: AcrossLanes): Row {
  const bits = '0 Q U 01110 size:2 11000 00000 10 Vn:5 Vd:5';
  return insn(nameOf(names), {
    bits: bits.replace(' 00000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(names)}`,
    static: ['Q', 'U', 'size'],
    allocated: ({ Q, U, size }) => names[U] !== '' && size < 2 + Q,
    simd: true,
    text: ({ Q, U, size, Vn, Vd }) =>
      `${names[U]}\t${scalar(Vd, size + (isLong ? 1 : 0))}, ${vec(Vn, size, Q)}`,
    exec(s, { Q, U, size, Vn, Vd }) {
      const result = compute(s, { U, size, bytes: 8 << Q }, s.let(s.v(Vn)));
      setLow(s, (isLong ? 2 : 1) << size, Vd, result);
    },
  });
}

const PAIRWISE = [
  insn('ADDP (scalar)', {
    bits: '01 0 11110 11 11000 11011 10 Vn:5 Vd:5',
    spec: 'DDI0487 C7.2 ADDP (scalar)',
    simd: true,
    text: ({ Vn, Vd }) => `addp\t${scalar(Vd, 3)}, ${vec(Vn, 3, 1)}`,
    exec(s, { Vn, Vd }) {
      setLow(
        s,
        8,
        Vd,
        across(s, 3, 16, s.v(Vn), (x, y) => laneBinary('add', 3, x, y)),
      );
    },
  }),
];

export const SIMD_TWO_REGISTER: readonly Row[] = [
  ...INSTRUCTIONS.map(vectorRow),
  ...INSTRUCTIONS.filter(({ scalarSizes }) => scalarSizes !== undefined).map(scalarRow),
  ...SPECIAL,
  ...NARROWING.map(narrowingVectorRow),
  ...NARROWING.map(narrowingScalarRow),
  ...ACROSS.map(acrossRow),
  ...PAIRWISE,
];
