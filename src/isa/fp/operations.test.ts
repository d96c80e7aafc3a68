/**
 * Operations against a reference that calculates with fractions of integers of any size, written from IEEE 754-2008 and
 * DDI0487 A1.5. `npm test -- oracle` compares whole instructions with QEMU.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { I32, I64, Int } from '../../wasm/expr.js';
import { i32, load, or } from '../../wasm/expr.js';
import { call } from '../../wasm/function-ref.js';
import { webAssembly } from '../../wasm/host.js';
import { ModuleBuilder } from '../../wasm/module-builder.js';
import { helperFunctions } from '../helper.js';
import { randomSource } from '../random-encoder.js';
import type { Stage } from '../stage.js';
import { isPlain } from './fast-path.js';
import type { Format, Rounding } from './format.js';
import { FPCR, FPSR, LAYOUT, infinity, quietBit, signBit } from './format.js';
import { isOrdinary } from './host.js';
import * as fp from './operations.js';

const FORMATS = ['half', 'single', 'double'] as const;
const RMODES = ['N', 'P', 'M', 'Z'] as const;

// ---- operations as functions

type Caller = Pick<Stage, 'call' | 'let' | 'fpcr' | 'fpsr'>;
/** Ignores the operands that it doesn't need. */
type Operation = (s: Caller, format: Format, a: Int, b: Int, c: Int) => Int;

const OPERATIONS = {
  add: fp.add,
  sub: fp.sub,
  mul: fp.mul,
  mulx: fp.mulx,
  div: fp.div,
  max: fp.max,
  min: fp.min,
  maxNum: fp.maxNum,
  minNum: fp.minNum,
  absDifference: fp.absDifference,
  recipStep: fp.recipStep,
  rsqrtStep: fp.rsqrtStep,
  mulAdd: fp.mulAdd,
  sqrt: fp.sqrt,
  recipEstimate: fp.recipEstimate,
  rsqrtEstimate: fp.rsqrtEstimate,
  recipExponent: fp.recipExponent,
  equal: fp.compareEqual,
  greaterEqual: fp.compareGreaterEqual,
  greater: fp.compareGreater,
  compareQuiet: (s, format, a, b) => fp.compareNzcv(s, format, a, b, i32(0)),
  compareSignalling: (s, format, a, b) => fp.compareNzcv(s, format, a, b, i32(1)),
  toHalf: (s, format, a) => (format === 'half' ? a : fp.convert(s, format, 'half', a)),
  toSingle: (s, format, a) => (format === 'single' ? a : fp.convert(s, format, 'single', a)),
  toDouble: (s, format, a) => (format === 'double' ? a : fp.convert(s, format, 'double', a)),
  toSingleOdd: (s, format, a) => (format === 'double' ? fp.convertRoundToOdd(s, a as I64) : a),
  recipEstimateUnsigned: (s, format, a) => (format === 'single' ? fp.recipEstimateUnsigned(s, a as I32) : a),
  rsqrtEstimateUnsigned: (s, format, a) => (format === 'single' ? fp.rsqrtEstimateUnsigned(s, a as I32) : a),
  toFixed: (s, format, a) =>
    fp.toFixed(s, format, a, { fractionBits: i32(3), isUnsigned: false, width: 16, rounding: 'FPCR' }),
  toUnsigned: (s, format, a) =>
    fp.toFixed(s, format, a, { fractionBits: i32(0), isUnsigned: true, width: 64, rounding: 'A' }),
  fromFixed: (s, format, a) =>
    fp.fromFixed(s, format, a, { fractionBits: i32(9), isUnsigned: false, width: LAYOUT[format].width }),
  fromUnsigned: (s, format, a) =>
    fp.fromFixed(s, format, a, { fractionBits: i32(0), isUnsigned: true, width: LAYOUT[format].width }),
  toIntegral: (s, format, a) => fp.roundToIntegral(s, format, a, 'FPCR', true),
  isPlain: (s) => isPlain(s),
  isOrdinary: (_, format, a) => isOrdinary(format, a),
  toIntegralAway: (s, format, a) => fp.roundToIntegral(s, format, a, 'A', false),
} as const satisfies Record<string, Operation>;
type Name = keyof typeof OPERATIONS;

