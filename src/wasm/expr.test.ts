import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from './byte-writer.js';
import * as x from './expr.js';
import { add, and, i32, i64, load } from './expr.js';
import type { Expr, F32, F64, I32, I64, ValType } from './expr.js';
import { FunctionBuilder } from './function-builder.js';
import { webAssembly } from './host.js';
import { ModuleBuilder } from './module-builder.js';
import { extractLane, splat } from './simd.js';

/** Operands of which nothing is known: parameters. */
interface Operands {
  readonly n: I32;
  readonly m: I32;
  readonly w: I64;
  readonly v: I64;
  readonly f: F32;
  readonly d: F64;
  readonly q: Expr<'v128'>;
}

const PARAMS = ['i32', 'i32', 'i64', 'i64', 'f32', 'f64', 'v128'] as const;

/** What a function does, as bytes. */
function bytesOf(body: (fb: FunctionBuilder, operands: Operands) => void): Uint8Array {
  const fb = new FunctionBuilder(PARAMS, []);
  body(fb, {
    n: fb.get(fb.param(0, 'i32')),
    m: fb.get(fb.param(1, 'i32')),
    w: fb.get(fb.param(2, 'i64')),
    v: fb.get(fb.param(3, 'i64')),
    f: fb.get(fb.param(4, 'f32')),
    d: fb.get(fb.param(5, 'f64')),
    q: fb.get(fb.param(6, 'v128')),
  });
  const out = new ByteWriter();
  fb.writeTo(out);
  return out.toBytes();
}

type Rule = readonly [title: string, from: (o: Operands) => Expr, to: (o: Operands) => Expr];

