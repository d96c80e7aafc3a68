/** Values for registers and memory that meet special cases. */
import { invariant } from '#v8a/base/index.js';

/** A source of uniform 32-bit numbers. */
export type Random = () => number;

export function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[random() % values.length];
  invariant(value !== undefined, 'something to pick from');
  return value;
}

const EDGES_64 = [
  0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x1_0000n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_8000_0000n, 0xffff_ffff_ffff_ffffn, 31n, 32n, 63n, 64n,
]; // prettier-ignore

function random64(random: Random): bigint {
  return (BigInt(random()) << 32n) | BigInt(random());
}

/** Ends of the ranges of 32 and 64 bits, which meet each other often. */
const ENDS = [
  0n,
  1n,
  0x8000_0000n,
  0xffff_ffff_8000_0000n,
  0x8000_0000_0000_0000n,
  0xffff_ffff_ffff_ffffn,
] as const;

/** A value for a general register. */
export function randomRegister(random: Random): bigint {
  switch (random() % 6) {
    case 0:
      return pick(random, EDGES_64);
    case 2:
    case 3:
      return pick(random, ENDS);
    case 1:
      return BigInt.asUintN(64, pick(random, EDGES_64) + BigInt(random() % 5) - 2n);
    default:
      return random64(random);
  }
}

// ---- vectors: lanes of one width, written as halves of 32 bits

const lanes = new DataView(new ArrayBuffer(16));

/** Widths of exponent and fraction. */
interface Format {
  readonly exponent: number;
  readonly fraction: number;
}
const HALF: Format = { exponent: 5, fraction: 10 };
const SINGLE: Format = { exponent: 8, fraction: 23 };
const DOUBLE: Format = { exponent: 11, fraction: 52 };

/** Exponents, biased, where something happens; `near` is one that numbers of the same case share. */
function randomExponent(random: Random, { exponent, fraction }: Format, near: number): number {
  const max = 2 ** exponent - 1;
  const bias = max >> 1;
  const around = (random() % 5) - 2;
  switch (random() % 10) {
    case 0:
      return 0;
    case 1:
      return pick(random, [0, 1, max - 1, max]);
    case 2:
      return bias + around;
    case 3:
      // Where integers end, and where numbers have no fraction.
      return bias + pick(random, [7, 15, 16, 31, 32, 63, 64, fraction]) + (around >> 1);
    case 4:
      // Products and quotients of two are near the largest and the smallest numbers.
      return pick(random, [bias >> 1, bias + (bias >> 1)]) + around;
    case 5:
      return random() & max;
    default:
      return near + around * pick(random, [1, 1, 4, 12]);
  }
}

/** A fraction as two halves: none, one, all ones, few bits, zeros below, any. */
function randomFraction(random: Random, width: number): readonly [high: number, low: number] {
  const highMask = width > 32 ? 2 ** (width - 32) - 1 : 0;
  const lowMask = width >= 32 ? 0xffff_ffff : 2 ** width - 1;
  const bit = (n: number): readonly [number, number] => (n >= 32 ? [2 ** (n - 32), 0] : [0, 2 ** n]);
  switch (random() % 7) {
    case 0:
      return [0, 0];
    case 1:
      return [0, 1];
    case 2:
      return [highMask, lowMask];
    case 3:
      return bit(width - 1);
    case 4:
      return bit(random() % width);
    case 5: {
      // Zeros at the end: products, quotients and roots that are exact or just not.
      const mask = -1 << (random() & 31);
      return [
        random() & highMask & (width > 32 ? mask : 0),
        width > 32 ? 0 : (random() & lowMask & mask) >>> 0,
      ];
    }
    default:
      return [random() & highMask, (random() & lowMask) >>> 0];
  }
}

function putFloat(random: Random, format: Format, at: number, near: number): void {
  const max = 2 ** format.exponent - 1;
  const exponent = Math.min(Math.max(randomExponent(random, format, near), 0), max);
  const [high, low] = randomFraction(random, format.fraction);
  const sign = random() & 1;
  if (format === DOUBLE) {
    lanes.setUint32(at, low, true);
    lanes.setUint32(at + 4, ((sign << 31) | (exponent << 20) | high) >>> 0, true);
  } else if (format === SINGLE) {
    lanes.setUint32(at, ((sign << 31) | (exponent << 23) | low) >>> 0, true);
  } else {
    lanes.setUint16(at, (sign << 15) | (exponent << 10) | low, true);
  }
}

function putFloats(random: Random, format: Format): void {
  const max = 2 ** format.exponent - 1;
  // Infinities and NaNs, both kinds, meet only where most lanes have some.
  const near = random() % 6 === 0 ? max : random() & max;
  const bytes = (1 + format.exponent + format.fraction) / 8;
  for (let at = 0; at < 16; at += bytes) putFloat(random, format, at, near);
}

/** Integers of a width: zero, one, the largest and smallest, small ones of either sign, any. */
function putIntegers(random: Random, bytes: 1 | 2 | 4 | 8): void {
  for (let at = 0; at < 16; at += bytes) {
    const kind = random() % 6;
    // Low half, and what fills the rest.
    let low = random();
    let high = random();
    if (kind === 0) [low, high] = [(random() % 5) - 2, 0];
    else if (kind === 1) [low, high] = [(random() % 160) - 80, 0];
    else if (kind === 2) [low, high] = bytes === 8 ? [0, 0x8000_0000] : [2 ** (8 * bytes - 1), 0];
    else if (kind === 3) [low, high] = bytes === 8 ? [-1, 0x7fff_ffff] : [2 ** (8 * bytes - 1) - 1, 0];
    if (kind < 2) high = low < 0 ? -1 : 0;
    if (bytes === 1) lanes.setUint8(at, low);
    else if (bytes === 2) lanes.setUint16(at, low, true);
    else {
      lanes.setUint32(at, low >>> 0, true);
      if (bytes === 8) lanes.setUint32(at + 4, high >>> 0, true);
    }
  }
}

/** A 128-bit value, as two words of `into`. */
export function randomVectorInto(random: Random, into: BigUint64Array, at: number): void {
  switch (random() % 10) {
    case 0:
      putIntegers(random, pick(random, [1, 2] as const));
      break;
    case 1:
      putIntegers(random, pick(random, [4, 8] as const));
      break;
    case 2:
      putFloats(random, HALF);
      break;
    case 3:
    case 4:
    case 5:
      putFloats(random, SINGLE);
      break;
    case 6:
    case 7:
      putFloats(random, DOUBLE);
      break;
    default:
      for (let n = 0; n < 16; n += 4) lanes.setUint32(n, random(), true);
  }
  into[at] = lanes.getBigUint64(0, true);
  into[at + 1] = lanes.getBigUint64(8, true);
}
