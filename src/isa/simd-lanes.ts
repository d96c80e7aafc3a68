/** Lane-wise operations by element size, where WebAssembly names one operation for each. */
import { invariant } from '../base/index.js';
import type { I32, I64, V128 } from '../wasm/expr.js';
import { i64, wrap } from '../wasm/expr.js';
import { extractLane, replaceLane, shuffle, splat, vector, vectorShift } from '../wasm/simd.js';
import type { VecField } from './row.js';
import type { SizeLog2, Stage } from './stage.js';

const SHAPES = ['i8x16', 'i16x8', 'i32x4', 'i64x2'] as const;
type NarrowShape = 'i8x16' | 'i16x8' | 'i32x4';

/** log2 of an element's bytes: a static field of two bits, or a number computed from one. */
export function sizeLog2(size: number): SizeLog2 {
  invariant(size >= 0 && size <= 3, `element size ${size}`);
  return size as SizeLog2;
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

/** `value` with the upper half zeroed unless `Q` is 1. */
export function setVector(s: Stage, Q: number, register: VecField, value: V128): void {
  if (Q === 1) s.setV(register, value);
  else s.setD(register, low64(value));
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
