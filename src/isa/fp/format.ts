/** Floating-point formats as bits, and the bits of FPCR and FPSR. DDI0487 A1.5 (formats), C5.2.8, C5.2.9. */
import type { I32, I64, Int } from '../../wasm/expr.js';
import { and, eqz, extU, gtU, i32, i64, or, wrap, xor } from '../../wasm/expr.js';

/** Values of `half` and `single` are i32 with zeros above, those of `double` i64. */
export type Format = 'half' | 'single' | 'double';

/** Rounding by name: nearest even, up, down, zero, nearest away, and the one that FPCR.RMode selects. */
export type Rounding = 'N' | 'P' | 'M' | 'Z' | 'A' | 'FPCR';

/** Numbers of roundings in generated code: FPCR.RMode's, and two that only instructions select. */
export const ROUNDING = { N: 0, P: 1, M: 2, Z: 3, A: 4, odd: 5 } as const;

export const FPCR = {
  FZ16: 1 << 19,
  RMODE_SHIFT: 22,
  RMODE: 3 << 22,
  FZ: 1 << 24,
  DN: 1 << 25,
  AHP: 1 << 26,
} as const;

/** Cumulative exceptions, and the saturation of Advanced SIMD. */
export const FPSR = { IOC: 1, DZC: 2, OFC: 4, UFC: 8, IXC: 16, IDC: 128, QC: 1 << 27 } as const;

interface Layout {
  readonly type: 'i32' | 'i64';
  readonly width: 16 | 32 | 64;
  readonly fractionBits: number;
  readonly bias: number;
}

export const LAYOUT: Readonly<Record<Format, Layout>> = {
  half: { type: 'i32', width: 16, fractionBits: 10, bias: 15 },
  single: { type: 'i32', width: 32, fractionBits: 23, bias: 127 },
  double: { type: 'i64', width: 64, fractionBits: 52, bias: 1023 },
};

/** Exponents of normal numbers go from `minExponent` to the bias. */
export function minExponent(format: Format): number {
  return 1 - LAYOUT[format].bias;
}

// ---- bit patterns

export const signBit = (format: Format): bigint => 1n << BigInt(LAYOUT[format].width - 1);
export const hiddenBit = (format: Format): bigint => 1n << BigInt(LAYOUT[format].fractionBits);
export const infinity = (format: Format): bigint => signBit(format) - hiddenBit(format);
export const quietBit = (format: Format): bigint => hiddenBit(format) >> 1n;
export const defaultNaN = (format: Format): bigint => infinity(format) | quietBit(format);
/** 1.0. */
export const one = (format: Format): bigint =>
  BigInt(LAYOUT[format].bias) << BigInt(LAYOUT[format].fractionBits);

/** A constant in the format's type. */
export function constant(format: Format, bits: bigint): Int {
  return LAYOUT[format].type === 'i64' ? i64(bits) : i32(Number(bits));
}

/** A constant to go with `a`, which may be in the format's type or widened. */
function constantLike<T extends Int>(a: T, bits: bigint): T {
  return (a.type === 'i64' ? i64(bits) : i32(Number(bits))) as T;
}

/** The bits of a value of any format as i64. */
export function widen(value: Int): I64 {
  return value.type === 'i64' ? value : extU(value);
}

/** Bits of `format` from an i64 that has nothing above them. */
export function narrow(format: Format, bits: I64): Int {
  return LAYOUT[format].type === 'i64' ? bits : wrap(bits);
}

// ---- operations on bits alone, in the format's type or widened: no modes, no flags

/** FNEG: NaNs too. */
export function negate<T extends Int>(format: Format, a: T): T {
  return xor(a, constantLike(a, signBit(format)));
}

/** FABS: NaNs too. */
export function magnitude<T extends Int>(format: Format, a: T): T {
  return and(a, constantLike(a, signBit(format) - 1n));
}

export function isNaN(format: Format, a: Int): I32 {
  return gtU(magnitude(format, a), constantLike(a, infinity(format)));
}

export function isSignallingNaN(format: Format, a: Int): I32 {
  return and(isNaN(format, a), eqz(and(a, constantLike(a, quietBit(format)))));
}

export function quiet<T extends Int>(format: Format, a: T): T {
  return or(a, constantLike(a, quietBit(format)));
}
