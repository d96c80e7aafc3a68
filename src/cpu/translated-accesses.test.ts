/** Accesses in translated code with the MMU on: near one whose page was looked up, and what they see of registers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { NO_TRACE } from '../base/index.js';
import { AddressSpace } from '../bus/index.js';
import { A64 } from '../isa/a64.js';
import { bareEnginePorts } from './engine-suite.js';
import { GuestMemory } from './guest-memory.js';
import { generateCore } from './interpreter.js';
import { CORTEX_A57 } from './models.js';
import type { TranslationPolicy } from './translation-policy.js';
import { WasmEngine } from './wasm-engine.js';

const PAGE = 4096;
const RAM = 0x4000_0000;
const RAM_PAGES = 32;
/** What the device's array shows, 16 pages of it, until the device takes it away. */
const ARRAY = 0x400_0000;
const ARRAY_BYTES = 16 * PAGE;

// Physical pages of RAM.
const CODE = 0;
const [LEVEL1, LEVEL2, LEVEL3] = [1, 2, 3];
/** Two virtual pages that follow one another, and whose physical ones don't. */
const DATA = 16;
const PHYSICAL = new Map([
  [DATA, DATA + 2],
  [DATA + 1, DATA],
]);

const TABLE = 3n;
const PAGE_DESCRIPTOR = 0x703n;
const BLOCK_DESCRIPTOR = 0x701n;

/** msr mair_el1, x10; tcr_el1, x11; ttbr0_el1, x12; isb; sctlr_el1, x13; isb */
const ENABLE_MMU = [0xd518_a20a, 0xd518_204b, 0xd518_200c, 0xd503_3fdf, 0xd518_100d, 0xd503_3fdf];
const LDR_X1_X0 = 0xf940_0001;
const STR_X2_X3 = 0xf900_0062;
const LDR_X4_X0_8 = 0xf940_0404;
const STR_X2_X0_8 = 0xf900_0402;
const LDR_X1_X9 = 0xf940_0121;
/** movz x4, #n */
const movzX4 = (n: number): number => (0xd280_0004 | (n << 5)) >>> 0;
const B_SELF = 0x1400_0000;
/** ldr x1, [x14]; ldr x1, [x15]; b .+4. The TLB has the pages, and a new block begins. */
const LOOK_UP = [0xf940_01c1, 0xf940_01e1, 0x1400_0001];

const core = generateCore(A64, CORTEX_A57, { hot: [] });

function make(code: readonly number[], jit: TranslationPolicy) {
  const writes: { readonly offset: number; readonly value: bigint }[] = [];
  /** X4 as the device sees it. */
  const seen: bigint[] = [];
  const addressSpace = new AddressSpace(NO_TRACE);
  addressSpace.add(ARRAY, {
    name: 'array',
    sizeBytes: ARRAY_BYTES,
    maxAccess: 8,
    read: () => 0x77,
    write: () => assert.fail('doublewords only'),
    read64: () => 0x77n,
    write64: (offset, value) => {
      writes.push({ offset, value });
      seen.push(engine.x(4));
      map.setMapped(false);
    },
    reset: () => undefined,
  });
  const engine = new WasmEngine(
    new GuestMemory([RAM_PAGES * PAGE, ARRAY_BYTES]),
    CORTEX_A57,
    core,
    bareEnginePorts(addressSpace),
    [0n],
    jit,
  );
  engine.setMapped({ base: RAM, sizeBytes: RAM_PAGES * PAGE, block: 0, isReadOnly: false }, true);
  const map = engine.directMap({ base: ARRAY, sizeBytes: ARRAY_BYTES, block: 1, isReadOnly: true });
  map.setMapped(true);
  const at = (page: number): bigint => BigInt(RAM + page * PAGE);
  const put = (address: number, values: ArrayBufferView): void => {
    assert.ok(engine.dma.write(address, new Uint8Array(values.buffer)));
  };
  put(RAM + CODE * PAGE, Uint32Array.from([...ENABLE_MMU, ...LOOK_UP, ...code, B_SELF]));
  put(RAM + LEVEL1 * PAGE, BigUint64Array.of(BLOCK_DESCRIPTOR, at(LEVEL2) | TABLE));
  put(RAM + LEVEL2 * PAGE, BigUint64Array.of(at(LEVEL3) | TABLE));
  const pages = Array.from(
    { length: RAM_PAGES },
    (_, page) => at(PHYSICAL.get(page) ?? page) | PAGE_DESCRIPTOR,
  );
  put(RAM + LEVEL3 * PAGE, BigUint64Array.from(pages));
  engine.reset(RAM, 0);
  engine.setX(10, 0xffn);
  // T0SZ 25, write-back, inner shareable; 40 bits of physical addresses.
  engine.setX(11, (2n << 32n) | 0x3519n);
  engine.setX(12, at(LEVEL1));
  engine.setX(13, 0x30d0_0801n);
  engine.setX(14, at(DATA));
  engine.setX(15, at(DATA + 1));
  return {
    engine,
    writes,
    seen,
    put,
    run: () => engine.run(ENABLE_MMU.length + LOOK_UP.length + code.length),
  };
}

