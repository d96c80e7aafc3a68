/**
 * Typed WebAssembly expressions: trees that a `FunctionBuilder` emits. An expression has no value while code is
 * generated, so JavaScript arithmetic on one does not compile; use the functions below, which fold constants and leave
 * out what changes nothing: translated code is compiled while a guest waits, so it had better be small.
 *
 * An expression is evaluated where it is emitted, each time it is emitted. One that is used twice, or that must be
 * evaluated before a later effect, goes into a local first (`FunctionBuilder.let`).
 *
 * WebAssembly Core Specification 2.0, 2.4 and 5.4.
 */
import { invariant } from '../base/index.js';
import type { Fold } from './folding.js';
import { fold, isEqual, isLessSigned, isLessUnsigned } from './folding.js';
import type { Node } from './node.js';
import {
  EXTRACT_LANE, KIND, callNode, float, indirectCall, int, laneOperation, loadNode, local, node, operation, storeNode, ternary, vectorConstant,
} from './node.js'; // prettier-ignore

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

// ---- constants

export function i32(value: number): I32 {
  return int('i32', value, 0);
}

export function i64(value: bigint | number): I64 {
  if (typeof value === 'bigint')
    return int('i64', Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  const low = value | 0;
  if (low === value) return int('i64', low, low >> 31);
  if (!Number.isInteger(value)) invariant(false, `${value} is no integer`);
  return int('i64', low, Math.floor(value / 2 ** 32));
}

/** `value` in the type of `like`, sign-extended. */
export function intLike<T extends Int>(like: T, value: number): T {
  return int(like.type, value, value >> 31) as Expr as T;
}

const floatBits = new DataView(new ArrayBuffer(8));

export function f32(value: number): F32 {
  floatBits.setFloat32(0, value);
  return float('f32', floatBits.getInt32(0), 0);
}

export function f64(value: number): F64 {
  floatBits.setFloat64(0, value);
  return float('f64', floatBits.getInt32(4), floatBits.getInt32(0));
}

/** `bytes` are the 16 bytes of the vector, lane 0 first. */
export function v128(bytes: Uint8Array): V128 {
  invariant(bytes.length === 16, 'a v128 has 16 bytes');
  return vectorConstant(bytes);
}

function isZero(n: Node): boolean {
  return n.kind === KIND.int && n.low === 0 && n.high === 0;
}

function isOne(n: Node): boolean {
  return n.kind === KIND.int && n.low === 1 && n.high === 0;
}

// ---- leaves and calls, made by FunctionBuilder

/** The local that an expression reads, and the constant that it adds, if it is no more than that. */
export function localPlus(e: I64): { readonly local: number; readonly plus: number } | undefined {
  const n = node(e);
  if (n.kind === KIND.local) return { local: n.code, plus: 0 };
  const sum = leftOf(n, ADD);
  if (sum) return sum.kind === KIND.local ? localPlusConstant(sum, rightOf(n), 1) : undefined;
  const difference = leftOf(n, SUB);
  return difference?.kind === KIND.local ? localPlusConstant(difference, rightOf(n), -1) : undefined;
}

function localPlusConstant(
  local: Node,
  { low, high }: Node,
  sign: 1 | -1,
): { readonly local: number; readonly plus: number } | undefined {
  return high === low >> 31 ? { local: local.code, plus: sign * low } : undefined;
}

export function localGet<T extends ValType>(type: T, index: number): Expr<T> {
  return local(type, index);
}

/** `args` are borrowed. */
export function callExpr<T extends ValType>(type: T, func: number, args: readonly Expr[]): Expr<T> {
  return callNode(type, func, args);
}

/** Calls the function at `index` of the module's table; traps unless it has the type of that index. */
export function callIndirect<T extends ValType>(
  type: T,
  typeIndex: number,
  index: I32,
  args: readonly Expr[],
): Expr<T> {
  return indirectCall(type, typeIndex, index, args);
}

// ---- integer operations

/** An operation on two integers of one type, by its opcodes. */
interface BinarySpec {
  readonly i32: number;
  readonly i64: number;
  /** Constants are moved to the right. */
  readonly isCommutative: boolean;
  readonly fold: Fold | undefined;
  /** What `x op y` is with this constant `y`, where that is simpler. */
  readonly simplify: (x: Node, y: Node) => Node | undefined;
}

/** `x` where `y` is zero. */
function zeroIsIdentity(x: Node, y: Node): Node | undefined {
  return isZero(y) ? x : undefined;
}

function never(): undefined {
  return undefined;
}

/** The left operand, where `n` is this operation with a constant on the right. */
function leftOf(n: Node, spec: BinarySpec): Node | undefined {
  if (n.kind !== KIND.operation || n.b?.kind !== KIND.int) return undefined;
  return n.code === (n.type === 'i32' ? spec.i32 : spec.i64) ? n.a : undefined;
}

/** The constant on the right of an operation that has one. */
function rightOf(n: Node): Node {
  invariant(n.b?.kind === KIND.int, 'a constant is on the right');
  return n.b;
}

/** Of an operation that does the same with two constants as with the two combined, zero being none. */
function merge(spec: BinarySpec, x: Node, y: Node): Node | undefined {
  if (isZero(y)) return x;
  const first = leftOf(x, spec);
  return first && spec.fold && binaryNode(spec, first, spec.fold(rightOf(x), y));
}

/** Two shifts in the same direction are one, unless they shift everything out. */
function mergeShifts(spec: BinarySpec, x: Node, y: Node): Node | undefined {
  const last = x.type === 'i32' ? 31 : 63;
  if ((y.low & last) === 0) return x;
  const first = leftOf(x, spec);
  if (!first) return undefined;
  const count = (rightOf(x).low & last) + (y.low & last);
  return count <= last ? binaryNode(spec, first, int(x.type, count, 0)) : undefined;
}

function binarySpec(
  i32Code: number,
  i64Code: number,
  isCommutative: boolean,
  foldBoth: Fold | undefined,
  simplify: BinarySpec['simplify'],
): BinarySpec {
  return { i32: i32Code, i64: i64Code, isCommutative, fold: foldBoth, simplify };
}

const ADD: BinarySpec = binarySpec(0x6a, 0x7c, true, fold.add, (x, y) => {
  if (isZero(y)) return x;
  const augend = leftOf(x, ADD);
  if (augend) return binaryNode(ADD, augend, fold.add(rightOf(x), y));
  const minuend = leftOf(x, SUB);
  return minuend && binaryNode(ADD, minuend, fold.sub(y, rightOf(x)));
});
const SUB: BinarySpec = binarySpec(0x6b, 0x7d, false, fold.sub, (x, y) => {
  if (isZero(y)) return x;
  const augend = leftOf(x, ADD);
  if (augend) return binaryNode(ADD, augend, fold.sub(rightOf(x), y));
  const minuend = leftOf(x, SUB);
  return minuend && binaryNode(SUB, minuend, fold.add(rightOf(x), y));
});
const MUL = binarySpec(0x6c, 0x7e, true, fold.mul, (x, y) => (isOne(y) ? x : undefined));
const DIV_S = binarySpec(0x6d, 0x7f, false, undefined, never);
const DIV_U = binarySpec(0x6e, 0x80, false, undefined, never);
const AND: BinarySpec = binarySpec(0x71, 0x83, true, fold.and, (x, y) => {
  const mask = lowMaskWidth(y);
  if (mask !== undefined && significantBits(x) <= mask) return x;
  const first = leftOf(x, AND);
  if (first) return binaryNode(AND, first, fold.and(rightOf(x), y));
  if (x.type === 'i32') return undefined;
  if (isOperation(x, EXT_U)) return extUNode(binaryNode(AND, operand(x), int('i32', y.low, 0)));
  return mask === 32 ? extUNode(wrapNode(x)) : undefined;
});
const OR: BinarySpec = binarySpec(0x72, 0x84, true, fold.or, (x, y) => merge(OR, x, y));
const XOR: BinarySpec = binarySpec(0x73, 0x85, true, fold.xor, (x, y) => merge(XOR, x, y));
const SHL: BinarySpec = binarySpec(0x74, 0x86, false, fold.shl, (x, y) => mergeShifts(SHL, x, y));
const SHR_S: BinarySpec = binarySpec(0x75, 0x87, false, fold.shrS, (x, y) => mergeShifts(SHR_S, x, y));
const SHR_U: BinarySpec = binarySpec(0x76, 0x88, false, fold.shrU, (x, y) => mergeShifts(SHR_U, x, y));
const ROTL = binarySpec(0x77, 0x89, false, undefined, zeroIsIdentity);
const ROTR = binarySpec(0x78, 0x8a, false, undefined, zeroIsIdentity);

function sameType(a: Expr, b: Expr): void {
  if (a.type !== b.type) invariant(false, `operands of types ${a.type} and ${b.type}`);
}

function binaryNode(spec: BinarySpec, x: Node, y: Node): Node {
  sameType(x, y);
  if (y.kind === KIND.int) {
    if (x.kind === KIND.int && spec.fold) return spec.fold(x, y);
    const simpler = spec.simplify(x, y);
    if (simpler) return simpler;
  } else if (x.kind === KIND.int && spec.isCommutative) {
    return binaryNode(spec, y, x);
  }
  return operation(x.type, x.type === 'i32' ? spec.i32 : spec.i64, x, y);
}

function binary<T extends Int>(spec: BinarySpec, a: T, b: T): T {
  return binaryNode(spec, node(a), node(b)) as Expr as T;
}

const EXT_S = 0xac;
const EXT_U = 0xad;
const WRAP = 0xa7;

function isOperation(n: Node, code: number): boolean {
  return n.kind === KIND.operation && n.code === code;
}

/** The first operand of an operation. */
function operand(n: Node): Node {
  invariant(n.a !== undefined, 'an operation has an operand');
  return n.a;
}

/** How many low bits are one in a constant in which all others are zero. */
function lowMaskWidth(n: Node): number | undefined {
  const { type, low, high } = n;
  if (type === 'i64' && high !== 0)
    return low === -1 && (high & (high + 1)) === 0 ? 64 - Math.clz32(high) : undefined;
  return (low & (low + 1)) === 0 ? 32 - Math.clz32(low) : undefined;
}

/** Bits of a local from this one on that are known to be zero, for who knows. */
export type BitsOfLocal = (local: number) => number | undefined;

/** Bits from this one on are known to be zero. */
function significantBits(n: Node, ofLocal?: BitsOfLocal): number {
  const width = n.type === 'i32' ? 32 : 64;
  if (n.kind === KIND.local) return ofLocal?.(n.code) ?? width;
  if (n.kind === KIND.load) return LOADED_BITS[n.code] ?? width;
  if (n.kind === KIND.int)
    return n.type === 'i32' || n.high === 0 ? 32 - Math.clz32(n.low) : 64 - Math.clz32(n.high);
  if (n.kind !== KIND.operation) return width;
  if (n.code >= FIRST_COMPARISON && n.code <= LAST_COMPARISON) return 1;
  if (n.code === EXT_U) return significantBits(operand(n), ofLocal);
  if (n.code === WRAP) return Math.min(width, significantBits(operand(n), ofLocal));
  if (leftOf(n, AND)) return Math.min(significantBits(rightOf(n)), significantBits(operand(n), ofLocal));
  const right = leftOf(n, SHR_U);
  if (right) return Math.max(0, significantBits(right, ofLocal) - (rightOf(n).low & (width - 1)));
  const left = leftOf(n, SHL);
  return left ? Math.min(width, significantBits(left, ofLocal) + (rightOf(n).low & (width - 1))) : width;
}

/** Bits from this one on are known to be zero. */
export function bitsOf(e: Int, ofLocal: BitsOfLocal): number {
  return significantBits(node(e), ofLocal);
}

/** What is added, where that is two values that aren't known. */
export function terms(e: I64): readonly [I64, I64] | undefined {
  const { kind, code, a, b } = node(e);
  if (kind !== KIND.operation || code !== ADD.i64 || !a || !b || b.kind === KIND.int) return undefined;
  return [a as Node<'i64'>, b as Node<'i64'>];
}

export const add = <T extends Int>(a: T, b: T): T => binary(ADD, a, b);
export const sub = <T extends Int>(a: T, b: T): T => binary(SUB, a, b);
export const mul = <T extends Int>(a: T, b: T): T => binary(MUL, a, b);
/** Traps on a zero divisor and on INT_MIN / −1: guard it. */
export const divS = <T extends Int>(a: T, b: T): T => binary(DIV_S, a, b);
/** Traps on a zero divisor: guard it. */
export const divU = <T extends Int>(a: T, b: T): T => binary(DIV_U, a, b);
export const and = <T extends Int>(a: T, b: T): T => binary(AND, a, b);
export const or = <T extends Int>(a: T, b: T): T => binary(OR, a, b);
export const xor = <T extends Int>(a: T, b: T): T => binary(XOR, a, b);
/** Shift counts are taken modulo the width, here and below. */
export const shl = <T extends Int>(a: T, b: T): T => binary(SHL, a, b);
export const shrS = <T extends Int>(a: T, b: T): T => binary(SHR_S, a, b);
export const shrU = <T extends Int>(a: T, b: T): T => binary(SHR_U, a, b);
export const rotl = <T extends Int>(a: T, b: T): T => binary(ROTL, a, b);
export const rotr = <T extends Int>(a: T, b: T): T => binary(ROTR, a, b);

// ---- comparisons

interface Comparison {
  readonly i32: number;
  readonly i64: number;
  readonly fold: (x: Node, y: Node) => boolean;
}

const COMPARE = {
  eq: { i32: 0x46, i64: 0x51, fold: isEqual },
  ne: { i32: 0x47, i64: 0x52, fold: (x, y) => !isEqual(x, y) },
  ltS: { i32: 0x48, i64: 0x53, fold: isLessSigned },
  ltU: { i32: 0x49, i64: 0x54, fold: isLessUnsigned },
  gtS: { i32: 0x4a, i64: 0x55, fold: (x, y) => isLessSigned(y, x) },
  gtU: { i32: 0x4b, i64: 0x56, fold: (x, y) => isLessUnsigned(y, x) },
  leS: { i32: 0x4c, i64: 0x57, fold: (x, y) => !isLessSigned(y, x) },
  leU: { i32: 0x4d, i64: 0x58, fold: (x, y) => !isLessUnsigned(y, x) },
  geS: { i32: 0x4e, i64: 0x59, fold: (x, y) => !isLessSigned(x, y) },
  geU: { i32: 0x4f, i64: 0x5a, fold: (x, y) => !isLessUnsigned(x, y) },
} as const satisfies Record<string, Comparison>;

const EQZ_I32 = 0x45;
const EQZ_I64 = 0x50;

/** Opcodes from i32.eqz to f64.ge: their results are 0 or 1. */
const FIRST_COMPARISON = EQZ_I32;
const LAST_COMPARISON = 0x66;

const FLOAT_COMPARE = {
  eq: { f32: 0x5b, f64: 0x61 },
  ne: { f32: 0x5c, f64: 0x62 },
  lt: { f32: 0x5d, f64: 0x63 },
  gt: { f32: 0x5e, f64: 0x64 },
  le: { f32: 0x5f, f64: 0x65 },
  ge: { f32: 0x60, f64: 0x66 },
} as const;

/** Comparison by the one that is true where it is false. Floats have two such. */
const OPPOSITES: readonly (number | undefined)[] = ((): number[] => {
  const opposites: number[] = [];
  const pair = (a: number, b: number): void => {
    opposites[a] = b;
    opposites[b] = a;
  };
  for (const type of ['i32', 'i64'] as const) {
    pair(COMPARE.eq[type], COMPARE.ne[type]);
    pair(COMPARE.ltS[type], COMPARE.geS[type]);
    pair(COMPARE.ltU[type], COMPARE.geU[type]);
    pair(COMPARE.gtS[type], COMPARE.leS[type]);
    pair(COMPARE.gtU[type], COMPARE.leU[type]);
  }
  for (const type of ['f32', 'f64'] as const) pair(FLOAT_COMPARE.eq[type], FLOAT_COMPARE.ne[type]);
  return opposites;
})();

function compare<T extends Int>(spec: Comparison, a: T, b: T): I32 {
  sameType(a, b);
  const x = node<'i32' | 'i64'>(a);
  const y = node<'i32' | 'i64'>(b);
  if (y.kind === KIND.int) {
    if (x.kind === KIND.int) return i32(spec.fold(x, y) ? 1 : 0);
    if (spec === COMPARE.eq && isZero(y)) return eqz(a);
  }
  return operation('i32', x.type === 'i32' ? spec.i32 : spec.i64, x, y);
}

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
  const x = node<'i32' | 'i64'>(a);
  if (x.kind === KIND.int) return i32(isZero(x) ? 1 : 0);
  if (x.kind === KIND.operation) {
    const opposite = OPPOSITES[x.code];
    if (opposite !== undefined) return operation('i32', opposite, operand(x), x.b);
    if (x.code === EXT_U || x.code === EXT_S) return operation('i32', EQZ_I32, operand(x));
  }
  return operation('i32', x.type === 'i32' ? EQZ_I32 : EQZ_I64, x);
}

