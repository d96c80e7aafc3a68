/**
 * Typed WebAssembly expressions: trees that a `FunctionBuilder` emits. An expression has no value while code is
 * generated, so JavaScript arithmetic on one does not compile; use the functions below, which fold constants.
 *
 * An expression is evaluated where it is emitted, each time it is emitted. One that is used twice, or that must be
 * evaluated before a later effect, goes into a local first (`FunctionBuilder.let`).
 *
 * WebAssembly Core Specification 2.0, 2.4 and 5.4.
 */
import { invariant } from '../base/index.js';

export type ValType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

declare const opaque: unique symbol;

/** A value at run time of type `T`. Only this folder looks inside. */
export interface Expr<out T extends ValType = ValType> {
  readonly [opaque]?: never;
  readonly type: T;
}

export type I32 = Expr<'i32'>;
export type I64 = Expr<'i64'>;
export type F32 = Expr<'f32'>;
export type F64 = Expr<'f64'>;
export type V128 = Expr<'v128'>;
/** An integer whose width is a static field of the instruction. */
export type Int = I32 | I64;
export type Float = F32 | F64;

/** Something that a later effect can make outdated, such as a register read. See `freshness`. */
export interface Freshness {
  isStale: boolean;
}

export type Node = Expr &
  (
    | { readonly kind: 'const'; readonly value: number | bigint | Uint8Array }
    | { readonly kind: 'local'; readonly index: number }
    | { readonly kind: 'global'; readonly index: number }
    | {
        readonly kind: 'op';
        readonly opcode: number;
        readonly args: readonly Node[];
        readonly immediate?: readonly number[];
      }
    | {
        readonly kind: 'load';
        readonly opcode: number;
        readonly address: Node;
        readonly offset: number;
        readonly freshness: Freshness | undefined;
      }
    | { readonly kind: 'call'; readonly func: number; readonly args: readonly Node[] }
    | {
        readonly kind: 'call indirect';
        readonly typeIndex: number;
        readonly index: Node;
        readonly args: readonly Node[];
      }
  );

export function node(e: Expr): Node {
  return e as Node;
}

function make<T extends ValType>(n: Node): Expr<T> {
  return n as unknown as Expr<T>;
}

// ---- constants

export function i32(value: number): I32 {
  return make({ kind: 'const', type: 'i32', value: value | 0 });
}

export function i64(value: bigint | number): I64 {
  return make({ kind: 'const', type: 'i64', value: BigInt.asIntN(64, BigInt(value)) });
}

/** `value` in the type of `like`, sign-extended. */
export function intLike<T extends Int>(like: T, value: number): T {
  return (like.type === 'i32' ? i32(value) : i64(value)) as T;
}

export function f32(value: number): F32 {
  return make({ kind: 'const', type: 'f32', value });
}

export function f64(value: number): F64 {
  return make({ kind: 'const', type: 'f64', value });
}

/** `bytes` are the 16 bytes of the vector, lane 0 first. */
export function v128(bytes: Uint8Array): V128 {
  invariant(bytes.length === 16, 'a v128 has 16 bytes');
  return make({ kind: 'const', type: 'v128', value: bytes });
}

function constValue(e: Expr): number | bigint | undefined {
  const n = node(e);
  return n.kind === 'const' && !(n.value instanceof Uint8Array) ? n.value : undefined;
}

/** True for the integer constant 0. */
function isZero(e: Expr): boolean {
  const value = constValue(e);
  return value === 0 || value === 0n;
}

// ---- leaves and calls, made by FunctionBuilder

export function localGet<T extends ValType>(type: T, index: number): Expr<T> {
  return make({ kind: 'local', type, index });
}

export function callExpr<T extends ValType>(type: T, func: number, args: readonly Expr[]): Expr<T> {
  return make({ kind: 'call', type, func, args: args.map(node) });
}

/** Calls the function at `index` of the module's table; traps unless it has the type of that index. */
export function callIndirect<T extends ValType>(
  type: T,
  typeIndex: number,
  index: I32,
  args: readonly Expr[],
): Expr<T> {
  return make({ kind: 'call indirect', type, typeIndex, index: node(index), args: args.map(node) });
}

// ---- integer operations: [i32 opcode, i64 opcode, folding]

type FoldInt = (a: bigint, b: bigint, width: 32 | 64) => bigint;

interface BinarySpec {
  readonly opcodes: readonly [number, number];
  readonly fold?: FoldInt;
  /** `x op identity` is x. */
  readonly rightIdentity?: true;
  readonly leftIdentity?: true;
}

function unsigned(value: bigint, width: 32 | 64): bigint {
  return BigInt.asUintN(width, value);
}

