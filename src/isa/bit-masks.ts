/** Bit mask immediates of the logical instructions. DDI0487 J1.1, `DecodeBitMasks`. */

/** log2 of the element size; the highest clear bit of `N:NOT(imms)` names it. Negative where reserved. */
function elementSizeLog2(N: number, imms: number): number {
  return 31 - Math.clz32((N << 6) | (~imms & 0x3f));
}

/** True where the fields encode a mask of an operand of width `sf`. */
export function isBitMask(sf: number, N: number, imms: number): boolean {
  if (N === 1 && sf === 0) return false;
  const log2 = elementSizeLog2(N, imms);
  if (log2 < 1) return false;
  const levels = 2 ** log2 - 1;
  return (imms & levels) !== levels;
}

/** The 64-bit mask of `N:immr:imms`; 0 where the encoding is reserved. */
export function bitMask(index: number): bigint {
  const N = index >> 12;
  const immr = (index >> 6) & 0x3f;
  const imms = index & 0x3f;
  if (!isBitMask(1, N, imms)) return 0n;
  const size = 2 ** elementSizeLog2(N, imms);
  const rotation = BigInt(immr & (size - 1));
  const ones = (1n << BigInt((imms & (size - 1)) + 1)) - 1n;
  const element = BigInt.asUintN(size, (ones >> rotation) | (ones << (BigInt(size) - rotation)));
  let mask = 0n;
  for (let at = 0; at < 64; at += size) mask |= element << BigInt(at);
  return mask;
}
