/**
 * Condition flags are not computed when they are set: most are never looked at, or only by one comparison that
 * WebAssembly has. What is kept is the operation and its operands. DDI0487 C1.2.4 (conditions), B1.4.2 (NZCV).
 */
import { invariant } from '../base/index.js';
import type { I32, I64, Int } from '../wasm/expr.js';
import {
  add, and, eq, eqz, extU, geS, geU, gtS, gtU, i32, i64, intLike, leS, leU, ltS, ltU, ne, or, shl, shrU, sub, wrap, xor,
} from '../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder } from '../wasm/function-builder.js';

/** Values of the FLAG_KIND cell. */
export const FLAG_KIND = { sub: 0, add: 1, packed: 2 } as const;

/** An operand in the form the flag cells keep: 32-bit ones at the top, so that 64-bit arithmetic sets the same flags. */
export function flagOperand(value: Int): I64 {
  return value.type === 'i64' ? value : shl(extU(value), i64(32));
}

/** Conditions after `a − b`. */
export function conditionOfSub(condition: number, a: Int, b: Int): I32 {
  const difference = (): Int => sub(a, b);
  const zero = intLike(a, 0);
  const overflowed = (): Int => and(xor(a, b), xor(a, difference()));
  switch (condition) {
    case 0:
      return eq(a, b);
    case 1:
      return ne(a, b);
    case 2:
      return geU(a, b);
    case 3:
      return ltU(a, b);
    case 4:
      return ltS(difference(), zero);
    case 5:
      return geS(difference(), zero);
    case 6:
      return ltS(overflowed(), zero);
    case 7:
      return geS(overflowed(), zero);
    case 8:
      return gtU(a, b);
    case 9:
      return leU(a, b);
    case 10:
      return geS(a, b);
    case 11:
      return ltS(a, b);
    case 12:
      return gtS(a, b);
    case 13:
      return leS(a, b);
    default:
      return i32(1);
  }
}

/** Conditions after an operation with this result that clears C and V. */
export function conditionOfResult(condition: number, result: Int): I32 {
  const zero = intLike(result, 0);
  const ofBoth: readonly (readonly [I32, I32])[] = [
    [eqz(result), ne(result, zero)],
    [i32(0), i32(1)],
    [ltS(result, zero), geS(result, zero)],
    [i32(0), i32(1)],
    [i32(0), i32(1)],
    [geS(result, zero), ltS(result, zero)],
    [gtS(result, zero), leS(result, zero)],
  ];
  return ofBoth[condition >> 1]?.[condition & 1] ?? i32(1);
}

/** Conditions after `a + b`, whose `sum` is evaluated several times. */
export function conditionOfSum(condition: number, a: Int, b: Int, sum: Int): I32 {
  const zero = intLike(a, 0);
  const isCarry = ltU(sum, a);
  const overflowed = and(xor(a, sum), xor(b, sum));
  // The sum's true sign, the same as of N where V is clear.
  const sign = xor(sum, overflowed);
  const ofBoth: readonly (readonly [I32, I32])[] = [
    [eqz(sum), ne(sum, zero)],
    [isCarry, eqz(isCarry)],
    [ltS(sum, zero), geS(sum, zero)],
    [ltS(overflowed, zero), geS(overflowed, zero)],
    [and(isCarry, ne(sum, zero)), or(eqz(isCarry), eqz(sum))],
    [geS(sign, zero), ltS(sign, zero)],
    [and(geS(sign, zero), ne(sum, zero)), or(ltS(sign, zero), eqz(sum))],
  ];
  return ofBoth[condition >> 1]?.[condition & 1] ?? i32(1);
}

/** Conditions of NZCV in the low four bits of `nzcv`, which is evaluated several times. */
export function conditionOfPacked(condition: number, nzcv: I32): I32 {
  const bit = (n: number): I32 => and(shrU(nzcv, i32(n)), i32(1));
  const n = bit(3);
  const z = bit(2);
  const c = bit(1);
  const v = bit(0);
  const positive = ((): I32 => {
    switch (condition >> 1) {
      case 0:
        return z;
      case 1:
        return c;
      case 2:
        return n;
      case 3:
        return v;
      case 4:
        return and(c, eqz(z));
      case 5:
        return eq(n, v);
      case 6:
        return and(eq(n, v), eqz(z));
      default:
        return i32(1);
    }
  })();
  return (condition & 1) === 1 && condition !== 15 ? eqz(positive) : positive;
}

function pack(n: I32, z: I32, c: I32, v: I32): I32 {
  return or(or(shl(n, i32(3)), shl(z, i32(2))), or(shl(c, i32(1)), v));
}

/** NZCV of the operation that the three cells describe. `a` and `b` are evaluated several times. */
export function packedFlags(fb: FunctionBuilder, kind: I32, a: I64, b: I64): I32 {
  return fb.ifValue(
    eq(kind, i32(FLAG_KIND.packed)),
    () => wrap(a),
    () =>
      fb.ifValue(
        eqz(kind),
        () =>
          pack(
            conditionOfSub(4, a, b),
            conditionOfSub(0, a, b),
            conditionOfSub(2, a, b),
            conditionOfSub(6, a, b),
          ),
        () => {
          const sum = fb.let(add(a, b));
          return pack(ltS(sum, i64(0)), eqz(sum), ltU(sum, a), ltS(and(xor(a, sum), xor(b, sum)), i64(0)));
        },
        'i32',
      ),
    'i32',
  );
}

invariant(FLAG_KIND.sub === 0, 'eqz(kind) tests for a subtraction');
