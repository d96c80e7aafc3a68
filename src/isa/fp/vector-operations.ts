/**
 * Operations of vector floating point: each for one element, and as a helper for all elements of a vector. The helper
 * takes the fast path where that stands, else the elements go one by one through operations.ts.
 *
 * A vector of 8 bytes is one of 16 with equal halves: whatever flags its elements set, they set them twice.
 */
import type { I32, I64, Int, V128, ValType } from '../../wasm/expr.js';
import { and, eqz, extU, i32, i64, not, or, sub } from '../../wasm/expr.js';
import type { Local } from '../../wasm/function-builder.js';
import { vectorTest } from '../../wasm/simd.js';
import type { Helper, HelperBody } from '../helper.js';
import type { Stage } from '../stage.js';
import * as scalar from './fast-path.js';
import type { FastPath, Operands } from './fast-vectors.js';
import {
  fastAbsDifference, fastAdd, fastCompare, fastCompareAbsolute, fastDiv, fastFromInteger, fastFused, fastLengthen,
  fastMax, fastMin, fastMul, fastNarrow, fastRound, fastSqrt, fastSub, fastToInteger,
} from './fast-vectors.js'; // prettier-ignore
import type { Format, Rounding } from './format.js';
import { FPCR, FPSR, LAYOUT, magnitude, negate } from './format.js';
import { eachElement } from './lanes.js';
import type { Caller } from './operations.js';
import * as exact from './operations.js';
import { perFormat } from './values.js';

/** Elements may be used any number of times. */
type Compute<S> = (s: S, format: Format, elements: Operands<Int>, fractionBits: I32) => Int;

export interface VectorOperation {
  readonly operands: 1 | 2 | 3;
  /** Of one element of each operand, used any number of times; `fractionBits` where the operation has it. */
  readonly element: (s: Stage, format: Format, elements: readonly Int[], fractionBits?: I32) => Int;
  /** Takes the operands, and `fractionBits` where the operation has it. */
  readonly vector: (format: Format) => Helper<'v128'>;
}

/** Missing operands are the first again. */
function filled<T>(operands: readonly T[]): Operands<T> {
  const [a, b = a, c = a] = operands;
  return [a, b, c] as Operands<T>;
}

/** Returns the fast path's result, if it stands. */
function tryFast(
  body: HelperBody,
  { isToNearest, isMaybeInexact, compute }: FastPath,
  format: Format,
  operands: readonly V128[],
  fractionBits: I32,
): void {
  if (format === 'half') return;
  const { fb } = body;
  const modes = and(body.fpcr(), i32(isToNearest ? FPCR.FZ | FPCR.RMODE : FPCR.FZ));
  const hindrance = isMaybeInexact ? or(modes, and(not(body.fpsr()), i32(FPSR.IXC))) : modes;
  fb.if(eqz(hindrance), () => {
    const { value, stands, inexact } = compute(fb, format, filled(operands), fractionBits);
    fb.if(vectorTest('i32x4.all_true', stands), () => {
      if (inexact)
        fb.if(vectorTest('v128.any_true', inexact), () => {
          body.orFpsr(i32(FPSR.IXC));
        });
      fb.return(value);
    });
  });
}

interface Definition {
  readonly name: string;
  readonly operands: 1 | 2 | 3;
  readonly hasFractionBits?: boolean;
  /** The format of results, where it is another. */
  readonly to?: (from: Format) => Format;
  readonly exact: Compute<Caller>;
  /** With a fast path, where one element alone is common. */
  readonly element?: Compute<Stage>;
  readonly fast?: FastPath;
  /** Formats of the fast path; both unless given. */
  readonly fastFormats?: readonly Format[];
}

