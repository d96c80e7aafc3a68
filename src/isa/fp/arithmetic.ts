/** Helpers for sums, products, quotients, roots, maxima and comparisons. DDI0487 J1.2.4 (shared/functions/float). */
import type { F64, I32, I64 } from '../../wasm/expr.js';
import {
  add, and, clz, eq, eqz, extU, f64FromBits, floatBinary, floatUnary, geS, gtS, gtU, i32, i64, i64FromF64Bits, ltS, ltU,
  mul, ne, or, select, shl, shrS, shrU, sub, wrap, xor,
} from '../../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder } from '../../wasm/function-builder.js';
import type { Helper, HelperBody } from '../helper.js';
import type { Format } from './format.js';
import {
  FPSR, LAYOUT, ROUNDING, hiddenBit, infinity, isNaN, isSignallingNaN, magnitude, narrow, negate, one, widen,
} from './format.js'; // prettier-ignore
import { HOST, returnHostResult } from './host.js';
import {
  Variable, exponentField, flushOperands, invalid, isInfinite, isNegative, isSpecial, isZero, operation, perFormat,
  returnIfNaN, round, roundingMode, shiftRightSticky, signOf, signed, unpack,
} from './values.js'; // prettier-ignore

/** The sign of a sum that is exactly zero, of numbers of different signs. */
function signOfZeroSum(body: HelperBody): I32 {
  return eq(roundingMode(body), i32(ROUNDING.M));
}

function swap<T extends 'i32' | 'i64'>(fb: FunctionBuilder, a: Variable<T>, b: Variable<T>): void {
  const kept = fb.let(a.value);
  a.set(b.value);
  b.set(kept);
}

export const addHelper = operation('add', 2, (body, format, [a, b], finish) => {
  const { fb } = body;
  returnHostResult(body, format, HOST.add, a.value, b.value, finish);
  const { fractionBits, bias } = LAYOUT[format];
  flushOperands(body, format, a, b);
  const differ = fb.let(ne(signOf(format, a.value), signOf(format, b.value)));
  fb.if(or(isSpecial(format, a.value), isSpecial(format, b.value)), () => {
    returnIfNaN(body, format, finish, a.value, b.value);
    fb.if(and(differ, eq(magnitude(format, a.value), magnitude(format, b.value))), () => {
      finish(invalid(body, format));
    });
    finish(select(isInfinite(format, a.value), a.value, b.value));
  });
  fb.if(gtU(magnitude(format, b.value), magnitude(format, a.value)), () => {
    swap(fb, a, b);
  });
  // The highest bit is bit 62: room for a carry. Denormalised numbers have the exponent of the least normal one.
  const aligned = (bits: I64): { exponent: I32; significand: I64 } => {
    const field = fb.let(exponentField(format, bits));
    const isNormal = fb.let(ne(field, i32(0)));
    const fraction = and(bits, i64(hiddenBit(format) - 1n));
    const hidden = shl(extU(isNormal), i64(fractionBits));
    return {
      exponent: fb.let(or(field, eqz(isNormal))),
      significand: fb.let(shl(or(fraction, hidden), i64(62 - fractionBits))),
    };
  };
  const large = aligned(a.value);
  const small = aligned(b.value);
  const distance = sub(large.exponent, small.exponent);
  const addend = fb.let(shiftRightSticky(fb, small.significand, distance));
  const sum = fb.let(select(differ, sub(large.significand, addend), add(large.significand, addend)));
  fb.if(eqz(sum), () => {
    finish(signed(format, select(differ, signOfZeroSum(body), isNegative(format, a.value)), i64(0)));
  });
  const zeros = fb.let(clz(sum));
  const exponent = sub(add(large.exponent, i32(1 - bias)), wrap(zeros));
  finish(round(body, format, isNegative(format, a.value), exponent, shl(sum, zeros), roundingMode(body)));
});

/** The 128 bits of a product. */
function multiplyWide(fb: FunctionBuilder, a: I64, b: I64): { high: I64; low: I64 } {
  const low32 = (x: I64): I64 => and(x, i64(0xffff_ffff));
  const high32 = (x: I64): I64 => shrU(x, i64(32));
  const inner = fb.let(add(mul(high32(a), low32(b)), high32(mul(low32(a), low32(b)))));
  const middle = fb.let(add(mul(low32(a), high32(b)), low32(inner)));
  return {
    high: fb.let(add(add(mul(high32(a), high32(b)), high32(inner)), high32(middle))),
    low: fb.let(mul(a, b)),
  };
}

