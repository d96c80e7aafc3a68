/**
 * Floating point on vectors as WebAssembly does it: all elements at once, rounding to nearest, with denormalised numbers
 * and without flags. Such a result stands where no element would have needed more: FPCR asks for nothing else, no NaN
 * comes out, and no flag would be set but one that is set already.
 */
import type { I32, V128 } from '../../wasm/expr.js';
import { add, convert, extU, f32, f64, i32, i64, shl, sub, truncSat } from '../../wasm/expr.js';
import type { FunctionBuilder } from '../../wasm/function-builder.js';
import { bitselect, extractLane, shuffle, splat, vector } from '../../wasm/simd.js';
import type { Rounding } from './format.js';
import { LAYOUT } from './format.js';

/** Formats that WebAssembly has. */
export type FastFormat = 'single' | 'double';

interface FastResult {
  readonly value: V128;
  /** All ones in elements whose value stands. */
  readonly stands: V128;
  /** All ones in elements that set IXC. */
  readonly inexact?: V128;
}

/** As many operands as the operation has, then the first again. */
export type Operands<T> = readonly [T, T, T];

export interface FastPath {
  /** Rounds to nearest what FPCR.RMode rounds. */
  readonly isToNearest: boolean;
  /** Doesn't know whether it was exact: IXC must be set already. */
  readonly isMaybeInexact: boolean;
  /** `operands` and `fractionBits`, those of fixed-point numbers, may be used any number of times. */
  readonly compute: (
    fb: FunctionBuilder,
    format: FastFormat,
    operands: Operands<V128>,
    fractionBits: I32,
  ) => FastResult;
}

const ROUNDED = { isToNearest: true, isMaybeInexact: true } as const;
const EXACT = { isToNearest: false, isMaybeInexact: false } as const;

// ---- WebAssembly's operations by format

const SHAPE = { single: 'f32x4', double: 'f64x2' } as const;

type Binary = 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge';
type Unary = 'abs' | 'sqrt' | 'ceil' | 'floor' | 'trunc' | 'nearest';

function binary(name: Binary, format: FastFormat, a: V128, b: V128): V128 {
  return vector(`${SHAPE[format]}.${name}`, a, b);
}

function unary(name: Unary, format: FastFormat, a: V128): V128 {
  return vector(`${SHAPE[format]}.${name}`, a);
}

/** `value` in all elements. */
function each(format: FastFormat, value: number): V128 {
  return format === 'single' ? splat('f32x4.splat', f32(value)) : splat('f64x2.splat', f64(value));
}

const both = (a: V128, b: V128): V128 => vector('v128.and', a, b);
const either = (a: V128, b: V128): V128 => vector('v128.or', a, b);
const ALL = splat('i64x2.splat', i64(-1));

/** Bytes of the low half of a vector, then of that of the next. */
const LOW_HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23] as const;

// ---- what stands

const LIMITS = {
  single: { largest: (2 - 2 ** -23) * 2 ** 127, leastNormal: 2 ** -126 },
  double: { leastNormal: 2 ** -1022 },
} as const;

function isNumber(format: FastFormat, a: V128): V128 {
  return binary('eq', format, a, a);
}

function isFinite(format: FastFormat, a: V128): V128 {
  return binary('lt', format, unary('abs', format, a), each(format, Infinity));
}

function isZero(format: FastFormat, a: V128): V128 {
  return binary('eq', format, a, each(format, 0));
}

/** Above the least normal number, which too may have come out of an underflow by rounding. */
function isLarge(format: FastFormat, a: V128): V128 {
  return binary('gt', format, unary('abs', format, a), each(format, LIMITS[format].leastNormal));
}

/** Doubles that are zero, or ordinary singles when rounded. `a` may be used any number of times. */
function isSingle(a: V128): V128 {
  const { largest, leastNormal } = LIMITS.single;
  const size = unary('abs', 'double', a);
  const isInRange = both(
    binary('le', 'double', size, each('double', largest)),
    binary('gt', 'double', size, each('double', leastNormal)),
  );
  return either(isInRange, isZero('double', a));
}

type Stands = (format: FastFormat, value: V128, operands: Operands<V128>) => V128;