const RULES: readonly Rule[] = [
  ['constants that are added are one', ({ w }) => add(add(w, i64(5)), i64(-7)), ({ w }) => add(w, i64(-2))],
  ['constants that cancel out are none', ({ n }) => x.sub(add(n, i32(4)), i32(4)), ({ n }) => n],
  ['what is subtracted and added is added', ({ n }) => add(x.sub(n, i32(4)), i32(9)), ({ n }) => add(n, i32(5))],
  ['what is subtracted twice is one', ({ w }) => x.sub(x.sub(w, i64(4)), i64(9)), ({ w }) => x.sub(w, i64(13))],
  ['a constant goes to the right', ({ n }) => add(i32(1), add(i32(2), n)), ({ n }) => add(n, i32(3))],
  ['x × 1 is x', ({ n }) => x.mul(i32(1), n), ({ n }) => n],
  ['x & −1 is x', ({ w }) => and(w, i64(-1)), ({ w }) => w],
  ['masks are one', ({ n }) => and(and(n, i32(0xff0)), i32(0x0ff)), ({ n }) => and(n, i32(0xf0))],
  ['bits that are set are one constant', ({ n }) => x.or(x.or(n, i32(1)), i32(2)), ({ n }) => x.or(n, i32(3))],
  ['NOT twice is nothing', ({ w }) => x.not(x.not(w)), ({ w }) => w],
  ['shifts are one', ({ w }) => x.shl(x.shl(w, i64(40)), i64(3)), ({ w }) => x.shl(w, i64(43))],
  ['shifts by the width are none', ({ n }) => x.shrU(n, i32(32)), ({ n }) => n],
  ['a mask of known zeros is none', ({ w }) => and(x.shrU(w, i64(56)), i64(0xff)), ({ w }) => x.shrU(w, i64(56))],
  ['a byte needs no mask', ({ n }) => and(load('i32_8u', n), i32(0xff)), ({ n }) => load('i32_8u', n)],
  ['a comparison needs no mask', ({ n, m }) => and(x.ltU(n, m), i32(1)), ({ n, m }) => x.ltU(n, m)],
  ['wrap(extU(x)) is x', ({ n }) => x.wrap(x.extU(n)), ({ n }) => n],
  ['wrap(extS(x)) is x', ({ n }) => x.wrap(x.extS(n)), ({ n }) => n],
  ['masks are made after wrapping', ({ w }) => x.wrap(and(w, i64(-2))), ({ w }) => and(x.wrap(w), i32(-2))],
  ['extU(x) & 32 ones is extU(x)', ({ n }) => and(x.extU(n), i64(0xffff_ffff)), ({ n }) => x.extU(n)],
  ['extU(x) & mask is 32 bits wide', ({ n }) => and(x.extU(n), i64(-4)), ({ n }) => x.extU(and(n, i32(-4)))],
  ['x & 32 ones is extU(wrap(x))', ({ w }) => and(w, i64(0xffff_ffff)), ({ w }) => x.extU(x.wrap(w))],
  ['extU(wrap(x & mask)) is x & mask', ({ w }) => x.extU(x.wrap(and(w, i64(0xff)))), ({ w }) => and(w, i64(0xff))],
  ['extU(wrap(x)) of 32 bits is x', ({ w }) => x.extU(x.wrap(x.shrU(w, i64(40)))), ({ w }) => x.shrU(w, i64(40))],
  ['extS(wrap(x)) is one operation', ({ w }) => x.extS(x.wrap(w)), ({ w }) => x.signExtend(w, 32)],
  ['the opposite of = is ≠', ({ n, m }) => x.eqz(x.eq(n, m)), ({ n, m }) => x.ne(n, m)],
  ['the opposite of < is ≥', ({ w, v }) => x.eqz(x.ltS(w, v)), ({ w, v }) => x.geS(w, v)],
  ['the opposite of unsigned ≤ is >', ({ w, v }) => x.eqz(x.leU(w, v)), ({ w, v }) => x.gtU(w, v)],
  ['the opposite of ≠ of floats is =', ({ d }) => x.eqz(x.floatCompare('ne', d, d)), ({ d }) => x.floatCompare('eq', d, d)],
  ['= 0 is a test for zero', ({ w }) => x.eq(w, i64(0)), ({ w }) => x.eqz(w)],
  ['an extended number is zero where it was', ({ n }) => x.eqz(x.extU(n)), ({ n }) => x.eqz(n)],
  ['c ? 1 : 0 is c', ({ n, m }) => x.select(x.ltS(n, m), i64(1), i64(0)), ({ n, m }) => x.extU(x.ltS(n, m))],
  ['c ? 0 : 1 is its opposite', ({ n, m }) => x.select(x.ltS(n, m), i32(0), i32(1)), ({ n, m }) => x.geS(n, m)],
  ['c ≠ 0 ? a : b is c ? a : b', ({ n, w, v }) => x.select(x.ne(n, i32(0)), w, v), ({ n, w, v }) => x.select(n, w, v)],
  ['half a load is a smaller load', ({ n }) => x.wrap(load('i64', n, 8)), ({ n }) => load('i32', n, 8)],
  ['a load extends with zeros', ({ n }) => x.extU(load('i32_16u', n)), ({ n }) => load('i64_16u', n)],
  ['a load extends the sign', ({ n }) => x.extS(load('i32', n)), ({ n }) => load('i64_32s', n)],
  ['a load of bits is a load of a float', ({ n }) => x.f64FromBits(load('i64', n)), ({ n }) => load('f64', n)],
  ['a load of a float is a load of its bits', ({ n }) => x.i32FromF32Bits(load('f32', n)), ({ n }) => load('i32', n)],
  ['a known address is an offset', () => load('i64', i32(0x120), 8), () => load('i64', i32(0), 0x128)],
  ['bits made of a float are that float', ({ d }) => x.f64FromBits(x.i64FromF64Bits(d)), ({ d }) => d],
  ['a float made of bits is those bits', ({ n }) => x.i32FromF32Bits(x.f32FromBits(n)), ({ n }) => n],
  ['a lane of bits is a lane of floats', ({ q }) => x.f64FromBits(extractLane('i64x2.extract_lane', q, 1)), ({ q }) => extractLane('f64x2.extract_lane', q, 1)],
  ['half a lane is a smaller lane', ({ q }) => x.wrap(extractLane('i64x2.extract_lane', q, 1)), ({ q }) => extractLane('i32x4.extract_lane', q, 2)],
]; // prettier-ignore

/** What is computed from two integers of each width. */
const INT = { add, sub: x.sub, mul: x.mul, and, or: x.or, xor: x.xor, shl: x.shl, shrS: x.shrS, shrU: x.shrU, rotl: x.rotl, rotr: x.rotr } as const; // prettier-ignore
const COMPARISONS = { eq: x.eq, ne: x.ne, ltS: x.ltS, ltU: x.ltU, gtS: x.gtS, gtU: x.gtU, leS: x.leS, leU: x.leU, geS: x.geS, geU: x.geU } as const; // prettier-ignore