const BINARY = {
  add: { opcodes: [0x6a, 0x7c], fold: (a, b) => a + b, rightIdentity: true, leftIdentity: true },
  sub: { opcodes: [0x6b, 0x7d], fold: (a, b) => a - b, rightIdentity: true },
  mul: { opcodes: [0x6c, 0x7e], fold: (a, b) => a * b },
  divS: { opcodes: [0x6d, 0x7f] },
  divU: { opcodes: [0x6e, 0x80] },
  remS: { opcodes: [0x6f, 0x81] },
  remU: { opcodes: [0x70, 0x82] },
  and: { opcodes: [0x71, 0x83], fold: (a, b) => a & b },
  or: { opcodes: [0x72, 0x84], fold: (a, b) => a | b, rightIdentity: true, leftIdentity: true },
  xor: { opcodes: [0x73, 0x85], fold: (a, b) => a ^ b, rightIdentity: true, leftIdentity: true },
  shl: { opcodes: [0x74, 0x86], fold: (a, b, w) => a << (b & BigInt(w - 1)), rightIdentity: true },
  shrS: { opcodes: [0x75, 0x87], fold: (a, b, w) => a >> (b & BigInt(w - 1)), rightIdentity: true },
  shrU: {
    opcodes: [0x76, 0x88],
    fold: (a, b, w) => unsigned(a, w) >> (b & BigInt(w - 1)),
    rightIdentity: true,
  },
  rotl: { opcodes: [0x77, 0x89], rightIdentity: true },
  rotr: { opcodes: [0x78, 0x8a], rightIdentity: true },
} satisfies Record<string, BinarySpec>;

const COMPARE = {
  eq: { opcodes: [0x46, 0x51], fold: (a, b) => a === b },
  ne: { opcodes: [0x47, 0x52], fold: (a, b) => a !== b },
  ltS: { opcodes: [0x48, 0x53], fold: (a, b) => a < b },
  ltU: { opcodes: [0x49, 0x54], fold: (a, b, w) => unsigned(a, w) < unsigned(b, w) },
  gtS: { opcodes: [0x4a, 0x55], fold: (a, b) => a > b },
  gtU: { opcodes: [0x4b, 0x56], fold: (a, b, w) => unsigned(a, w) > unsigned(b, w) },
  leS: { opcodes: [0x4c, 0x57], fold: (a, b) => a <= b },
  leU: { opcodes: [0x4d, 0x58], fold: (a, b, w) => unsigned(a, w) <= unsigned(b, w) },
  geS: { opcodes: [0x4e, 0x59], fold: (a, b) => a >= b },
  geU: { opcodes: [0x4f, 0x5a], fold: (a, b, w) => unsigned(a, w) >= unsigned(b, w) },
} satisfies Record<
  string,
  { opcodes: readonly [number, number]; fold: (a: bigint, b: bigint, width: 32 | 64) => boolean }
>;

function widthOf(e: Int): 32 | 64 {
  return e.type === 'i32' ? 32 : 64;
}

function sameType(a: Expr, b: Expr): void {
  invariant(a.type === b.type, `operands of types ${a.type} and ${b.type}`);
}

function binary<T extends Int>(spec: BinarySpec, a: T, b: T): T {
  sameType(a, b);
  const left = constValue(a);
  const right = constValue(b);
  if (left !== undefined && right !== undefined && spec.fold) {
    const result = spec.fold(BigInt(left), BigInt(right), widthOf(a));
    return (a.type === 'i32' ? i32(Number(BigInt.asIntN(32, result))) : i64(result)) as T;
  }
  if (spec.rightIdentity && isZero(b)) return a;
  if (spec.leftIdentity && isZero(a)) return b;
  return op(a.type, spec.opcodes[a.type === 'i32' ? 0 : 1], [a, b]) as T;
}

function compare<T extends Int>(spec: (typeof COMPARE)[keyof typeof COMPARE], a: T, b: T): I32 {
  sameType(a, b);
  const left = constValue(a);
  const right = constValue(b);
  if (left !== undefined && right !== undefined)
    return i32(spec.fold(BigInt(left), BigInt(right), widthOf(a)) ? 1 : 0);
  return op('i32', spec.opcodes[a.type === 'i32' ? 0 : 1], [a, b]);
}

/** Any operation by opcode; 0xfdXX and 0xfcXX are the prefixed ones, XX in the low bits from 8 up. */
export function op<T extends ValType>(
  type: T,
  opcode: number,
  args: readonly Expr[],
  immediate?: readonly number[],
): Expr<T> {
  const base = { kind: 'op' as const, type, opcode, args: args.map(node) };
  return make(immediate === undefined ? base : { ...base, immediate });
}

