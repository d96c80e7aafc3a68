/** Helpers for estimates of reciprocals and their roots. DDI0487 J1.2.4 (shared/functions/float). */
import type { I32 } from '../../wasm/expr.js';
import {
  add, and, convert, divU, eqz, extU, f64, floatBinary, floatUnary, geU, i32, i64, ltS, ltU, ne, not, or, select,
  shl, shrS, shrU, sub, truncSat, wrap,
} from '../../wasm/expr.js'; // prettier-ignore
import type { Helper, HelperBody } from '../helper.js';
import { FPSR, LAYOUT, ROUNDING, hiddenBit, infinity, magnitude } from './format.js';
import {
  exponentField, flushBit, flushOperands, invalid, isInfinite, isNegative, isSet, isSpecial, isZero, operation,
  returnIfNaN, roundingMode, signOf, unpack,
} from './values.js'; // prettier-ignore

/** RecipEstimate: 256 … 511 for 2^17 / `scaled`, where `scaled` is 256 … 511. */
function recipEstimate(scaled: I32): I32 {
  const twice = add(shl(scaled, i32(1)), i32(1));
  return shrU(add(divU(i32(1 << 19), twice), i32(1)), i32(1));
}

/** RecipSqrtEstimate: 256 … 511 for the reciprocal of the root of `scaled`, which is 128 … 511. */
function rsqrtEstimate(body: HelperBody, scaled: I32): I32 {
  // Odd multiples of 1/1024 below a half, of 1/512 above.
  const below = add(shl(scaled, i32(1)), i32(1));
  const above = shl(or(scaled, i32(1)), i32(1));
  const a = body.fb.let(select(ltU(scaled, i32(256)), below, above));
  // The greatest b with a × b² < 2^28.
  const square = floatBinary('div', f64(2 ** 28 - 1), convert('f64', a, false));
  const b = truncSat('i32', floatUnary('sqrt', square), false);
  return shrU(add(b, i32(1)), i32(1));
}

/** FPRecipEstimate. */
export const recipEstimateHelper = operation('recip estimate', 1, (body, format, [a], finish) => {
  const { fb } = body;
  const { fractionBits, bias } = LAYOUT[format];
  flushOperands(body, format, a);
  const sign = fb.let(signOf(format, a.value));
  const negative = fb.let(isNegative(format, a.value));
  fb.if(isSpecial(format, a.value), () => {
    returnIfNaN(body, format, finish, a.value);
    finish(sign);
  });
  fb.if(isZero(format, a.value), () => {
    body.orFpsr(i32(FPSR.DZC));
    finish(or(sign, i64(infinity(format))));
  });
  // Less than 2^(minExponent − 2): the reciprocal is too large.
  fb.if(ltU(magnitude(format, a.value), i64(1n << BigInt(fractionBits - 2))), () => {
    body.orFpsr(i32(FPSR.OFC | FPSR.IXC));
    const rounding = fb.let(roundingMode(body));
    const toInfinity = or(
      eqz(rounding),
      and(ne(rounding, i32(ROUNDING.Z)), ne(select(negative, i32(ROUNDING.P), i32(ROUNDING.M)), rounding)),
    );
    finish(or(sign, sub(i64(infinity(format)), extU(eqz(toInfinity)))));
  });
  // From 2^(bias − 1) the reciprocal is denormalised.
  fb.if(
    and(
      isSet(body.fpcr(), flushBit(format)),
      geU(magnitude(format, a.value), i64(BigInt(2 * bias - 1) << BigInt(fractionBits))),
    ),
    () => {
      body.orFpsr(i32(FPSR.UFC));
      finish(sign);
    },
  );
  const { exponent, significand } = unpack(body, format, a.value);
  const estimate = extU(recipEstimate(wrap(shrU(significand.value, i64(55)))));
  // 256 … 511, with the highest bit for the hidden one; the exponent is at least −1.
  const field = fb.let(sub(i32(bias - 1), exponent.value));
  const aligned = fb.let(shl(estimate, i64(fractionBits - 8)));
  fb.if(ltS(field, i32(1)), () => {
    finish(or(sign, shrU(aligned, extU(sub(i32(1), field)))));
  });
  finish(or(sign, add(shl(extU(sub(field, i32(1))), i64(fractionBits)), aligned)));
});

/** FPRSqrtEstimate. */
export const rsqrtEstimateHelper = operation('rsqrt estimate', 1, (body, format, [a], finish) => {
  const { fb } = body;
  const { fractionBits, bias } = LAYOUT[format];
  flushOperands(body, format, a);
  returnIfNaN(body, format, finish, a.value);
  fb.if(isZero(format, a.value), () => {
    body.orFpsr(i32(FPSR.DZC));
    finish(or(a.value, i64(infinity(format))));
  });
  fb.if(isNegative(format, a.value), () => {
    finish(invalid(body, format));
  });
  fb.if(isInfinite(format, a.value), () => {
    finish(i64(0));
  });
  const { exponent, significand } = unpack(body, format, a.value);
  // Below a half for even exponents: 0.25 … 1 keeps the exponent's evenness.
  const isEven = eqz(and(exponent.value, i32(1)));
  const scaled = fb.let(wrap(shrU(significand.value, add(i64(55), extU(isEven)))));
  const estimate = extU(rsqrtEstimate(body, scaled));
  const half = shrS(sub(i32(-1), exponent.value), i32(1));
  const field = add(half, i32(bias));
  const fraction = shl(and(estimate, i64(255)), i64(fractionBits - 8));
  finish(or(shl(extU(field), i64(fractionBits)), fraction));
});

/** FPRecpX. */
export const recipExponentHelper = operation('recip exponent', 1, (body, format, [a], finish) => {
  // Flushing tells of a denormalised operand; the result is the same.
  flushOperands(body, format, a);
  returnIfNaN(body, format, finish, a.value);
  const exponents = i64(infinity(format));
  const field = exponentField(format, a.value);
  const greatest = i64(infinity(format) - hiddenBit(format));
  const complement = and(not(a.value), exponents);
  finish(or(signOf(format, a.value), select(field, complement, greatest)));
});

function unsignedEstimate(
  name: string,
  least: number,
  estimate: (body: HelperBody, scaled: I32) => I32,
): Helper<'i32'> {
  return {
    name,
    params: ['i32'],
    result: 'i32',
    build: (body, [param]) => {
      const { fb } = body;
      if (!param) return;
      const a = fb.get(param) as I32;
      fb.if(ltU(a, i32(least)), () => {
        fb.return(i32(-1));
      });
      fb.return(shl(estimate(body, shrU(a, i32(23))), i32(23)));
    },
  };
}

/** UnsignedRecipEstimate, for numbers from a half. */
export const recipEstimateUnsignedHelper = unsignedEstimate('recip estimate', 1 << 31, (_, scaled) =>
  recipEstimate(scaled),
);
/** UnsignedRSqrtEstimate, for numbers from a quarter. */
export const rsqrtEstimateUnsignedHelper = unsignedEstimate('rsqrt estimate', 1 << 30, rsqrtEstimate);
