/** Advanced SIMD three same, vector and scalar, of integers. DDI0487 C4.1.97. */
import type { V128 } from '../../wasm/expr.js';
import { i32, i64 } from '../../wasm/expr.js';
import { bitselect, shuffle } from '../../wasm/simd.js';
import type { Row } from '../row.js';
import { insn } from '../row.js';
import type { Shape } from '../simd-arithmetic.js';
import {
  absoluteDifference, accumulatedMultiplyHigh, bitAnd, bitAndNot, bitNot, bitOr, bitXor, doublingMultiplyHigh, elementBits, greater, maximum, minimum, oneEach, saturatingAdd,
  saturatingSub, shiftRight, signMask, signedLimit, zeros,
} from '../simd-arithmetic.js'; // prettier-ignore
import {
  everySecond, greaterUnsigned, laneBinary, laneShift, laneSplat, laneUnary, multiply, noteSaturation,
  setLow, setVector,
} from '../simd-lanes.js'; // prettier-ignore
import { scalar, vec } from '../simd-text.js';
import type { Stage } from '../stage.js';

/** `a`, `b` and `d` (the destination before) are used any number of times. */
type Compute = (s: Stage, shape: Shape, a: V128, b: V128, d: V128) => V128;

// ---- halving

/** ⌊(a + b + carry) / 2⌋ without the overflow; `carry` has the lowest bits that the halves lose. */
const halvingAdd =
  (carry: (a: V128, b: V128) => V128): Compute =>
  (_, { U, size }, a, b) => {
    const half = (x: V128): V128 => laneShift(shiftRight(U), size, x, i32(1));
    const sum = laneBinary('add', size, half(a), half(b));
    return laneBinary('add', size, sum, bitAnd(carry(a, b), oneEach(size)));
  };

const halvingSub: Compute = (_, { U, size }, a, b) => {
  const half = (x: V128): V128 => laneShift(shiftRight(U), size, x, i32(1));
  const difference = laneBinary('sub', size, half(a), half(b));
  return laneBinary('sub', size, difference, bitAnd(bitAndNot(b, a), oneEach(size)));
};

// ---- shifts by register

type ShiftName = 'shl' | 'shr_s' | 'shr_u';

/** Shifts each element of `a` by its element of `count`, of which the bits that matter for the width are looked at. */
function shiftEach(s: Stage, name: ShiftName, size: number, a: V128, count: V128): V128 {
  let result = a;
  const bits = elementBits(size);
  // WebAssembly shifts all elements alike: shift by 1, 2, 4 … those whose count has the bit.
  for (let bit = 0; 1 << bit < bits; bit++) {
    const hasBit = signMask(size, laneShift('shl', size, count, i32(bits - 1 - bit)));
    result = s.let(bitselect(laneShift(name, size, result, i32(1 << bit)), result, hasBit));
  }
  return result;
}

const shiftByRegister =
  (isRounding: boolean, isSaturating: boolean): Compute =>
  (s, { U, size, bytes }, a, b) => {
    const bits = elementBits(size);
    const unused = i32(bits - 8);
    // The count is the lowest byte of the element, signed: negative shifts right.
    const count = s.let(laneShift('shr_s', size, laneShift('shl', size, b, unused), unused));
    const isRight = s.let(signMask(size, count));
    // −128 stays negative in bytes: as an unsigned number it is right.
    const distance = s.let(laneUnary('neg', size, count));

    const right = shiftRight(U);
    const beyond = U === 1 ? zeros() : signMask(size, a);
    const isFar = (by: V128, width: number): V128 =>
      greaterUnsigned(size, by, laneSplat(size, i64(width - 1)));
    let shiftedRight: V128;
    if (isRounding) {
      const before = s.let(laneBinary('sub', size, distance, oneEach(size)));
      const almost = s.let(shiftEach(s, right, size, a, before));
      const rounded = laneBinary(
        'add',
        size,
        laneShift(right, size, almost, i32(1)),
        bitAnd(almost, oneEach(size)),
      );
      shiftedRight = bitselect(zeros(), rounded, isFar(before, bits));
    } else {
      shiftedRight = bitselect(beyond, shiftEach(s, right, size, a, distance), isFar(distance, bits));
    }

    const isFarLeft = laneBinary('gt_s', size, count, laneSplat(size, i64(bits - 1)));
    const shiftedLeft = s.let(bitselect(zeros(), shiftEach(s, 'shl', size, a, count), isFarLeft));
    if (!isSaturating) return bitselect(shiftedRight, shiftedLeft, isRight);

    const back = bitselect(zeros(), shiftEach(s, right, size, shiftedLeft, count), isFarLeft);
    const lost = s.let(bitAndNot(bitNot(laneBinary('eq', size, back, a)), isRight));
    noteSaturation(s, bytes, lost);
    const saturated = U === 1 ? lost : signedLimit(size, a);
    return bitselect(saturated, bitselect(shiftedRight, shiftedLeft, isRight), lost);
  };