/** Something that is zero where `condition` is, and nowhere else; for what only asks that. */
export function asCondition(condition: I32): I32 {
  const n = node(condition);
  if (n.kind !== KIND.operation) return condition;
  const { a, b, code } = n;
  if (code === COMPARE.ne.i32 && b && isZero(b)) return operand(n) as I32;
  if (code === EQZ_I32 && a && isOperation(a, EQZ_I32)) return asCondition(operand(a) as I32);
  return condition;
}

// ---- unary operations and conversions

/** Bitwise NOT. */
export function not<T extends Int>(a: T): T {
  return xor(a, intLike(a, -1));
}

export function clz<T extends Int>(a: T): T {
  return operation(a.type, a.type === 'i32' ? 0x67 : 0x79, a) as Expr as T;
}

export function ctz<T extends Int>(a: T): T {
  return operation(a.type, a.type === 'i32' ? 0x68 : 0x7a, a) as Expr as T;
}

/** The low 32 bits. */
export function wrap(a: I64): I32 {
  return wrapNode(node(a));
}

function wrapNode(x: Node): Node<'i32'> {
  if (x.kind === KIND.int) return int('i32', x.low, 0);
  if (x.kind === KIND.load) return reload(x, 'i32', WRAPPED_LOADS) ?? operation('i32', WRAP, x);
  if (x.kind !== KIND.operation) return operation('i32', WRAP, x);
  if (x.code === EXT_S || x.code === EXT_U) return operand(x) as Node<'i32'>;
  const masked = leftOf(x, AND);
  if (masked) return binaryNode(AND, wrapNode(masked), int('i32', rightOf(x).low, 0)) as Node<'i32'>;
  if (x.code === EXTRACT_LANE.i64) return laneOperation('i32', EXTRACT_LANE.i32, 2 * x.low, operand(x));
  return operation('i32', WRAP, x);
}

