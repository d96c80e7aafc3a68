/**
 * Arithmetic on integer constants while code is generated: on 32-bit halves, as bigints would take most of the time that
 * generating takes. Constants of 32 bits are sign-extended to both halves.
 */
import type { Node } from './node.js';
import { int } from './node.js';

export type Fold = (x: Node, y: Node) => Node;

function distance(x: Node, y: Node): number {
  return y.low & (x.type === 'i32' ? 31 : 63);
}

function bigint(n: Node): bigint {
  return (BigInt(n.high) << 32n) | BigInt(n.low >>> 0);
}

export const fold = {
  add: (x, y) => {
    const low = (x.low + y.low) | 0;
    const carry = low >>> 0 < x.low >>> 0 ? 1 : 0;
    return int(x.type, low, x.high + y.high + carry);
  },
  sub: (x, y) => {
    const borrow = x.low >>> 0 < y.low >>> 0 ? 1 : 0;
    return int(x.type, x.low - y.low, x.high - y.high - borrow);
  },
  mul: (x, y) => {
    if (x.type === 'i32') return int('i32', Math.imul(x.low, y.low), 0);
    const product = bigint(x) * bigint(y);
    return int(x.type, Number(BigInt.asIntN(32, product)), Number(BigInt.asIntN(32, product >> 32n)));
  },
  and: (x, y) => int(x.type, x.low & y.low, x.high & y.high),
  or: (x, y) => int(x.type, x.low | y.low, x.high | y.high),
  xor: (x, y) => int(x.type, x.low ^ y.low, x.high ^ y.high),
  shl: (x, y) => {
    const count = distance(x, y);
    if (count === 0) return x;
    if (count >= 32) return int(x.type, 0, x.low << (count - 32));
    return int(x.type, x.low << count, (x.high << count) | (x.low >>> (32 - count)));
  },
  shrS: (x, y) => {
    const count = distance(x, y);
    if (count === 0) return x;
    if (count >= 32) return int(x.type, x.high >> (count - 32), x.high >> 31);
    return int(x.type, (x.low >>> count) | (x.high << (32 - count)), x.high >> count);
  },
  shrU: (x, y) => {
    const count = distance(x, y);
    if (count === 0) return x;
    if (x.type === 'i32') return int('i32', x.low >>> count, 0);
    if (count >= 32) return int(x.type, x.high >>> (count - 32), 0);
    return int(x.type, (x.low >>> count) | (x.high << (32 - count)), x.high >>> count);
  },
} satisfies Record<string, Fold>;

export function isEqual(x: Node, y: Node): boolean {
  return x.low === y.low && x.high === y.high;
}

export function isLessSigned(x: Node, y: Node): boolean {
  return x.high < y.high || (x.high === y.high && x.low >>> 0 < y.low >>> 0);
}

/** Right for sign-extended 32 bits too: they are in the same order. */
export function isLessUnsigned(x: Node, y: Node): boolean {
  return x.high >>> 0 < y.high >>> 0 || (x.high === y.high && x.low >>> 0 < y.low >>> 0);
}
