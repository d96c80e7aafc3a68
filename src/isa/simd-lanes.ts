/** Lane-wise operations by element size, where WebAssembly names one operation for each. */
import { invariant } from '../base/index.js';
import type { I32, I64, V128 } from '../wasm/expr.js';
import { and, i32, i64, ne, select, wrap } from '../wasm/expr.js';
import {
  bitselect, extractLane, replaceLane, shuffle, splat, vector, vectorShift, vectorTest,
} from '../wasm/simd.js'; // prettier-ignore
import { FPSR } from './fp/format.js';
import type { VecField } from './row.js';
import type { SizeLog2, Stage } from './stage.js';

const SHAPES = ['i8x16', 'i16x8', 'i32x4', 'i64x2'] as const;
type NarrowShape = 'i8x16' | 'i16x8' | 'i32x4';

/** log2 of an element's bytes: a static field of two bits, or a number computed from one. */
export function sizeLog2(size: number): SizeLog2 {
  invariant(size >= 0 && size <= 3, `element size ${size}`);
  return size as SizeLog2;
}

/** Floating-point vectors: a single double, Q = 0 with sz = 1, is none. */
export function isFloatShape(fields: Readonly<Record<string, number>>): boolean {
  return fields.Q === 1 || fields.sz === 0;
}

function shape(size: number): (typeof SHAPES)[number] {
  return SHAPES[sizeLog2(size)];
}

/** Binary operations that exist for all four sizes. */
export type LaneBinary = 'add' | 'sub' | 'eq' | 'gt_s' | 'ge_s';

export function laneBinary(name: LaneBinary, size: number, a: V128, b: V128): V128 {
  return vector(`${shape(size)}.${name}`, a, b);
}

/** Operations that do not exist for 64-bit elements. */
export type NarrowBinary = 'min_s' | 'min_u' | 'max_s' | 'max_u';

export function narrowBinary(name: NarrowBinary, size: number, a: V128, b: V128): V128 {
  invariant(size < 3, `${name} of 64-bit elements`);
  return vector(`${shape(size) as NarrowShape}.${name}`, a, b);
}

export function laneUnary(name: 'neg' | 'abs', size: number, a: V128): V128 {
  return vector(`${shape(size)}.${name}`, a);
}

/** `count` is taken modulo the element's width. */
export function laneShift(name: 'shl' | 'shr_s' | 'shr_u', size: number, a: V128, count: I32): V128 {
  return vectorShift(`${shape(size)}.${name}`, a, count);
}

/** All elements the low bits of `value`. */
export function laneSplat(size: number, value: I64): V128 {
  switch (sizeLog2(size)) {
    case 0:
      return splat('i8x16.splat', wrap(value));
    case 1:
      return splat('i16x8.splat', wrap(value));
    case 2:
      return splat('i32x4.splat', wrap(value));
    case 3:
      return splat('i64x2.splat', value);
  }
}

/** The low 64 bits. */
export function low64(value: V128): I64 {
  return extractLane('i64x2.extract_lane', value, 0);
}

/** The low 64 bits, with zeros above. */
export function lowHalf(value: V128): V128 {
  return replaceLane('i64x2.replace_lane', value, 1, i64(0));
}

/** Writes the low `bytes` bytes of `value` (an element, 8 or 16) and zeroes the rest of the register. */
export function setLow(s: Stage, bytes: number, register: VecField, value: V128): void {
  if (bytes === 16) s.setV(register, value);
  else s.setD(register, lowBytes(bytes, value));
}

/** The low `bytes` bytes, at most 8, zero-extended. */
function lowBytes(bytes: number, value: V128): I64 {
  if (bytes === 8) return low64(value);
  return and(low64(value), i64((1n << BigInt(8 * bytes)) - 1n));
}

/** `value` with the upper half zeroed unless `Q` is 1. */
export function setVector(s: Stage, Q: number, register: VecField, value: V128): void {
  setLow(s, 8 << Q, register, value);
}