/** Everything in an expression goes through it: hides what is known of a value, or leaves it as it is. */
type Seen = <U extends ValType>(e: Expr<U>, isUnknown?: boolean) => Expr<U>;
/** An expression to be built. */
type Tree<T extends ValType> = (seen: Seen) => Expr<T>;

const CONSTANTS = [0, 1, -1, 2, 4, 8, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0xffff, 0xffff_ffff, 0x8000_0000, 2 ** 40, -(2 ** 40)]; // prettier-ignore

const number32 = fc.oneof(fc.constantFrom(...CONSTANTS.map((value) => value | 0)), fc.integer());
const number64 = fc.oneof(fc.constantFrom(...CONSTANTS.map(BigInt)), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n));

const { tree32, tree64 } = fc.letrec<{ tree32: Tree<'i32'>; tree64: Tree<'i64'> }>((tie) => {
  const a = tie('tree32');
  const b = tie('tree64');
  const made = <A extends readonly unknown[], T extends ValType>(
    parts: { [K in keyof A]: fc.Arbitrary<A[K]> },
    make: (seen: Seen, ...values: A) => Expr<T>,
  ): fc.Arbitrary<Tree<T>> =>
    fc.tuple(...parts).map((values) => (seen) => seen(make(seen, ...(values as unknown as A))));
  const name = fc.constantFrom(...(Object.keys(INT) as (keyof typeof INT)[]));
  const comparison = fc.constantFrom(...(Object.keys(COMPARISONS) as (keyof typeof COMPARISONS)[]));
  const place = fc.nat(32);
  return {
    tree32: fc.oneof(
      { maxDepth: 5, depthIdentifier: 'tree' },
      made([number32], (_, value) => i32(value)),
      made([number32], (seen, value) => seen(i32(value), true)),
      made([name, a, number32], (seen, op, l, r) => INT[op](l(seen), seen(i32(r)))),
      made([name, a, a], (seen, op, l, r) => INT[op](l(seen), r(seen))),
      made([b], (seen, e) => x.wrap(e(seen))),
      made([comparison, a, a], (seen, op, l, r) => COMPARISONS[op](l(seen), r(seen))),
      made([comparison, b, b], (seen, op, l, r) => COMPARISONS[op](l(seen), r(seen))),
      made([a], (seen, e) => x.eqz(e(seen))),
      made([b], (seen, e) => x.eqz(e(seen))),
      made([a, a, a], (seen, c, l, r) => x.select(c(seen), l(seen), r(seen))),
      made([a], (seen, e) => seen(x.i32FromF32Bits(seen(x.f32FromBits(e(seen)))))),
      made([b, fc.nat(1)], (seen, e, lane) => x.wrap(seen(extractLane('i64x2.extract_lane', seen(splat('i64x2.splat', e(seen))), lane)))),
      made([a, fc.constantFrom(8, 16)], (seen, e, bits) => x.signExtend(e(seen), bits)),
      made([fc.constantFrom('i32', 'i32_8s', 'i32_8u', 'i32_16s', 'i32_16u'), place, place], (seen, kind, at, offset) => load(kind, seen(i32(at)), offset)),
    ), // prettier-ignore
    tree64: fc.oneof(
      { maxDepth: 5, depthIdentifier: 'tree' },
      made([number64], (_, value) => i64(value)),
      made([name, b, number64], (seen, op, l, r) => INT[op](l(seen), seen(i64(r)))),
      made([number64], (seen, value) => seen(i64(value), true)),
      made([name, b, b], (seen, op, l, r) => INT[op](l(seen), r(seen))),
      made([a], (seen, e) => x.extU(e(seen))),
      made([a], (seen, e) => x.extS(e(seen))),
      made([a, b, b], (seen, c, l, r) => x.select(c(seen), l(seen), r(seen))),
      made([b, fc.constantFrom(8, 16, 32)], (seen, e, bits) => x.signExtend(e(seen), bits)),
      made([b], (seen, e) => seen(x.i64FromF64Bits(seen(x.f64FromBits(e(seen)))))),
      made([b], (seen, e) => x.extU(seen(x.wrap(e(seen))))),
      made([b, number64], (seen, e, mask) => and(e(seen), seen(i64(mask)))),
      made([fc.constantFrom('i64', 'i64_8s', 'i64_8u', 'i64_16s', 'i64_16u', 'i64_32s', 'i64_32u'), place, place], (seen, kind, at, offset) => load(kind, seen(i32(at)), offset)),
    ), // prettier-ignore
  };
});