function operation(definition: Definition): VectorOperation {
  const { name, operands, hasFractionBits = false, to = (from) => from, fast, fastFormats } = definition;
  const vector = perFormat((format): Helper<'v128'> => ({
    name: `fp vector ${name} ${format}`,
    params: [...Array<ValType>(operands).fill('v128'), ...(hasFractionBits ? (['i32'] as const) : [])],
    result: 'v128',
    build: (body, params) => {
      const { fb } = body;
      const vectors = params.slice(0, operands) as Local<'v128'>[];
      const last = params[operands] as Local<'i32'> | undefined;
      const fractionBits = last ? fb.get(last) : i32(0);
      if (fast && fastFormats?.includes(format) !== false)
          tryFast(body, fast, format, vectors.map((local) => fb.get(local)), fractionBits); // prettier-ignore
      const caller: Caller = {
        call: (helper, ...args) => body.call(helper, ...args),
        fpcr: () => body.fpcr(),
        let: (value) => fb.let(value),
      };
      const result = eachElement(body, { from: format, to: to(format) }, vectors, (elements) =>
        definition.exact(caller, format, filled(elements), fractionBits),
      );
      fb.return(result);
    },
  }));
  const compute: Compute<Stage> = definition.element ?? definition.exact;
  return {
    operands,
    element: (s, format, elements, fractionBits = i32(0)) =>
      compute(s, format, filled(elements), fractionBits),
    vector,
  };
}

// ---- arithmetic

type Binary = (s: Caller, format: Format, a: Int, b: Int) => Int;

function binary(
  name: string,
  compute: Binary,
  fast?: FastPath,
  fastFormats?: readonly Format[],
): VectorOperation {
  const exactly: Compute<Caller> = (s, format, [a, b]) => compute(s, format, a, b);
  const base = { name, operands: 2, exact: exactly } as const;
  return operation({ ...base, ...(fast && { fast }), ...(fastFormats && { fastFormats }) });
}

function unary(
  name: string,
  compute: (s: Caller, format: Format, a: Int) => Int,
  fast?: FastPath,
): VectorOperation {
  const exactly: Compute<Caller> = (s, format, [a]) => compute(s, format, a);
  return operation({ name, operands: 1, exact: exactly, ...(fast && { fast }) });
}

/** Operands are the addend and two factors. */
function fused(name: string, sign: 1 | -1): VectorOperation {
  const signed = (format: Format, a: Int): Int => (sign === 1 ? a : negate(format, a));
  return operation({
    name,
    operands: 3,
    exact: (s, format, [addend, a, b]) => exact.mulAdd(s, format, addend, signed(format, a), b),
    element: (s, format, [addend, a, b]) => scalar.mulAdd(s, format, addend, s.let(signed(format, a)), b),
    fast: fastFused(sign),
    fastFormats: ['single'],
  });
}

export const ADD = binary('add', exact.add, fastAdd);
export const SUB = binary('sub', exact.sub, fastSub);
export const MUL = binary('mul', exact.mul, fastMul);
export const MULX = binary('mulx', exact.mulx, fastMul);
export const DIV = binary('div', exact.div, fastDiv);
export const MAX = binary('max', exact.max, fastMax);
export const MIN = binary('min', exact.min, fastMin);
export const MAX_NUMBER = binary('maxnm', exact.maxNum, fastMax);
export const MIN_NUMBER = binary('minnm', exact.minNum, fastMin);
export const ABS_DIFFERENCE = binary('abd', exact.absDifference, fastAbsDifference);
export const MUL_ADD = fused('mla', 1);
export const MUL_SUB = fused('mls', -1);
export const RECIP_STEP = binary('recps', exact.recipStep, fastFused(-1, 2), ['single']);
export const RSQRT_STEP = binary('rsqrts', exact.rsqrtStep, fastFused(-1, 3, 0.5), ['single']);

export const SQRT = unary('sqrt', exact.sqrt, fastSqrt);
export const RECIP_ESTIMATE = unary('recpe', exact.recipEstimate);
export const RSQRT_ESTIMATE = unary('rsqrte', exact.rsqrtEstimate);
export const RECIP_EXPONENT = unary('recpx', exact.recipExponent);
/** URECPE and URSQRTE: of words, which are `single` by their size. */
export const RECIP_ESTIMATE_UNSIGNED = unary('urecpe', (s, _, a) => exact.recipEstimateUnsigned(s, a as I32));
export const RSQRT_ESTIMATE_UNSIGNED = unary('ursqrte', (s, _, a) =>
  exact.rsqrtEstimateUnsigned(s, a as I32),
);

// ---- comparisons

/** All ones where `compute` says 1. */
function mask(compute: (s: Caller, format: Format, a: Int, b: Int) => I32): Binary {
  return (s, format, a, b) => {
    const isTrue = compute(s, format, a, b);
    return format === 'double' ? sub(i64(0), extU(isTrue)) : sub(i32(0), isTrue);
  };
}