export const add = <T extends Int>(a: T, b: T): T => binary(BINARY.add, a, b);
export const sub = <T extends Int>(a: T, b: T): T => binary(BINARY.sub, a, b);
export const mul = <T extends Int>(a: T, b: T): T => binary(BINARY.mul, a, b);
/** Traps on a zero divisor and on INT_MIN / −1: guard it. */
export const divS = <T extends Int>(a: T, b: T): T => binary(BINARY.divS, a, b);
/** Traps on a zero divisor: guard it. */
export const divU = <T extends Int>(a: T, b: T): T => binary(BINARY.divU, a, b);
export const and = <T extends Int>(a: T, b: T): T => binary(BINARY.and, a, b);
export const or = <T extends Int>(a: T, b: T): T => binary(BINARY.or, a, b);
export const xor = <T extends Int>(a: T, b: T): T => binary(BINARY.xor, a, b);
/** Shift counts are taken modulo the width, here and below. */
export const shl = <T extends Int>(a: T, b: T): T => binary(BINARY.shl, a, b);
export const shrS = <T extends Int>(a: T, b: T): T => binary(BINARY.shrS, a, b);
export const shrU = <T extends Int>(a: T, b: T): T => binary(BINARY.shrU, a, b);
export const rotl = <T extends Int>(a: T, b: T): T => binary(BINARY.rotl, a, b);
export const rotr = <T extends Int>(a: T, b: T): T => binary(BINARY.rotr, a, b);
export const eq = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.eq, a, b);
export const ne = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.ne, a, b);
export const ltS = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.ltS, a, b);
export const ltU = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.ltU, a, b);
export const gtS = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.gtS, a, b);
export const gtU = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.gtU, a, b);
export const leS = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.leS, a, b);
export const leU = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.leU, a, b);
export const geS = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.geS, a, b);
export const geU = <T extends Int>(a: T, b: T): I32 => compare(COMPARE.geU, a, b);

/** 1 if `a` is zero, else 0. */
export function eqz(a: Int): I32 {
  const value = constValue(a);
  if (value !== undefined) return i32(BigInt(value) === 0n ? 1 : 0);
  return op('i32', a.type === 'i32' ? 0x45 : 0x50, [a]);
}

/** Bitwise NOT. */
export function not<T extends Int>(a: T): T {
  return xor(a, intLike(a, -1));
}

export function clz<T extends Int>(a: T): T {
  return op(a.type, a.type === 'i32' ? 0x67 : 0x79, [a]) as T;
}

export function ctz<T extends Int>(a: T): T {
  return op(a.type, a.type === 'i32' ? 0x68 : 0x7a, [a]) as T;
}

/** The low 32 bits. */
export function wrap(a: I64): I32 {
  const value = constValue(a);
  if (value !== undefined) return i32(Number(BigInt.asIntN(32, BigInt(value))));
  const n = node(a);
  // wrap(extend(x)) is x
  if (n.kind === 'op' && (n.opcode === 0xac || n.opcode === 0xad)) return n.args[0] as unknown as I32;
  return op('i32', 0xa7, [a]);
}

/** Zero-extends 32 to 64 bits. */
export function extU(a: I32): I64 {
  const value = constValue(a);
  if (value !== undefined) return i64(BigInt.asUintN(32, BigInt(value)));
  return op('i64', 0xad, [a]);
}

/** Sign-extends 32 to 64 bits. */
export function extS(a: I32): I64 {
  const value = constValue(a);
  if (value !== undefined) return i64(BigInt(value));
  return op('i64', 0xac, [a]);
}

/** Sign-extends the low 8, 16 or 32 bits to the whole width. */
export function signExtend<T extends Int>(a: T, from: 8 | 16 | 32): T {
  if (a.type === 'i32') return from === 32 ? a : (op('i32', from === 8 ? 0xc0 : 0xc1, [a]) as T);
  return op('i64', from === 8 ? 0xc2 : from === 16 ? 0xc3 : 0xc4, [a]) as T;
}

/** `condition` non-zero ? `a` : `b`, both evaluated. */
export function select<T extends ValType>(condition: I32, a: Expr<T>, b: Expr<T>): Expr<T> {
  sameType(a, b);
  const value = constValue(condition);
  if (value !== undefined) return value === 0 ? b : a;
  return op(a.type, 0x1b, [a, b, condition]);
}

// ---- reinterpretation and floating point

