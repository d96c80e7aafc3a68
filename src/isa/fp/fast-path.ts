/**
 * Operations on single and double precision for handlers that guests execute all the time: WebAssembly's arithmetic
 * where its result is the architecture's and no flag of FPSR changes, and else the operation of operations.ts. Half
 * precision always takes the latter.
 *
 * Operands are used several times: they are constants or results of `Stage.let`.
 */
import type { F32, F64, Float, I32, Int } from '../../wasm/expr.js';
import {
  add as plus, and, convert as convertInteger, demote, eq, eqz, extU, f32, f32FromBits, f64, f64FromBits, floatBinary,
  floatCompare, floatUnary, i32, i32FromF32Bits, i64, i64FromF64Bits, intLike, ltU, not, or, promote, select, shl,
  sub as minus, truncSat, wrap,
} from '../../wasm/expr.js'; // prettier-ignore
import type { Stage } from '../stage.js';
import type { Format, Rounding } from './format.js';
import { FPCR, FPSR, LAYOUT } from './format.js';
import { isOrdinary, toBits, toFloat } from './host.js';
import type { Fixed } from './operations.js';
import * as exact from './operations.js';

function floatLike<T extends Float>(like: T, value: number): T {
  return (like.type === 'f64' ? f64(value) : f32(value)) as T;
}

// ---- when the host's result stands

function isNotFlushing(s: Stage): I32 {
  return eqz(and(s.fpcr(), i32(FPCR.FZ)));
}

function isNearestWithoutFlushing(s: Stage): I32 {
  return eqz(and(s.fpcr(), i32(FPCR.FZ | FPCR.RMODE)));
}

/**
 * 1 where arithmetic rounds to nearest, flushes nothing, and cannot set IXC because it is set. Then the host's result
 * stands if it `isOrdinary`.
 */
export function isPlain(s: Pick<Stage, 'fpcr' | 'fpsr'>): I32 {
  const modes = and(s.fpcr(), i32(FPCR.RMODE | FPCR.FZ));
  return eqz(or(modes, and(not(s.fpsr()), i32(FPSR.IXC))));
}

/** `result` where `stands`, else what `otherwise` computes. */
function chosen(s: Stage, stands: I32, result: Int, otherwise: () => Int): Int {
  return s.ifValue(stands, () => result, otherwise, result.type);
}

// ---- arithmetic

type Binary = (s: Stage, format: Format, a: Int, b: Int) => Int;

function arithmetic(name: 'add' | 'sub' | 'mul' | 'div'): Binary {
  const otherwise = exact[name];
  return (s, format, a, b) => {
    if (format === 'half') return otherwise(s, format, a, b);
    const result = s.let(toBits(floatBinary(name, toFloat(a), toFloat(b))));
    return chosen(s, and(isPlain(s), isOrdinary(format, result)), result, () => otherwise(s, format, a, b));
  };
}

export const add = arithmetic('add');
export const sub = arithmetic('sub');
export const mul = arithmetic('mul');
export const div = arithmetic('div');

export function sqrt(s: Stage, format: Format, a: Int): Int {
  if (format === 'half') return exact.sqrt(s, format, a);
  const result = s.let(toBits(floatUnary('sqrt', toFloat(a))));
  return chosen(s, and(isPlain(s), isOrdinary(format, result)), result, () => exact.sqrt(s, format, a));
}

function extremum(name: 'max' | 'min', otherwise: Binary): Binary {
  return (s, format, a, b) => {
    if (format === 'half') return otherwise(s, format, a, b);
    const result = s.let(toBits(floatBinary(name, toFloat(a), toFloat(b))));
    const isNumber = floatCompare('eq', toFloat(result), toFloat(result));
    return chosen(s, and(isNumber, isNotFlushing(s)), result, () => otherwise(s, format, a, b));
  };
}

export const max = extremum('max', exact.max);
export const min = extremum('min', exact.min);
export const maxNum = extremum('max', exact.maxNum);
export const minNum = extremum('min', exact.minNum);

/** addend + a × b. */
export function mulAdd(s: Stage, format: Format, addend: Int, a: Int, b: Int): Int {
  const otherwise = (): Int => exact.mulAdd(s, format, addend, a, b);
  if (format !== 'single') return otherwise();
  // The product of two singles is exact in double precision. Rounding the sum twice is rounding it once, unless the
  // first time ends half way between two singles.
  const wide = (x: Int): F64 => promote(toFloat(x) as F32);
  const sum = s.let(floatBinary('add', floatBinary('mul', wide(a), wide(b)), wide(addend)));
  const low = i32(0x1fff_ffff);
  const isHalfWay = eq(and(wrap(i64FromF64Bits(sum)), low), i32(0x1000_0000));
  const result = s.let(i32FromF32Bits(demote(sum)));
  const stands = and(and(isPlain(s), eqz(isHalfWay)), isOrdinary(format, result));
  return chosen(s, stands, result, otherwise);
}

// ---- comparisons

export function compareNzcv(s: Stage, format: Format, a: Int, b: Int, signalsQuiet: I32): I32 {
  const otherwise = (): I32 => exact.compareNzcv(s, format, a, b, signalsQuiet);
  if (format === 'half') return otherwise();
  const is = (name: 'lt' | 'gt' | 'eq'): I32 => floatCompare(name, toFloat(a), toFloat(b));
  const nzcv = s.let(select(is('eq'), i32(0b0110), or(shl(is('lt'), i32(3)), shl(is('gt'), i32(1)))));
  // Zero where the operands are unordered.
  return s.ifValue(select(isNotFlushing(s), nzcv, i32(0)), () => nzcv, otherwise, 'i32');
}