/** FPMul, and FPMulX, where infinity times zero is two. */
function multiplication(isExtended: boolean): (format: Format) => Helper<'i32' | 'i64'> {
  return operation(isExtended ? 'mulx' : 'mul', 2, (body, format, [a, b], finish) => {
    const { fb } = body;
    returnHostResult(body, format, HOST.mul, a.value, b.value, finish);
    flushOperands(body, format, a, b);
    const negative = fb.let(ne(signOf(format, a.value), signOf(format, b.value)));
    const isEitherZero = fb.let(or(isZero(format, a.value), isZero(format, b.value)));
    fb.if(or(isSpecial(format, a.value), isSpecial(format, b.value)), () => {
      returnIfNaN(body, format, finish, a.value, b.value);
      fb.if(isEitherZero, () => {
        finish(isExtended ? signed(format, negative, i64(two(format))) : invalid(body, format));
      });
      finish(signed(format, negative, i64(infinity(format))));
    });
    fb.if(isEitherZero, () => {
      finish(signed(format, negative, i64(0)));
    });
    const x = unpack(body, format, a.value);
    const y = unpack(body, format, b.value);
    const product = new Variable(fb, i64(0));
    if (format === 'double') {
      const { high, low } = multiplyWide(fb, x.significand.value, y.significand.value);
      product.set(or(high, extU(ne(low, i64(0)))));
    } else {
      // The lower halves are zero.
      product.set(mul(shrU(x.significand.value, i64(32)), shrU(y.significand.value, i64(32))));
    }
    const zeros = fb.let(clz(product.value));
    const exponent = sub(add(add(x.exponent.value, y.exponent.value), i32(1)), wrap(zeros));
    finish(round(body, format, negative, exponent, shl(product.value, zeros), roundingMode(body)));
  });
}

export const mulHelper = multiplication(false);
export const mulxHelper = multiplication(true);

/** 2.0. */
function two(format: Format): bigint {
  return one(format) + hiddenBit(format);
}

/** A significand as a double from 1 to 2. */
function mantissa(significand: I64): F64 {
  return f64FromBits(add(shrU(significand, i64(11)), i64(1022n << 52n)));
}

/** The 53 significant bits of a normal double, as an integer. */
function mantissaBits(bits: I64): I64 {
  return or(and(bits, i64((1n << 52n) - 1n)), i64(1n << 52n));
}

/**
 * A significand from its 53 bits rounded to nearest, and the difference between the exact value and them. Exact values
 * half way between two of those are none: neither quotients nor roots can be.
 */
function corrected(bits: I64, difference: I64): I64 {
  const whole = shl(bits, i64(11));
  return select(ltS(difference, i64(0)), sub(whole, i64(1)), or(whole, extU(ne(difference, i64(0)))));
}

export const divHelper = operation('div', 2, (body, format, [a, b], finish) => {
  const { fb } = body;
  returnHostResult(body, format, HOST.div, a.value, b.value, finish);
  flushOperands(body, format, a, b);
  const negative = fb.let(ne(signOf(format, a.value), signOf(format, b.value)));
  fb.if(or(isSpecial(format, a.value), isSpecial(format, b.value)), () => {
    returnIfNaN(body, format, finish, a.value, b.value);
    fb.if(eq(magnitude(format, a.value), magnitude(format, b.value)), () => {
      finish(invalid(body, format));
    });
    const result = select(isInfinite(format, a.value), i64(infinity(format)), i64(0));
    finish(signed(format, negative, result));
  });
  fb.if(isZero(format, b.value), () => {
    fb.if(isZero(format, a.value), () => {
      finish(invalid(body, format));
    });
    body.orFpsr(i32(FPSR.DZC));
    finish(signed(format, negative, i64(infinity(format))));
  });
  fb.if(isZero(format, a.value), () => {
    finish(signed(format, negative, i64(0)));
  });
  const x = unpack(body, format, a.value);
  const y = unpack(body, format, b.value);
  const quotient = fb.let(
    i64FromF64Bits(floatBinary('div', mantissa(x.significand.value), mantissa(y.significand.value))),
  );
  const bits = fb.let(mantissaBits(quotient));
  const isBelowOne = fb.let(ltU(quotient, i64(1023n << 52n)));
  // The remainder is small: what is lost above bit 63 cancels.
  const dividend = shl(shrU(x.significand.value, i64(11)), add(extU(isBelowOne), i64(52)));
  const remainder = fb.let(sub(dividend, mul(bits, shrU(y.significand.value, i64(11)))));
  const exponent = sub(sub(x.exponent.value, y.exponent.value), isBelowOne);
  finish(round(body, format, negative, exponent, corrected(bits, remainder), roundingMode(body)));
});

