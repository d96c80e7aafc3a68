import { strict as assert } from 'node:assert';
import { suite, test } from 'node:test';
import { A64 } from '../isa/a64.js';
import { HeldTranslations, bareEnginePorts } from './engine-suite.js';
import { GuestMemory } from './guest-memory.js';
import { generateCore } from './interpreter.js';
import { CORTEX_A57 } from './models.js';
import type { TranslationPolicy } from './translation-policy.js';
import { WasmEngine } from './wasm-engine.js';

const RAM = 0x4000_0000;
const RAM_BYTES = 0x20000;
const CORE = generateCore(A64, CORTEX_A57, { hot: [] });

const ADD_X0_1 = 0x9100_0400;
const ADD_X0_2 = 0x9100_0800;
const STR_W5_X6 = 0xb900_00c5;
const MOV_X1_0 = 0xd280_0001;
const MOV_X2_50 = 0xd280_0642;
const ADD_X0_X2 = 0x8b02_0000;
const EOR_X0_1 = 0xd240_0000;
const EOR_X0_X1 = 0xca01_0000;
const SUBS_X2_1 = 0xf100_0442;
const ADD_X1_1 = 0x9100_0421;
const CMP_X1_100 = 0xf101_903f;
const RET = 0xd65f_03c0;
const BLR_X9 = 0xd63f_0120;
const BLR_X10 = 0xd63f_0140;
const TBZ_X2_0_OVER_ONE = 0x3600_0042;
const branch = (distance: number): number => (0x1400_0000 | (distance & 0x3ff_ffff)) >>> 0;
const call = (distance: number): number => (0x9400_0000 | (distance & 0x3ff_ffff)) >>> 0;
const branchIf = (condition: number, distance: number): number =>
  (0x5400_0000 | ((distance & 0x7_ffff) << 5) | condition) >>> 0;
const [NE, LT] = [1, 11];

function machine(words: readonly number[], jit: TranslationPolicy) {
  const ports = {
    ...bareEnginePorts(),
    translationService: new HeldTranslations({ model: CORTEX_A57, index: CORE.handlers }, 2),
  };
  const engine = new WasmEngine(new GuestMemory([RAM_BYTES]), CORTEX_A57, CORE, ports, [0n], jit);
  engine.setMapped({ base: RAM, sizeBytes: RAM_BYTES, block: 0, isReadOnly: false }, true);
  assert.ok(engine.dma.write(RAM, new Uint8Array(Uint32Array.from(words).buffer)));
  engine.reset(RAM, 0);
  return engine;
}

/** Where the CPU is and what it has computed. */
function state(engine: WasmEngine): unknown {
  return { instructions: engine.instructions, pc: engine.pc(), x: [0, 1, 2, 30].map((n) => engine.x(n)) };
}

const NESTED_LOOPS = [
  MOV_X1_0,
  MOV_X2_50,
  ADD_X0_X2,
  TBZ_X2_0_OVER_ONE,
  EOR_X0_1,
  SUBS_X2_1,
  branchIf(NE, -4),
  call(5),
  ADD_X1_1,
  CMP_X1_100,
  branchIf(LT, -9),
  branch(-11),
  EOR_X0_X1,
  RET,
];