function ofMagnitudes(compute: Binary): Binary {
  return (s, format, a, b) => compute(s, format, magnitude(format, a), magnitude(format, b));
}

const greaterEqual = mask(exact.compareGreaterEqual);
const greater = mask(exact.compareGreater);

export const EQUAL = binary('cmeq', mask(exact.compareEqual), fastCompare('eq'));
export const GREATER_EQUAL = binary('cmge', greaterEqual, fastCompare('ge'));
export const GREATER = binary('cmgt', greater, fastCompare('gt'));
export const ABS_GREATER_EQUAL = binary('acge', ofMagnitudes(greaterEqual), fastCompareAbsolute('ge'));
export const ABS_GREATER = binary('acgt', ofMagnitudes(greater), fastCompareAbsolute('gt'));

// ---- rounding and conversions

/** FRINT*. */
export function roundToIntegral(rounding: Rounding, signalsInexact = false): VectorOperation {
  return unary(
    `rint ${rounding}${signalsInexact ? ' inexact' : ''}`,
    (s, format, a) => exact.roundToIntegral(s, format, a, rounding, signalsInexact),
    fastRound(rounding, signalsInexact),
  );
}

/** FCVTZS and its kind; `isFixed` has fraction bits. */
export function toInteger(rounding: Rounding, isUnsigned: boolean, isFixed: boolean): VectorOperation {
  return operation({
    name: `to ${isUnsigned ? 'unsigned' : 'signed'} ${isFixed ? 'fixed' : rounding}`,
    operands: 1,
    hasFractionBits: isFixed,
    exact: (s, format, [a], fractionBits) => {
      const { width } = LAYOUT[format];
      return exact.toFixed(s, format, a, { fractionBits, isUnsigned, rounding, width });
    },
    element: (s, format, [a], fractionBits) => {
      const { width } = LAYOUT[format];
      return scalar.toFixed(s, format, a, { fractionBits, isUnsigned, rounding, width, isInteger: !isFixed });
    },
    fast: fastToInteger(rounding, isUnsigned, isFixed),
  });
}

/** SCVTF and UCVTF; `isFixed` has fraction bits. */
export function fromInteger(isUnsigned: boolean, isFixed: boolean): VectorOperation {
  return operation({
    name: `from ${isUnsigned ? 'unsigned' : 'signed'}${isFixed ? ' fixed' : ''}`,
    operands: 1,
    hasFractionBits: isFixed,
    exact: (s, format, [a], fractionBits) => {
      const { width } = LAYOUT[format];
      return exact.fromFixed(s, format, a, { fractionBits, isUnsigned, width });
    },
    element: (s, format, [a], fractionBits) => {
      const { width } = LAYOUT[format];
      return scalar.fromFixed(s, format, a, { fractionBits, isUnsigned, width, isInteger: !isFixed });
    },
    fast: fastFromInteger(isUnsigned, isFixed),
  });
}

/** The format of twice the size. */
const LONGER = { half: 'single', single: 'double', double: 'double' } as const satisfies Record<
  Format,
  Format
>;
const NARROWER = { half: 'half', single: 'half', double: 'single' } as const satisfies Record<Format, Format>;

/** FCVTL: the low half of a vector. */
export const LENGTHEN = operation({
  name: 'cvtl',
  operands: 1,
  to: (from) => LONGER[from],
  exact: (s, from, [a]) => exact.convert(s, from, LONGER[from], a),
  fast: fastLengthen,
  fastFormats: ['single'],
});

/** FCVTN: both halves of the result are alike. */
export const NARROW = operation({
  name: 'cvtn',
  operands: 1,
  to: (from) => NARROWER[from],
  exact: (s, from, [a]) => exact.convert(s, from, NARROWER[from], a),
  fast: fastNarrow,
  fastFormats: ['double'],
});

/** FCVTXN, of doubles: both halves of the result are alike. */
export const NARROW_TO_ODD = operation({
  name: 'cvtxn',
  operands: 1,
  to: () => 'single',
  exact: (s, _, [a]) => exact.convertRoundToOdd(s, a as I64),
});