export const sqrtHelper = operation('sqrt', 1, (body, format, [a], finish) => {
  const { fb } = body;
  returnHostResult(body, format, HOST.sqrt, a.value, a.value, finish);
  flushOperands(body, format, a);
  fb.if(isZero(format, a.value), () => {
    finish(a.value);
  });
  fb.if(or(isSpecial(format, a.value), isNegative(format, a.value)), () => {
    returnIfNaN(body, format, finish, a.value);
    fb.if(isNegative(format, a.value), () => {
      finish(invalid(body, format));
    });
    finish(a.value);
  });
  const { exponent, significand } = unpack(body, format, a.value);
  // From 1 to 4, so that an even exponent remains.
  const odd = fb.let(extU(and(exponent.value, i32(1))));
  const radicand = add(i64FromF64Bits(mantissa(significand.value)), shl(odd, i64(52)));
  const root = fb.let(mantissaBits(i64FromF64Bits(floatUnary('sqrt', f64FromBits(radicand)))));
  const square = shl(shrU(significand.value, i64(11)), add(odd, i64(52)));
  const remainder = fb.let(sub(square, mul(root, root)));
  const half = shrS(exponent.value, i32(1));
  finish(round(body, format, i32(0), half, corrected(root, remainder), roundingMode(body)));
});

// ---- fused multiplication and addition

/** A number of 128 bits, highest bit 126; times 2^(exponent − 126). */
interface Wide {
  readonly high: Variable<'i64'>;
  readonly low: Variable<'i64'>;
  readonly exponent: Variable<'i32'>;
}

/** Shifts right by `distance`, at least 0, with the lowest bit set if a one was shifted out. */
function shiftWideSticky(fb: FunctionBuilder, { high, low }: Wide, distance: Variable<'i32'>): void {
  fb.if(geS(distance.value, i32(64)), () => {
    low.set(or(high.value, extU(ne(low.value, i64(0)))));
    high.set(i64(0));
    distance.set(sub(distance.value, i32(64)));
  });
  fb.if(geS(distance.value, i32(64)), () => {
    // Bit 63 is zero.
    distance.set(i32(63));
    low.set(or(shrU(low.value, i64(1)), and(low.value, i64(1))));
  });
  fb.if(distance.value, () => {
    const by = fb.let(extU(distance.value));
    const up = fb.let(sub(i64(64), by));
    const lost = extU(ne(shl(low.value, up), i64(0)));
    low.set(or(or(shrU(low.value, by), shl(high.value, up)), lost));
    high.set(shrU(high.value, by));
  });
}

/**
 * (addend + a × b) / 2^halvings, rounded once. No operand is a NaN, and denormalised ones have been flushed where that
 * is wanted.
 */
