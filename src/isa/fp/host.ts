/**
 * The host's arithmetic, that is WebAssembly's: it rounds to nearest, flushes nothing, and tells nothing. Where it may
 * stand in for the architecture's.
 */
import type { F32, F64, Float, I32, I64, Int } from '../../wasm/expr.js';
import {
  add, and, ctz, eqz, f32FromBits, f64FromBits, floatBinary, floatCompare, floatUnary, geU, i32,
  i32FromF32Bits, i64, i64FromF64Bits, intLike, ltU, or, promote, shl, sub,
} from '../../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder } from '../../wasm/function-builder.js';
import type { HelperBody } from '../helper.js';
import type { Format } from './format.js';
import { FPCR, FPSR, constant, hiddenBit, infinity, narrow, widen } from './format.js';
import { isSet, isZero } from './values.js';

export function toFloat(bits: Int): Float {
  return bits.type === 'i64' ? f64FromBits(bits) : f32FromBits(bits);
}

export function toBits(value: Float): Int {
  return value.type === 'f64' ? i64FromF64Bits(value) : i32FromF32Bits(value);
}

/** 1 for finite numbers above the least normal one: no NaN, no overflow, and never too small before rounding. */
export function isOrdinary(format: Format, bits: Int): I32 {
  const least = 2n * (hiddenBit(format) + 1n);
  const sizes = sub(shl(bits, intLike(bits, 1)), constant(format, least));
  return ltU(sizes, constant(format, 2n * infinity(format) - least));
}

function isDenormalised(format: Format, bits: Int): I32 {
  // One less than twice the magnitude: zero becomes the largest number.
  const size = sub(shl(bits, intLike(bits, 1)), intLike(bits, 1));
  return ltU(size, constant(format, 2n * hiddenBit(format) - 1n));
}

// ---- results that a helper need not compute

/** An operation of the host. Operands are used several times; that of a root is both of them. */
export interface HostOperation {
  readonly compute: (a: Float, b: Float) => Float;
  /** 1 only where an ordinary result is exact. */
  readonly isExact: (fb: FunctionBuilder, a: Float, b: Float, result: Float) => I32;
  /** 1 only where a result of zero is exact. */
  readonly isZeroExact: (format: Format, a: I64, b: I64) => I32;
}

/** Zeros below the lowest one of the significand. */
function zerosBelow(x: F64): I64 {
  return ctz(or(i64FromF64Bits(x), i64(hiddenBit('double'))));
}

/** 1 where `product` is that of `a` and `b`; of doubles, only where it is short for a reason that is easily seen. */
function isProduct(a: Float, b: Float, product: Float): I32 {
  if (a.type === 'f64')
    return and(
      geU(add(zerosBelow(a), zerosBelow(b as F64)), i64(53)),
      floatCompare('eq', floatBinary('mul', a, b as F64), product as F64),
    );
  const wide = (x: Float): F64 => promote(x as F32);
  return floatCompare('eq', floatBinary('mul', wide(a), wide(b)), wide(product));
}

/** 1 where `sum` is that of `a` and `b`. Its error is found without another (Knuth's TwoSum). */
function isSum(fb: FunctionBuilder, a: Float, b: Float, sum: Float): I32 {
  const restB = fb.let<Float['type']>(floatBinary<Float>('sub', sum, a)) as Float;
  const restA = floatBinary<Float>('sub', sum, restB);
  const errorA = floatBinary<Float>('sub', a, restA);
  const errorB = floatBinary<Float>('sub', restB, b);
  return floatCompare<Float>('eq', errorA, errorB);
}

export const HOST = {
  add: {
    compute: (a, b) => floatBinary('add', a, b),
    isExact: isSum,
    isZeroExact: () => i32(1),
  },
  mul: {
    compute: (a, b) => floatBinary('mul', a, b),
    isExact: (_, a, b, result) => isProduct(a, b, result),
    isZeroExact: (format, a, b) => or(isZero(format, a), isZero(format, b)),
  },
  div: {
    compute: (a, b) => floatBinary('div', a, b),
    isExact: (_, a, b, result) => isProduct(result, b, a),
    isZeroExact: (format, a) => isZero(format, a),
  },
  sqrt: {
    compute: (a) => floatUnary('sqrt', a),
    isExact: (_, a, __, result) => isProduct(result, result, a),
    isZeroExact: () => i32(1),
  },
} as const satisfies Record<string, HostOperation>;

/**
 * Returns from a helper with the host's result, where that is the architecture's and sets no flag, other than perhaps
 * IXC that is set already.
 */
export function returnHostResult(
  body: HelperBody,
  format: Format,
  { compute, isExact, isZeroExact }: HostOperation,
  a: I64,
  b: I64,
  finish: (bits: I64) => void,
): void {
  if (format === 'half') return;
  const { fb } = body;
  const [x, y] = [toFloat(narrow(format, a)), toFloat(narrow(format, b))];
  const isFlushed = and(
    isSet(body.fpcr(), FPCR.FZ),
    or(isDenormalised(format, narrow(format, a)), isDenormalised(format, narrow(format, b))),
  );
  fb.if(eqz(or(isFlushed, isSet(body.fpcr(), FPCR.RMODE))), () => {
    const result = fb.let(toBits(compute(x, y)));
    const bits = fb.let(widen(result));
    fb.if(
      isOrdinary(format, result),
      () => {
        fb.if(isSet(body.fpsr(), FPSR.IXC), () => {
          finish(bits);
        });
        fb.if(isExact(fb, x, y, toFloat(result)), () => {
          finish(bits);
        });
      },
      () => {
        fb.if(and(isZero(format, bits), isZeroExact(format, a, b)), () => {
          finish(bits);
        });
      },
    );
  });
}
