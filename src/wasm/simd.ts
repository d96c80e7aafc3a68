/** Vector operations by their name in the WebAssembly Core Specification 2.0, 5.4.8. */
import type { Expr, I32, I64, F32, F64, V128, ValType } from './expr.js';
import { EXTRACT_LANE, laneOperation, operation, shuffleOperation, ternary } from './node.js';

const PREFIX = 0xfd00;

/** Sub-opcodes of operations v128 → v128 and (v128, v128) → v128. */
const VECTOR_OPS = {
  'i8x16.swizzle': 0x0e,
  'i8x16.eq': 0x23,
  'i8x16.ne': 0x24,
  'i8x16.lt_s': 0x25,
  'i8x16.lt_u': 0x26,
  'i8x16.gt_s': 0x27,
  'i8x16.gt_u': 0x28,
  'i8x16.le_s': 0x29,
  'i8x16.le_u': 0x2a,
  'i8x16.ge_s': 0x2b,
  'i8x16.ge_u': 0x2c,
  'i16x8.eq': 0x2d,
  'i16x8.ne': 0x2e,
  'i16x8.lt_s': 0x2f,
  'i16x8.lt_u': 0x30,
  'i16x8.gt_s': 0x31,
  'i16x8.gt_u': 0x32,
  'i16x8.le_s': 0x33,
  'i16x8.le_u': 0x34,
  'i16x8.ge_s': 0x35,
  'i16x8.ge_u': 0x36,
  'i32x4.eq': 0x37,
  'i32x4.ne': 0x38,
  'i32x4.lt_s': 0x39,
  'i32x4.lt_u': 0x3a,
  'i32x4.gt_s': 0x3b,
  'i32x4.gt_u': 0x3c,
  'i32x4.le_s': 0x3d,
  'i32x4.le_u': 0x3e,
  'i32x4.ge_s': 0x3f,
  'i32x4.ge_u': 0x40,
  'f32x4.eq': 0x41,
  'f32x4.ne': 0x42,
  'f32x4.lt': 0x43,
  'f32x4.gt': 0x44,
  'f32x4.le': 0x45,
  'f32x4.ge': 0x46,
  'f64x2.eq': 0x47,
  'f64x2.ne': 0x48,
  'f64x2.lt': 0x49,
  'f64x2.gt': 0x4a,
  'f64x2.le': 0x4b,
  'f64x2.ge': 0x4c,
  'v128.not': 0x4d,
  'v128.and': 0x4e,
  'v128.andnot': 0x4f,
  'v128.or': 0x50,
  'v128.xor': 0x51,
  'i8x16.abs': 0x60,
  'i8x16.neg': 0x61,
  'i8x16.popcnt': 0x62,
  'i8x16.narrow_i16x8_s': 0x65,
  'i8x16.narrow_i16x8_u': 0x66,
  'i8x16.add': 0x6e,
  'i8x16.add_sat_s': 0x6f,
  'i8x16.add_sat_u': 0x70,
  'i8x16.sub': 0x71,
  'i8x16.sub_sat_s': 0x72,
  'i8x16.sub_sat_u': 0x73,
  'i8x16.min_s': 0x76,
  'i8x16.min_u': 0x77,
  'i8x16.max_s': 0x78,
  'i8x16.max_u': 0x79,
  'i8x16.avgr_u': 0x7b,
  'i16x8.extadd_pairwise_i8x16_s': 0x7c,
  'i16x8.extadd_pairwise_i8x16_u': 0x7d,
  'i32x4.extadd_pairwise_i16x8_s': 0x7e,
  'i32x4.extadd_pairwise_i16x8_u': 0x7f,
  'i16x8.abs': 0x80,
  'i16x8.neg': 0x81,
  'i16x8.q15mulr_sat_s': 0x82,
  'i16x8.narrow_i32x4_s': 0x85,
  'i16x8.narrow_i32x4_u': 0x86,
  'i16x8.extend_low_i8x16_s': 0x87,
  'i16x8.extend_high_i8x16_s': 0x88,
  'i16x8.extend_low_i8x16_u': 0x89,
  'i16x8.extend_high_i8x16_u': 0x8a,
  'i16x8.add': 0x8e,
  'i16x8.add_sat_s': 0x8f,
  'i16x8.add_sat_u': 0x90,
  'i16x8.sub': 0x91,
  'i16x8.sub_sat_s': 0x92,
  'i16x8.sub_sat_u': 0x93,
  'i16x8.mul': 0x95,
  'i16x8.min_s': 0x96,
  'i16x8.min_u': 0x97,
  'i16x8.max_s': 0x98,
  'i16x8.max_u': 0x99,
  'i16x8.avgr_u': 0x9b,
  'i16x8.extmul_low_i8x16_s': 0x9c,
  'i16x8.extmul_high_i8x16_s': 0x9d,
  'i16x8.extmul_low_i8x16_u': 0x9e,
  'i16x8.extmul_high_i8x16_u': 0x9f,
  'i32x4.abs': 0xa0,
  'i32x4.neg': 0xa1,
  'i32x4.extend_low_i16x8_s': 0xa7,
  'i32x4.extend_high_i16x8_s': 0xa8,
  'i32x4.extend_low_i16x8_u': 0xa9,
  'i32x4.extend_high_i16x8_u': 0xaa,
  'i32x4.add': 0xae,
  'i32x4.sub': 0xb1,
  'i32x4.mul': 0xb5,
  'i32x4.min_s': 0xb6,
  'i32x4.min_u': 0xb7,
  'i32x4.max_s': 0xb8,
  'i32x4.max_u': 0xb9,
  'i32x4.dot_i16x8_s': 0xba,
  'i32x4.extmul_low_i16x8_s': 0xbc,
  'i32x4.extmul_high_i16x8_s': 0xbd,
  'i32x4.extmul_low_i16x8_u': 0xbe,
  'i32x4.extmul_high_i16x8_u': 0xbf,
  'i64x2.abs': 0xc0,
  'i64x2.neg': 0xc1,
  'i64x2.extend_low_i32x4_s': 0xc7,
  'i64x2.extend_high_i32x4_s': 0xc8,
  'i64x2.extend_low_i32x4_u': 0xc9,
  'i64x2.extend_high_i32x4_u': 0xca,
  'i64x2.add': 0xce,
  'i64x2.sub': 0xd1,
  'i64x2.mul': 0xd5,
  'i64x2.eq': 0xd6,
  'i64x2.ne': 0xd7,
  'i64x2.lt_s': 0xd8,
  'i64x2.gt_s': 0xd9,
  'i64x2.le_s': 0xda,
  'i64x2.ge_s': 0xdb,
  'i64x2.extmul_low_i32x4_s': 0xdc,
  'i64x2.extmul_high_i32x4_s': 0xdd,
  'i64x2.extmul_low_i32x4_u': 0xde,
  'i64x2.extmul_high_i32x4_u': 0xdf,
  'f32x4.ceil': 0x67,
  'f32x4.floor': 0x68,
  'f32x4.trunc': 0x69,
  'f32x4.nearest': 0x6a,
  'f64x2.ceil': 0x74,
  'f64x2.floor': 0x75,
  'f64x2.trunc': 0x7a,
  'f64x2.nearest': 0x94,
  'f32x4.abs': 0xe0,
  'f32x4.neg': 0xe1,
  'f32x4.sqrt': 0xe3,
  'f32x4.add': 0xe4,
  'f32x4.sub': 0xe5,
  'f32x4.mul': 0xe6,
  'f32x4.div': 0xe7,
  'f32x4.min': 0xe8,
  'f32x4.max': 0xe9,
  'f64x2.abs': 0xec,
  'f64x2.neg': 0xed,
  'f64x2.sqrt': 0xef,
  'f64x2.add': 0xf0,
  'f64x2.sub': 0xf1,
  'f64x2.mul': 0xf2,
  'f64x2.div': 0xf3,
  'f64x2.min': 0xf4,
  'f64x2.max': 0xf5,
  'i32x4.trunc_sat_f32x4_s': 0xf8,
  'i32x4.trunc_sat_f32x4_u': 0xf9,
  'f32x4.convert_i32x4_s': 0xfa,
  'f32x4.convert_i32x4_u': 0xfb,
  'f32x4.demote_f64x2_zero': 0x5e,
  'f64x2.promote_low_f32x4': 0x5f,
} as const;