const FPCR_AT = 0;
const FPSR_AT = 4;

type Call = (...operands: (number | bigint)[]) => number | bigint;

function instantiate(): { view: DataView; call: (name: Name, format: Format) => Call } {
  const mb = new ModuleBuilder();
  mb.importMemory('env', 'memory', 1);
  const fpcr = (): I32 => load('i32', i32(0), FPCR_AT);
  const fpsr = (): I32 => load('i32', i32(0), FPSR_AT);
  const functionOf = helperFunctions(mb, (fb) => ({
    fpcr,
    fpsr,
    orFpsr: (bits) => {
      fb.store('i32', i32(0), FPSR_AT, or(fpsr(), bits));
    },
  }));
  for (const [name, operation] of Object.entries<Operation>(OPERATIONS))
    for (const format of FORMATS) {
      let result: 'i32' | 'i64' = LAYOUT[format].type;
      if (/^(equal|greater|compare|is|toHalf|toSingle|toFixed)/.test(name)) result = 'i32';
      if (/^(toDouble|toUnsigned)/.test(name)) result = 'i64';
      const params = Array<'i32' | 'i64'>(3).fill(LAYOUT[format].type);
      const f = mb.function(`${name} ${format}`, params, result, (fb) => {
        const s: Caller = {
          fpcr,
          fpsr,
          let: (value) => fb.let(value),
          call: (helper, ...args) => fb.let(call(functionOf(helper), ...args)),
        };
        const [a, b, c] = params.map((type, i) => fb.get(fb.param(i, type)));
        assert.ok(a && b && c);
        fb.return(operation(s, format, a, b, c));
        fb.unreachable();
      });
      mb.export(`${name} ${format}`, f);
    }
  const memory = new webAssembly.Memory({ initial: 1, maximum: 0x1_0000 });
  const { exports } = new webAssembly.Instance(new webAssembly.Module(mb.build()), { env: { memory } });
  return {
    view: new DataView(memory.buffer),
    call: (name, format) => exports[`${name} ${format}`] as Call,
  };
}

const { view, call: callable } = instantiate();

interface Outcome {
  readonly bits: bigint;
  readonly flags: number;
}

function run(name: Name, format: Format, fpcr: number, operands: readonly bigint[], fpsr = 0): Outcome {
  view.setUint32(FPCR_AT, fpcr, true);
  view.setUint32(FPSR_AT, fpsr, true);
  const [a = 0n, b = 0n, c = 0n] = operands;
  const args = format === 'double' ? [a, b, c] : [a, b, c].map((x) => Number(BigInt.asIntN(32, x)));
  const result = callable(name, format)(...args);
  const bits = typeof result === 'bigint' ? BigInt.asUintN(64, result) : BigInt(result >>> 0);
  return { bits, flags: view.getUint32(FPSR_AT, true) };
}

// ---- the reference

/** A finite number: (−1)^negative × size / scale. */
interface Fraction {
  readonly negative: boolean;
  readonly size: bigint;
  readonly scale: bigint;
}

type Value = Fraction & {
  readonly kind: 'number' | 'infinity' | 'quiet' | 'signalling';
  readonly bits: bigint;
};

/** FPCR and the flags that are set on the way. */
interface Modes {
  readonly fpcr: number;
  flags: number;
}

const isOn = ({ fpcr }: Modes, bit: number): boolean => (fpcr & bit) !== 0;
const rmode = ({ fpcr }: Modes): Rounding => RMODES[(fpcr >> 22) & 3] ?? 'N';
const flushes = (modes: Modes, format: Format): boolean =>
  isOn(modes, format === 'half' ? FPCR.FZ16 : FPCR.FZ);
const power = (exponent: number): [bigint, bigint] =>
  exponent >= 0 ? [1n << BigInt(exponent), 1n] : [1n, 1n << BigInt(-exponent)];

function fraction(negative: boolean, size: bigint, scale = 1n): Fraction {
  return { negative, size, scale };
}