/** Sets FPSR.QC if a bit in the low `bytes` bytes of `saturated` is one. */
export function noteSaturation(s: Stage, bytes: number, saturated: V128): void {
  const isAny =
    bytes === 16 ? vectorTest('v128.any_true', saturated) : ne(lowBytes(bytes, saturated), i64(0));
  s.orFpsr(select(isAny, i32(FPSR.QC), i32(0)));
}

/** Bytes picked from any number of vectors: byte i of the result is byte `from[i]` of the vectors in a row. */
export function gather(vectors: readonly V128[], from: readonly number[]): V128 {
  const [first, ...rest] = vectors;
  invariant(first !== undefined, 'gather takes at least one vector');
  if (rest.length === 0) return shuffle(first, first, from);
  // Each step brings in the bytes of one more vector and keeps those already in place.
  return rest.reduce((result, next, step) => {
    const start = 16 * (step + 1);
    const lanes = from.map((byte, i) => {
      if (byte >= start && byte < start + 16) return 16 + byte - start;
      return step === 0 && byte < 16 ? byte : i;
    });
    return shuffle(result, next, lanes);
  }, first);
}

/** Byte numbers that pick every second element, from element `first` on, of the low `bytes` bytes of two vectors. */
export function everySecond(size: number, bytes: number, first: 0 | 1): number[] {
  const half = bytes >> 1;
  return Array.from({ length: 16 }, (_, i) => {
    const from = (((i % half) >> size) * 2 + first) * (1 << size) + (i & ((1 << size) - 1));
    return i % bytes < half ? from : 16 + from;
  });
}

/** `a` > `b`, unsigned. WebAssembly has no unsigned comparison of 64-bit elements. */
export function greaterUnsigned(size: number, a: V128, b: V128): V128 {
  if (size < 3) return vector(`${shape(size) as NarrowShape}.gt_u`, a, b);
  const flip = laneSplat(3, i64(1n << 63n));
  return vector('i64x2.gt_s', vector('v128.xor', a, flip), vector('v128.xor', b, flip));
}

export function multiply(size: number, a: V128, b: V128): V128 {
  if (size === 3) return vector('i64x2.mul', a, b);
  if (size === 2) return vector('i32x4.mul', a, b);
  if (size === 1) return vector('i16x8.mul', a, b);
  // Bytes: the even ones and the odd ones as halfwords.
  const even = vector('i16x8.mul', a, b);
  const odd = vector('i16x8.mul', laneShift('shr_u', 1, a, i32(8)), laneShift('shr_u', 1, b, i32(8)));
  return bitselect(even, laneShift('shl', 1, odd, i32(8)), laneSplat(1, i64(0xff)));
}

/** Elements of twice the size from the low or the high half of `a`. */
export function widen(size: number, half: 'low' | 'high', isSigned: boolean, a: V128): V128 {
  const suffix = isSigned ? 's' : 'u';
  switch (size) {
    case 0:
      return vector(`i16x8.extend_${half}_i8x16_${suffix}`, a);
    case 1:
      return vector(`i32x4.extend_${half}_i16x8_${suffix}`, a);
    default:
      return vector(`i64x2.extend_${half}_i32x4_${suffix}`, a);
  }
}

/** Products of twice the size of the elements of the low or the high half. */
export function multiplyWide(size: number, half: 'low' | 'high', isSigned: boolean, a: V128, b: V128): V128 {
  const suffix = isSigned ? 's' : 'u';
  switch (size) {
    case 0:
      return vector(`i16x8.extmul_${half}_i8x16_${suffix}`, a, b);
    case 1:
      return vector(`i32x4.extmul_${half}_i16x8_${suffix}`, a, b);
    default:
      return vector(`i64x2.extmul_${half}_i32x4_${suffix}`, a, b);
  }
}
