/** Pieces of assembly text, as binutils prints them with `-M no-aliases`. */

/** `x0` … `x30`, `xzr`; `w` names where `sf` is 0. */
export function reg(sf: number, n: number): string {
  return (sf === 1 ? 'x' : 'w') + (n === 31 ? 'zr' : String(n));
}

/** The same with `sp` and `wsp` for 31. */
export function regSp(sf: number, n: number): string {
  if (n !== 31) return reg(sf, n);
  return sf === 1 ? 'sp' : 'wsp';
}

/** `#0x…`, the form of most unsigned immediates. */
export function immHex(value: number | bigint): string {
  return `#0x${value.toString(16)}`;
}

/** Two's complement value of the low `width` bits. */
export function signed(value: number, width: number): number {
  const shift = 32 - width;
  return (value << shift) >> shift;
}

export const CONDITION_NAMES = [
  'eq', 'ne', 'cs', 'cc', 'mi', 'pl', 'vs', 'vc', 'hi', 'ls', 'ge', 'lt', 'gt', 'le', 'al', 'nv',
] as const; // prettier-ignore

/** The target of a branch `words` words from `pc`: `0x…` without leading zeros. */
export function target(pc: bigint, words: number): string {
  return `0x${BigInt.asUintN(64, pc + BigInt(words) * 4n).toString(16)}`;
}