function decode(modes: Modes, format: Format, bits: bigint, isConversion = false): Value {
  const { fractionBits, bias, width } = LAYOUT[format];
  const negative = (bits & signBit(format)) !== 0n;
  const field = Number((bits >> BigInt(fractionBits)) & ((1n << BigInt(width - 1 - fractionBits)) - 1n));
  const low = bits & ((1n << BigInt(fractionBits)) - 1n);
  const isAlternative = isConversion && format === 'half' && isOn(modes, FPCR.AHP);
  if (field === 2 * bias + 1 && !isAlternative) {
    const kind = low === 0n ? 'infinity' : (bits & quietBit(format)) !== 0n ? 'quiet' : 'signalling';
    return { kind, ...fraction(negative, 0n), bits };
  }
  if (field === 0 && low !== 0n && flushes(modes, format) && !(isConversion && format === 'half')) {
    if (format !== 'half') modes.flags |= FPSR.IDC;
    return { kind: 'number', ...fraction(negative, 0n), bits };
  }
  const [up, down] = power(Math.max(field, 1) - bias - fractionBits);
  const size = field === 0 ? low : low | (1n << BigInt(fractionBits));
  return { kind: 'number', ...fraction(negative, size * up, down), bits };
}

const withSign = (format: Format, negative: boolean, bits: bigint): bigint =>
  negative ? signBit(format) | bits : bits;

/** The integer that `size / scale` rounds to, and whether they differ. */
function toInteger(
  { negative, size, scale }: Fraction,
  rounding: Rounding | 'odd',
): { whole: bigint; isInexact: boolean } {
  const whole = size / scale;
  const twice = 2n * (size % scale);
  const isInexact = twice !== 0n;
  const isUp = {
    N: twice > scale || (twice === scale && whole % 2n === 1n),
    A: twice >= scale,
    P: isInexact && !negative,
    M: isInexact && negative,
    odd: isInexact && whole % 2n === 0n,
    Z: false,
    FPCR: false,
  }[rounding];
  return { whole: whole + (isUp ? 1n : 0n), isInexact };
}

/** Where not zero. */
function rounded(
  modes: Modes,
  format: Format,
  value: Fraction,
  rounding: Rounding | 'odd',
  isConversion = false,
): bigint {
  const { fractionBits, bias } = LAYOUT[format];
  const { negative, size, scale } = value;
  let exponent = size.toString(2).length - scale.toString(2).length;
  const isBelow = (e: number): boolean => size * power(e)[1] < scale * power(e)[0];
  if (isBelow(exponent)) exponent--;
  const isTiny = exponent < 1 - bias;
  if (isTiny && flushes(modes, format) && !(isConversion && format === 'half')) {
    modes.flags |= FPSR.UFC;
    return withSign(format, negative, 0n);
  }
  const place = Math.max(exponent, 1 - bias) - fractionBits;
  const [up, down] = power(place);
  const { whole, isInexact } = toInteger(fraction(negative, size * down, scale * up), rounding);
  const isAlternative = isConversion && format === 'half' && isOn(modes, FPCR.AHP);
  const limit = isAlternative ? bias + 2 : bias + 1;
  if (whole * up >= down << BigInt(limit)) {
    if (isAlternative) {
      modes.flags |= FPSR.IOC;
      return withSign(format, negative, signBit(format) - 1n);
    }
    modes.flags |= FPSR.OFC | FPSR.IXC;
    const toInfinity = rounding === 'N' || rounding === (negative ? 'M' : 'P');
    return withSign(format, negative, infinity(format) - (toInfinity ? 0n : 1n));
  }
  if (isInexact) modes.flags |= FPSR.IXC | (isTiny ? FPSR.UFC : 0);
  const bits = whole + (BigInt(place + fractionBits + bias - 1) << BigInt(fractionBits));
  return withSign(format, negative, bits);
}

function invalid(modes: Modes, format: Format): bigint {
  modes.flags |= FPSR.IOC;
  return infinity(format) | quietBit(format);
}

/** The NaN that operands make, or none. */
function propagated(modes: Modes, format: Format, operands: readonly Value[]): bigint | undefined {
  const nan =
    operands.find(({ kind }) => kind === 'signalling') ?? operands.find(({ kind }) => kind === 'quiet');
  if (!nan) return undefined;
  if (nan.kind === 'signalling') modes.flags |= FPSR.IOC;
  return isOn(modes, FPCR.DN) ? infinity(format) | quietBit(format) : nan.bits | quietBit(format);
}