function path(
  kind: Pick<FastPath, 'isToNearest' | 'isMaybeInexact'>,
  compute: (format: FastFormat, operands: Operands<V128>) => V128,
  stands: Stands,
): FastPath {
  return {
    ...kind,
    compute: (fb, format, operands) => {
      const value = fb.let(compute(format, operands));
      return { value, stands: stands(format, value, operands) };
    },
  };
}

// ---- arithmetic

const arithmetic = (name: Binary, stands: Stands): FastPath =>
  path(ROUNDED, (format, [a, b]) => binary(name, format, a, b), stands);

/** A sum that is too small for full precision is exact. */
export const fastAdd = arithmetic('add', isFinite);
export const fastSub = arithmetic('sub', isFinite);
export const fastMul = arithmetic('mul', (format, value, [a, b]) =>
  both(isFinite(format, value), either(isLarge(format, value), either(isZero(format, a), isZero(format, b)))),
);
export const fastDiv = arithmetic('div', (format, value, [a]) =>
  both(isFinite(format, value), either(isLarge(format, value), isZero(format, a))),
);
export const fastAbsDifference = path(
  ROUNDED,
  (format, [a, b]) => unary('abs', format, binary('sub', format, a, b)),
  isFinite,
);
export const fastSqrt = path(ROUNDED, (format, [a]) => unary('sqrt', format, a), isFinite);

/** FMAXNM and FMINNM too: they differ where an operand is a NaN. */
export const fastMax = path(EXACT, (format, [a, b]) => binary('max', format, a, b), isNumber);
export const fastMin = path(EXACT, (format, [a, b]) => binary('min', format, a, b), isNumber);

const compared = (name: 'eq' | 'ge' | 'gt', operand: (format: FastFormat, a: V128) => V128): FastPath =>
  path(
    EXACT,
    (format, [a, b]) => binary(name, format, operand(format, a), operand(format, b)),
    (format, _, [a, b]) => both(isNumber(format, a), isNumber(format, b)),
  );

export const fastCompare = (name: 'eq' | 'ge' | 'gt'): FastPath => compared(name, (_, a) => a);
export const fastCompareAbsolute = (name: 'ge' | 'gt'): FastPath =>
  compared(name, (format, a) => unary('abs', format, a));

// ---- fused multiply and add

/** The high half of a vector in both halves. */
function highHalf(a: V128): V128 {
  return shuffle(a, a, [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]);
}

/** Bits of a double that a single lacks; the highest alone is half way between two singles. */
const BEYOND_SINGLE = (1n << 29n) - 1n;
const HALF_WAY = 1n << 28n;

/**
 * `scale` × (addend + `sign` × a × b) of singles, where the addend is the first operand unless it is a constant. As doubles the product is exact and the sum is rounded once; rounding it
 * again gives another number than rounding at once only if it lies half way between two.
 */
export const fastFused = (sign: 1 | -1, addend?: number, scale?: number): FastPath => ({
  ...ROUNDED,
  compute: (fb, _, [first, second, third]) => {
    const [a, b] = addend === undefined ? [second, third] : [first, second];
    const half = (take: (x: V128) => V128): FastResult => {
      const wide = (x: V128): V128 => vector('f64x2.promote_low_f32x4', take(x));
      const product = vector('f64x2.mul', wide(a), wide(b));
      const start = addend === undefined ? wide(first) : each('double', addend);
      const sum = vector(sign === 1 ? 'f64x2.add' : 'f64x2.sub', start, product);
      const value = fb.let(scale === undefined ? sum : vector('f64x2.mul', sum, each('double', scale)));
      const beyond = both(value, splat('i64x2.splat', i64(BEYOND_SINGLE)));
      const isClear = vector('i64x2.ne', beyond, splat('i64x2.splat', i64(HALF_WAY)));
      return { value: vector('f32x4.demote_f64x2_zero', value), stands: both(isSingle(value), isClear) };
    };
    const low = half((a) => a);
    const high = half(highHalf);
    return {
      value: shuffle(low.value, high.value, LOW_HALVES),
      stands: both(low.stands, high.stands),
    };
  },
});

// ---- rounding and conversion

const ROUNDINGS = { N: 'nearest', P: 'ceil', M: 'floor', Z: 'trunc', FPCR: 'nearest' } as const;