// ---- multiplication

/** Polynomials over {0, 1}, the low halves of the products. */
function polynomialMultiply(s: Stage, a: V128, b: V128): V128 {
  let result = zeros();
  for (let bit = 0; bit < 8; bit++) {
    const hasBit = signMask(0, laneShift('shl', 0, b, i32(7 - bit)));
    result = s.let(bitXor(result, bitAnd(laneShift('shl', 0, a, i32(bit)), hasBit)));
  }
  return result;
}

// ---- pairs

const pairwise =
  (combine: (U: number, size: number, a: V128, b: V128) => V128): Compute =>
  (_, { U, size, bytes }, a, b) =>
    combine(U, size, shuffle(a, b, everySecond(size, bytes, 0)), shuffle(a, b, everySecond(size, bytes, 1)));

// ---- the table

interface ThreeSame {
  readonly opcode: string;
  /** For U = 0 and U = 1; an empty name is unallocated. */
  readonly names: readonly [string, string];
  /** Element sizes of the vector form. */
  readonly sizes: readonly number[];
  /** Element sizes of the scalar form, where there is one. */
  readonly scalarSizes?: readonly number[];
  readonly compute: Compute;
  readonly isAccumulating?: true;
}

const ALL = [0, 1, 2, 3] as const;
const NARROW = [0, 1, 2] as const;

const INSTRUCTIONS: readonly ThreeSame[] = [
  { opcode: '00000', names: ['shadd', 'uhadd'], sizes: NARROW, compute: halvingAdd(bitAnd) },
  { opcode: '00001', names: ['sqadd', 'uqadd'], sizes: ALL, scalarSizes: ALL, compute: saturatingAdd },
  { opcode: '00010', names: ['srhadd', 'urhadd'], sizes: NARROW, compute: halvingAdd(bitOr) },
  { opcode: '00100', names: ['shsub', 'uhsub'], sizes: NARROW, compute: halvingSub },
  { opcode: '00101', names: ['sqsub', 'uqsub'], sizes: ALL, scalarSizes: ALL, compute: saturatingSub },
  {
    opcode: '00110',
    names: ['cmgt', 'cmhi'],
    sizes: ALL,
    scalarSizes: [3],
    compute: (_, { U, size }, a, b) => greater(U, size, a, b),
  },
  {
    opcode: '00111',
    names: ['cmge', 'cmhs'],
    sizes: ALL,
    scalarSizes: [3],
    compute: (_, { U, size }, a, b) => bitNot(greater(U, size, b, a)),
  },
  {
    opcode: '01000',
    names: ['sshl', 'ushl'],
    sizes: ALL,
    scalarSizes: [3],
    compute: shiftByRegister(false, false),
  },
  {
    opcode: '01001',
    names: ['sqshl', 'uqshl'],
    sizes: ALL,
    scalarSizes: ALL,
    compute: shiftByRegister(false, true),
  },
  {
    opcode: '01010',
    names: ['srshl', 'urshl'],
    sizes: ALL,
    scalarSizes: [3],
    compute: shiftByRegister(true, false),
  },
  {
    opcode: '01011',
    names: ['sqrshl', 'uqrshl'],
    sizes: ALL,
    scalarSizes: ALL,
    compute: shiftByRegister(true, true),
  },
  {
    opcode: '01100',
    names: ['smax', 'umax'],
    sizes: NARROW,
    compute: (_, { U, size }, a, b) => maximum(U, size, a, b),
  },
  {
    opcode: '01101',
    names: ['smin', 'umin'],
    sizes: NARROW,
    compute: (_, { U, size }, a, b) => minimum(U, size, a, b),
  },
  {
    opcode: '01110',
    names: ['sabd', 'uabd'],
    sizes: NARROW,
    compute: (_, { U, size }, a, b) => absoluteDifference(U, size, a, b),
  },
  {
    opcode: '01111',
    names: ['saba', 'uaba'],
    sizes: NARROW,
    isAccumulating: true,
    compute: (_, { U, size }, a, b, d) => laneBinary('add', size, d, absoluteDifference(U, size, a, b)),
  },
  {
    opcode: '10000',
    names: ['add', 'sub'],
    sizes: ALL,
    scalarSizes: [3],
    compute: (_, { U, size }, a, b) => laneBinary(U === 1 ? 'sub' : 'add', size, a, b),
  },
  {
    opcode: '10001',
    names: ['cmtst', 'cmeq'],
    sizes: ALL,
    scalarSizes: [3],
    compute: (_, { U, size }, a, b) =>
      U === 1 ? laneBinary('eq', size, a, b) : bitNot(laneBinary('eq', size, bitAnd(a, b), zeros())),
  },
  {
    opcode: '10010',
    names: ['mla', 'mls'],
    sizes: NARROW,
    isAccumulating: true,
    compute: (_, { U, size }, a, b, d) => laneBinary(U === 1 ? 'sub' : 'add', size, d, multiply(size, a, b)),
  },
  {
    opcode: '10011',
    names: ['mul', ''],
    sizes: NARROW,
    compute: (_, { size }, a, b) => multiply(size, a, b),
  },
  { opcode: '10011', names: ['', 'pmul'], sizes: [0], compute: (s, _, a, b) => polynomialMultiply(s, a, b) },
  { opcode: '10100', names: ['smaxp', 'umaxp'], sizes: NARROW, compute: pairwise(maximum) },
  { opcode: '10101', names: ['sminp', 'uminp'], sizes: NARROW, compute: pairwise(minimum) },
  {
    opcode: '10110',
    names: ['sqdmulh', 'sqrdmulh'],
    sizes: [1, 2],
    scalarSizes: [1, 2],
    compute: (s, { U, size, bytes }, a, b) => doublingMultiplyHigh(s, { size, bytes }, U === 1, a, b),
  },
  {
    opcode: '10111',
    names: ['addp', ''],
    sizes: ALL,
    compute: pairwise((_, size, a, b) => laneBinary('add', size, a, b)),
  },
];

