/** Helpers for integers, integral values and conversions between formats. DDI0487 J1.2.4 (shared/functions/float). */
import type { I32, I64, Int } from '../../wasm/expr.js';
import {
  add, and, clz, eq, eqz, extU, geS, gtU, i32, i64, ne, or, select, shl, shrU, sub, wrap,
} from '../../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder } from '../../wasm/function-builder.js';
import type { Helper, HelperBody } from '../helper.js';
import type { Format } from './format.js';
import {
  FPCR, FPSR, LAYOUT, ROUNDING, defaultNaN, infinity, isNaN, isSignallingNaN, narrow, quietBit, signBit,
  widen,
} from './format.js'; // prettier-ignore
import type { Unpacked } from './values.js';
import {
  Variable, exponentField, flushOperands, isInfinite, isNegative, isSet, isSpecial, isZero, perFormat, returnIfNaN,
  round, roundConverted, roundingMode, signOf, signed, unpack,
} from './values.js'; // prettier-ignore

// ---- to integers

/** A magnitude that was rounded to an integer; it must be less than 2^64. */
interface Rounded {
  readonly whole: Variable<'i64'>;
  readonly isInexact: I32;
}

/** Rounds a number to an integer. Its exponent is less than 64. */
function roundToWhole(
  fb: FunctionBuilder,
  { exponent, significand }: Unpacked,
  negative: I32,
  rounding: I32,
): Rounded {
  const whole = new Variable(fb, i64(0));
  // The fraction as 64 bits, the lowest of them for all below.
  const rest = new Variable(fb, i64(1));
  fb.if(
    geS(exponent.value, i32(0)),
    () => {
      whole.set(shrU(significand.value, extU(sub(i32(63), exponent.value))));
      // By 64 in two steps: shifts are modulo 64.
      rest.set(shl(shl(significand.value, extU(exponent.value)), i64(1)));
    },
    () => {
      fb.if(eq(exponent.value, i32(-1)), () => {
        rest.set(significand.value);
      });
    },
  );
  const half = i64(1n << 63n);
  const isInexact = fb.let(ne(rest.value, i64(0)));
  const is = (name: keyof typeof ROUNDING): I32 => eq(rounding, i32(ROUNDING[name]));
  const nearestUp = or(
    gtU(rest.value, half),
    and(eq(rest.value, half), or(is('A'), wrap(and(whole.value, i64(1))))),
  );
  const directedUp = and(isInexact, select(negative, is('M'), is('P')));
  whole.set(add(whole.value, extU(select(or(is('N'), is('A')), nearestUp, directedUp))));
  return { whole, isInexact };
}

/** FPRoundInt: (value, rounding, whether it tells that it was inexact). */
export const roundToIntegralHelper = perFormat((format): Helper<'i32' | 'i64'> => {
  const { type, fractionBits, bias } = LAYOUT[format];
  return {
    name: `fp round to integral ${format}`,
    params: [type, 'i32', 'i32'],
    result: type,
    build: (body, params) => {
      const { fb } = body;
      const [param, rounding, signalsInexact] = params.map((local) => fb.get(local)) as [Int, I32, I32];
      const a = new Variable(fb, widen(param));
      const finish = (bits: I64): void => {
        fb.return(narrow(format, bits));
      };
      flushOperands(body, format, a);
      returnIfNaN(body, format, finish, a.value);
      const isIntegral = geS(exponentField(format, a.value), i32(bias + fractionBits));
      fb.if(or(isIntegral, isZero(format, a.value)), () => {
        finish(a.value);
      });
      const negative = fb.let(isNegative(format, a.value));
      const { whole, isInexact } = roundToWhole(fb, unpack(body, format, a.value), negative, rounding);
      fb.if(and(isInexact, signalsInexact), () => {
        body.orFpsr(i32(FPSR.IXC));
      });
      fb.if(eqz(whole.value), () => {
        finish(signOf(format, a.value));
      });
      const zeros = fb.let(clz(whole.value));
      const significand = shl(whole.value, zeros);
      finish(round(body, format, negative, sub(i32(63), wrap(zeros)), significand, i32(ROUNDING.Z)));
    },
  };
});

/**
 * FPToFixed: (value, bits of fraction, rounding, whether unsigned, width) to an integer of that width, in an i64 with
 * zeros above.
 */
