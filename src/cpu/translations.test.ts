/** Translations that are ready when the guest has gone on: `--jit async`, with a service that a test holds back. */
import { strict as assert } from 'node:assert';
import { suite, test } from 'node:test';
import { A64 } from '../isa/a64.js';
import { HeldTranslations, bareEnginePorts } from './engine-suite.js';
import { GuestMemory } from './guest-memory.js';
import { HandlerTables } from './handler-tables.js';
import { generateCore } from './interpreter.js';
import { PAGE_SIZE } from './layout.js';
import { CORTEX_A57 } from './models.js';
import type { TranslationPolicy } from './translation-policy.js';
import { WasmEngine } from './wasm-engine.js';

const RAM = 0x4000_0000;
const RAM_BYTES = 0x2_0000;
const CORE = generateCore(A64, CORTEX_A57, { hot: [] });
/** Enough to make a loop of three instructions hot, in one slice. */
const HOT_RUN = 100_000;

const ADD_X0_1 = 0x9100_0400;
const ADD_X0_2 = 0x9100_0800;
const ADD_X1_1 = 0x9100_0421;
const STR_W5_X6 = 0xb900_00c5;
const BR_X9 = 0xd61f_0120;
const BR_X10 = 0xd61f_0140;
const branch = (distance: number): number => (0x1400_0000 | (distance & 0x3ff_ffff)) >>> 0;

const LOOP = [ADD_X0_1, STR_W5_X6, branch(-2)];
/** Where the loop's stores go as long as they are to do nothing. */
const ASIDE = RAM + 0x1_f000;

/** Code at the start of RAM that is executed, and the service that translates it. */
function machine(words: readonly number[], policy: TranslationPolicy = 'async') {
  const memory = new GuestMemory([RAM_BYTES]);
  const service = new HeldTranslations({ model: CORTEX_A57, index: CORE.handlers });
  const ports = { ...bareEnginePorts(), translationService: service };
  const engine = new WasmEngine(memory, CORTEX_A57, CORE, ports, [0n], policy);
  engine.setMapped({ base: RAM, sizeBytes: RAM_BYTES, block: 0, isReadOnly: false }, true);
  const write = (at: number, code: readonly number[]): void => {
    assert.ok(engine.dma.write(at, new Uint8Array(Uint32Array.from(code).buffer)));
  };
  write(RAM, words);
  engine.reset(RAM, 0);
  engine.setX(6, BigInt(ASIDE));
  const tables = new HandlerTables(memory);
  const hostAddress = (at: number): number => memory.addressOf(0) + at - RAM;
  const isTranslated = (at: number): boolean => {
    const p = hostAddress(at);
    return tables.handler(tables.tableOf(p), (p % PAGE_SIZE) / 4) >= CORE.handlers.firstTranslated;
  };
  /** What has been submitted, by addresses of the guest. */
  const batches = (): number[][] =>
    service.batches.map((batch) => batch.map((p) => p - memory.addressOf(0) + RAM));
  /** How far X0 comes in a number of rounds of the loop. */
  const rounds = (count: number): bigint => {
    const before = engine.x(0);
    engine.run(count * LOOP.length);
    return engine.x(0) - before;
  };
  return { engine, service, write, isTranslated, batches, rounds };
}