export const i32FromF32Bits = (a: F32): I32 => op('i32', 0xbc, [a]);
export const i64FromF64Bits = (a: F64): I64 => op('i64', 0xbd, [a]);
export const f32FromBits = (a: I32): F32 => op('f32', 0xbe, [a]);
export const f64FromBits = (a: I64): F64 => op('f64', 0xbf, [a]);
export const promote = (a: F32): F64 => op('f64', 0xbb, [a]);
export const demote = (a: F64): F32 => op('f32', 0xb6, [a]);

const FLOAT_BINARY = {
  add: [0x92, 0xa0],
  sub: [0x93, 0xa1],
  mul: [0x94, 0xa2],
  div: [0x95, 0xa3],
  min: [0x96, 0xa4],
  max: [0x97, 0xa5],
  copysign: [0x98, 0xa6],
} as const;

export function floatBinary<T extends Float>(name: keyof typeof FLOAT_BINARY, a: T, b: T): T {
  sameType(a, b);
  return op(a.type, FLOAT_BINARY[name][a.type === 'f32' ? 0 : 1], [a, b]) as T;
}

const FLOAT_UNARY = {
  abs: [0x8b, 0x99],
  neg: [0x8c, 0x9a],
  ceil: [0x8d, 0x9b],
  floor: [0x8e, 0x9c],
  trunc: [0x8f, 0x9d],
  nearest: [0x90, 0x9e],
  sqrt: [0x91, 0x9f],
} as const;

export function floatUnary<T extends Float>(name: keyof typeof FLOAT_UNARY, a: T): T {
  return op(a.type, FLOAT_UNARY[name][a.type === 'f32' ? 0 : 1], [a]) as T;
}

const FLOAT_COMPARE = {
  eq: [0x5b, 0x61],
  ne: [0x5c, 0x62],
  lt: [0x5d, 0x63],
  gt: [0x5e, 0x64],
  le: [0x5f, 0x65],
  ge: [0x60, 0x66],
} as const;

export function floatCompare<T extends Float>(name: keyof typeof FLOAT_COMPARE, a: T, b: T): I32 {
  sameType(a, b);
  return op('i32', FLOAT_COMPARE[name][a.type === 'f32' ? 0 : 1], [a, b]);
}

/** Integer to float; `signed` says how the integer is read. Rounds to nearest, ties to even. */
export function convert<T extends 'f32' | 'f64'>(to: T, a: Int, signed: boolean): Expr<T> {
  const base = to === 'f32' ? 0xb2 : 0xb7;
  return op(to, base + (a.type === 'i32' ? 0 : 2) + (signed ? 0 : 1), [a]);
}

/** Float to integer, rounding to zero and saturating; NaN gives 0. */
export function truncSat<T extends 'i32' | 'i64'>(to: T, a: Float, signed: boolean): Expr<T> {
  const index = (to === 'i64' ? 4 : 0) + (a.type === 'f64' ? 2 : 0) + (signed ? 0 : 1);
  return op(to, 0xfc00 | index, [a]);
}

// ---- memory

/** Loads: opcode, and the type of the result. */
const LOADS = {
  i32: [0x28, 'i32'],
  i64: [0x29, 'i64'],
  f32: [0x2a, 'f32'],
  f64: [0x2b, 'f64'],
  i32_8s: [0x2c, 'i32'],
  i32_8u: [0x2d, 'i32'],
  i32_16s: [0x2e, 'i32'],
  i32_16u: [0x2f, 'i32'],
  i64_8s: [0x30, 'i64'],
  i64_8u: [0x31, 'i64'],
  i64_16s: [0x32, 'i64'],
  i64_16u: [0x33, 'i64'],
  i64_32s: [0x34, 'i64'],
  i64_32u: [0x35, 'i64'],
  v128: [0xfd00, 'v128'],
} as const;

export type LoadKind = keyof typeof LOADS;

/**
 * Memory at `address + offset`, read where the expression is emitted. With `freshness`, emitting it after it went
 * stale is an invariant error: a register read that was used after the register was written.
 */
export function load<K extends LoadKind>(
  kind: K,
  address: I32,
  offset = 0,
  freshness?: Freshness,
): Expr<(typeof LOADS)[K][1]> {
  const [opcode, type] = LOADS[kind];
  return make({ kind: 'load', type, opcode, address: node(address), offset, freshness });
}

export const STORES = {
  i32: 0x36,
  i64: 0x37,
  f32: 0x38,
  f64: 0x39,
  i32_8: 0x3a,
  i32_16: 0x3b,
  i64_8: 0x3c,
  i64_16: 0x3d,
  i64_32: 0x3e,
  v128: 0xfd0b,
} as const;

export type StoreKind = keyof typeof STORES;