const isZero = ({ kind, size }: Value): boolean => kind === 'number' && size === 0n;
const signedSize = ({ negative, size }: Fraction): bigint => (negative ? -size : size);

/** (addend + a × b) / divisor. */
function fused(modes: Modes, format: Format, addend: Value, a: Value, b: Value, divisor = 1n): bigint {
  const negative = a.negative !== b.negative;
  const isInvalid = (a.kind === 'infinity' && isZero(b)) || (b.kind === 'infinity' && isZero(a));
  if (isInvalid && addend.kind === 'quiet') return invalid(modes, format);
  const nan = propagated(modes, format, [addend, a, b]);
  if (nan !== undefined) return nan;
  const isInfiniteProduct = a.kind === 'infinity' || b.kind === 'infinity';
  if (isInvalid || (isInfiniteProduct && addend.kind === 'infinity' && addend.negative !== negative))
    return invalid(modes, format);
  if (isInfiniteProduct) return withSign(format, negative, infinity(format));
  if (addend.kind === 'infinity') return withSign(format, addend.negative, infinity(format));
  const scale = addend.scale * a.scale * b.scale;
  const sum = signedSize(addend) * a.scale * b.scale + signedSize(a) * signedSize(b) * addend.scale;
  if (sum === 0n) {
    const isSame = isZero(addend) && addend.negative === negative;
    return withSign(format, isSame ? negative : rmode(modes) === 'M', 0n);
  }
  return rounded(modes, format, fraction(sum < 0n, sum < 0n ? -sum : sum, scale * divisor), rmode(modes));
}

function squareRoot(n: bigint): bigint {
  let low = 0n;
  let high = 1n << BigInt(n.toString(2).length);
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle * middle <= n) low = middle;
    else high = middle;
  }
  return low;
}

type Reference = (modes: Modes, format: Format, operands: readonly bigint[]) => bigint;

function binary(compute: (modes: Modes, format: Format, a: Value, b: Value) => bigint): Reference {
  return (modes, format, [x = 0n, y = 0n]) => {
    const [a, b] = [decode(modes, format, x), decode(modes, format, y)];
    return propagated(modes, format, [a, b]) ?? compute(modes, format, a, b);
  };
}

/** Positive where a > b, as numbers. */
function order(a: Value, b: Value): bigint {
  const size = (x: Value): bigint => signedSize(x.kind === 'infinity' ? { ...x, size: 1n << 3000n } : x);
  return size(a) * b.scale - size(b) * a.scale;
}

function extremum(isMax: boolean): Reference {
  return binary((_, format, a, b) => {
    const difference = order(a, b);
    const isFirst = difference === 0n ? a.negative !== isMax : difference > 0n === isMax;
    const { kind, negative, size, bits } = isFirst ? a : b;
    return kind === 'number' && size === 0n ? withSign(format, negative, 0n) : bits;
  });
}

function extremumOfNumbers(isMax: boolean): Reference {
  return (modes, format, [x = 0n, y = 0n]) => {
    const [a, b] = [decode(modes, format, x), decode(modes, format, y)];
    const loser = withSign(format, isMax, infinity(format));
    const [p, q] = [a.kind === 'quiet', b.kind === 'quiet'];
    return extremum(isMax)(modes, format, [p && !q ? loser : x, q && !p ? loser : y]);
  };
}

function comparison(signalsQuiet: boolean, result: (difference: bigint | undefined) => bigint): Reference {
  return (modes, format, [x = 0n, y = 0n]) => {
    const values = [decode(modes, format, x), decode(modes, format, y)] as const;
    const kinds = values.map(({ kind }) => kind);
    const isUnordered = kinds.includes('quiet') || kinds.includes('signalling');
    if (isUnordered && (signalsQuiet || kinds.includes('signalling'))) modes.flags |= FPSR.IOC;
    return result(isUnordered ? undefined : order(...values));
  };
}

const nzcv = (difference: bigint | undefined): bigint =>
  difference === undefined ? 0b0011n : difference === 0n ? 0b0110n : difference < 0n ? 0b1000n : 0b0010n;
const is = (test: (difference: bigint) => boolean) => (difference: bigint | undefined) =>
  difference !== undefined && test(difference) ? 1n : 0n;

const number = (size: bigint): Value => ({
  kind: 'number',
  ...fraction(false, size),
  bits: 0n,
});