/** Zero-extends 32 to 64 bits. */
export function extU(a: I32): I64 {
  return extUNode(node(a));
}

function extUNode(x: Node): Node<'i64'> {
  if (x.kind === KIND.int) return int('i64', x.low, 0);
  if (x.kind === KIND.load) return reload(x, 'i64', ZERO_EXTENDED_LOADS) ?? operation('i64', EXT_U, x);
  if (isOperation(x, WRAP) && significantBits(operand(x)) <= 32) return operand(x) as Node<'i64'>;
  const masked = leftOf(x, AND);
  if (masked && isOperation(masked, WRAP))
    return binaryNode(AND, operand(masked), int('i64', rightOf(x).low, 0)) as Node<'i64'>;
  return operation('i64', EXT_U, x);
}

/** Sign-extends 32 to 64 bits. */
export function extS(a: I32): I64 {
  const x = node(a);
  if (x.kind === KIND.int) return int('i64', x.low, x.high);
  if (x.kind === KIND.load) return reload(x, 'i64', SIGN_EXTENDED_LOADS) ?? operation('i64', EXT_S, x);
  if (isOperation(x, WRAP)) return operation('i64', SIGN_EXTEND_I64[32], operand(x));
  return operation('i64', EXT_S, x);
}

const SIGN_EXTEND_I32 = { 8: 0xc0, 16: 0xc1 } as const;
const SIGN_EXTEND_I64 = { 8: 0xc2, 16: 0xc3, 32: 0xc4 } as const;

