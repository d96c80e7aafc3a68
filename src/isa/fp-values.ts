/**
 * Single and double precision as bits: classes of values, NaN propagation and the arithmetic that WebAssembly has.
 *
 * WebAssembly rounds to nearest and leaves the bits of a NaN result open, so every NaN result is rebuilt here.
 *
 * @deviation FPCR.RMode, FZ and DN read as zero for arithmetic: round to nearest, no flushing, NaNs propagate
 * (DDI0487 C5.2.8). The cumulative flags OFC, UFC, IDC and, except for conversions to integer and from integer, IXC of
 * FPSR stay as they are (DDI0487 C5.2.9).
 */
import type { Float, I32, I64, Int } from '../wasm/expr.js';
import {
  and, clz, convert, demote, eqz, extU, f32, f32FromBits, f64, f64FromBits, floatBinary, floatCompare, floatUnary,
  geU, gtU, i32, i32FromF32Bits, i64, i64FromF64Bits, intLike, ltU, ne, not, or, promote, select, shl, shrU, sub,
  truncSat, wrap, xor,
} from '../wasm/expr.js'; // prettier-ignore
import type { VecField } from './row.js';
import type { Stage } from './stage.js';

/** 0 for single, 1 for double precision: the low bit of `ftype`. */
export type Precision = number;

/** Cumulative exception flags. DDI0487 C5.2.9. */
export const FPSR = { IOC: 1, DZC: 2, IXC: 16, QC: 1 << 27 } as const;

/** A constant in the format `type`; `single` and `double` are its bits. */
function bitsConst(type: Precision, single: number, double: bigint): Int {
  return type === 1 ? i64(double) : i32(single);
}

const signBit = (type: Precision): Int => bitsConst(type, 0x8000_0000, 1n << 63n);
const infinity = (type: Precision): Int => bitsConst(type, 0x7f80_0000, 0x7ff0_0000_0000_0000n);
const quietBit = (type: Precision): Int => bitsConst(type, 0x0040_0000, 0x0008_0000_0000_0000n);
const defaultNaN = (type: Precision): Int => or(infinity(type), quietBit(type));

function precisionOf(value: Int): Precision {
  return value.type === 'i64' ? 1 : 0;
}

export function readBits(s: Stage, type: Precision, register: VecField): Int {
  return type === 1 ? s.d(register) : s.s(register);
}

/** Writes the register's low element and zeroes the rest. */
export function writeBits(s: Stage, register: VecField, value: Int): void {
  if (value.type === 'i64') s.setD(register, value);
  else s.setS(register, value);
}

export function toFloat(bits: Int): Float {
  return bits.type === 'i64' ? f64FromBits(bits) : f32FromBits(bits);
}

export function toBits(value: Float): Int {
  return value.type === 'f64' ? i64FromF64Bits(value) : i32FromF32Bits(value);
}

function floatLike<T extends Float>(like: T, value: number): T {
  return (like.type === 'f64' ? f64(value) : f32(value)) as T;
}

export function negate(bits: Int): Int {
  return xor(bits, signBit(precisionOf(bits)));
}

export function magnitude(bits: Int): Int {
  return and(bits, not(signBit(precisionOf(bits))));
}

function isNaN(bits: Int): I32 {
  return gtU(magnitude(bits), infinity(precisionOf(bits)));
}

function isSignalling(bits: Int): I32 {
  return and(isNaN(bits), eqz(and(bits, quietBit(precisionOf(bits)))));
}

function quiet(bits: Int): Int {
  return or(bits, quietBit(precisionOf(bits)));
}

/** FPProcessNaNs of DDI0487, or the default NaN where no operand is a NaN. Sets IOC. */
function processNaNs(s: Stage, operands: readonly Int[]): Int {
  const [first] = operands;
  const type = first ? precisionOf(first) : 0;
  const isAny = (test: (bits: Int) => I32): I32 => operands.map(test).reduce((a, b) => or(a, b), i32(0));
  s.orFpsr(select(or(isAny(isSignalling), eqz(isAny(isNaN))), i32(FPSR.IOC), i32(0)));
  const pick = (test: (bits: Int) => I32, otherwise: Int): Int =>
    operands.reduceRight((rest, bits) => select(test(bits), quiet(bits), rest) as Int, otherwise);
  return pick(isSignalling, pick(isNaN, defaultNaN(type)));
}

/** `result`, or where that is a NaN what the architecture makes of the operands. */
function withNaNs(s: Stage, operands: readonly Int[], result: Int): Int {
  const value = s.let(result);
  return s.ifValue(isNaN(value), () => processNaNs(s, operands), () => value, value.type); // prettier-ignore
}

export type FloatBinary = 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max';

/** `a` and `b` are used several times: constants or results of `let`. */
export function arithmetic(s: Stage, name: FloatBinary, a: Int, b: Int): Int {
  if (name === 'div') {
    const isByZero = and(
      eqz(magnitude(b)),
      and(ne(magnitude(a), intLike(a, 0)), ltU(magnitude(a), infinity(precisionOf(a)))),
    );
    s.orFpsr(select(isByZero, i32(FPSR.DZC), i32(0)));
  }
  return withNaNs(s, [a, b], toBits(floatBinary(name, toFloat(a), toFloat(b))));
}

/** FPMinNum, FPMaxNum: a quiet NaN loses against a number. */
export function minMaxNumber(s: Stage, name: 'min' | 'max', a: Int, b: Int): Int {
  const isQuiet = (bits: Int): I32 => and(isNaN(bits), eqz(isSignalling(bits)));
  const left = s.let(select(and(isQuiet(a), eqz(isNaN(b))), b, a));
  const right = s.let(select(and(isQuiet(b), eqz(isNaN(a))), a, b));
  return arithmetic(s, name, left, right);
}

