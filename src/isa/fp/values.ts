/**
 * What the helpers of floating point have in common: NaNs, flushing to zero, numbers taken apart, and rounding.
 *
 * A helper works on bits of any format as i64. A number that is neither zero, infinity nor NaN is taken apart into a
 * sign, an exponent e and a significand s with its highest bit at bit 63; it is s × 2^(e − 63). Where a significand has
 * lost bits, its lowest bit is one: that is all that rounding has to know of them.
 */
import type { Expr, I32, I64, Int, ValType } from '../../wasm/expr.js';
import {
  add, and, clz, eq, eqz, extU, geU, gtU, i32, i64, leS, ltS, ltU, ne, or, select, shl, shrU, sub, wrap,
} from '../../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder, Local } from '../../wasm/function-builder.js';
import type { Helper, HelperBody } from '../helper.js';
import type { Format } from './format.js';
import {
  FPCR, FPSR, LAYOUT, ROUNDING, defaultNaN, infinity, isNaN, isSignallingNaN, magnitude, minExponent, narrow, quiet, signBit,
  widen,
} from './format.js'; // prettier-ignore

/** A mutable value of a helper. */
export class Variable<T extends ValType> {
  readonly #fb: FunctionBuilder;
  readonly #local: Local<T>;

  constructor(fb: FunctionBuilder, initial: Expr<T>) {
    this.#fb = fb;
    this.#local = fb.local(initial.type);
    this.set(initial);
  }

  get value(): Expr<T> {
    return this.#fb.get(this.#local);
  }

  set(value: Expr<T>): void {
    this.#fb.set(this.#local, value);
  }
}

/** One value for each format, made when first asked for. */
export function perFormat<T>(make: (format: Format) => T): (format: Format) => T {
  const made = new Map<Format, T>();
  return (format) => {
    let value = made.get(format);
    if (value === undefined) {
      value = make(format);
      made.set(format, value);
    }
    return value;
  };
}

export function isSet(bits: I32, mask: number): I32 {
  return ne(and(bits, i32(mask)), i32(0));
}

/** The rounding that FPCR.RMode selects. */
export function roundingMode(body: HelperBody): I32 {
  return and(shrU(body.fpcr(), i32(FPCR.RMODE_SHIFT)), i32(3));
}

export function signOf(format: Format, bits: I64): I64 {
  return and(bits, i64(signBit(format)));
}

export function isNegative(format: Format, bits: I64): I32 {
  return ne(signOf(format, bits), i64(0));
}

export function isInfinite(format: Format, bits: I64): I32 {
  return eq(magnitude(format, bits), i64(infinity(format)));
}

export function isZero(format: Format, bits: I64): I32 {
  return eqz(magnitude(format, bits));
}

/** True for infinities and NaNs. */
export function isSpecial(format: Format, bits: I64): I32 {
  return geU(magnitude(format, bits), i64(infinity(format)));
}

/** `bits` with the sign of 1 (negative) or 0. */
export function signed(format: Format, negative: I32, bits: I64): I64 {
  return or(shl(extU(negative), i64(LAYOUT[format].width - 1)), bits);
}

// ---- NaNs

/** Invalid operation: IOC and the default NaN. */
export function invalid(body: HelperBody, format: Format): I64 {
  body.orFpsr(i32(FPSR.IOC));
  return i64(defaultNaN(format));
}

/** FPProcessNaNs and FPProcessNaNs3 of DDI0487 (J1.2.4), for operands of which at least one is a NaN. */
const processNaNsHelper = perFormat((format): Helper<'i64'> => ({
  name: `fp NaNs ${format}`,
  params: ['i64', 'i64', 'i64'],
  result: 'i64',
  build: (body, params) => {
    const { fb } = body;
    const [a, b, c] = params.map((local) => fb.get(local)) as [I64, I64, I64];
    const signallingA = fb.let(isSignallingNaN(format, a));
    const signallingB = fb.let(isSignallingNaN(format, b));
    const signallingC = fb.let(isSignallingNaN(format, c));
    fb.if(or(signallingA, or(signallingB, signallingC)), () => {
      body.orFpsr(i32(FPSR.IOC));
    });
    fb.if(isSet(body.fpcr(), FPCR.DN), () => {
      fb.return(i64(defaultNaN(format)));
    });
    const quietNaN = select(isNaN(format, a), a, select(isNaN(format, b), b, c));
    const nan = select(signallingA, a, select(signallingB, b, select(signallingC, c, quietNaN)));
    fb.return(quiet(format, nan));
  },
}));