suite('translated code', () => {
  for (const jit of ['sync', 'async', 'always'] as const)
    test(`${jit}: stops where the interpreter stops, whatever the budget, with the same state`, () => {
      const ours = machine(NESTED_LOOPS, jit);
      const theirs = machine(NESTED_LOOPS, 'off');
      // Long runs make code hot; short ones end everywhere in it.
      for (const budget of [
        1,
        2,
        3,
        5,
        1_000_000,
        ...Array.from({ length: 400 }, (_, n) => n + 1),
        777_777,
      ]) {
        assert.equal(ours.run(budget), theirs.run(budget));
        assert.deepEqual(state(ours), state(theirs), `a budget of ${budget}`);
      }
    });

  for (const jit of ['sync', 'async'] as const)
    test(`${jit}: where a region is left without a branch the budget is not looked at`, () => {
      // 0: add x0, x0, #1; cbz x3, 1f; add x1, x1, #1; add x0, x0, #2; 1: b 0b
      const code = [ADD_X0_1, 0xb400_0063, ADD_X1_1, ADD_X0_2, branch(-4)];
      const [ours, theirs] = [machine(code, jit), machine(code, 'off')];
      for (const engine of [ours, theirs]) {
        // What is never executed isn't part of the region.
        for (let n = 0; n < 3; n++) engine.run(100_000);
        engine.setX(3, 1n);
      }
      for (let budget = 1; budget < 40; budget++) {
        ours.run(budget);
        theirs.run(budget);
        assert.deepEqual(state(ours), state(theirs), `a budget of ${budget}`);
      }
    });

  test('a store to an instruction that follows takes effect at once', () => {
    for (const jit of ['off', 'always'] as const) {
      const engine = machine([STR_W5_X6, ADD_X0_1, ADD_X0_1, branch(-3)], jit);
      engine.setX(6, BigInt(RAM + 0x100));
      engine.run(8);
      assert.equal(engine.x(0), 4n);
      engine.setX(5, BigInt(ADD_X0_2));
      engine.setX(6, BigInt(RAM + 8));
      engine.run(4);
      assert.equal(engine.x(0), 7n, jit);
    }
  });

  test('calls that go deeper than those of the host may return to each of their callers', () => {
    // mov x2, #200; blr x9; b .-8
    // 1: str x30, [sp, #-16]!; subs x2, x2, #1; b.eq .+8; blr x9; add x0, x0, #1; ldr x30, [sp], #16; ret
    const code = [
      ...[0xd280_1902, BLR_X9, branch(-2)],
      ...[0xf81f_0ffe, SUBS_X2_1, branchIf(0, 2), BLR_X9, ADD_X0_1, 0xf841_07fe, RET],
    ];
    const engines = (['always', 'sync', 'async', 'off'] as const).map((jit) => {
      const engine = machine(code, jit);
      engine.setX(9, BigInt(RAM + 12));
      engine.setX(31, BigInt(RAM + RAM_BYTES));
      return engine;
    });
    for (const budget of [1_000_000, ...Array.from({ length: 60 }, (_, n) => 37 * n + 1)]) {
      const [always, sync, async, off] = engines.map((engine) => {
        engine.run(budget);
        return state(engine);
      });
      assert.deepEqual(always, off, `a budget of ${budget}`);
      assert.deepEqual(sync, off, `a budget of ${budget}`);
      assert.deepEqual(async, off, `a budget of ${budget}`);
    }
  });

  test('a call may change what it returns to', () => {
    for (const jit of ['off', 'always'] as const) {
      // The first call has what follows on the store translated: the second call returns by translated code.
      const engine = machine([BLR_X10, BLR_X9, ADD_X0_1, branch(-3), STR_W5_X6, RET], jit);
      engine.setX(9, BigInt(RAM + 16));
      engine.setX(10, BigInt(RAM + 20));
      engine.setX(6, BigInt(RAM + 0x100));
      engine.run(14);
      assert.equal(engine.x(0), 2n, jit);
      engine.setX(5, BigInt(ADD_X0_2));
      engine.setX(6, BigInt(RAM + 8));
      engine.run(14);
      assert.equal(engine.x(0), 6n, jit);
    }
  });

  test('a call may go on elsewhere than behind it', () => {
    // blr x9; add x0, x0, #1; add x0, x0, #2; b .-12; 1: add x30, x30, #4; ret
    for (const jit of ['off', 'always'] as const) {
      const engine = machine([BLR_X9, ADD_X0_1, ADD_X0_2, branch(-3), 0x9100_13de, RET], jit);
      engine.setX(9, BigInt(RAM + 16));
      engine.run(50);
      assert.equal(engine.x(0), 20n, jit);
    }
  });

  for (const jit of ['sync', 'async'] as const)
    test(`${jit}: what a device writes over it is executed`, () => {
      const engine = machine([ADD_X0_1, branch(-1)], jit);
      engine.run(2_000_000);
      const before = engine.x(0);
      assert.ok(engine.dma.write(RAM, new Uint8Array(Uint32Array.of(ADD_X0_2).buffer)));
      engine.run(2000);
      assert.equal(engine.x(0) - before, 2000n);
    });
});