function step(constant: bigint, divisor: bigint): Reference {
  return (modes, format, [x = 0n, y = 0n]) => {
    const a = decode(modes, format, x ^ signBit(format));
    const b = decode(modes, format, y);
    const isNearly = (a.kind === 'infinity' && isZero(b)) || (b.kind === 'infinity' && isZero(a));
    const factors = isNearly ? [number(0n), number(0n)] : [a, b];
    const [p = a, q = b] = factors;
    return propagated(modes, format, [a, b]) ?? fused(modes, format, number(constant), p, q, divisor);
  };
}

function multiplication(isExtended: boolean): Reference {
  return binary((modes, format, a, b) => {
    const negative = a.negative !== b.negative;
    if (isZero(a) || isZero(b)) {
      if (a.kind !== 'infinity' && b.kind !== 'infinity') return withSign(format, negative, 0n);
      return isExtended
        ? withSign(format, negative, BigInt(LAYOUT[format].bias + 1) << BigInt(LAYOUT[format].fractionBits))
        : invalid(modes, format);
    }
    // The sign of a zero product is not that of a sum.
    return fused(modes, format, number(0n), a, b);
  });
}

/** Rounds what `fused` doesn't know: operands are numbers or infinities. */
const division = binary((modes, format, a, b) => {
  const negative = a.negative !== b.negative;
  if ((isZero(a) && isZero(b)) || (a.kind === 'infinity' && b.kind === 'infinity'))
    return invalid(modes, format);
  if (isZero(b) && a.kind !== 'infinity') modes.flags |= FPSR.DZC;
  if (isZero(b) || a.kind === 'infinity') return withSign(format, negative, infinity(format));
  if (isZero(a) || b.kind === 'infinity') return withSign(format, negative, 0n);
  return rounded(modes, format, fraction(negative, a.size * b.scale, a.scale * b.size), rmode(modes));
});

const root: Reference = (modes, format, [x = 0n]) => {
  const a = decode(modes, format, x);
  const nan = propagated(modes, format, [a]);
  if (nan !== undefined) return nan;
  if (isZero(a)) return withSign(format, a.negative, 0n);
  if (a.negative) return invalid(modes, format);
  if (a.kind === 'infinity') return infinity(format);
  // Scales are powers of two. One more bit stands for all that the root has beyond these.
  const scale = 1n << 1300n;
  const square = (a.size * scale * scale) / a.scale;
  const whole = squareRoot(square);
  const rest = whole * whole === square ? 0n : 1n;
  return rounded(modes, format, fraction(false, 2n * whole + rest, 2n * scale), rmode(modes));
};

function conversion(to: Format, rounding?: 'odd'): Reference {
  return (modes, from, [x = 0n]) => {
    if (from === to || (rounding === 'odd' && from !== 'double')) return x;
    const a = decode(modes, from, x, true);
    const isAlternative = to === 'half' && isOn(modes, FPCR.AHP);
    if (a.kind === 'quiet' || a.kind === 'signalling') {
      if (a.kind === 'signalling' || isAlternative) modes.flags |= FPSR.IOC;
      if (isAlternative) return withSign(to, a.negative, 0n);
      if (isOn(modes, FPCR.DN)) return infinity(to) | quietBit(to);
      const distance = BigInt(LAYOUT[from].fractionBits - LAYOUT[to].fractionBits);
      const payload = (x & (quietBit(from) - 1n)) >> distance;
      return withSign(to, a.negative, infinity(to) | quietBit(to) | payload);
    }
    if (a.kind === 'infinity') {
      if (isAlternative) modes.flags |= FPSR.IOC;
      return withSign(to, a.negative, isAlternative ? signBit(to) - 1n : infinity(to));
    }
    if (isZero(a)) return withSign(to, a.negative, 0n);
    return rounded(modes, to, a, rounding ?? rmode(modes), true);
  };
}

