/**
 * Runs oracle cases in v8a: each at EL0, entered by an ERET, with a code page, a data page and nothing else mapped.
 * Whatever ends the program is an exception to a vector that waits for interrupts for ever.
 */
import { NO_TRACE, invariant } from '#v8a/base/index.js';
import { AddressSpace } from '#v8a/bus/index.js';
import { coreImage } from '#v8a/vm/core-image.js';
import { GuestMemory } from '#v8a/cpu/guest-memory.js';
import { STATE } from '#v8a/cpu/layout.js';
import { CORTEX_A57 } from '#v8a/cpu/models.js';
import { sysregAddress } from '#v8a/cpu/state.js';
import { WasmEngine } from '#v8a/cpu/wasm-engine.js';
import type { Case, Ending, ProgramState, Result, Runner } from './format.js';
import { BRK, CODE_PAGE, DATA_PAGE, PAGE_BYTES, initialMemory } from './format.js';

const RAM_BASE = 0x4000_0000;

/** Pages of RAM by what is on them. Each of the three mapped pages has two levels of tables to itself. */
const PAGES = { supervisor: 0, level1: 1, tables: 2, code: 8, data: 9, count: 10 } as const;

function pageAddress(page: number): number {
  return RAM_BASE + page * PAGE_BYTES;
}

// Descriptors, DDI0487 D8.3.
const TABLE = 0b11n;
const ACCESSED_SHAREABLE_PAGE = (1n << 10n) | (0b11n << 8n) | 0b11n;
const EL0 = 1n << 6n;

const ERET = 0xd69f_03e0;
const WFI = 0xd503_207f;
/** Vector of a synchronous exception from EL0 in AArch64. */
const VECTORS = 0x800;
const FROM_LOWER = 0x400;

/** SCTLR_EL1.M, with the reset value's other bits. */
const SCTLR_M = 1n;
/** EL0 and EL1 may use the vector registers. */
const CPACR_FPEN = 3n << 20n;
/** 39-bit addresses in the lower half, 4K granule, inner shareable and cacheable, top byte ignored; no upper half. */
const TCR = 25n | (1n << 8n) | (1n << 10n) | (3n << 12n) | (1n << 23n) | (1n << 37n);
const MAIR = 0xffn;

/** More than any case needs, with a branch in a circle or two. */
const BUDGET = 1000;

function pageTables(): DataView {
  const view = new DataView(new ArrayBuffer((PAGES.code - PAGES.level1) * PAGE_BYTES));
  const set = (table: number, index: bigint, value: bigint): void => {
    view.setBigUint64((table - PAGES.level1) * PAGE_BYTES + 8 * Number(index & 511n), value, true);
  };
  const mappings: readonly [bigint, number, bigint][] = [
    [BigInt(RAM_BASE), PAGES.supervisor, 0n],
    [CODE_PAGE, PAGES.code, EL0],
    [DATA_PAGE, PAGES.data, EL0],
  ];
  mappings.forEach(([virtual, page, attributes], i) => {
    const level2 = PAGES.tables + 2 * i;
    const level3 = level2 + 1;
    set(PAGES.level1, virtual >> 30n, BigInt(pageAddress(level2)) | TABLE);
    set(level2, virtual >> 21n, BigInt(pageAddress(level3)) | TABLE);
    set(level3, virtual >> 12n, BigInt(pageAddress(page)) | ACCESSED_SHAREABLE_PAGE | attributes);
  });
  return view;
}

/** DDI0487 D19.2.37: exception classes and fault status codes. */
function endingOf(esr: bigint): Ending {
  const exceptionClass = Number((esr >> 26n) & 0x3fn);
  const ALIGNMENT_FAULT = 0x21n;
  switch (exceptionClass) {
    case 0x00:
      return 'undefined';
    case 0x20:
    case 0x24:
      return (esr & 0x3fn) === ALIGNMENT_FAULT ? 'alignment fault' : 'data or instruction abort';
    case 0x22:
    case 0x26:
      return 'alignment fault';
    case 0x3c:
      return 'brk';
    default:
      return 'unexpected';
  }
}

class Machine {
  readonly #memory = new GuestMemory([PAGES.count * PAGE_BYTES]);
  readonly #engine: WasmEngine;