const fusedHelper = perFormat((format): Helper<'i64'> => ({
  name: `fp fused ${format}`,
  params: ['i64', 'i64', 'i64', 'i32'],
  result: 'i64',
  build: (body, params) => {
    const { fb } = body;
    const [addend, a, b] = params.map((local) => fb.get(local)) as [I64, I64, I64];
    const halvings = params[3] ? (fb.get(params[3]) as I32) : i32(0);
    const negativeProduct = fb.let(ne(signOf(format, a), signOf(format, b)));
    const differ = fb.let(ne(negativeProduct, isNegative(format, addend)));
    const isInfiniteProduct = fb.let(or(isInfinite(format, a), isInfinite(format, b)));
    const isZeroProduct = fb.let(or(isZero(format, a), isZero(format, b)));
    fb.if(isInfiniteProduct, () => {
      fb.if(or(isZeroProduct, and(isInfinite(format, addend), differ)), () => {
        fb.return(invalid(body, format));
      });
      fb.return(signed(format, negativeProduct, i64(infinity(format))));
    });
    fb.if(isInfinite(format, addend), () => {
      fb.return(addend);
    });
    const term = unpack(body, format, addend);
    const finish = (negative: I32, exponent: I32, significand: I64): void => {
      const rounded = round(
          body, format, negative, sub(exponent, halvings), significand, roundingMode(body),
        ); // prettier-ignore
      fb.return(rounded);
    };
    fb.if(isZeroProduct, () => {
      fb.if(isZero(format, addend), () => {
        fb.return(signed(format, select(differ, signOfZeroSum(body), negativeProduct), i64(0)));
      });
      finish(isNegative(format, addend), term.exponent.value, term.significand.value);
    });
    const x = unpack(body, format, a);
    const y = unpack(body, format, b);
    const product = multiplyWide(fb, x.significand.value, y.significand.value);
    const hasTopBit = fb.let(shrU(product.high, i64(63)));
    // The lowest bits are zero: nothing is lost.
    const large: Wide = {
      high: new Variable(fb, shrU(product.high, hasTopBit)),
      low: new Variable(
        fb,
        select(wrap(hasTopBit), or(shrU(product.low, i64(1)), shl(product.high, i64(63))), product.low),
      ),
      exponent: new Variable(fb, add(add(x.exponent.value, y.exponent.value), wrap(hasTopBit))),
    };
    const small: Wide = {
      high: new Variable(fb, shrU(term.significand.value, i64(1))),
      low: new Variable(fb, i64(0)),
      exponent: term.exponent,
    };
    const negative = new Variable(fb, negativeProduct);
    const isSmaller = or(
      ltS(large.exponent.value, small.exponent.value),
      and(eq(large.exponent.value, small.exponent.value), ltU(large.high.value, small.high.value)),
    );
    fb.if(
      isZero(format, addend),
      () => {
        small.exponent.set(large.exponent.value);
      },
      () => {
        fb.if(isSmaller, () => {
          swap(fb, large.high, small.high);
          swap(fb, large.low, small.low);
          swap(fb, large.exponent, small.exponent);
          negative.set(isNegative(format, addend));
        });
      },
    );
    const distance = new Variable(fb, sub(large.exponent.value, small.exponent.value));
    shiftWideSticky(fb, small, distance);
    fb.if(
      differ,
      () => {
        const borrow = fb.let(extU(ltU(large.low.value, small.low.value)));
        large.low.set(sub(large.low.value, small.low.value));
        large.high.set(sub(sub(large.high.value, small.high.value), borrow));
      },
      () => {
        large.low.set(add(large.low.value, small.low.value));
        const carry = extU(ltU(large.low.value, small.low.value));
        large.high.set(add(add(large.high.value, small.high.value), carry));
      },
    );
    fb.if(eqz(large.high.value), () => {
      fb.if(eqz(large.low.value), () => {
        fb.return(signed(format, signOfZeroSum(body), i64(0)));
      });
      large.high.set(large.low.value);
      large.low.set(i64(0));
      large.exponent.set(sub(large.exponent.value, i32(64)));
    });
    const zeros = fb.let(clz(large.high.value));
    // By 64 in two steps: shifts are modulo 64.
    const carried = shrU(shrU(large.low.value, i64(1)), sub(i64(63), zeros));
    const rest = extU(ne(shl(large.low.value, zeros), i64(0)));
    finish(
      negative.value,
      sub(add(large.exponent.value, i32(1)), wrap(zeros)),
      or(or(shl(large.high.value, zeros), carried), rest),
    );
  },
}));

/** FPMulAdd: operands are the addend and the factors. */
export const mulAddHelper = operation('mul-add', 3, (body, format, [addend, a, b], finish) => {
  const { fb } = body;
  flushOperands(body, format, addend, a, b);
  const isAnySpecial = [addend, a, b].map((x) => isSpecial(format, x.value)).reduce((x, y) => or(x, y));
  fb.if(isAnySpecial, () => {
    const isInvalidProduct = or(
      and(isInfinite(format, a.value), isZero(format, b.value)),
      and(isZero(format, a.value), isInfinite(format, b.value)),
    );
    // A signalling addend propagates, with the same flag; a quiet one gives way to the default NaN.
    const isQuiet = and(isNaN(format, addend.value), eqz(isSignallingNaN(format, addend.value)));
    fb.if(and(isQuiet, isInvalidProduct), () => {
      finish(invalid(body, format));
    });
    returnIfNaN(body, format, finish, addend.value, a.value, b.value);
  });
  finish(body.call(fusedHelper(format), addend.value, a.value, b.value, i32(0)));
});