export const toFixedHelper = perFormat((format): Helper<'i64'> => ({
  name: `fp to fixed ${format}`,
  params: [LAYOUT[format].type, 'i32', 'i32', 'i32', 'i32'],
  result: 'i64',
  build: (body, params) => {
    const { fb } = body;
    const [param, fractionBits, rounding, isUnsigned, width] = params.map((local) => fb.get(local)) as [
      Int,
      I32,
      I32,
      I32,
      I32,
    ];
    const a = new Variable(fb, widen(param));
    flushOperands(body, format, a);
    const ones = fb.let(shrU(i64(-1), extU(sub(i32(64), width))));
    fb.if(isNaN(format, a.value), () => {
      body.orFpsr(i32(FPSR.IOC));
      fb.return(i64(0));
    });
    fb.if(isZero(format, a.value), () => {
      fb.return(i64(0));
    });
    const negative = fb.let(isNegative(format, a.value));
    const number = unpack(body, format, a.value);
    number.exponent.set(add(number.exponent.value, fractionBits));
    // The limits of the magnitude: of a signed integer, half the range.
    const middle = fb.let(add(shrU(ones, i64(1)), i64(1)));
    const greatest = select(negative, middle, sub(middle, i64(1)));
    const limit = fb.let(select(isUnsigned, select(negative, i64(0), ones), greatest));
    const finish = (size: I64): void => {
      fb.return(and(select(negative, sub(i64(0), size), size), ones));
    };
    fb.if(or(isInfinite(format, a.value), geS(number.exponent.value, i32(64))), () => {
      body.orFpsr(i32(FPSR.IOC));
      finish(limit);
    });
    const { whole, isInexact } = roundToWhole(fb, number, negative, rounding);
    fb.if(gtU(whole.value, limit), () => {
      body.orFpsr(i32(FPSR.IOC));
      finish(limit);
    });
    fb.if(isInexact, () => {
      body.orFpsr(i32(FPSR.IXC));
    });
    finish(whole.value);
  },
}));

/** FixedToFP: (magnitude, whether negative, bits of fraction). */
export const fromFixedHelper = perFormat((format): Helper<'i32' | 'i64'> => ({
  name: `fp from fixed ${format}`,
  params: ['i64', 'i32', 'i32'],
  result: LAYOUT[format].type,
  build: (body, params) => {
    const { fb } = body;
    const [size, negative, fractionBits] = params.map((local) => fb.get(local)) as [I64, I32, I32];
    fb.if(eqz(size), () => {
      fb.return(narrow(format, i64(0)));
    });
    const zeros = fb.let(clz(size));
    const exponent = sub(sub(i32(63), wrap(zeros)), fractionBits);
    const result = round(body, format, negative, exponent, shl(size, zeros), roundingMode(body));
    fb.return(narrow(format, result));
  },
}));

// ---- between formats

/** FPConvert. `rounding` is FPCR's unless the instruction says otherwise. */
function conversion(
  name: string,
  from: Format,
  to: Format,
  rounding: (body: HelperBody) => I32,
): Helper<'i32' | 'i64'> {
  return {
    name: `fp convert ${name}`,
    params: [LAYOUT[from].type],
    result: LAYOUT[to].type,
    build: (body, [param]) => {
      const { fb } = body;
      if (!param) return;
      const a = new Variable(fb, widen(fb.get(param) as Int));
      const finish = (bits: I64): void => {
        fb.return(narrow(to, bits));
      };
      // Half precision is never flushed here.
      if (from !== 'half') flushOperands(body, from, a);
      const isAlternative = fb.let(isSet(body.fpcr(), FPCR.AHP));
      const negative = fb.let(isNegative(from, a.value));
      const convertSpecial = (): void => {
        fb.if(isNaN(from, a.value), () => {
          fb.if(isSignallingNaN(from, a.value), () => {
            body.orFpsr(i32(FPSR.IOC));
          });
          if (to === 'half')
            fb.if(isAlternative, () => {
              body.orFpsr(i32(FPSR.IOC));
              finish(signed(to, negative, i64(0)));
            });
          fb.if(isSet(body.fpcr(), FPCR.DN), () => {
            finish(i64(defaultNaN(to)));
          });
          const distance = LAYOUT[to].fractionBits - LAYOUT[from].fractionBits;
          const payload = and(a.value, i64(quietBit(from) - 1n));
          const moved = distance > 0 ? shl(payload, i64(distance)) : shrU(payload, i64(-distance));
          finish(signed(to, negative, or(i64(defaultNaN(to)), moved)));
        });
        if (to === 'half')
          fb.if(isAlternative, () => {
            body.orFpsr(i32(FPSR.IOC));
            finish(signed(to, negative, i64(signBit(to) - 1n)));
          });
        finish(signed(to, negative, i64(infinity(to))));
      };
      // Alternative half precision has numbers in place of infinities and NaNs.
      const isTaken =
        from === 'half' ? and(isSpecial(from, a.value), eqz(isAlternative)) : isSpecial(from, a.value);
      fb.if(isTaken, convertSpecial);
      fb.if(isZero(from, a.value), () => {
        finish(signed(to, negative, i64(0)));
      });
      const { exponent, significand } = unpack(body, from, a.value);
      finish(roundConverted(body, to, negative, exponent.value, significand.value, rounding(body)));
    },
  };
}

const conversionsFrom = perFormat((from) =>
  perFormat((to) => conversion(`${from} ${to}`, from, to, roundingMode)),
);

export function convertHelper(from: Format, to: Format): Helper<'i32' | 'i64'> {
  return conversionsFrom(from)(to);
}

/** FCVTXN: double to single, rounded to odd. */
export const convertRoundToOddHelper = conversion('to odd', 'double', 'single', () => i32(ROUNDING.odd));