/** Returns from the helper what becomes of NaN operands, if there are any. The first of them goes first. */
export function returnIfNaN(
  body: HelperBody,
  format: Format,
  finish: (bits: I64) => void,
  ...operands: I64[]
): void {
  const [a, b = a, c = b] = operands;
  if (!a || !b || !c) return;
  body.fb.if(
    operands.map((x) => isNaN(format, x)).reduce((x, y) => or(x, y)),
    () => {
      finish(body.call(processNaNsHelper(format), a, b, c));
    },
  );
}

// ---- flushing to zero

/** The bit of FPCR that flushes numbers of `format`. */
export function flushBit(format: Format): number {
  return format === 'half' ? FPCR.FZ16 : FPCR.FZ;
}

/** FPUnpack of DDI0487 where denormalised operands are flushed: half precision does not tell. */
const flushHelper = perFormat((format): Helper<'i64'> => ({
  name: `fp flush ${format}`,
  params: ['i64'],
  result: 'i64',
  build: (body, [param]) => {
    const { fb } = body;
    if (!param) return;
    const bits = fb.get(param) as I64;
    const size = fb.let(magnitude(format, bits));
    // One less than the magnitude: zero becomes the largest number.
    fb.if(ltU(sub(size, i64(1)), i64((1n << BigInt(LAYOUT[format].fractionBits)) - 1n)), () => {
      if (format !== 'half') body.orFpsr(i32(FPSR.IDC));
      fb.return(signOf(format, bits));
    });
    fb.return(bits);
  },
}));

/** Flushes operands to zero, if FPCR asks for it. */
export function flushOperands(
  body: HelperBody,
  format: Format,
  ...operands: readonly Variable<'i64'>[]
): void {
  body.fb.if(isSet(body.fpcr(), flushBit(format)), () => {
    for (const operand of operands) operand.set(body.call(flushHelper(format), operand.value));
  });
}

// ---- operations

type Operands<N extends 1 | 2 | 3> = {
  1: [Variable<'i64'>];
  2: [Variable<'i64'>, Variable<'i64'>];
  3: [Variable<'i64'>, Variable<'i64'>, Variable<'i64'>];
}[N];

/** The helpers, one for each format, that take `count` values of it and return one. `finish` returns. */
export function operation<N extends 1 | 2 | 3>(
  name: string,
  count: N,
  build: (body: HelperBody, format: Format, operands: Operands<N>, finish: (bits: I64) => void) => void,
): (format: Format) => Helper<'i32' | 'i64'> {
  return perFormat((format) => ({
    name: `fp ${name} ${format}`,
    params: Array<'i32' | 'i64'>(count).fill(LAYOUT[format].type),
    result: LAYOUT[format].type,
    build: (body, params) => {
      const { fb } = body;
      const operands = params.map((param) => new Variable(fb, widen(fb.get(param) as Int)));
      build(body, format, operands as Operands<N>, (bits) => {
        fb.return(narrow(format, bits));
      });
    },
  }));
}

// ---- numbers taken apart

export interface Unpacked {
  readonly exponent: Variable<'i32'>;
  readonly significand: Variable<'i64'>;
}

const TOP = i64(1n << 63n);

export function exponentField(format: Format, bits: I64): I32 {
  const { fractionBits, width } = LAYOUT[format];
  return and(wrap(shrU(bits, i64(fractionBits))), i32(2 ** (width - 1 - fractionBits) - 1));
}

/** Exponent and significand of a number; a zero has a significand of zero. */
export function unpack(body: HelperBody, format: Format, bits: I64): Unpacked {
  const { fb } = body;
  const { fractionBits, bias } = LAYOUT[format];
  const field = exponentField(format, bits);
  const exponent = new Variable(fb, field);
  // The exponent's lowest bit comes to lie where the hidden bit belongs, and is zero for denormalised numbers.
  const significand = new Variable(fb, shl(bits, i64(63 - fractionBits)));
  fb.if(
    exponent.value,
    () => {
      significand.set(or(significand.value, TOP));
      exponent.set(sub(exponent.value, i32(bias)));
    },
    () => {
      const zeros = fb.let(clz(significand.value));
      significand.set(shl(significand.value, zeros));
      exponent.set(sub(i32(minExponent(format)), wrap(zeros)));
    },
  );
  return { exponent, significand };
}

/** `x` shifted right, with the lowest bit set if a one was shifted out. `distance`, at least 0, is used twice. */
export function shiftRightSticky(fb: FunctionBuilder, x: I64, distance: I32): I64 {
  const far = i32(63);
  const by = fb.let(extU(select(leS(distance, far), distance, far)));
  const shifted = fb.let(shrU(x, by));
  return or(shifted, extU(ne(shl(shifted, by), x)));
}