  constructor() {
    this.#engine = new WasmEngine(this.#memory, CORTEX_A57, coreImage(CORTEX_A57), {
      addressSpace: new AddressSpace(NO_TRACE),
      systemRegisterPort: () => undefined,
      firmwareCall: () => 'undefined',
      trace: NO_TRACE,
    });
    const sizeBytes = PAGES.count * PAGE_BYTES;
    this.#engine.setMapped({ base: RAM_BASE, sizeBytes, block: 0, isReadOnly: false }, true);
    this.#writeWords(pageAddress(PAGES.supervisor), [ERET]);
    this.#writeWords(pageAddress(PAGES.supervisor) + VECTORS + FROM_LOWER, [WFI]);
    this.#write(pageAddress(PAGES.level1), new Uint8Array(pageTables().buffer));
    this.#writeWords(pageAddress(PAGES.code), Array<number>(PAGE_BYTES / 4).fill(BRK));
  }

  #write(address: number, bytes: Uint8Array): void {
    invariant(this.#engine.dma.write(address, bytes), 'RAM is mapped');
  }

  #writeWords(address: number, words: readonly number[]): void {
    const view = new DataView(new ArrayBuffer(4 * words.length));
    words.forEach((word, i) => {
      view.setUint32(4 * i, word, true);
    });
    this.#write(address, new Uint8Array(view.buffer));
  }

  run(test: Case): Result {
    const program = pageAddress(PAGES.code) + PAGE_BYTES / 2;
    const memoryBefore = initialMemory(test.memorySeed);
    this.#writeWords(program, test.words);
    this.#write(pageAddress(PAGES.data), memoryBefore);
    this.#engine.reset(pageAddress(PAGES.supervisor), 0);
    this.#setState(test.before);
    const exit = this.#engine.run(BUDGET);
    this.#writeWords(
      program,
      test.words.map(() => BRK),
    );
    const esr = this.#sysreg('ESR_EL1');
    return {
      ending: exit === 'idle' ? endingOf(esr) : 'unexpected',
      after: this.#state(),
      changes: this.#changes(new DataView(memoryBefore.buffer)),
    };
  }

  #changes(before: DataView): Result['changes'] {
    const now = new DataView(new ArrayBuffer(PAGE_BYTES));
    this.#engine.dma.read(pageAddress(PAGES.data), new Uint8Array(now.buffer));
    const changes: { offset: number; value: bigint }[] = [];
    for (let offset = 0; offset < PAGE_BYTES; offset += 8) {
      const value = now.getBigUint64(offset, true);
      if (value !== before.getBigUint64(offset, true)) changes.push({ offset, value });
    }
    return changes;
  }

  #sysreg(name: string): bigint {
    return this.#memory.view.getBigUint64(sysregAddress(name), true);
  }

  #setSysreg(name: string, value: bigint): void {
    this.#memory.view.setBigUint64(sysregAddress(name), value, true);
  }

  #setState({ x, sp, pc, nzcv, fpcr, fpsr, v }: ProgramState): void {
    const { view } = this.#memory;
    this.#setSysreg('TTBR0_EL1', BigInt(pageAddress(PAGES.level1)));
    this.#setSysreg('TCR_EL1', TCR);
    this.#setSysreg('MAIR_EL1', MAIR);
    this.#setSysreg('SCTLR_EL1', this.#sysreg('SCTLR_EL1') | SCTLR_M);
    this.#setSysreg('VBAR_EL1', BigInt(pageAddress(PAGES.supervisor) + VECTORS));
    this.#setSysreg('CPACR_EL1', CPACR_FPEN);
    this.#setSysreg('ELR_EL1', pc);
    this.#setSysreg('SPSR_EL1', BigInt(nzcv) << 28n);
    this.#setSysreg('FPCR', BigInt(fpcr));
    this.#setSysreg('FPSR', BigInt(fpsr));
    view.setBigUint64(STATE.SP_BANK.at, sp, true);
    x.forEach((value, i) => {
      this.#engine.setX(i, value);
    });
    v.forEach((value, i) => {
      view.setBigUint64(STATE.V.at + 16 * i, BigInt.asUintN(64, value), true);
      view.setBigUint64(STATE.V.at + 16 * i + 8, value >> 64n, true);
    });
  }

  #state(): ProgramState {
    const { view } = this.#memory;
    return {
      x: Array.from({ length: 31 }, (_, i) => this.#engine.x(i)),
      sp: view.getBigUint64(STATE.SP_BANK.at, true),
      pc: this.#sysreg('ELR_EL1'),
      nzcv: Number((this.#sysreg('SPSR_EL1') >> 28n) & 15n),
      fpcr: Number(this.#sysreg('FPCR')),
      fpsr: Number(this.#sysreg('FPSR')),
      v: Array.from({ length: 32 }, (_, i) => {
        const low = view.getBigUint64(STATE.V.at + 16 * i, true);
        return (view.getBigUint64(STATE.V.at + 16 * i + 8, true) << 64n) | low;
      }),
    };
  }
}

/** v8a's interpreter. */
export const v8aInterpreter: Runner = {
  runCases(cases: readonly Case[]): Result[] {
    const machine = new Machine();
    return cases.map((test) => machine.run(test));
  },
};