const SAMPLE = Uint8Array.from({ length: 128 }, (_, i) => (i * 151 + 0x80) & 0xff);

const memory = new webAssembly.Memory({ initial: 1, maximum: 0x1_0000 });
const contents = new Uint8Array(memory.buffer, 0, SAMPLE.length);

/** Runs functions of one module, one after the other with the sample in memory, and tells their results. */
function results<T extends 'i32' | 'i64'>(
  type: T,
  bodies: readonly ((fb: FunctionBuilder) => Expr<T>)[],
): unknown[] {
  const mb = new ModuleBuilder();
  mb.importMemory('env', 'memory', 1);
  bodies.forEach((body, i) => {
    const f = mb.function(`f${i}`, [], type, (fb) => {
      fb.return(body(fb));
      fb.unreachable();
    });
    mb.export(`f${i}`, f);
  });
  const { exports } = new webAssembly.Instance(new webAssembly.Module(mb.build()), { env: { memory } });
  return bodies.map((_, i) => {
    contents.set(SAMPLE);
    return (exports[`f${i}`] as () => unknown)();
  });
}

/** Hides what is known of `e`. */
function hidden<T extends ValType>(fb: FunctionBuilder, e: Expr<T>): Expr<T> {
  const local = fb.local(e.type);
  fb.set(local, e);
  return fb.get(local);
}

/** Hides what is to be unknown in any case, or all. */
function hiding(fb: FunctionBuilder, isAll: boolean): Seen {
  return (e, isUnknown) => (isAll || isUnknown === true ? hidden(fb, e) : e);
}