/** Sign-extends the low 8, 16 or 32 bits to the whole width. */
export function signExtend<T extends Int>(a: T, from: 8 | 16 | 32): T {
  const x = node<'i32' | 'i64'>(a);
  if (x.type === 'i64') return operation('i64', SIGN_EXTEND_I64[from], x) as Expr as T;
  return from === 32 ? a : (operation('i32', SIGN_EXTEND_I32[from], x) as Expr as T);
}

const SELECT = 0x1b;

/** `condition` non-zero ? `a` : `b`, both evaluated. */
export function select<T extends ValType>(condition: I32, a: Expr<T>, b: Expr<T>): Expr<T> {
  sameType(a, b);
  const x = node(a);
  const y = node(b);
  const n = node(condition);
  if (n.kind === KIND.int) return n.low === 0 ? b : a;
  if (significantBits(n) === 1 && ((isOne(x) && isZero(y)) || (isZero(x) && isOne(y)))) {
    const bit = isOne(x) ? condition : eqz(condition);
    return (a.type === 'i32' ? bit : extU(bit)) as Expr as Expr<T>;
  }
  return ternary(a.type, SELECT, a, b, asCondition(condition));
}

/** The value of a constant; undefined for what isn't one. */
export function constantI32(e: I32): number | undefined {
  const n = node(e);
  return n.kind === KIND.int ? n.low : undefined;
}

