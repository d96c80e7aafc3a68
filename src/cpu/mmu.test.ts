import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { A64 } from '../isa/a64.js';
import { bareEnginePorts } from './engine-suite.js';
import { GuestMemory } from './guest-memory.js';
import { generateCore } from './interpreter.js';
import { CORTEX_A57 } from './models.js';
import type { TranslationPolicy } from './translation-policy.js';
import { WasmEngine } from './wasm-engine.js';

const PAGE = 4096;
const RAM = 0x4000_0000;
const RAM_BYTES = 64 * PAGE;

const CODE = RAM;
const VECTORS = RAM + PAGE;
/** Level 1, of 1 GiB each; level 2; level 3. */
const TABLES = [RAM + 2 * PAGE, RAM + 3 * PAGE, RAM + 4 * PAGE] as const;
/** The pages of the last table, one after the other. */
const PAGES = RAM + 16 * PAGE;
/** The third GiB of addresses has them; the fourth is a block, of RAM as the second. */
const WINDOW = 0x8000_0000;
const BLOCK = 0xc000_0000;

const ISB = 0xd503_3fdf;
const LDR_X0_X1 = 0xf940_0020;
const STR_X2_X1 = 0xf900_0022;
const DC_ZVA_X1 = 0xd50b_7421;
const TLBI_VAAE1IS_X1 = 0xd508_8361;
const TLBI_VMALLE1 = 0xd508_871f;
const MRS_X0_ESR = 0xd538_5200;
const MRS_X9_ELR = 0xd538_4029;
const ADD_X9_4 = 0x9100_1129;
const MSR_ELR_X9 = 0xd518_4029;
const ERET = 0xd69f_03e0;
const branch = (distance: number): number => (0x1400_0000 | (distance & 0x3ff_ffff)) >>> 0;
const ENABLING = [
  0xd518_a201, // msr mair_el1, x1
  0xd518_2042, // msr tcr_el1, x2
  0xd518_2003, // msr ttbr0_el1, x3
  0xd518_c004, // msr vbar_el1, x4
  0xd518_1005, // msr sctlr_el1, x5
] as const;

/** Normal memory, of attribute 0, accessible at EL1 only. */
const LEAF = 0x700n;
const BLOCK_1G = LEAF | 1n;
const PAGE_OR_TABLE = 3n;
const READ_ONLY = 1n << 7n;

const core = generateCore(A64, CORTEX_A57, { hot: [] });

/** A CPU with translation on, that executes what it is given. */
function make(jit: TranslationPolicy) {
  const memory = new GuestMemory([RAM_BYTES]);
  const engine = new WasmEngine(memory, CORTEX_A57, core, bareEnginePorts(), [0n], jit);
  engine.setMapped({ base: RAM, sizeBytes: RAM_BYTES, block: 0, isReadOnly: false }, true);
  const write = (address: number, ...doublewords: readonly bigint[]): void => {
    assert.ok(engine.dma.write(address, new Uint8Array(BigUint64Array.from(doublewords).buffer)));
  };
  const read = (address: number): bigint => {
    const bytes = new Uint8Array(8);
    assert.ok(engine.dma.read(address, bytes));
    return new DataView(bytes.buffer).getBigUint64(0, true);
  };
  const program = (address: number, words: readonly number[]): void => {
    assert.ok(engine.dma.write(address, new Uint8Array(Uint32Array.from(words).buffer)));
  };
  const execute = (...words: readonly number[]): void => {
    program(CODE, [...words, branch(-words.length)]);
    engine.run(words.length + 1);
    assert.equal(engine.pc(), BigInt(CODE));
  };
  /** Executes with X1; what X0 is after that: of a load what was loaded, of an abort ESR_EL1. */
  const executeAt = (address: number, ...words: readonly number[]): bigint => {
    engine.setX(0, 0n);
    engine.setX(1, BigInt(address));
    program(CODE, [...words, branch(-words.length)]);
    engine.run(words.length + 1);
    while (engine.pc() !== BigInt(CODE)) engine.run(1);
    return engine.x(0);
  };
  const descriptorOf = (page: number): number => TABLES[2] + 8 * page;

  program(VECTORS + 0x200, [MRS_X0_ESR, MRS_X9_ELR, ADD_X9_4, MSR_ELR_X9, ERET]);
  write(TABLES[0] + 8, BigInt(RAM) | BLOCK_1G, BigInt(TABLES[1]) | PAGE_OR_TABLE, BigInt(RAM) | BLOCK_1G);
  write(TABLES[1], BigInt(TABLES[2]) | PAGE_OR_TABLE);
  for (let page = 0; page < 8; page++)
    write(descriptorOf(page), BigInt(PAGES + page * PAGE) | LEAF | PAGE_OR_TABLE);
  engine.reset(CODE, 0);
  [0xffn, 25n | (2n << 32n), BigInt(TABLES[0]), BigInt(VECTORS), 1n].forEach((value, i) => {
    engine.setX(i + 1, value);
  });
  execute(...ENABLING, ISB, TLBI_VMALLE1, ISB);
  return { engine, write, read, executeAt, descriptorOf };
}