export function squareRoot(s: Stage, a: Int): Int {
  return withNaNs(s, [a], toBits(floatUnary('sqrt', toFloat(a))));
}

/** N, P, M, Z, A as in the instructions' names: nearest even, up, down, zero, nearest away. */
export type Rounding = 'N' | 'P' | 'M' | 'Z' | 'A';

const ROUNDINGS = { N: 'nearest', P: 'ceil', M: 'floor', Z: 'trunc' } as const;

/** An integral value; `value` is used several times. */
function roundTo(value: Float, rounding: Rounding): Float {
  if (rounding !== 'A') return floatUnary(ROUNDINGS[rounding], value);
  const whole = floatUnary('trunc', value);
  const isHalf = floatCompare(
    'ge',
    floatUnary('abs', floatBinary('sub', value, whole)),
    floatLike(value, 0.5),
  );
  const one = floatBinary('copysign', floatLike(value, 1), value);
  return select(isHalf, floatBinary('add', whole, one), whole);
}

/** FRINT*. `signalsInexact` for FRINTX. */
export function roundToIntegral(s: Stage, a: Int, rounding: Rounding, signalsInexact: boolean): Int {
  const rounded = s.let(toBits(roundTo(toFloat(a), rounding)));
  if (signalsInexact) {
    const isInexact = floatCompare(
      'lt',
      floatLike(toFloat(a), 0),
      floatUnary('abs', floatBinary('sub', toFloat(a), toFloat(rounded))),
    );
    s.orFpsr(select(isInexact, i32(FPSR.IXC), i32(0)));
  }
  return withNaNs(s, [a], rounded);
}

/** To an integer, saturating; IOC where the value does not fit, else IXC where it was rounded. */
export function toInteger(s: Stage, sf: number, value: Float, rounding: Rounding, isSigned: boolean): Int {
  const x = s.let(value) as Float;
  const rounded = s.let(roundTo(x, rounding)) as Float;
  const limit = 2 ** (sf === 1 ? 64 : 32);
  const low = floatLike(x, isSigned ? -limit / 2 : 0);
  const high = floatLike(x, isSigned ? limit / 2 : limit);
  const fits = and(floatCompare('ge', rounded, low), floatCompare('lt', rounded, high));
  const inexact = select(floatCompare('ne', rounded, x), i32(FPSR.IXC), i32(0));
  s.orFpsr(select(fits, inexact, i32(FPSR.IOC)));
  return truncSat(sf === 1 ? 'i64' : 'i32', rounded, isSigned);
}

/** From an integer; IXC where it has more significant bits than the format. `a` is used several times. */
export function fromInteger(s: Stage, type: Precision, a: Int, isSigned: boolean): Float {
  const significant = type === 1 ? 53 : 24;
  const width = a.type === 'i64' ? 64 : 32;
  if (width > significant) {
    const isNegative = isSigned ? geU(a, bitsConst(precisionOf(a), 0x8000_0000, 1n << 63n)) : i32(0);
    const absolute = s.let(select(isNegative, sub(intLike(a, 0), a), a));
    const lowest = s.let(and(absolute, sub(intLike(a, 0), absolute)));
    // The bits from the lowest one up to the highest are as many as the quotient of the two has.
    const isShort = geU(clz(lowest), intLike(a, significant));
    const isInexact = and(isShort, geU(absolute, shl(lowest, intLike(a, significant))));
    s.orFpsr(select(and(isInexact, ne(a, intLike(a, 0))), i32(FPSR.IXC), i32(0)));
  }
  return convert(type === 1 ? 'f64' : 'f32', a, isSigned);
}

/** FCVT between single and double. `a` is used several times. */
export function toOtherPrecision(s: Stage, a: Int): Int {
  const single = a.type === 'i32';
  const converted = single
    ? toBits(promote(toFloat(a) as ReturnType<typeof f32>))
    : toBits(demote(toFloat(a) as ReturnType<typeof f64>));
  return s.ifValue(
    isNaN(a),
    () => {
      const nan = processNaNs(s, [a]);
      if (single) {
        const wide = extU(nan as I32);
        return or(
          shl(shrU(wide, i64(31)), i64(63)),
          or(infinity(1) as I64, and(shl(wide, i64(29)), i64((1n << 52n) - 1n))),
        );
      }
      const wide = nan as I64;
      return wrap(
        or(shl(shrU(wide, i64(63)), i64(31)), or(i64(0x7f80_0000), and(shrU(wide, i64(29)), i64(0x7f_ffff)))),
      );
    },
    () => converted,
    converted.type,
  );
}

/** Sets NZCV; `signalsQuiet` (0 or 1) makes quiet NaNs set IOC too, as FCMPE. */
export function compare(s: Stage, a: Int, b: Int, signalsQuiet: I32): I32 {
  const isUnordered = s.let(or(isNaN(a), isNaN(b)));
  const isInvalid = and(isUnordered, or(signalsQuiet, or(isSignalling(a), isSignalling(b))));
  s.orFpsr(select(isInvalid, i32(FPSR.IOC), i32(0)));
  const isLess = floatCompare('lt', toFloat(a), toFloat(b));
  const isEqual = floatCompare('eq', toFloat(a), toFloat(b));
  return select(
    isUnordered,
    i32(0b0011),
    select(isEqual, i32(0b0110), select(isLess, i32(0b1000), i32(0b0010))),
  );
}