// ---- reinterpretation and floating point

const REINTERPRET = { i32FromF32: 0xbc, i64FromF64: 0xbd, f32FromI32: 0xbe, f64FromI64: 0xbf } as const;

/** The bits of `x`, which `inverse` makes of what is to become of them. */
function reinterpret<T extends Exclude<ValType, 'v128'>>(
  type: T,
  code: number,
  inverse: number,
  x: Node,
): Node<T> {
  if (x.kind === KIND.load) return reload(x, type, REINTERPRETED_LOADS) ?? operation(type, code, x);
  if (x.kind !== KIND.operation) return operation(type, code, x);
  if (x.code === inverse) return operand(x) as Node<T>;
  if (x.type !== 'v128' && x.code === EXTRACT_LANE[x.type])
    return laneOperation(type, EXTRACT_LANE[type], x.low, operand(x));
  return operation(type, code, x);
}

export function i32FromF32Bits(a: F32): I32 {
  return reinterpret('i32', REINTERPRET.i32FromF32, REINTERPRET.f32FromI32, node(a));
}

export function i64FromF64Bits(a: F64): I64 {
  return reinterpret('i64', REINTERPRET.i64FromF64, REINTERPRET.f64FromI64, node(a));
}

export function f32FromBits(a: I32): F32 {
  return reinterpret('f32', REINTERPRET.f32FromI32, REINTERPRET.i32FromF32, node(a));
}

