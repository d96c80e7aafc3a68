/** `width` bits of `value` from bit `low` up, unsigned. `value` is at most 32 bits wide. */
export function bits(value: number, low: number, width: number): number {
  return width === 32 ? value >>> 0 : (value >>> low) & ((1 << width) - 1);
}

/** Number of the lowest set bit of a 32-bit `word` that is not zero. */
export function lowestSetBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** `0x` and `value` in hexadecimal, at least `digits` digits. */
export function hex(value: number | bigint, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

export const KIB = 1024;
export const MIB = 1024 * 1024;
export const GIB = 1024 * 1024 * 1024;

/** True for 1, 2, 4, 8 … */
export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}