export type VectorOp = keyof typeof VECTOR_OPS;

export function vector(name: VectorOp, a: V128, b?: V128): V128 {
  return operation('v128', PREFIX | VECTOR_OPS[name], a, b);
}

/** `(mask & a) | (~mask & b)`, bit by bit. */
export function bitselect(a: V128, b: V128, mask: V128): V128 {
  return ternary('v128', PREFIX | 0x52, a, b, mask);
}

const SHIFTS = {
  'i8x16.shl': 0x6b,
  'i8x16.shr_s': 0x6c,
  'i8x16.shr_u': 0x6d,
  'i16x8.shl': 0x8b,
  'i16x8.shr_s': 0x8c,
  'i16x8.shr_u': 0x8d,
  'i32x4.shl': 0xab,
  'i32x4.shr_s': 0xac,
  'i32x4.shr_u': 0xad,
  'i64x2.shl': 0xcb,
  'i64x2.shr_s': 0xcc,
  'i64x2.shr_u': 0xcd,
} as const;

export type VectorShift = keyof typeof SHIFTS;

/** Shifts every lane by `count` modulo the lane's width. */
export function vectorShift(name: VectorShift, a: V128, count: I32): V128 {
  return operation('v128', PREFIX | SHIFTS[name], a, count);
}

/** Byte `i` of the result is byte `lanes[i]` of `a` followed by `b`. */
export function shuffle(a: V128, b: V128, lanes: readonly number[]): V128 {
  return shuffleOperation(PREFIX | 0x0d, a, b, lanes);
}