// ---- conversions

const ROUNDINGS = { N: 'nearest', P: 'ceil', M: 'floor', Z: 'trunc', FPCR: 'nearest' } as const;

/** An integral value; of the roundings that FPCR selects, to nearest. */
function rounded(value: Float, rounding: Rounding): Float {
  if (rounding !== 'A') return floatUnary(ROUNDINGS[rounding], value);
  const whole = floatUnary('trunc', value);
  const distance = floatUnary('abs', floatBinary('sub', value, whole));
  const one = floatBinary('copysign', floatLike(value, 1), value);
  const isAway = floatCompare('ge', distance, floatLike(value, 0.5));
  return select<Float['type']>(isAway, floatBinary('add', whole, one), whole);
}

export function roundToIntegral(
  s: Stage,
  format: Format,
  a: Int,
  rounding: Rounding,
  signalsInexact: boolean,
): Int {
  const otherwise = (): Int => exact.roundToIntegral(s, format, a, rounding, signalsInexact);
  if (format === 'half') return otherwise();
  const result = s.let(toBits(rounded(toFloat(a), rounding)));
  const modes = rounding === 'FPCR' ? isNearestWithoutFlushing(s) : isNotFlushing(s);
  // Equal to itself, or to the operand: no NaN, and where that matters exact.
  const isFine = floatCompare('eq', toFloat(result), toFloat(signalsInexact ? a : result));
  return chosen(s, and(isFine, modes), result, otherwise);
}

/** 2^±n, for n that leave it a normal number. */
function powerOfTwo(format: Format, sign: 1 | -1, n: I32): Float {
  const { bias, fractionBits } = LAYOUT[format];
  const exponent = (sign === 1 ? plus : minus)(i32(bias), n);
  return format === 'double'
    ? f64FromBits(shl(extU(exponent), i64(fractionBits)))
    : f32FromBits(shl(exponent, i32(fractionBits)));
}

/** `isInteger`: there are no bits of fraction. */
export function toFixed(
  s: Stage,
  format: Format,
  a: Int,
  options: Fixed & { readonly rounding: Rounding; readonly isInteger: boolean },
): Int {
  const { fractionBits, isUnsigned, width, rounding, isInteger } = options;
  const otherwise = (): Int => exact.toFixed(s, format, a, options);
  if (format === 'half' || width === 16 || rounding === 'FPCR') return otherwise();
  const value = toFloat(a);
  // Exact, or infinite.
  const scaled = isInteger
    ? value
    : (s.let(floatBinary('mul', value, powerOfTwo(format, 1, fractionBits))) as Float);
  const whole = s.let(rounded(scaled, rounding)) as Float;
  const limit = 2 ** width;
  const isInRange = and(
    floatCompare('ge', whole, floatLike(whole, isUnsigned ? 0 : -limit / 2)),
    floatCompare('lt', whole, floatLike(whole, isUnsigned ? limit : limit / 2)),
  );
  const type = width === 64 ? 'i64' : 'i32';
  return s.ifValue(
    and(isInRange, isNotFlushing(s)),
    () => {
      s.if(floatCompare('ne', whole, scaled), () => {
        s.orFpsr(i32(FPSR.IXC));
      });
      return truncSat(type, whole, !isUnsigned);
    },
    otherwise,
    type,
  );
}

export function fromFixed(
  s: Stage,
  format: Format,
  a: Int,
  options: Fixed & { readonly isInteger: boolean },
): Int {
  const { fractionBits, isUnsigned, width, isInteger } = options;
  if (format === 'half' || width === 16) return exact.fromFixed(s, format, a, options);
  const converted = convertInteger(format === 'double' ? 'f64' : 'f32', a, !isUnsigned);
  // Scaling is exact: the least that there is, 2^−64, is a normal number.
  const scaled = isInteger ? converted : floatBinary('mul', converted, powerOfTwo(format, -1, fractionBits));
  const significant = LAYOUT[format].fractionBits + 1;
  if (width < significant) return toBits(scaled);
  const limit = intLike(a, 1);
  const shift = intLike(a, significant);
  const isShort = isUnsigned
    ? ltU(a, shl(limit, shift))
    : ltU(plus(a, shl(limit, shift)), shl(limit, plus(shift, limit)));
  return chosen(s, or(isPlain(s), isShort), s.let(toBits(scaled)), () =>
    exact.fromFixed(s, format, a, options),
  );
}

export function convert(s: Stage, from: Format, to: Format, a: Int): Int {
  const otherwise = (): Int => exact.convert(s, from, to, a);
  if (from === 'single' && to === 'double') {
    const value = toFloat(a) as F32;
    const stands = and(floatCompare('eq', value, value), isNotFlushing(s));
    return s.ifValue(stands, () => i64FromF64Bits(promote(value)), () => otherwise(), 'i64'); // prettier-ignore
  }
  if (from === 'double' && to === 'single') {
    const value = toFloat(a) as F64;
    const result = s.let(i32FromF32Bits(demote(value)));
    const isExact = floatCompare('eq', promote(f32FromBits(result)), value);
    return chosen(s, and(isOrdinary(to, result), or(isPlain(s), isExact)), result, otherwise);
  }
  return otherwise();
}