describe('accesses in translated code', () => {
  test('a device takes its array away in between', () => {
    for (const jit of ['off', 'always'] as const) {
      const { engine, run } = make([LDR_X1_X0, STR_X2_X3, LDR_X4_X0_8], jit);
      for (const x of [0, 14]) engine.setX(x, BigInt(ARRAY));
      engine.setX(3, BigInt(ARRAY + PAGE));
      run();
      assert.equal(engine.x(1), 0xffff_ffff_ffff_ffffn, jit);
      assert.equal(engine.x(4), 0x77n, jit);
    }
  });

  test('what may be loaded may not be stored', () => {
    for (const jit of ['off', 'always'] as const) {
      const { engine, writes, run } = make([LDR_X1_X0, STR_X2_X0_8], jit);
      for (const x of [0, 14]) engine.setX(x, BigInt(ARRAY));
      engine.setX(2, 5n);
      run();
      assert.deepEqual(writes, [{ offset: 8, value: 5n }], jit);
    }
  });

  test('a register that is written again has its value where an access between faults', () => {
    for (const jit of ['off', 'always'] as const) {
      const { engine, run } = make([movzX4(1), LDR_X1_X9, movzX4(2)], jit);
      engine.setX(9, 1n << 38n);
      run();
      assert.equal(engine.x(4), 1n, jit);
    }
  });

  test('and where one calls a device, which several writes come before', () => {
    for (const jit of ['off', 'always'] as const) {
      const { engine, seen, run } = make([movzX4(1), movzX4(2), STR_X2_X3, movzX4(3), movzX4(4)], jit);
      for (const x of [3, 14]) engine.setX(x, BigInt(ARRAY));
      run();
      assert.deepEqual(seen, [2n], jit);
      assert.equal(engine.x(4), 4n, jit);
    }
  });

  test('the interpreter and translated code agree, across the end of a page, with pointers that move and in tables', () => {
    const near = fc.integer({ min: -24, max: 24 });
    const instruction = fc.oneof(
      // LDUR, STUR X4 to X7, [X0]
      fc
        .record({ offset: near, register: fc.integer({ min: 4, max: 7 }), isLoad: fc.boolean() })
        .map(
          ({ offset, register, isLoad }) =>
            ((isLoad ? 0xf840_0000 : 0xf800_0000) | ((offset & 0x1ff) << 12) | register) >>> 0,
        ),
      // LDP, STP X4, X5, [X0], and with the base register written back
      fc
        .record({ offset: near, index: fc.constantFrom(1, 2, 3), isLoad: fc.boolean() })
        .map(
          ({ offset, index, isLoad }) =>
            (0xa800_1404 | (index << 23) | (isLoad ? 1 << 22 : 0) | (((offset >> 3) & 0x7f) << 15)) >>> 0,
        ),
      // LDR X6, [X0], #n
      near.map((offset) => (0xf840_0406 | ((offset & 0x1ff) << 12)) >>> 0),
      // MOVZ X4, #n
      fc.nat(16).map(movzX4),
      // ADD X0, X0, #n; MOV X0, X8
      fc.nat(16).map((n) => (0x9100_0000 | (n << 10)) >>> 0),
      fc.constant(0xaa08_03e0),
    );
    const register = fc.integer({ min: 4, max: 7 });
    /** An index of few bits, and the element of a table at X0 or X8. */
    const element = fc
      .record({
        index: register,
        transferred: register,
        table: fc.constantFrom(0, 8),
        size: fc.nat(3),
        isLoad: fc.boolean(),
        isNarrow: fc.boolean(),
        isScaled: fc.boolean(),
        isFromMemory: fc.boolean(),
      })
      .map(({ index, transferred, table, size, isLoad, isNarrow, isScaled, isFromMemory }) => [
        // LDRB Wi, [X8, #3] or AND Xi, Xi, #0xff
        ((isFromMemory ? 0x3940_0d00 : 0x9240_1c00 | (index << 5)) | index) >>> 0,
        ((size << 30) | (isLoad ? 0x3860_0800 : 0x3820_0800) | (index << 16) | (isNarrow ? 0x4000 : 0x6000) |
          (isScaled ? 0x1000 : 0) | (table << 5) | transferred) >>> 0, // prettier-ignore
      ]);
    const program = fc.record({
      code: fc
        .array(
          fc.oneof(
            instruction.map((word) => [word]),
            { weight: 2, arbitrary: element },
          ),
          {
            minLength: 2,
            maxLength: 12,
          },
        )
        .map((pieces) => pieces.flat()),
      // Tables end in the page or beyond its end.
      offset: fc.integer({ min: PAGE - 2200, max: PAGE + 64 }).map((at) => at & ~7),
    });
    fc.assert(
      fc.property(program, ({ code, offset }) => {
        const results = (['off', 'always'] as const).map((jit) => {
          const { engine, put, run } = make(code, jit);
          const bytes = Uint8Array.from({ length: 3 * PAGE }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
          put(RAM + DATA * PAGE, bytes);
          for (const x of [0, 8]) engine.setX(x, BigInt(RAM + DATA * PAGE + offset));
          run();
          const after = new Uint8Array(3 * PAGE);
          assert.ok(engine.dma.read(RAM + DATA * PAGE, after));
          return {
            x: [0, 4, 5, 6, 7].map((n) => engine.x(n)),
            pc: engine.pc(),
            memory: Buffer.from(after).toString('latin1'),
          };
        });
        assert.deepEqual(results[1], results[0]);
      }),
      { numRuns: 120 },
    );
  });
});