/** ESR_EL1 of a data abort at EL1, with this status. */
const abort = (status: number): bigint => BigInt(((0x25 << 26) | (1 << 25) | status) >>> 0);
const TRANSLATION_LEVEL_1 = 5;
const TRANSLATION_LEVEL_3 = 7;
const PERMISSION_LEVEL_3 = 0xf;
const WRITE = 1 << 6;

/** TLBI's operand. */
const operand = (address: number): number => address / PAGE;

for (const jit of ['off', 'always'] as const) {
  describe(`translations, jit ${jit}`, () => {
    test('are cached until they are invalidated, for slow stores as well', () => {
      const { engine, write, read, executeAt, descriptorOf } = make(jit);
      // A page with code: every store takes the slow path.
      write(descriptorOf(1), BigInt(CODE) | LEAF | PAGE_OR_TABLE);
      const address = WINDOW + PAGE + 0x800;
      engine.setX(2, 5n);
      assert.equal(executeAt(address, STR_X2_X1), 0n);
      write(descriptorOf(1), 0n);
      engine.setX(2, 6n);
      assert.equal(executeAt(address, STR_X2_X1), 0n);
      assert.equal(read(CODE + 0x800), 6n);
      executeAt(operand(WINDOW + PAGE), TLBI_VAAE1IS_X1);
      assert.equal(executeAt(address, STR_X2_X1), abort(TRANSLATION_LEVEL_3 | WRITE));
    });

    test('invalidating a page leaves pages alone that have only large mappings elsewhere for company', () => {
      const { write, executeAt, descriptorOf } = make(jit);
      write(PAGES + PAGE, 0x11n);
      // The second and the fourth GiB.
      executeAt(BLOCK, LDR_X0_X1);
      assert.equal(executeAt(WINDOW + PAGE, LDR_X0_X1), 0x11n);
      assert.equal(executeAt(WINDOW + 2 * PAGE, LDR_X0_X1), 0n);
      write(descriptorOf(1), 0n, 0n);
      executeAt(operand(WINDOW + 2 * PAGE), TLBI_VAAE1IS_X1);
      assert.equal(executeAt(WINDOW + PAGE, LDR_X0_X1), 0x11n);
      assert.equal(executeAt(WINDOW + 2 * PAGE, LDR_X0_X1), abort(TRANSLATION_LEVEL_3));
    });

    for (const part of [0, 1, 8, 15])
      test(`any address in a block invalidates all of it: part ${part} of 1 GiB`, () => {
        const { write, executeAt } = make(jit);
        write(PAGES, 0x22n);
        const address = BLOCK + PAGES - RAM;
        assert.equal(executeAt(address, LDR_X0_X1), 0x22n);
        write(TABLES[0] + 24, 0n);
        executeAt(operand(BLOCK + part * 0x400_0000 + 0x123_4000), TLBI_VAAE1IS_X1);
        assert.equal(executeAt(address, LDR_X0_X1), abort(TRANSLATION_LEVEL_1));
      });
  });

  describe(`DC ZVA, jit ${jit}`, () => {
    test('zeroes the block of 64 bytes that the address is in', () => {
      const { write, read, executeAt } = make(jit);
      const block = PAGES + 0x7c0;
      write(block - 8, ...Array.from({ length: 10 }, () => 0xffn));
      assert.equal(executeAt(WINDOW + 0x7ff, DC_ZVA_X1), 0n);
      const after = Array.from({ length: 10 }, (_, i) => read(block - 8 + 8 * i));
      assert.deepEqual(after, [0xffn, ...Array.from({ length: 8 }, () => 0n), 0xffn]);
    });

    test('is a store to where there is no permission, or nothing', () => {
      const { write, read, executeAt, descriptorOf } = make(jit);
      write(PAGES, 0x33n);
      write(descriptorOf(0), BigInt(PAGES) | LEAF | PAGE_OR_TABLE | READ_ONLY, 0n);
      assert.equal(executeAt(WINDOW, LDR_X0_X1), 0x33n);
      assert.equal(executeAt(WINDOW, DC_ZVA_X1), abort(PERMISSION_LEVEL_3 | WRITE));
      assert.equal(executeAt(WINDOW + PAGE, DC_ZVA_X1), abort(TRANSLATION_LEVEL_3 | WRITE));
      assert.equal(read(PAGES), 0x33n);
    });

    test('overwrites instructions that were executed', () => {
      const { executeAt } = make(jit);
      const words = Array.from({ length: 40 }, () => ISB);
      words[0] = DC_ZVA_X1;
      assert.equal(executeAt(PAGES, ...words), 0n);
      // Undefined: of ESR_EL1 there is IL alone.
      assert.equal(executeAt(CODE + 64, ...words), BigInt(1 << 25));
    });
  });
}
