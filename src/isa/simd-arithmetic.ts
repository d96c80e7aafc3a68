/** Integer arithmetic on vectors that takes more than one operation of WebAssembly. */
import type { I32, V128 } from '../wasm/expr.js';
import { i32, i64 } from '../wasm/expr.js';
import { bitselect, shuffle, vector } from '../wasm/simd.js';
import {
  everySecond, gather, greaterUnsigned, laneBinary, laneShift, laneSplat, low64, multiplyWide, narrowBinary,
  noteSaturation,
  widen,
} from './simd-lanes.js'; // prettier-ignore
import type { VecField } from './row.js';
import type { Stage } from './stage.js';

export const bitAnd = (a: V128, b: V128): V128 => vector('v128.and', a, b);
export const bitOr = (a: V128, b: V128): V128 => vector('v128.or', a, b);
export const bitXor = (a: V128, b: V128): V128 => vector('v128.xor', a, b);
export const bitNot = (a: V128): V128 => vector('v128.not', a);
/** `a` and not `b`. */
export const bitAndNot = (a: V128, b: V128): V128 => vector('v128.andnot', a, b);

/** What a computation needs to know besides its operands. */
export interface Shape {
  readonly U: number;
  /** log2 of the bytes of an element. */
  readonly size: number;
  /** Bytes of the operands: 16, 8, or one element. */
  readonly bytes: number;
}

export const elementBits = (size: number): number => 8 << size;
export const oneEach = (size: number): V128 => laneSplat(size, i64(1));
export const zeros = (): V128 => laneSplat(3, i64(0));
export const shiftRight = (U: number): 'shr_s' | 'shr_u' => (U === 1 ? 'shr_u' : 'shr_s');

/** All ones in the elements whose sign bit is one. */
export function signMask(size: number, a: V128): V128 {
  return laneShift('shr_s', size, a, i32(elementBits(size) - 1));
}

/** The greatest signed number of `bits` bits, in elements of `size`. */
function greatestEach(size: number, bits = elementBits(size)): V128 {
  return laneSplat(size, i64((1n << BigInt(bits - 1)) - 1n));
}
/** The least signed number of `bits` bits, sign-extended, in elements of `size`. */
export function leastEach(size: number, bits = elementBits(size)): V128 {
  return laneSplat(size, i64(-(1n << BigInt(bits - 1))));
}

export function greater(U: number, size: number, a: V128, b: V128): V128 {
  return U === 1 ? greaterUnsigned(size, a, b) : laneBinary('gt_s', size, a, b);
}

export function minimum(U: number, size: number, a: V128, b: V128): V128 {
  return narrowBinary(U === 1 ? 'min_u' : 'min_s', size, a, b);
}

export function maximum(U: number, size: number, a: V128, b: V128): V128 {
  return narrowBinary(U === 1 ? 'max_u' : 'max_s', size, a, b);
}

export function absoluteDifference(U: number, size: number, a: V128, b: V128): V128 {
  return laneBinary('sub', size, maximum(U, size, a, b), minimum(U, size, a, b));
}

/** The greatest or, where `negative` has its sign bit set, the least signed number. */
export function signedLimit(size: number, negative: V128): V128 {
  return bitXor(signMask(size, negative), greatestEach(size));
}

export function saturatingAdd(s: Stage, { U, size, bytes }: Shape, a: V128, b: V128): V128 {
  const sum = s.let(laneBinary('add', size, a, b));
  const carries =
    U === 1 ? bitOr(bitAnd(a, b), bitAndNot(bitOr(a, b), sum)) : bitAnd(bitXor(a, sum), bitXor(b, sum));
  const overflowed = s.let(signMask(size, carries));
  noteSaturation(s, bytes, overflowed);
  return U === 1 ? bitOr(sum, overflowed) : bitselect(signedLimit(size, a), sum, overflowed);
}

export function saturatingSub(s: Stage, { U, size, bytes }: Shape, a: V128, b: V128): V128 {
  const difference = s.let(laneBinary('sub', size, a, b));
  const borrows =
    U === 1
      ? bitOr(bitAndNot(b, a), bitAnd(bitOr(bitNot(a), b), difference))
      : bitAnd(bitXor(a, b), bitXor(a, difference));
  const overflowed = s.let(signMask(size, borrows));
  noteSaturation(s, bytes, overflowed);
  return U === 1
    ? bitAndNot(difference, overflowed)
    : bitselect(signedLimit(size, a), difference, overflowed);
}

/** The high halves of the doubled products, of 16- and 32-bit elements. */
export function doublingMultiplyHigh(
  s: Stage,
  { size, bytes }: { size: number; bytes: number },
  isRounding: boolean,
  a: V128,
  b: V128,
): V128 {
  const shift = elementBits(size) - 1;
  const part = (half: 'low' | 'high'): V128 => {
    const product = multiplyWide(size, half, true, a, b);
    const half1 = laneSplat(size + 1, i64(1n << BigInt(shift - 1)));
    const rounded = isRounding ? laneBinary('add', size + 1, product, half1) : product;
    return laneShift('shr_s', size + 1, rounded, i32(shift));
  };
  const high = shuffle(part('low'), part('high'), everySecond(size, 16, 0));
  // Only the square of the least number does not fit: it comes out as itself, one too many.
  const isLeast = (x: V128): V128 => laneBinary('eq', size, x, leastEach(size));
  const overflowed = s.let(bitAnd(isLeast(a), isLeast(b)));
  noteSaturation(s, bytes, overflowed);
  return bitXor(high, overflowed);
}