/** Integral values; of the roundings that FPCR selects, to nearest. `a` may be used any number of times. */
function rounded(fb: FunctionBuilder, format: FastFormat, rounding: Rounding, a: V128): V128 {
  if (rounding !== 'A') return unary(ROUNDINGS[rounding], format, a);
  const whole = fb.let(unary('trunc', format, a));
  const distance = unary('abs', format, binary('sub', format, a, whole));
  const one = bitselect(a, each(format, 1), each(format, -0));
  const further = both(one, binary('ge', format, distance, each(format, 0.5)));
  // A zero keeps its sign.
  return bitselect(a, binary('add', format, whole, further), each(format, -0));
}

export const fastRound = (rounding: Rounding, signalsInexact: boolean): FastPath => ({
  isToNearest: rounding === 'FPCR',
  isMaybeInexact: false,
  compute: (fb, format, [a]) => {
    const value = fb.let(rounded(fb, format, rounding, a));
    const result = { value, stands: isNumber(format, value) };
    return signalsInexact ? { ...result, inexact: binary('ne', format, value, a) } : result;
  },
});

/** 2^±`n` in all elements, for `n` that leave it a normal number. */
function powerOfTwo(format: FastFormat, sign: 1 | -1, n: I32): V128 {
  const { bias, fractionBits } = LAYOUT[format];
  const exponent = (sign === 1 ? add : sub)(i32(bias), n);
  return format === 'single'
    ? splat('i32x4.splat', shl(exponent, i32(fractionBits)))
    : splat('i64x2.splat', shl(extU(exponent), i64(fractionBits)));
}

/** Both doubles as integers, or both integers as doubles. */
function eachDouble(of: (lane: 0 | 1) => V128): V128 {
  return shuffle(of(0), of(1), LOW_HALVES);
}

/** To integers as wide as the format; with `isFixed`, scaled, which is exact or leaves the range. */
export const fastToInteger = (rounding: Rounding, isUnsigned: boolean, isFixed: boolean): FastPath => ({
  ...EXACT,
  compute: (fb, format, [a], fractionBits) => {
    const scaled = isFixed ? fb.let(binary('mul', format, a, powerOfTwo(format, 1, fractionBits))) : a;
    const whole = fb.let(rounded(fb, format, rounding, scaled));
    const limit = 2 ** LAYOUT[format].width;
    const [low, high] = isUnsigned ? [0, limit] : [-limit / 2, limit / 2];
    const toInteger = (lane: 0 | 1): V128 =>
      splat('i64x2.splat', truncSat('i64', extractLane('f64x2.extract_lane', whole, lane), !isUnsigned));
    return {
      value:
        format === 'single'
          ? vector(isUnsigned ? 'i32x4.trunc_sat_f32x4_u' : 'i32x4.trunc_sat_f32x4_s', whole)
          : eachDouble(toInteger),
      stands: both(
        binary('ge', format, whole, each(format, low)),
        binary('lt', format, whole, each(format, high)),
      ),
      inexact: binary('ne', format, whole, scaled),
    };
  },
});

/** From integers as wide as the format. Scaling is exact: the least number that it gives is a normal one. */
export const fastFromInteger = (isUnsigned: boolean, isFixed: boolean): FastPath => ({
  ...ROUNDED,
  compute: (_, format, [a], fractionBits) => {
    const toDouble = (lane: 0 | 1): V128 =>
      splat('f64x2.splat', convert('f64', extractLane('i64x2.extract_lane', a, lane), !isUnsigned));
    const value =
      format === 'single'
        ? vector(isUnsigned ? 'f32x4.convert_i32x4_u' : 'f32x4.convert_i32x4_s', a)
        : eachDouble(toDouble);
    return {
      value: isFixed ? binary('mul', format, value, powerOfTwo(format, -1, fractionBits)) : value,
      stands: ALL,
    };
  },
});

/** FCVTL from single, of the low half. */
export const fastLengthen = path(
  EXACT,
  (_, [a]) => vector('f64x2.promote_low_f32x4', a),
  (_, value) => isNumber('double', value),
);

/** FCVTN to single, in both halves. */
export const fastNarrow: FastPath = {
  ...ROUNDED,
  compute: (fb, _, [a]) => {
    const value = fb.let(vector('f32x4.demote_f64x2_zero', a));
    return { value: shuffle(value, value, LOW_HALVES), stands: isSingle(a) };
  },
};