const SPLATS = {
  'i8x16.splat': 0x0f,
  'i16x8.splat': 0x10,
  'i32x4.splat': 0x11,
  'i64x2.splat': 0x12,
  'f32x4.splat': 0x13,
  'f64x2.splat': 0x14,
} as const;

export function splat(name: 'i8x16.splat' | 'i16x8.splat' | 'i32x4.splat', a: I32): V128;
export function splat(name: 'i64x2.splat', a: I64): V128;
export function splat(name: 'f32x4.splat', a: F32): V128;
export function splat(name: 'f64x2.splat', a: F64): V128;
export function splat(name: keyof typeof SPLATS, a: Expr): V128 {
  return operation('v128', PREFIX | SPLATS[name], a);
}

const EXTRACTS = {
  'i8x16.extract_lane_s': [PREFIX | 0x15, 'i32'],
  'i8x16.extract_lane_u': [PREFIX | 0x16, 'i32'],
  'i16x8.extract_lane_s': [PREFIX | 0x18, 'i32'],
  'i16x8.extract_lane_u': [PREFIX | 0x19, 'i32'],
  'i32x4.extract_lane': [EXTRACT_LANE.i32, 'i32'],
  'i64x2.extract_lane': [EXTRACT_LANE.i64, 'i64'],
  'f32x4.extract_lane': [EXTRACT_LANE.f32, 'f32'],
  'f64x2.extract_lane': [EXTRACT_LANE.f64, 'f64'],
} as const satisfies Record<string, readonly [number, ValType]>;

export function extractLane<K extends keyof typeof EXTRACTS>(
  name: K,
  a: V128,
  lane: number,
): Expr<(typeof EXTRACTS)[K][1]> {
  const [opcode, type] = EXTRACTS[name];
  return laneOperation(type, opcode, lane, a);
}

const REPLACES = {
  'i8x16.replace_lane': 0x17,
  'i16x8.replace_lane': 0x1a,
  'i32x4.replace_lane': 0x1c,
  'i64x2.replace_lane': 0x1e,
  'f32x4.replace_lane': 0x20,
  'f64x2.replace_lane': 0x22,
} as const;

export function replaceLane(name: keyof typeof REPLACES, a: V128, lane: number, value: Expr): V128 {
  return laneOperation('v128', PREFIX | REPLACES[name], lane, a, value);
}

const TESTS = {
  'v128.any_true': 0x53,
  'i8x16.all_true': 0x63,
  'i16x8.all_true': 0x83,
  'i32x4.all_true': 0xa3,
  'i64x2.all_true': 0xc3,
  'i8x16.bitmask': 0x64,
  'i16x8.bitmask': 0x84,
  'i32x4.bitmask': 0xa4,
  'i64x2.bitmask': 0xc4,
} as const;

export function vectorTest(name: keyof typeof TESTS, a: V128): I32 {
  return operation('i32', PREFIX | TESTS[name], a);
}
