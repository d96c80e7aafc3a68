import { strict as assert } from 'node:assert';
import { suite, test } from 'node:test';
import type { I32, Int } from '../wasm/expr.js';
import { add, eq, i32 } from '../wasm/expr.js';
import type { FunctionBuilder } from '../wasm/function-builder.js';
import { webAssembly } from '../wasm/host.js';
import { ModuleBuilder } from '../wasm/module-builder.js';
import {
  FLAG_KIND,
  conditionOfPacked,
  conditionOfResult,
  conditionOfSub,
  conditionOfSum,
  flagOperand,
  packedFlags,
} from './flags.js';

type Flags = readonly [n: boolean, z: boolean, c: boolean, v: boolean];

/** NZCV of AddWithCarry, from the shared pseudocode (DDI0487 J1.3): integers of any size, no tricks. */
function addWithCarry(width: number, a: bigint, b: bigint, carry: bigint): Flags {
  const unsigned = BigInt.asUintN(width, a) + BigInt.asUintN(width, b) + carry;
  const signed = BigInt.asIntN(width, a) + BigInt.asIntN(width, b) + carry;
  const result = BigInt.asUintN(width, unsigned);
  return [
    BigInt.asIntN(width, result) < 0n,
    result === 0n,
    result !== unsigned,
    BigInt.asIntN(width, result) !== signed,
  ];
}

/** ConditionHolds (DDI0487 J1.3). */
function holds(condition: number, [n, z, c, v]: Flags): boolean {
  const base = [z, c, n, v, c && !z, n === v, n === v && !z, true][condition >> 1] ?? false;
  return (condition & 1) === 1 && condition !== 15 ? !base : base;
}

const nzcvOf = (flags: Flags): number => flags.reduce((all, flag) => all * 2 + Number(flag), 0);

const INTERESTING = [
  0n,
  1n,
  2n,
  0x7fn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_fffen,
  0xffff_ffffn,
  0x1_0000_0000n,
]
  .concat([0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0x8000_0000_0000_0001n, -2n, -1n])
  .map((value) => BigInt.asIntN(64, value));

interface Exports {
  packed(nzcv: number, condition: number): number;
  sub32(a: number, b: number, condition: number): number;
  sub64(a: bigint, b: bigint, condition: number): number;
  sum32(a: number, b: number, condition: number): number;
  sum64(a: bigint, b: bigint, condition: number): number;
  result32(result: number, ignored: number, condition: number): number;
  result64(result: bigint, ignored: bigint, condition: number): number;
  flags32(kind: number, a: number, b: number): number;
  flags64(kind: number, a: bigint, b: bigint): number;
}

function compile(): Exports {
  const mb = new ModuleBuilder();
  const conditions = Array.from({ length: 16 }, (_, condition) => condition);
  mb.export(
    'packed',
    mb.function('packed', ['i32', 'i32'], 'i32', (fb) => {
      const [nzcv, wanted] = [fb.param(0, 'i32'), fb.param(1, 'i32')];
      for (const condition of conditions)
        fb.if(eq(fb.get(wanted), i32(condition)), () => {
          fb.return(conditionOfPacked(condition, fb.get(nzcv)));
        });
      fb.unreachable();
    }),
  );
  for (const [name, type] of [
    ['32', 'i32'],
    ['64', 'i64'],
  ] as const) {
    const exportConditions = (
      operation: string,
      holding: (condition: number, a: Int, b: Int) => I32,
    ): void => {
      const body = (fb: FunctionBuilder): void => {
        const [a, b, wanted] = [fb.get(fb.param(0, type)), fb.get(fb.param(1, type)), fb.param(2, 'i32')];
        for (const condition of conditions)
          fb.if(eq(fb.get(wanted), i32(condition)), () => {
            fb.return(holding(condition, a, b));
          });
        fb.unreachable();
      };
      mb.export(`${operation}${name}`, mb.function(`${operation}${name}`, [type, type, 'i32'], 'i32', body));
    };
    exportConditions('sub', (condition, a, b) => conditionOfSub(condition, flagOperand(a), flagOperand(b)));
    exportConditions('sum', (condition, a, b) => conditionOfSum(condition, a, b, add(a, b)));
    exportConditions('result', (condition, result) => conditionOfResult(condition, result));
    mb.export(
      `flags${name}`,
      mb.function(`flags${name}`, ['i32', type, type], 'i32', (fb) => {
        const [kind, a, b] = [fb.param(0, 'i32'), fb.param(1, type), fb.param(2, type)];
        const left = fb.let(flagOperand(fb.get(a)));
        const right = fb.let(flagOperand(fb.get(b)));
        fb.return(packedFlags(fb, fb.get(kind), left, right));
        fb.unreachable();
      }),
    );
  }
  return new webAssembly.Instance(new webAssembly.Module(mb.build())).exports as unknown as Exports;
}