suite('expressions', () => {
  for (const [title, from, to] of RULES)
    test(title, () => {
      const emit = (make: (o: Operands) => Expr): Uint8Array =>
        bytesOf((fb, operands) => {
          fb.emit(make(operands));
        });
      assert.deepEqual(emit(from), emit(to));
    });

  test('whatever is folded or left out, the result is the same', () => {
    const check = <T extends 'i32' | 'i64'>(type: T, tree: Tree<T>): void => {
      const [ours, plain] = results(
        type,
        [false, true].map((isAll) => (fb: FunctionBuilder) => tree(hiding(fb, isAll))),
      );
      assert.equal(ours, plain);
    };
    fc.assert(
      fc.property(tree32, (tree) => check('i32', tree)),
      { numRuns: 1000 },
    );
    fc.assert(
      fc.property(tree64, (tree) => check('i64', tree)),
      { numRuns: 1000 },
    );
  });

  test('two operations with constants, one after the other, are what they are apart', () => {
    const constants = [0, 1, -1, 31, 33, 63, 0xff, 0xffff_ffff];
    const values = [0n, -1n, 0x8000_0000_0000_0000n, 0x0123_4567_89ab_cdefn, 0xfedc_ba98n];
    const operations = Object.values(INT);
    const mb = new ModuleBuilder();
    const titles: string[] = [];
    const define = (title: string, body: (seen: Seen, operand: I64) => I64): void => {
      for (const isAll of [false, true]) {
        const f = mb.function(title, ['i64'], 'i64', (fb) => {
          fb.return(body(hiding(fb, isAll), fb.get(fb.param(0, 'i64'))));
          fb.unreachable();
        });
        mb.export(`${titles.length} ${isAll}`, f);
      }
      titles.push(title);
    };
    for (const first of operations)
      for (const second of operations)
        for (const c of constants)
          for (const d of constants) {
            const title = `${second.name}(${first.name}(x, ${c}), ${d})`;
            define(title, (seen, v) => second(seen(first(v, seen(i64(c)))), seen(i64(d))));
            define(`${title} of 32 bits`, (seen, v) =>
              seen(x.extU(seen(second(seen(first(seen(x.wrap(v)), seen(i32(c)))), seen(i32(d)))))),
            );
          }
    for (const [name, comparison] of Object.entries(COMPARISONS))
      for (const c of constants) {
        const opposite = (seen: Seen, bit: I32): I64 => seen(x.extU(seen(x.eqz(seen(bit)))));
        define(`not ${name}(x, ${c})`, (seen, v) => opposite(seen, comparison(v, seen(i64(c)))));
        define(`not ${name}(x, ${c}) of 32 bits`, (seen, v) =>
          opposite(seen, comparison(seen(x.wrap(v)), seen(i32(c)))),
        );
      }
    const { exports } = new webAssembly.Instance(new webAssembly.Module(mb.build({ names: false })));
    const run = exports as Record<string, (value: bigint) => bigint>;
    titles.forEach((title, i) => {
      for (const value of values)
        assert.equal(run[`${i} false`]?.(value), run[`${i} true`]?.(value), `${title}, x = ${value}`);
    });
  });

  test('whatever a store leaves out, memory is the same', () => {
    const kinds = ['i64', 'i64_8', 'i64_16', 'i64_32'] as const;
    fc.assert(
      fc.property(fc.constantFrom(...kinds), tree64, fc.nat(16), fc.nat(16), (kind, tree, at, offset) => {
        const [ours, plain] = [false, true].map((isPlain) => {
          const body = (fb: FunctionBuilder): I32 => {
            const seen = hiding(fb, isPlain);
            fb.store(kind, seen(i32(at)), offset, tree(seen));
            return i32(0);
          };
          results('i32', [body]);
          return contents.slice();
        });
        assert.deepEqual(ours, plain);
      }),
      { numRuns: 300 },
    );
  });

  test('what is stored need not be narrowed before', () => {
    const stored = (kind: 'i64_8' | 'i64_32' | 'i32_8', make: (o: Operands) => Expr): Uint8Array =>
      bytesOf((fb, operands) => {
        fb.store(kind, operands.n, 0, make(operands));
      });
    assert.deepEqual(
      stored('i64_8', ({ w }) => and(w, i64(0xff))),
      stored('i64_8', ({ w }) => w),
    );
    assert.deepEqual(
      stored('i64_8', ({ m }) => x.extU(and(m, i32(0x1ff)))),
      stored('i32_8', ({ m }) => m),
    );
  });

  test('a condition is whatever is zero where it is', () => {
    const branch = (make: (o: Operands) => I32): Uint8Array =>
      bytesOf((fb, operands) => {
        fb.if(make(operands), () => undefined);
      });
    const plain = branch(({ n }) => n);
    assert.deepEqual(branch(({ n }) => x.ne(n, i32(0))), plain); // prettier-ignore
    assert.deepEqual(branch(({ n }) => x.eqz(x.eqz(n))), plain); // prettier-ignore
  });

  test('constants of any size arrive as they are', () => {
    const numbers = [0n, -1n, 63n, 64n, -64n, -65n, 2n ** 31n - 1n, 2n ** 31n, -(2n ** 31n), -(2n ** 31n) - 1n, 2n ** 32n, 2n ** 53n, 2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n)]; // prettier-ignore
    assert.deepEqual(results('i64', numbers.map((value) => () => i64(value))), numbers); // prettier-ignore
    const safe = numbers.filter((value) => Number.isSafeInteger(Number(value)));
    assert.deepEqual(results('i64', safe.map((value) => () => i64(Number(value)))), safe); // prettier-ignore
    const small = safe.map((value) => Number(BigInt.asIntN(32, value)));
    assert.deepEqual(results('i32', small.map((value) => () => i32(value))), small); // prettier-ignore
    const bytes = SAMPLE.subarray(0, 16);
    const [low, high, double, single] = results('i64', [
      () => extractLane('i64x2.extract_lane', x.v128(bytes), 0),
      () => extractLane('i64x2.extract_lane', x.v128(bytes), 1),
      (fb) => x.i64FromF64Bits(hidden(fb, x.f64(-Math.PI))),
      (fb) => x.extU(x.i32FromF32Bits(hidden(fb, x.f32(-1.5)))),
    ]);
    const view = new DataView(SAMPLE.buffer);
    assert.deepEqual([low, high], [view.getBigInt64(0, true), view.getBigInt64(8, true)]);
    assert.equal(double, new BigInt64Array(Float64Array.of(-Math.PI).buffer)[0]);
    assert.equal(single, 0xbfc0_0000n);
    assert.throws(() => i64(0.5), /no integer/);
  });

  test('a register read that has become stale is refused, converted or not', () => {
    const freshness = { isStale: false };
    const value = x.wrap(load('i64', i32(0), 0, freshness));
    freshness.isStale = true;
    assert.throws(() => bytesOf((fb) => { fb.emit(value); }), /after the register was written/); // prettier-ignore
  });
});