/**
 * `d` plus or minus the rounded high halves of the doubled products, of 16- and 32-bit elements, saturated once at the
 * end. The accumulator's place in the sum has no bits below the rounding, so that it can be added after the shift.
 */
export function accumulatedMultiplyHigh(
  s: Stage,
  name: 'add' | 'sub',
  { size, bytes }: { size: number; bytes: number },
  a: V128,
  b: V128,
  d: V128,
): V128 {
  const shift = elementBits(size) - 1;
  const half = laneSplat(size + 1, i64(1n << BigInt(shift - 1)));
  const part = (which: 'low' | 'high', counted: number): V128 => {
    const product = multiplyWide(size, which, true, a, b);
    const rounded = laneBinary(name, size + 1, half, product);
    const high = laneShift('shr_s', size + 1, rounded, i32(shift));
    const sum = laneBinary('add', size + 1, high, widen(size, which, true, d));
    return s.let(narrow(s, size, counted, 'signed', sum));
  };
  const low = part('low', Math.min(16, 2 * bytes));
  return bytes < 16 ? low : gather([low, part('high', 16)], LOW_THEN_HIGH);
}

/** To each 32-bit element of `d`, the sum of the products of the four bytes in its place. */
export function dotProduct(U: number, a: V128, b: V128, d: V128): V128 {
  const suffix = U === 1 ? 'u' : 's';
  const pairs = (half: 'low' | 'high'): V128 =>
    vector(`i32x4.extadd_pairwise_i16x8_${suffix}`, multiplyWide(0, half, U === 0, a, b));
  const [low, high] = [pairs('low'), pairs('high')];
  const sums = ([0, 1] as const).map((first) => shuffle(low, high, everySecond(2, 16, first)));
  return laneBinary(
    'add',
    2,
    d,
    sums.reduce((x, y) => laneBinary('add', 2, x, y)),
  );
}

/** Twice the products, elements of twice the size, from the low or the high half; `bytes` of the result count. */
export function doublingMultiplyWide(
  s: Stage,
  { size, bytes }: { size: number; bytes: number },
  half: 'low' | 'high',
  a: V128,
  b: V128,
): V128 {
  const product = s.let(multiplyWide(size, half, true, a, b));
  // Only the square of the least number does not fit, doubled: it is one too many.
  const square = laneSplat(size + 1, i64(1n << BigInt(2 * elementBits(size) - 2)));
  const overflowed = s.let(laneBinary('eq', size + 1, product, square));
  noteSaturation(s, bytes, overflowed);
  return bitXor(laneShift('shl', size + 1, product, i32(1)), overflowed);
}

/** How a number is made to fit into half its bits; the last takes signed numbers to unsigned ones. */
export type Narrowing = 'truncate' | 'signed' | 'unsigned' | 'signed to unsigned';

/**
 * Elements of `size` from those of twice the size in `wide`, in both halves of the result. `bytes` of `wide` count for
 * saturation.
 */
export function narrow(s: Stage, size: number, bytes: number, narrowing: Narrowing, wide: V128): V128 {
  const take = (from: V128): V128 => shuffle(from, from, everySecond(size, 16, 0));
  if (narrowing === 'truncate') return take(wide);
  const x = s.let(wide);
  const U = narrowing === 'unsigned' ? 1 : 0;
  const bits = elementBits(size);
  const high =
    narrowing === 'signed'
      ? greatestEach(size + 1, bits)
      : laneSplat(size + 1, i64((1n << BigInt(bits)) - 1n));
  const low = narrowing === 'signed' ? leastEach(size + 1, bits) : zeros();
  const capped = s.let(bitselect(high, x, greater(U, size + 1, x, high)));
  const clamped = U === 1 ? capped : s.let(bitselect(low, capped, greater(U, size + 1, low, x)));
  noteSaturation(s, bytes, bitXor(clamped, x));
  return take(clamped);
}

/** (a + 2^(n − 1)) / 2^n without the overflow, where `before` is n − 1. */
export function roundingShiftRight(s: Stage, U: number, size: number, a: V128, before: I32): V128 {
  const almost = s.let(laneShift(shiftRight(U), size, a, before));
  return laneBinary(
    'add',
    size,
    laneShift(shiftRight(U), size, almost, i32(1)),
    bitAnd(almost, oneEach(size)),
  );
}

/**
 * Writes the result of a narrowing instruction, which `narrowed` has in both halves: to the low half with zeros above
 * (`Q` = 0), or to the high half, leaving the low one.
 */
export function setHalf(s: Stage, Q: number, register: VecField, narrowed: V128): void {
  if (Q === 0) s.setD(register, low64(narrowed));
  else s.setV(register, gather([s.v(register), narrowed], LOW_THEN_HIGH));
}

/** The low half of a vector, then the high half of the next. */
const LOW_THEN_HIGH = [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31] as const;
