/** Operands that many instructions share: shifted and extended registers, operand widths, carries. */
import {
  add,
  and,
  extU,
  i32,
  i64,
  mul,
  not,
  or,
  rotr,
  shl,
  shrS,
  shrU,
  signExtend,
  sub,
  wrap,
  xor,
} from '../wasm/expr.js';
import type { I32, I64, Int } from '../wasm/expr.js';
import type { ImmField } from './row.js';
import type { Stage } from './stage.js';

/** A 64-bit expression as the operand width `sf` asks for. */
export function atWidth(sf: number, value: I64): Int {
  return sf === 1 ? value : wrap(value);
}

/** A field's bits, in the operand width `sf`. */
export function immAtWidth(s: Stage, sf: number, field: ImmField): Int {
  return sf === 1 ? s.imm64(field) : s.imm(field);
}

/** How the second operand of a shifted-register instruction is shifted; `none` where the amount is zero. */
export const SHIFT_KINDS = ['none', 'lsl', 'lsr', 'asr', 'ror'] as const;

/** Splits a shifted-register instruction by `SHIFT_KINDS`, so that the common one, no shift, costs nothing. */
export const SHIFT_SPLIT = {
  count: SHIFT_KINDS.length,
  of: ({ shift, imm6 }: { readonly shift: number; readonly imm6: number }): number =>
    imm6 === 0 ? 0 : 1 + shift,
};

/** `value` shifted by `amount`, which is taken modulo the width. `kind` is an index of `SHIFT_KINDS`. */
export function shifted(kind: number, value: Int, amount: Int): Int {
  switch (SHIFT_KINDS[kind]) {
    case 'lsl':
      return shl(value, amount);
    case 'lsr':
      return shrU(value, amount);
    case 'asr':
      return shrS(value, amount);
    case 'ror':
      return rotr(value, amount);
    default:
      return value;
  }
}

/** Names of the `option` field of extended registers. */
export const EXTEND_NAMES = ['uxtb', 'uxth', 'uxtw', 'uxtx', 'sxtb', 'sxth', 'sxtw', 'sxtx'] as const;

/** True where `option` takes the whole X register. */
export function isExtendedFromX(option: number): boolean {
  return (option & 3) === 3;
}

/** `value` extended as `option` says. */
export function extended(option: number, value: I64): I64 {
  switch (EXTEND_NAMES[option]) {
    case 'uxtb':
      return and(value, i64(0xff));
    case 'uxth':
      return and(value, i64(0xffff));
    case 'uxtw':
      return extU(wrap(value));
    case 'sxtb':
      return signExtend(value, 8);
    case 'sxth':
      return signExtend(value, 16);
    case 'sxtw':
      return signExtend(value, 32);
    default:
      return value;
  }
}

/** Bit 31 or 63 of `value`, as 0 or 1. */
export function signBit(value: Int): I32 {
  return value.type === 'i32' ? shrU(value, i32(31)) : wrap(shrU(value, i64(63)));
}

/** The carry out of `a + b + carry = result`. All three are used more than once. */
export function carryOut(a: Int, b: Int, result: Int): I32 {
  return signBit(or(and(a, b), and(or(a, b), not(result))));
}

/** The signed overflow of `a + b + carry = result`. All three are used more than once. */
export function overflow(a: Int, b: Int, result: Int): I32 {
  return signBit(and(xor(a, result), xor(b, result)));
}

/** The mask of `value`'s sign: all ones where it is negative. */
function signMask(value: I64): I64 {
  return shrS(value, i64(63));
}

/** High half of the unsigned 128-bit product. */
export function mulHighUnsigned(s: Stage, a: I64, b: I64): I64 {
  const low = i64(0xffff_ffffn);
  const half = i64(32);
  const aLow = s.let(and(a, low));
  const aHigh = s.let(shrU(a, half));
  const bLow = s.let(and(b, low));
  const bHigh = s.let(shrU(b, half));
  const middle = s.let(add(mul(aHigh, bLow), shrU(mul(aLow, bLow), half)));
  const carry = s.let(add(mul(aLow, bHigh), and(middle, low)));
  return add(mul(aHigh, bHigh), add(shrU(middle, half), shrU(carry, half)));
}

/** High half of the signed 128-bit product. */
export function mulHighSigned(s: Stage, a: I64, b: I64): I64 {
  const correction = add(and(signMask(a), b), and(signMask(b), a));
  return sub(mulHighUnsigned(s, a, b), correction);
}