function toFixed(fractionBits: bigint, low: bigint, high: bigint, rounding?: Rounding): Reference {
  return (modes, format, [x = 0n]) => {
    const a = decode(modes, format, x);
    const { whole, isInexact } = toInteger({ ...a, size: a.size << fractionBits }, rounding ?? rmode(modes));
    const exact = a.negative ? -whole : whole;
    const value =
      a.kind === 'number' ? exact : a.kind !== 'infinity' ? 0n : a.negative ? low - 1n : high + 1n;
    const saturated = value < low ? low : value > high ? high : value;
    if (saturated !== value || a.kind === 'quiet' || a.kind === 'signalling') modes.flags |= FPSR.IOC;
    else if (isInexact) modes.flags |= FPSR.IXC;
    return saturated;
  };
}

function fromFixed(fractionBits: bigint, isUnsigned: boolean): Reference {
  return (modes, format, [x = 0n]) => {
    const value = isUnsigned ? x : BigInt.asIntN(LAYOUT[format].width, x);
    if (value === 0n) return 0n;
    const size = value < 0n ? -value : value;
    return rounded(modes, format, fraction(value < 0n, size, 1n << fractionBits), rmode(modes));
  };
}

function integral(rounding: Rounding | undefined, signalsInexact: boolean): Reference {
  return (modes, format, [x = 0n]) => {
    const a = decode(modes, format, x);
    const nan = propagated(modes, format, [a]);
    if (nan !== undefined || a.kind === 'infinity') return nan ?? x;
    const { whole, isInexact } = toInteger(a, rounding ?? rmode(modes));
    if (isInexact && signalsInexact) modes.flags |= FPSR.IXC;
    if (whole === 0n) return withSign(format, a.negative, 0n);
    return rounded(modes, format, fraction(a.negative, whole), 'Z');
  };
}

const addition: Reference = (modes, format, [x = 0n, y = 0n]) => {
  const one = number(1n);
  const [a, b] = [decode(modes, format, x), decode(modes, format, y)];
  return propagated(modes, format, [a, b]) ?? fused(modes, format, a, b, one);
};
const subtraction: Reference = (modes, format, [x = 0n, y = 0n]) => {
  const b = decode({ fpcr: 0, flags: 0 }, format, y);
  const isNaN = b.kind === 'quiet' || b.kind === 'signalling';
  return addition(modes, format, [x, isNaN ? y : y ^ signBit(format)]);
};

// ---- estimates, DDI0487 J1.2.4: their values are given by these loops

/** RecipEstimate: 1 / `scaled`, 256 … 511 as 0.5 … 1. */
function recipEstimate(scaled: number): number {
  const reciprocal = Math.floor(2 ** 19 / (2 * scaled + 1));
  return (reciprocal + 1) >> 1;
}

/** RecipSqrtEstimate: the reciprocal of the root of `scaled`, 128 … 511 as 0.25 … 1. */
function rsqrtEstimate(scaled: number): number {
  const a = scaled < 256 ? 2 * scaled + 1 : 2 * (2 * (scaled >> 1) + 1);
  let b = 512;
  while (a * (b + 1) * (b + 1) < 2 ** 28) b++;
  return (b + 1) >> 1;
}

/** The greatest e for which 2^e is not above the number, and the number over 2^e, 256 for 1, as an integer. */
function scaledOf({ size, scale }: Fraction): { exponent: number; scaled: number } {
  let exponent = size.toString(2).length - scale.toString(2).length;
  if (size * power(exponent)[1] < scale * power(exponent)[0]) exponent--;
  const [up, down] = power(exponent - 8);
  return { exponent, scaled: Number((size * down) / (scale * up)) };
}

const estimateOfReciprocal: Reference = (modes, format, [x = 0n]) => {
  const a = decode(modes, format, x);
  const nan = propagated(modes, format, [a]);
  if (nan !== undefined) return nan;
  if (a.kind === 'infinity') return withSign(format, a.negative, 0n);
  if (isZero(a)) {
    modes.flags |= FPSR.DZC;
    return withSign(format, a.negative, infinity(format));
  }
  const { exponent, scaled } = scaledOf(a);
  const [up, down] = power(exponent + 9);
  // There are estimates down to 2^(−bias − 1); of smaller numbers, the reciprocal is too large.
  if (exponent < -LAYOUT[format].bias - 1)
    return rounded(modes, format, fraction(a.negative, 512n * down, up), rmode(modes));
  return rounded(modes, format, fraction(a.negative, BigInt(recipEstimate(scaled)) * down, up), 'Z');
};