function nameOf({ names }: ThreeSame): string {
  return names
    .filter((name) => name !== '')
    .join(', ')
    .toUpperCase();
}

function vectorRow(instruction: ThreeSame): Row {
  const { opcode, names, sizes, compute, isAccumulating } = instruction;
  const bits = '0 Q U 01110 size:2 1 Vm:5 00000 1 Vn:5 Vd:5';
  return insn(`${nameOf(instruction)} (vector)`, {
    bits: bits.replace(' 00000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(instruction)} (vector)`,
    static: ['Q', 'U', 'size'],
    allocated: ({ Q, U, size }) => names[U] !== '' && sizes.includes(size) && (Q === 1 || size !== 3),
    simd: true,
    text: ({ Q, U, size, Vm, Vn, Vd }) =>
      `${names[U]}\t${[Vd, Vn, Vm].map((n) => vec(n, size, Q)).join(', ')}`,
    exec(s, { Q, U, size, Vm, Vn, Vd }) {
      const bytes = 8 << Q;
      const a = s.let(s.v(Vn));
      const b = s.let(s.v(Vm));
      const d = isAccumulating ? s.v(Vd) : a;
      setLow(s, bytes, Vd, compute(s, { U, size, bytes }, a, b, d));
    },
  });
}

function scalarRow(instruction: ThreeSame): Row | undefined {
  const { opcode, names, scalarSizes, compute } = instruction;
  if (!scalarSizes) return undefined;
  const bits = '01 U 11110 size:2 1 Vm:5 00000 1 Vn:5 Vd:5';
  return insn(`${nameOf(instruction)} (scalar)`, {
    bits: bits.replace(' 00000 ', ` ${opcode} `) as typeof bits,
    spec: `DDI0487 C7.2 ${nameOf(instruction)} (scalar)`,
    static: ['U', 'size'],
    allocated: ({ U, size }) => names[U] !== '' && scalarSizes.includes(size),
    simd: true,
    text: ({ U, size, Vm, Vn, Vd }) => `${names[U]}\t${[Vd, Vn, Vm].map((n) => scalar(n, size)).join(', ')}`,
    exec(s, { U, size, Vm, Vn, Vd }) {
      const bytes = 1 << size;
      const a = s.let(s.v(Vn));
      const b = s.let(s.v(Vm));
      setLow(s, bytes, Vd, compute(s, { U, size, bytes }, a, b, a));
    },
  });
}

// ---- accumulating rounding doubling multiplies of FEAT_RDM

const ACCUMULATING = (
  [
    ['sqrdmlah', '0000', 'add'],
    ['sqrdmlsh', '0001', 'sub'],
  ] as const
).flatMap(([name, opcode, combine]) => {
  const title = name.toUpperCase();
  const vectors = '0 Q 1 01110 size:2 0 Vm:5 1 0000 1 Vn:5 Vd:5';
  const scalars = '01 1 11110 size:2 0 Vm:5 1 0000 1 Vn:5 Vd:5';
  const isSize = (size: number): boolean => size === 1 || size === 2;
  return [
    insn(`${title} (vector)`, {
      bits: vectors.replace(' 0000 ', ` ${opcode} `) as typeof vectors,
      spec: `DDI0487 C7.2 ${title} (vector)`,
      feature: 'RDM',
      static: ['Q', 'size'],
      allocated: ({ size }) => isSize(size),
      simd: true,
      text: ({ Q, size, Vm, Vn, Vd }) => `${name}\t${[Vd, Vn, Vm].map((n) => vec(n, size, Q)).join(', ')}`,
      exec(s, { Q, size, Vm, Vn, Vd }) {
        const bytes = 8 << Q;
        const [a, b, d] = [s.let(s.v(Vn)), s.let(s.v(Vm)), s.let(s.v(Vd))];
        setLow(s, bytes, Vd, accumulatedMultiplyHigh(s, combine, { size, bytes }, a, b, d));
      },
    }),
    insn(`${title} (scalar)`, {
      bits: scalars.replace(' 0000 ', ` ${opcode} `) as typeof scalars,
      spec: `DDI0487 C7.2 ${title} (vector)`,
      feature: 'RDM',
      static: ['size'],
      allocated: ({ size }) => isSize(size),
      simd: true,
      text: ({ size, Vm, Vn, Vd }) => `${name}\t${[Vd, Vn, Vm].map((n) => scalar(n, size)).join(', ')}`,
      exec(s, { size, Vm, Vn, Vd }) {
        const bytes = 1 << size;
        const [a, b, d] = [s.let(s.v(Vn)), s.let(s.v(Vm)), s.let(s.v(Vd))];
        setLow(s, bytes, Vd, accumulatedMultiplyHigh(s, combine, { size, bytes }, a, b, d));
      },
    }),
  ];
});

// ---- bitwise

const LOGICAL_NAMES = ['and', 'bic', 'orr', 'orn', 'eor', 'bsl', 'bit', 'bif'];

const LOGICAL = insn('AND, BIC, ORR, ORN, EOR, BSL, BIT, BIF (vector)', {
  bits: '0 Q U 01110 size:2 1 Vm:5 00011 1 Vn:5 Vd:5',
  spec: 'DDI0487 C7.2 AND, BIC, ORR, ORN, EOR, BSL, BIT, BIF (vector)',
  static: ['Q', 'U', 'size'],
  simd: true,
  text: ({ Q, U, size, Vm, Vn, Vd }) =>
    `${LOGICAL_NAMES[4 * U + size]}\t${[Vd, Vn, Vm].map((n) => vec(n, 0, Q)).join(', ')}`,
  exec(s, { Q, U, size, Vm, Vn, Vd }) {
    const [n, m, d] = [s.v(Vn), s.v(Vm), s.v(Vd)];
    const result = [
      (): V128 => bitAnd(n, m),
      (): V128 => bitAndNot(n, m),
      (): V128 => bitOr(n, m),
      (): V128 => bitOr(n, bitNot(m)),
      (): V128 => bitXor(n, m),
      (): V128 => bitselect(n, m, d),
      (): V128 => bitselect(n, d, m),
      (): V128 => bitselect(d, n, m),
    ][4 * U + size];
    if (result) setVector(s, Q, Vd, result());
  },
});

export const SIMD_THREE_SAME: readonly Row[] = [
  LOGICAL,
  ...INSTRUCTIONS.map(vectorRow),
  ...INSTRUCTIONS.map(scalarRow).filter((row) => row !== undefined),
  ...ACCUMULATING,
];