export function f64FromBits(a: I64): F64 {
  return reinterpret('f64', REINTERPRET.f64FromI64, REINTERPRET.i64FromF64, node(a));
}

export const promote = (a: F32): F64 => operation('f64', 0xbb, a);
export const demote = (a: F64): F32 => operation('f32', 0xb6, a);

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
  return operation(a.type, FLOAT_BINARY[name][a.type === 'f32' ? 0 : 1], a, b) as Expr as T;
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
  return operation(a.type, FLOAT_UNARY[name][a.type === 'f32' ? 0 : 1], a) as Expr as T;
}

export function floatCompare<T extends Float>(name: keyof typeof FLOAT_COMPARE, a: T, b: T): I32 {
  sameType(a, b);
  return operation('i32', FLOAT_COMPARE[name][a.type], a, b);
}

/** Integer to float; `signed` says how the integer is read. Rounds to nearest, ties to even. */
export function convert<T extends 'f32' | 'f64'>(to: T, a: Int, signed: boolean): Expr<T> {
  const base = to === 'f32' ? 0xb2 : 0xb7;
  return operation(to, base + (a.type === 'i32' ? 0 : 2) + (signed ? 0 : 1), a);
}

/** Float to integer, rounding to zero and saturating; NaN gives 0. */
export function truncSat<T extends 'i32' | 'i64'>(to: T, a: Float, signed: boolean): Expr<T> {
  const index = (to === 'i64' ? 4 : 0) + (a.type === 'f64' ? 2 : 0) + (signed ? 0 : 1);
  return operation(to, 0xfc00 | index, a);
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
  const at = node(address);
  const constant = constantAddress(at, offset);
  if (constant !== undefined) return loadNode(type, opcode, NOWHERE, constant, freshness);
  return loadNode(type, opcode, at, offset, freshness);
}

/** The address 0. */
const NOWHERE = node(i32(0));