const estimateOfRoot: Reference = (modes, format, [x = 0n]) => {
  const a = decode(modes, format, x);
  const nan = propagated(modes, format, [a]);
  if (nan !== undefined) return nan;
  if (isZero(a)) {
    modes.flags |= FPSR.DZC;
    return withSign(format, a.negative, infinity(format));
  }
  if (a.negative) return invalid(modes, format);
  if (a.kind === 'infinity') return 0n;
  const { exponent, scaled } = scaledOf(a);
  const estimate = rsqrtEstimate(exponent % 2 === 0 ? scaled >> 1 : scaled);
  const [up, down] = power(Math.floor((-1 - exponent) / 2) - 8);
  return rounded({ ...modes }, format, fraction(false, BigInt(estimate) * up, down), 'Z');
};

const exponentOfReciprocal: Reference = (modes, format, [x = 0n]) => {
  const nan = propagated(modes, format, [decode(modes, format, x)]);
  if (nan !== undefined) return nan;
  const lowest = 1n << BigInt(LAYOUT[format].fractionBits);
  const exponent = x & infinity(format);
  const result = exponent === 0n ? infinity(format) - lowest : infinity(format) - exponent;
  return withSign(format, (x & signBit(format)) !== 0n, result);
};

const REFERENCES: Partial<Record<Name, Reference>> = {
  recipEstimate: estimateOfReciprocal,
  rsqrtEstimate: estimateOfRoot,
  recipExponent: exponentOfReciprocal,
  add: addition,
  sub: subtraction,
  absDifference: (modes, format, operands) => subtraction(modes, format, operands) & ~signBit(format),
  mul: multiplication(false),
  mulx: multiplication(true),
  div: division,
  sqrt: root,
  mulAdd: (modes, format, operands) => {
    const [addend, a, b] = operands.map((x) => decode(modes, format, x));
    assert.ok(addend && a && b);
    return fused(modes, format, addend, a, b);
  },
  recipStep: step(2n, 1n),
  rsqrtStep: step(3n, 2n),
  max: extremum(true),
  min: extremum(false),
  maxNum: extremumOfNumbers(true),
  minNum: extremumOfNumbers(false),
  equal: comparison(
    false,
    is((difference) => difference === 0n),
  ),
  greaterEqual: comparison(
    true,
    is((difference) => difference >= 0n),
  ),
  greater: comparison(
    true,
    is((difference) => difference > 0n),
  ),
  compareQuiet: comparison(false, nzcv),
  compareSignalling: comparison(true, nzcv),
  toHalf: conversion('half'),
  toSingle: conversion('single'),
  toDouble: conversion('double'),
  toSingleOdd: conversion('single', 'odd'),
  toFixed: toFixed(3n, -0x8000n, 0x7fffn),
  toUnsigned: toFixed(0n, 0n, (1n << 64n) - 1n, 'A'),
  fromFixed: fromFixed(9n, false),
  fromUnsigned: fromFixed(0n, true),
  toIntegral: integral(undefined, true),
  toIntegralAway: integral('A', false),
};

// ---- tests

/** Bits that meet special cases often, alone and together. */
function operandsOf(format: Format, random: () => number): bigint[] {
  const { fractionBits, bias, width } = LAYOUT[format];
  const choose = <T>(...values: readonly [T, ...T[]]): T => values[random() % values.length] ?? values[0];
  const draw = (): bigint => {
    const near = [0, 1, 2, 2 * bias - 1, 2 * bias, 2 * bias + 1] as const;
    const exponent = choose(
      choose(...near),
      bias - 2 + (random() % 5),
      bias - fractionBits + (random() % (2 * fractionBits)),
      (bias >> 1) - 1 + (random() % 3),
      bias + (bias >> 1) - 1 + (random() % 3),
      random() % (2 * bias + 2),
    );
    const bits = (BigInt(random()) << 32n) | BigInt(random());
    const place = BigInt(random() % fractionBits);
    const low = choose(0n, 1n, -1n, -2n, 1n << place, -1n << place, bits << place, bits);
    const fractionPart = BigInt.asUintN(fractionBits, low);
    return withSign(format, random() % 2 === 0, (BigInt(exponent) << BigInt(fractionBits)) | fractionPart);
  };
  const first = draw();
  const related = (): bigint =>
    BigInt.asUintN(width, first ^ choose(0n, 1n, signBit(format), signBit(format) | 1n));
  const next = (): bigint => (random() % 4 === 0 ? related() : draw());
  return [first, next(), next()];
}

