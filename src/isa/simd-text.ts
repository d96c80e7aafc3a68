/** Operands of Advanced SIMD and floating point in assembly text, as binutils prints them. */

/** Letters of element sizes by log2 of the bytes. */
export const ELEMENT = ['b', 'h', 's', 'd', 'q'] as const;

/** `16b`, `2s` …: elements of `size` in a register of 8 (`Q` = 0) or 16 bytes. */
export function arrangement(size: number, Q: number): string {
  return `${(Q === 1 ? 16 : 8) >> size}${ELEMENT[size]}`;
}

/** `v1.16b` */
export function vec(n: number, size: number, Q: number): string {
  return `v${n}.${arrangement(size, Q)}`;
}

/** `b1` … `q1` */
export function scalar(n: number, size: number): string {
  return `${ELEMENT[size]}${n}`;
}

/** `v1.s[2]` */
export function element(n: number, size: number, index: number): string {
  return `v${n}.${ELEMENT[size]}[${index}]`;
}

/** `{v1.16b, v2.16b}`; `suffix` is what follows the number of each register. */
export function vecList(first: number, count: number, suffix: string): string {
  const at = (i: number): string => `v${(first + i) % 32}.${suffix}`;
  if (count > 2 && first + count <= 32) return `{${at(0)}-${at(count - 1)}}`;
  return `{${Array.from({ length: count }, (_, i) => at(i)).join(', ')}}`;
}