suite('translations that come later', () => {
  test('code is interpreted until its translation is there, and submitted once', () => {
    const { engine, service, isTranslated, batches, rounds } = machine(LOOP);
    engine.run(HOT_RUN);
    for (let n = 0; n < 10; n++) engine.run(HOT_RUN);
    assert.deepEqual(batches(), [[RAM]]);
    assert.ok(!isTranslated(RAM));
    service.release();
    engine.run(1);
    assert.ok(isTranslated(RAM));
    engine.run(2);
    assert.equal(rounds(1000), 1000n);
    for (let n = 0; n < 10; n++) engine.run(HOT_RUN);
    assert.equal(batches().length, 1);
  });

  test('what becomes hot while a batch is translated is the next batch', () => {
    const { engine, service, write, isTranslated, batches } = machine([ADD_X0_1, BR_X9]);
    const others = [RAM + 0x1000, RAM + 0x2000];
    for (const at of others) write(at, [ADD_X0_1, BR_X9]);
    for (const at of [RAM, ...others, ...others]) {
      engine.setX(9, BigInt(at));
      engine.run(HOT_RUN);
    }
    assert.deepEqual(batches(), [[RAM]]);
    service.release();
    engine.run(2);
    assert.deepEqual(batches(), [[RAM], others]);
    service.release();
    engine.run(2);
    assert.ok([RAM, ...others].every(isTranslated));
  });

  test('a store of the guest to it meanwhile is what is executed, and translated later', () => {
    const { engine, service, isTranslated, batches, rounds } = machine(LOOP);
    engine.run(HOT_RUN - (HOT_RUN % LOOP.length));
    engine.setX(5, BigInt(ADD_X0_2));
    engine.setX(6, BigInt(RAM));
    engine.run(LOOP.length);
    engine.setX(6, BigInt(ASIDE));
    service.release();
    engine.run(LOOP.length);
    assert.ok(!isTranslated(RAM));
    assert.equal(rounds(1000), 2000n);
    engine.run(HOT_RUN - (HOT_RUN % LOOP.length));
    assert.deepEqual(batches(), [[RAM], [RAM]]);
    service.release();
    engine.run(LOOP.length);
    assert.ok(isTranslated(RAM));
    assert.equal(rounds(1000), 2000n);
  });

  test('what a device writes over it meanwhile is executed; other code of the batch is translated', () => {
    const { engine, service, write, isTranslated, batches } = machine([ADD_X0_1, BR_X9]);
    const [changed, data] = [RAM + 0x1000, RAM + 0x2000];
    const code = [ADD_X0_1, BR_X9, 0];
    for (const at of [changed, data]) write(at, code);
    // One batch of two: the first keeps the service busy.
    for (const at of [RAM, changed, data]) {
      engine.setX(9, BigInt(at));
      engine.run(HOT_RUN);
    }
    service.release();
    engine.run(2);
    assert.deepEqual(batches()[1], [changed, data]);
    write(changed, [ADD_X1_1]);
    // Not a word of the code.
    write(data + 8, [ADD_X1_1]);
    service.release();
    engine.run(2);
    assert.ok(!isTranslated(changed));
    assert.ok(isTranslated(data));
    engine.setX(9, BigInt(changed));
    engine.run(2);
    const before = engine.x(1);
    engine.run(20);
    assert.equal(engine.x(1) - before, 10n);
  });

  test('where a breakpoint has been set meanwhile it is not used', () => {
    const page = RAM + 0x1000;
    // msr oslar_el1, x1; msr dbgbvr0_el1, x2; msr dbgbcr0_el1, x3; msr mdscr_el1, x4; isb
    const set = [0xd510_1081, 0xd510_0082, 0xd510_00a3, 0xd510_0244, 0xd503_3fdf];
    const { engine, service, write, isTranslated, batches } = machine([...set, BR_X10]);
    write(page, [ADD_X0_1, BR_X9]);
    engine.setX(10, BigInt(page));
    engine.setX(9, BigInt(page));
    engine.run(HOT_RUN);
    assert.deepEqual(batches(), [[page]]);
    // On the page, but not where anything is executed; enabled for EL1 and EL0.
    for (const [n, value] of [BigInt(0), BigInt(page + 0x800), 0x1e7n, 1n << 15n].entries())
      engine.setX(n + 1, value);
    engine.setX(9, BigInt(RAM));
    engine.run(2 + set.length + 1);
    engine.setX(9, BigInt(page));
    const before = engine.x(0);
    engine.run(20);
    assert.equal(engine.x(0) - before, 10n);
    service.release();
    engine.run(2);
    assert.ok(!isTranslated(page));
  });

  test('a reset meanwhile leaves what is still there', () => {
    const { engine, service, isTranslated, rounds } = machine(LOOP);
    engine.run(HOT_RUN);
    engine.reset(RAM, 0);
    engine.setX(6, BigInt(ASIDE));
    service.release();
    assert.equal(rounds(10), 10n);
    assert.ok(isTranslated(RAM));
    assert.equal(rounds(1000), 1000n);
  });

  test('when the service fails code is translated between slices', () => {
    const { engine, service, isTranslated, batches, rounds } = machine(LOOP);
    engine.run(HOT_RUN - (HOT_RUN % LOOP.length));
    service.fail();
    engine.run(LOOP.length);
    assert.ok(isTranslated(RAM));
    assert.equal(rounds(1000), 1000n);
    assert.equal(batches().length, 1);
  });
});

suite('what is hot', () => {
  test('an address that is seldom jumped to is hot after a long time', () => {
    // movz x1, #1000; subs x1, x1, #1; b.ne .-4
    const delay = [0xd280_7d01, 0xf100_0421, 0x54ff_ffe1];
    const { engine, write, isTranslated } = machine([...delay, BR_X9], 'sync');
    const seldom = RAM + PAGE_SIZE;
    write(seldom, [ADD_X0_1, BR_X10]);
    engine.setX(9, BigInt(seldom));
    engine.setX(10, BigInt(RAM));
    // Each round has 2,004 instructions and comes by once.
    engine.run(20_000_000);
    assert.ok(isTranslated(RAM + 4), 'the loop');
    assert.ok(!isTranslated(seldom), 'after 10,000 jumps');
    engine.run(30_000_000);
    assert.ok(isTranslated(seldom), 'after 25,000 jumps');
    assert.equal(engine.x(0), BigInt(Math.floor((engine.instructions + 2) / 2004)));
  });
});