function modesOf(random: () => number): number {
  const bits = [FPCR.FZ16, FPCR.FZ, FPCR.DN, FPCR.AHP];
  return bits.reduce(
    (fpcr, bit) => fpcr | (random() % 3 === 0 ? bit : 0),
    (random() & 3) << FPCR.RMODE_SHIFT,
  );
}

/** A few hundred find most mistakes; V8A_FP_CASES for more. */
const CASES = Number(process.env['V8A_FP_CASES'] ?? 200);

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

for (const [name, reference] of Object.entries(REFERENCES) as [Name, Reference][])
  void test(`${name} is exact arithmetic, rounded once, with all flags (IEEE 754-2008 4.3, 7; DDI0487 A1.5)`, () => {
    const random = randomSource(0xf9);
    for (const format of FORMATS)
      for (let i = 0; i < CASES; i++) {
        const operands = operandsOf(format, random);
        const fpcr = modesOf(random);
        // Whether IXC is set already decides how the result is found.
        const before = random() % 2 === 0 ? 0 : random() & (FPSR.IXC | FPSR.QC | FPSR.UFC);
        const modes: Modes = { fpcr, flags: before };
        const expected = reference(modes, format, operands);
        const { bits, flags } = run(name, format, fpcr, operands, before);
        assert.deepEqual(
          { bits: hex(bits), flags: hex(flags) },
          {
            bits: hex(name === 'toFixed' ? BigInt.asUintN(16, expected) : expected),
            flags: hex(modes.flags),
          },
          `${format} ${operands.map(hex).join(', ')} with FPCR ${hex(fpcr)}, FPSR ${hex(before)}`,
        );
      }
  });

void test("the host's arithmetic may stand in for the architecture's where no mode matters and IXC is set", () => {
  for (const [fpcr, fpsr, expected] of [
    [0, FPSR.IXC, 1n],
    [FPCR.DN | FPCR.AHP | FPCR.FZ16, FPSR.IXC | FPSR.IOC, 1n],
    [0, ~FPSR.IXC >>> 0, 0n],
    [FPCR.FZ, FPSR.IXC, 0n],
    ...[1, 2, 3].map((mode) => [mode << FPCR.RMODE_SHIFT, FPSR.IXC, 0n] as const),
  ] as const)
    assert.equal(run('isPlain', 'double', fpcr, [], fpsr).bits, expected, `${hex(fpcr)} ${hex(fpsr)}`);
});

void test('ordinary numbers are finite and above the least normal one', () => {
  for (const format of ['single', 'double'] as const) {
    const least = 1n << BigInt(LAYOUT[format].fractionBits);
    const cases: readonly [bigint, bigint][] = [
      [0n, 0n],
      [least - 1n, 0n],
      [least, 0n],
      [least + 1n, 1n],
      [infinity(format) - 1n, 1n],
      [infinity(format), 0n],
      [infinity(format) | quietBit(format), 0n],
      [signBit(format) - 1n, 0n],
    ];
    for (const [bits, expected] of cases)
      for (const negative of [false, true]) {
        const operand = withSign(format, negative, bits);
        assert.equal(run('isOrdinary', format, 0, [operand]).bits, expected, `${format} ${hex(operand)}`);
      }
  }
});

void test('URECPE and URSQRTE are the estimates of DDI0487 J1.2.4 for all operands that differ', () => {
  for (let scaled = 0; scaled < 512; scaled++)
    for (const below of [0, 1, 2 ** 23 - 1]) {
      const operand = BigInt(scaled) * 2n ** 23n + BigInt(below);
      const expect = (name: Name, least: number, estimate: (scaled: number) => number): void => {
        const expected = scaled < least ? 0xffff_ffffn : BigInt(estimate(scaled)) << 23n;
        assert.equal(hex(run(name, 'single', 0, [operand]).bits), hex(expected), `${name} ${hex(operand)}`);
      };
      expect('recipEstimateUnsigned', 256, recipEstimate);
      expect('rsqrtEstimateUnsigned', 128, rsqrtEstimate);
    }
});