/** Where `address + offset` is, if that is known and can be an offset in an expression. */
function constantAddress(address: Node, offset: number): number | undefined {
  if (address.kind !== KIND.int || address.low === 0) return undefined;
  const sum = (address.low >>> 0) + offset;
  return sum < 2 ** 31 ? sum : undefined;
}

/** Bits that are not known to be zero, by the opcode of a load. */
const LOADED_BITS: readonly (number | undefined)[] = table([
  [LOADS.i32_8u[0], 8],
  [LOADS.i32_16u[0], 16],
  [LOADS.i64_8u[0], 8],
  [LOADS.i64_16u[0], 16],
  [LOADS.i64_32u[0], 32],
]);

/** Loads of what other loads have loaded, after a conversion; by their opcodes. */
const WRAPPED_LOADS = table([
  [LOADS.i64[0], LOADS.i32[0]],
  [LOADS.i64_32s[0], LOADS.i32[0]],
  [LOADS.i64_32u[0], LOADS.i32[0]],
  [LOADS.i64_16s[0], LOADS.i32_16s[0]],
  [LOADS.i64_16u[0], LOADS.i32_16u[0]],
  [LOADS.i64_8s[0], LOADS.i32_8s[0]],
  [LOADS.i64_8u[0], LOADS.i32_8u[0]],
]);
const ZERO_EXTENDED_LOADS = table([
  [LOADS.i32[0], LOADS.i64_32u[0]],
  [LOADS.i32_16u[0], LOADS.i64_16u[0]],
  [LOADS.i32_8u[0], LOADS.i64_8u[0]],
]);
const SIGN_EXTENDED_LOADS = table([
  [LOADS.i32[0], LOADS.i64_32s[0]],
  [LOADS.i32_16s[0], LOADS.i64_16s[0]],
  [LOADS.i32_16u[0], LOADS.i64_16u[0]],
  [LOADS.i32_8s[0], LOADS.i64_8s[0]],
  [LOADS.i32_8u[0], LOADS.i64_8u[0]],
]);
const REINTERPRETED_LOADS = table([
  [LOADS.i32[0], LOADS.f32[0]],
  [LOADS.i64[0], LOADS.f64[0]],
  [LOADS.f32[0], LOADS.i32[0]],
  [LOADS.f64[0], LOADS.i64[0]],
]);

function table(entries: readonly (readonly [number, number])[]): readonly (number | undefined)[] {
  const values: (number | undefined)[] = Array.from({ length: 0x100 }, () => undefined);
  for (const [code, value] of entries) values[code] = value;
  return values;
}

/** The load of the same place that gives what a conversion makes of it. */
function reload<T extends ValType>(
  x: Node,
  type: T,
  conversion: readonly (number | undefined)[],
): Node<T> | undefined {
  const code = conversion[x.code];
  return code === undefined ? undefined : loadNode(type, code, operand(x), x.low, x.freshness);
}

const STORES = {
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

/** Of stores of a part: its bits among the low 32, and the store of the same part of an i32. */
const PARTS: Readonly<Partial<Record<StoreKind, { readonly mask: number; readonly ofI32: number }>>> = {
  i64_8: { mask: 0xff, ofI32: STORES.i32_8 },
  i64_16: { mask: 0xffff, ofI32: STORES.i32_16 },
  i64_32: { mask: -1, ofI32: STORES.i32 },
  i32_8: { mask: 0xff, ofI32: STORES.i32_8 },
  i32_16: { mask: 0xffff, ofI32: STORES.i32_16 },
};

/** Stores `value`, or the part of it that `kind` says, at `address + offset`; for FunctionBuilder. */
export function storing(kind: StoreKind, address: I32, offset: number, value: Expr): Node {
  let code: number = STORES[kind];
  let what = node(value);
  const part = PARTS[kind];
  if (part) {
    if (isOperation(what, EXT_U) || isOperation(what, EXT_S)) {
      code = part.ofI32;
      what = operand(what);
    }
    const masked = leftOf(what, AND);
    if (masked && (rightOf(what).low & part.mask) === part.mask) what = masked;
  }
  const at = node(address);
  const constant = constantAddress(at, offset);
  return constant === undefined
    ? storeNode(code, at, offset, what)
    : storeNode(code, NOWHERE, constant, what);
}