// ---- rounding

/** What rounding may do: half precision as the result of a conversion follows other bits of FPCR. */
type RoundingTo = Format | 'converted half';

function roundHelper(to: RoundingTo): Helper<'i64'> {
  const format = to === 'converted half' ? 'half' : to;
  const { fractionBits, bias } = LAYOUT[format];
  const dropped = 63 - fractionBits;
  return {
    name: `fp round ${to}`,
    params: ['i32', 'i32', 'i64', 'i32'],
    result: 'i64',
    build: (body, params) => {
      const { fb } = body;
      const [negative, exponent, , rounding] = params.map((local) => fb.get(local)) as [I32, I32, I64, I32];
      const significand = new Variable(fb, fb.get(params[2] as Local<'i64'>));
      const biased = new Variable(fb, add(exponent, i32(bias)));
      const tiny = new Variable(fb, i32(0));
      const sign = fb.let(signed(format, negative, i64(0)));
      // Whether a number is too small is seen before it is rounded.
      fb.if(ltS(biased.value, i32(1)), () => {
        if (to !== 'converted half')
          fb.if(isSet(body.fpcr(), flushBit(format)), () => {
            body.orFpsr(i32(FPSR.UFC));
            fb.return(sign);
          });
        const distance = fb.let(sub(i32(1), biased.value));
        significand.set(shiftRightSticky(fb, significand.value, distance));
        biased.set(i32(1));
        tiny.set(i32(FPSR.UFC));
      });
      // The hidden bit adds one to the exponent, and so does the carry of rounding up.
      const whole = fb.let(shrU(significand.value, i64(dropped)));
      const rest = fb.let(and(significand.value, i64((1n << BigInt(dropped)) - 1n)));
      const truncated = fb.let(add(shl(extU(sub(biased.value, i32(1))), i64(fractionBits)), whole));
      const isInexact = fb.let(ne(rest, i64(0)));
      const half = i64(1n << BigInt(dropped - 1));
      const up = fb.let(
        select(
          eq(rounding, i32(ROUNDING.N)),
          gtU(add(rest, and(truncated, i64(1))), half),
          and(
            isInexact,
            or(
              and(eq(rounding, i32(ROUNDING.P)), eqz(negative)),
              and(eq(rounding, i32(ROUNDING.M)), negative),
            ),
          ),
        ),
      );
      const odd = and(eq(rounding, i32(ROUNDING.odd)), isInexact);
      const result = fb.let(or(add(truncated, extU(up)), extU(odd)));
      const overflow = (limit: bigint): void => {
        fb.if(geU(result, i64(limit)), () => {
          body.orFpsr(i32(FPSR.OFC | FPSR.IXC));
          const toInfinity = or(
            eq(rounding, i32(ROUNDING.N)),
            select(negative, eq(rounding, i32(ROUNDING.M)), eq(rounding, i32(ROUNDING.P))),
          );
          fb.return(or(sign, sub(i64(limit), extU(eqz(toInfinity)))));
        });
      };
      if (to === 'converted half')
        fb.if(
          isSet(body.fpcr(), FPCR.AHP),
          () => {
            // Without infinities: the largest number, and no more than an invalid operation.
            fb.if(geU(result, i64(signBit(format))), () => {
              body.orFpsr(i32(FPSR.IOC));
              fb.return(or(sign, i64(signBit(format) - 1n)));
            });
          },
          () => {
            overflow(infinity(format));
          },
        );
      else overflow(infinity(format));
      fb.if(isInexact, () => {
        body.orFpsr(or(tiny.value, i32(FPSR.IXC)));
      });
      fb.return(or(sign, result));
    },
  };
}

const roundTo = perFormat(roundHelper);
const roundToConvertedHalf = roundHelper('converted half');

/** FPRound of DDI0487: the number of `format`, with all flags. The significand is normalised. */
export function round(
  body: HelperBody,
  format: Format,
  negative: I32,
  exponent: I32,
  significand: I64,
  rounding: I32,
): I64 {
  return body.call(roundTo(format), negative, exponent, significand, rounding);
}

/** FPRoundCV of DDI0487, for results of conversions between formats. */
export function roundConverted(
  body: HelperBody,
  format: Format,
  negative: I32,
  exponent: I32,
  significand: I64,
  rounding: I32,
): I64 {
  const helper = format === 'half' ? roundToConvertedHalf : roundTo(format);
  return body.call(helper, negative, exponent, significand, rounding);
}
