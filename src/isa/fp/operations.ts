/**
 * Floating-point operations for `exec`: each calls a helper, which does what FPCR says, NaNs included, and sets FPSR.
 * DDI0487 J1.2.4 (shared/functions/float).
 *
 * An operand may be an expression of any kind, unless its comment says that it is used twice: then it is a constant or a
 * result of `Stage.let`.
 */
import type { I32, I64, Int } from '../../wasm/expr.js';
import {
  and, eq, extS, extU, i32, i64, ltS, select, shrU, signExtend, sub as minus, wrap,
} from '../../wasm/expr.js'; // prettier-ignore
import type { Helper } from '../helper.js';
import type { Stage } from '../stage.js';
import {
  addHelper, compareHelper, divHelper, maxHelper, maxNumHelper, minHelper, minNumHelper, mulAddHelper, mulHelper,
  mulxHelper, recipStepHelper, rsqrtStepHelper, sqrtHelper,
} from './arithmetic.js'; // prettier-ignore
import {
  convertHelper, convertRoundToOddHelper, fromFixedHelper, roundToIntegralHelper, toFixedHelper,
} from './conversions.js'; // prettier-ignore
import {
  recipEstimateHelper, recipEstimateUnsignedHelper, recipExponentHelper, rsqrtEstimateHelper,
  rsqrtEstimateUnsignedHelper,
} from './estimates.js'; // prettier-ignore
import type { Format, Rounding } from './format.js';
import { FPCR, ROUNDING, isNaN, magnitude, negate } from './format.js';

/** What the operations need of a `Stage`. */
export type Caller = Pick<Stage, 'call' | 'let' | 'fpcr'>;

type Unary = (s: Caller, format: Format, a: Int) => Int;
type Binary = (s: Caller, format: Format, a: Int, b: Int) => Int;
type HelperOf = (format: Format) => Helper<'i32' | 'i64'>;

const unary =
  (helper: HelperOf): Unary =>
  (s, format, a) =>
    s.call(helper(format), a);
const binary =
  (helper: HelperOf): Binary =>
  (s, format, a, b) =>
    s.call(helper(format), a, b);

export const add = binary(addHelper);
/** `b` is used twice. */
export const sub: Binary = (s, format, a, b) =>
  // A NaN keeps its sign.
  add(s, format, a, select<'i32' | 'i64'>(isNaN(format, b), b, negate(format, b)));
export const mul = binary(mulHelper);
/** FMULX: infinity times zero is two. */
export const mulx = binary(mulxHelper);
export const div = binary(divHelper);
export const max = binary(maxHelper);
export const min = binary(minHelper);
/** FMAXNM: a number wins against a quiet NaN. */
export const maxNum = binary(maxNumHelper);
export const minNum = binary(minNumHelper);
/** FABD: the magnitude of a − b. `b` is used twice. */
export const absDifference: Binary = (s, format, a, b) => magnitude(format, sub(s, format, a, b));
/** FRECPS: 2 − a × b, rounded once. */
export const recipStep = binary(recipStepHelper);
/** FRSQRTS: (3 − a × b) / 2, rounded once. */
export const rsqrtStep = binary(rsqrtStepHelper);

/** addend + a × b, rounded once. Negate operands for the other fused instructions. */
export function mulAdd(s: Caller, format: Format, addend: Int, a: Int, b: Int): Int {
  return s.call(mulAddHelper(format), addend, a, b);
}

export const sqrt = unary(sqrtHelper);
/** FRECPE. */
export const recipEstimate = unary(recipEstimateHelper);
/** FRSQRTE. */
export const rsqrtEstimate = unary(rsqrtEstimateHelper);
/** FRECPX. */
export const recipExponent = unary(recipExponentHelper);

/** URECPE. */
export function recipEstimateUnsigned(s: Caller, a: I32): I32 {
  return s.call(recipEstimateUnsignedHelper, a);
}

/** URSQRTE. */
export function rsqrtEstimateUnsigned(s: Caller, a: I32): I32 {
  return s.call(rsqrtEstimateUnsignedHelper, a);
}

// ---- comparisons

/** NZCV of FCMP, or with `signalsQuiet` 1 of FCMPE, where quiet NaNs too are an invalid operation. */
export function compareNzcv(s: Caller, format: Format, a: Int, b: Int, signalsQuiet: I32): I32 {
  return s.call(compareHelper(format), a, b, signalsQuiet);
}

/** 1 where a = b. Of NaNs, only signalling ones are an invalid operation. */
export function compareEqual(s: Caller, format: Format, a: Int, b: Int): I32 {
  return eq(compareNzcv(s, format, a, b, i32(0)), i32(0b0110));
}

/** 1 where a ≥ b. */
export function compareGreaterEqual(s: Caller, format: Format, a: Int, b: Int): I32 {
  return eq(and(compareNzcv(s, format, a, b, i32(1)), i32(0b1011)), i32(0b0010));
}

/** 1 where a > b. */
export function compareGreater(s: Caller, format: Format, a: Int, b: Int): I32 {
  return eq(compareNzcv(s, format, a, b, i32(1)), i32(0b0010));
}

// ---- conversions

function roundingNumber(s: Caller, rounding: Rounding): I32 {
  return rounding === 'FPCR' ? and(shrU(s.fpcr(), i32(FPCR.RMODE_SHIFT)), i32(3)) : i32(ROUNDING[rounding]);
}

/** FRINT*. `signalsInexact` for FRINTX. */
export function roundToIntegral(
  s: Caller,
  format: Format,
  a: Int,
  rounding: Rounding,
  signalsInexact: boolean,
): Int {
  const exact = i32(signalsInexact ? 1 : 0);
  return s.call(roundToIntegralHelper(format), a, roundingNumber(s, rounding), exact);
}

export interface Fixed {
  /** 0 for integers. */
  readonly fractionBits: I32;
  readonly isUnsigned: boolean;
  /** Integers of 64 bits are i64; narrower ones are i32. */
  readonly width: 16 | 32 | 64;
}

/** FCVTZS and its kind, saturating. A result of 16 bits has zeros above. */
export function toFixed(
  s: Caller,
  format: Format,
  a: Int,
  { fractionBits, isUnsigned, width, rounding }: Fixed & { readonly rounding: Rounding },
): Int {
  const result = s.call(
    toFixedHelper(format), a, fractionBits, roundingNumber(s, rounding), i32(isUnsigned ? 1 : 0), i32(width),
  ); // prettier-ignore
  return width === 64 ? result : wrap(result);
}

/** SCVTF, UCVTF. Of an integer of 16 bits, those above don't count. */
export function fromFixed(
  s: Caller,
  format: Format,
  a: Int,
  { fractionBits, isUnsigned, width }: Fixed,
): Int {
  const helper = fromFixedHelper(format);
  if (isUnsigned) {
    const value = a.type === 'i64' ? a : extU(width === 16 ? and(a, i32(0xffff)) : a);
    return s.call(helper, value, i32(0), fractionBits);
  }
  const value = s.let(a.type === 'i64' ? a : extS(width === 16 ? signExtend(a, 16) : a));
  const negative = ltS(value, i64(0));
  return s.call(helper, select(negative, minus(i64(0), value), value), negative, fractionBits);
}

/** FCVT. `from` and `to` differ. */
export function convert(s: Caller, from: Format, to: Format, a: Int): Int {
  return s.call(convertHelper(from, to), a);
}

/** FCVTXN: double to single, rounded to odd. */
export function convertRoundToOdd(s: Caller, a: I64): I32 {
  return s.call(convertRoundToOddHelper, a) as I32;
}