/** FPRecipStepFused (2 − a × b) and FPRSqrtStepFused ((3 − a × b) / 2). */
function step(
  name: string,
  constant: (format: Format) => bigint,
  halvings: number,
): (format: Format) => Helper<'i32' | 'i64'> {
  return operation(name, 2, (body, format, [a, b], finish) => {
    const { fb } = body;
    a.set(negate(format, a.value));
    flushOperands(body, format, a, b);
    fb.if(or(isSpecial(format, a.value), isSpecial(format, b.value)), () => {
      returnIfNaN(body, format, finish, a.value, b.value);
      fb.if(or(isZero(format, a.value), isZero(format, b.value)), () => {
        // As if the product were zero.
        const half = halvings === 0 ? 0n : hiddenBit(format);
        finish(i64(constant(format) - half));
      });
    });
    const addend = i64(constant(format));
    finish(body.call(fusedHelper(format), addend, a.value, b.value, i32(halvings)));
  });
}

export const recipStepHelper = step('recip step', two, 0);
/** 3.0 is 1.5 × 2. */
export const rsqrtStepHelper = step('rsqrt step', (format) => two(format) + (hiddenBit(format) >> 1n), 1);

// ---- maxima and comparisons

/** A number that orders like the value, with −0 below +0. */
function orderKey(fb: FunctionBuilder, format: Format, bits: I64): I64 {
  const high = fb.let(shl(bits, i64(64 - LAYOUT[format].width)));
  return xor(high, shrU(shrS(high, i64(63)), i64(1)));
}

function extremum(name: 'max' | 'min'): (format: Format) => Helper<'i32' | 'i64'> {
  return operation(name, 2, (body, format, [a, b], finish) => {
    const { fb } = body;
    flushOperands(body, format, a, b);
    returnIfNaN(body, format, finish, a.value, b.value);
    const isGreater = gtS(orderKey(fb, format, a.value), orderKey(fb, format, b.value));
    finish(name === 'max' ? select(isGreater, a.value, b.value) : select(isGreater, b.value, a.value));
  });
}

export const maxHelper = extremum('max');
export const minHelper = extremum('min');

/** FPMaxNum, FPMinNum: a quiet NaN beside something else is the infinity that loses. */
function extremumOfNumbers(name: 'max' | 'min'): (format: Format) => Helper<'i32' | 'i64'> {
  return operation(`${name} num`, 2, (body, format, [a, b], finish) => {
    const { fb } = body;
    const isQuiet = (x: I64): I32 => fb.let(and(isNaN(format, x), eqz(isSignallingNaN(format, x))));
    const isQuietA = isQuiet(a.value);
    const isQuietB = isQuiet(b.value);
    const loser = signed(format, i32(name === 'max' ? 1 : 0), i64(infinity(format)));
    fb.if(xor(isQuietA, isQuietB), () => {
      fb.if(
        isQuietA,
        () => {
          a.set(loser);
        },
        () => {
          b.set(loser);
        },
      );
    });
    const helper = (name === 'max' ? maxHelper : minHelper)(format);
    finish(widen(body.call(helper, narrow(format, a.value), narrow(format, b.value))));
  });
}

export const maxNumHelper = extremumOfNumbers('max');
export const minNumHelper = extremumOfNumbers('min');

/** FPCompare: NZCV of two values; the third parameter, 0 or 1, makes quiet NaNs an invalid operation too. */
export const compareHelper = perFormat((format): Helper<'i32'> => ({
  name: `fp compare ${format}`,
  params: [LAYOUT[format].type, LAYOUT[format].type, 'i32'],
  result: 'i32',
  build: (body, params) => {
    const { fb } = body;
    const [a, b] = params.slice(0, 2).map((p) => new Variable(fb, widen(fb.get(p) as I32 | I64))) as [
      Variable<'i64'>,
      Variable<'i64'>,
    ];
    const signalsQuiet = params[2] ? (fb.get(params[2]) as I32) : i32(0);
    flushOperands(body, format, a, b);
    fb.if(or(isNaN(format, a.value), isNaN(format, b.value)), () => {
      const isSignalling = or(isSignallingNaN(format, a.value), isSignallingNaN(format, b.value));
      fb.if(or(isSignalling, signalsQuiet), () => {
        body.orFpsr(i32(FPSR.IOC));
      });
      fb.return(i32(0b0011));
    });
    fb.if(or(eq(a.value, b.value), and(isZero(format, a.value), isZero(format, b.value))), () => {
      fb.return(i32(0b0110));
    });
    const isLess = ltS(orderKey(fb, format, a.value), orderKey(fb, format, b.value));
    fb.return(select(isLess, i32(0b1000), i32(0b0010)));
  },
}));