suite('condition flags', () => {
  const exports = compile();

  test('every condition of every NZCV holds as ConditionHolds says (DDI0487 C1.2.4)', () => {
    for (let nzcv = 0; nzcv < 16; nzcv++) {
      const flags = [8, 4, 2, 1].map((bit) => (nzcv & bit) !== 0) as unknown as Flags;
      for (let condition = 0; condition < 16; condition++)
        assert.equal(
          exports.packed(nzcv, condition) !== 0,
          holds(condition, flags),
          `${condition} of ${nzcv}`,
        );
    }
  });

  test('conditions and NZCV after a subtraction are those of AddWithCarry(a, NOT b, 1) (DDI0487 J1.3)', () => {
    for (const a of INTERESTING)
      for (const b of INTERESTING)
        for (const width of [32, 64]) {
          const flags = addWithCarry(width, a, ~b, 1n);
          const what = `${a} - ${b} in ${width} bits`;
          const [a32, b32] = [Number(BigInt.asIntN(32, a)), Number(BigInt.asIntN(32, b))];
          const nzcv =
            width === 32 ? exports.flags32(FLAG_KIND.sub, a32, b32) : exports.flags64(FLAG_KIND.sub, a, b);
          assert.equal(nzcv, nzcvOf(flags), what);
          for (let condition = 0; condition < 16; condition++) {
            const held = width === 32 ? exports.sub32(a32, b32, condition) : exports.sub64(a, b, condition);
            assert.equal(held !== 0, holds(condition, flags), `condition ${condition} of ${what}`);
          }
        }
  });

  test('conditions and NZCV after an addition are those of AddWithCarry(a, b, 0) (DDI0487 J1.3)', () => {
    for (const a of INTERESTING)
      for (const b of INTERESTING) {
        const [a32, b32] = [Number(BigInt.asIntN(32, a)), Number(BigInt.asIntN(32, b))];
        for (let condition = 0; condition < 16; condition++) {
          const what = `condition ${condition} of ${a} + ${b}`;
          const [held32, held64] = [exports.sum32(a32, b32, condition), exports.sum64(a, b, condition)];
          assert.equal(held32 !== 0, holds(condition, addWithCarry(32, a, b, 0n)), what);
          assert.equal(held64 !== 0, holds(condition, addWithCarry(64, a, b, 0n)), what);
        }
        assert.equal(
          exports.flags32(FLAG_KIND.add, a32, b32),
          nzcvOf(addWithCarry(32, a, b, 0n)),
          `${a32} + ${b32}`,
        );
        assert.equal(exports.flags64(FLAG_KIND.add, a, b), nzcvOf(addWithCarry(64, a, b, 0n)), `${a} + ${b}`);
      }
  });

  test('after a logical operation C and V are clear', () => {
    for (const result of INTERESTING)
      for (let condition = 0; condition < 16; condition++) {
        const narrow = Number(BigInt.asIntN(32, result));
        const what = `condition ${condition} of ${result}`;
        const [held32, held64] = [
          exports.result32(narrow, 0, condition),
          exports.result64(result, 0n, condition),
        ];
        assert.equal(held32 !== 0, holds(condition, [narrow < 0, narrow === 0, false, false]), what);
        assert.equal(held64 !== 0, holds(condition, [result < 0n, result === 0n, false, false]), what);
      }
  });

  test('packed flags are themselves', () => {
    for (let nzcv = 0; nzcv < 16; nzcv++)
      assert.equal(exports.flags64(FLAG_KIND.packed, BigInt(nzcv), 0n), nzcv);
  });
});
