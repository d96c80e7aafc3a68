/**
 * Runs oracle batches in v8a: each program at EL0, entered by an ERET, with the code area, two data pages and nothing else
 * mapped. Whatever ends it is an exception to a vector that stops the machine by a firmware call.
 */
import { NO_TRACE, invariant } from '#v8a/base/index.js';
import { AddressSpace } from '#v8a/bus/index.js';
import { GuestMemory } from '#v8a/cpu/guest-memory.js';
import { STATE } from '#v8a/cpu/layout.js';
import type { CpuModel } from '#v8a/cpu/models.js';
import { sysregAddress } from '#v8a/cpu/state.js';
import { TRANSLATION_POLICIES } from '#v8a/cpu/translation-policy.js';
import type { EnginePorts } from '#v8a/cpu/wasm-engine.js';
import { WasmEngine } from '#v8a/cpu/wasm-engine.js';
import { coreImage } from '#v8a/vm/core-image.js';
import type { Batch, Program, Run } from './format.js';
import {
  AT,
  BRK,
  CODE_BYTES,
  DATA_BYTES,
  DATA_PAGES,
  ENDING,
  MEMORY_WORDS,
  PAGE_BYTES,
  RESULT,
  SLOTS,
  SLOT_WORDS,
  STATE_WORDS,
  TRAMPOLINE,
  programAddress,
  slotWords,
} from './format.js';
import { randomRegions } from './random-regions.js';

const RAM_BASE = 0x4000_0000;

/** Pages of RAM by what is on them. Each of the three ranges of addresses has two levels of tables to itself. */
const PAGES = { supervisor: 0, level1: 1, tables: 2, data: 8, trampoline: 10, code: 11 } as const;
const CODE_PAGES = CODE_BYTES / PAGE_BYTES;
const PAGE_COUNT = PAGES.code + CODE_PAGES;

/**
 * Where a word of the data pages is behind the first one in RAM: the pages change places there, so that an access across
 * their boundary can't go on in the next bytes of the host.
 */
function wordInRam(n: number): number {
  return n ^ (PAGE_BYTES / 8);
}

function pageAddress(page: number): number {
  return RAM_BASE + page * PAGE_BYTES;
}

// Descriptors, DDI0487 D8.3.
const TABLE = 0b11n;
const ACCESSED_SHAREABLE_PAGE = (1n << 10n) | (0b11n << 8n) | 0b11n;
const EL0 = 1n << 6n;
const UXN = 1n << 54n;

const ERET = 0xd69f_03e0;
const HVC = 0xd400_0002;
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

/** More than any program needs, with a branch in a circle or two. */
const BUDGET = 1000;

function pageTables(): Uint8Array {
  const view = new DataView(new ArrayBuffer((PAGES.data - PAGES.level1) * PAGE_BYTES));
  const set = (table: number, index: bigint, value: bigint): void => {
    view.setBigUint64((table - PAGES.level1) * PAGE_BYTES + 8 * Number(index & 511n), value, true);
  };
  type Mapping = readonly [virtual: bigint, page: number, count: number];
  const ranges: readonly { readonly attributes: bigint; readonly mappings: readonly Mapping[] }[] = [
    { attributes: 0n, mappings: [[BigInt(RAM_BASE), PAGES.supervisor, 1]] },
    {
      attributes: EL0,
      mappings: [
        [programAddress(0) & ~BigInt(PAGE_BYTES - 1), PAGES.code, CODE_PAGES],
        [TRAMPOLINE, PAGES.trampoline, 1],
      ],
    },
    {
      attributes: EL0 | UXN,
      mappings: [
        [DATA_PAGES, PAGES.data + 1, 1],
        [DATA_PAGES + BigInt(PAGE_BYTES), PAGES.data, 1],
      ],
    },
  ];
  ranges.forEach(({ attributes, mappings }, i) => {
    const level2 = PAGES.tables + 2 * i;
    const level3 = level2 + 1;
    for (const [virtual, page, count] of mappings) {
      set(PAGES.level1, virtual >> 30n, BigInt(pageAddress(level2)) | TABLE);
      set(level2, virtual >> 21n, BigInt(pageAddress(level3)) | TABLE);
      for (let n = 0; n < count; n++)
        set(
          level3,
          (virtual >> 12n) + BigInt(n),
          BigInt(pageAddress(page + n)) | ACCESSED_SHAREABLE_PAGE | attributes,
        );
    }
  });
  return new Uint8Array(view.buffer);
}

/** DDI0487 D19.2.37: exception classes and fault status codes. */
function endingOf(esr: number): number {
  const ALIGNMENT_FAULT = 0x21;
  switch ((esr >>> 26) & 0x3f) {
    case 0x00:
    // MSR and MRS trapped from EL0, which Linux makes the same signal of.
    case 0x18:
      return ENDING.undefined;
    case 0x20:
    case 0x24:
      return (esr & 0x3f) === ALIGNMENT_FAULT ? ENDING.alignment : ENDING.abort;
    case 0x22:
    case 0x26:
      return ENDING.alignment;
    case 0x3c:
      return ENDING.brk;
    default:
      return ENDING.unexpected;
  }
}

const EMPTY_SLOT = Array<number>(SLOT_WORDS).fill(BRK);

/** Results as they are written. */
class Output {
  #view = new DataView(new ArrayBuffer(1 << 20));
  #length = 0;
  #start = 0;
  #changes = 0;

  begin(): void {
    this.#start = this.#length;
    this.#changes = 0;
    this.#length += RESULT.headerBytes;
    const largest = RESULT.changeBytes * (STATE_WORDS + MEMORY_WORDS);
    if (this.#length + largest <= this.#view.byteLength) return;
    const larger = new Uint8Array(2 * (this.#view.byteLength + largest));
    larger.set(new Uint8Array(this.#view.buffer));
    this.#view = new DataView(larger.buffer);
  }

  change(at: number, low: number, high: number): void {
    this.#view.setUint32(this.#length, at, true);
    this.#view.setUint32(this.#length + 4, 0, true);
    this.#view.setInt32(this.#length + 8, low, true);
    this.#view.setInt32(this.#length + 12, high, true);
    this.#length += RESULT.changeBytes;
    this.#changes++;
  }

  end(ending: number, pc: bigint): void {
    this.#view.setUint32(this.#start + RESULT.ending, ending, true);
    this.#view.setUint32(this.#start + RESULT.changes, this.#changes, true);
    this.#view.setBigUint64(this.#start + RESULT.pc, pc, true);
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }
}

/** What is translated: as the engine has it, or regions of random extent. */
export const ORACLE_JITS = [...TRANSLATION_POLICIES, 'random'] as const;
export type OracleJit = (typeof ORACLE_JITS)[number];

/** v8a as a CPU model; interpreted unless `jit` says that code is translated. */
export class V8a {
  readonly #memory = new GuestMemory([PAGE_COUNT * PAGE_BYTES]);
  readonly #engine: WasmEngine;
  /** The start of the current run, and of its data pages as they are in RAM; the same bytes as halves. */
  readonly #start = new BigUint64Array(STATE_WORDS);
  readonly #startHalves = new Int32Array(this.#start.buffer);
  readonly #startMemory = new BigUint64Array(MEMORY_WORDS);
  readonly #startMemoryHalves = new Int32Array(this.#startMemory.buffer);
  readonly #startMemoryBytes = Buffer.from(this.#startMemory.buffer);
  /** Views of the machine's memory. */
  readonly #state: Int32Array;
  readonly #x: BigUint64Array;
  readonly #v: BigUint64Array;
  readonly #page: BigUint64Array;
  readonly #pageHalves: Int32Array;
  readonly #pageBytes: Buffer;

  constructor(model: CpuModel, jit: OracleJit = 'off') {
    const ports: EnginePorts = {
      addressSpace: new AddressSpace(NO_TRACE),
      systemRegisterPort: () => undefined,
      firmwareCall: () => 'stop',
      trace: NO_TRACE,
    };
    const { buffer } = this.#memory.memory;
    const code = this.#memory.addressOf(0) + PAGES.code * PAGE_BYTES;
    const policy = jit === 'random' ? randomRegions(new Uint32Array(buffer, code, CODE_BYTES / 4)) : jit;
    this.#engine = new WasmEngine(this.#memory, model, coreImage(model), ports, [0n], policy);
    this.#state = new Int32Array(buffer, 0, PAGE_BYTES / 4);
    this.#x = new BigUint64Array(buffer, STATE.X.at, AT.sp);
    this.#v = new BigUint64Array(buffer, STATE.V.at, 64);
    const page = this.#memory.addressOf(0) + PAGES.data * PAGE_BYTES;
    this.#page = new BigUint64Array(buffer, page, MEMORY_WORDS);
    this.#pageHalves = new Int32Array(buffer, page, DATA_BYTES / 4);
    this.#pageBytes = Buffer.from(buffer, page, DATA_BYTES);

    const sizeBytes = PAGE_COUNT * PAGE_BYTES;
    this.#engine.setMapped({ base: RAM_BASE, sizeBytes, block: 0, isReadOnly: false }, true);
    this.#writeWords(pageAddress(PAGES.supervisor), [ERET]);
    this.#writeWords(pageAddress(PAGES.supervisor) + VECTORS + FROM_LOWER, [HVC]);
    this.#write(pageAddress(PAGES.level1), pageTables());
    for (const [page, bytes] of [
      [PAGES.code, CODE_BYTES],
      [PAGES.trampoline, PAGE_BYTES],
    ] as const)
      this.#writeWords(pageAddress(page), Array<number>(bytes / 4).fill(BRK));
    this.#engine.reset(pageAddress(PAGES.supervisor), 0);
    this.#setSysreg('TTBR0_EL1', BigInt(pageAddress(PAGES.level1)));
    this.#setSysreg('TCR_EL1', TCR);
    this.#setSysreg('MAIR_EL1', MAIR);
    this.#setSysreg('SCTLR_EL1', this.#sysreg('SCTLR_EL1') | SCTLR_M);
    this.#setSysreg('VBAR_EL1', BigInt(pageAddress(PAGES.supervisor) + VECTORS));
    this.#setSysreg('CPACR_EL1', CPACR_FPEN);
  }

  /** The results, as `decodeResult` reads them. */
  run(batch: Batch): Uint8Array {
    this.#setMemory(batch.memory);
    for (const program of batch.programs) this.#writeProgram(program, slotWords(program));
    const output = new Output();
    for (const run of batch.runs) this.#run(batch, run, output);
    for (const program of batch.programs) this.#writeProgram(program, EMPTY_SLOT);
    return output.bytes();
  }

  #run(batch: Batch, { program: index, state, overrides }: Run, output: Output): void {
    const program = batch.programs[index];
    const base = batch.states[state];
    invariant(program !== undefined && base !== undefined, 'a run of a program and a state');
    this.#start.set(base);
    for (const { at, value } of overrides)
      if (at < AT.memory) this.#start[at] = value;
      else this.#setWord(at - AT.memory, value);
    const first = programAddress(program.slot);
    this.#enter(first);

    const exit = this.#engine.run(BUDGET);
    let pc = this.#sysreg('ELR_EL1');
    let ending = exit === 'stopped' ? endingOf(Number(this.#sysreg('ESR_EL1'))) : ENDING.unexpected;
    if (pc === TRAMPOLINE) {
      pc = first + BigInt(4 * program.words.length);
      ending = ENDING.end;
    }
    output.begin();
    this.#compareState(output);
    if (!this.#pageBytes.equals(this.#startMemoryBytes)) this.#compareMemory(output);
    output.end(ending, pc);
    for (const { at } of overrides)
      if (at >= AT.memory) this.#setWord(at - AT.memory, batch.memory[at - AT.memory] ?? 0n);
  }

  #enter(pc: bigint): void {
    this.#x.set(this.#start.subarray(AT.x, AT.sp));
    this.#v.set(this.#start.subarray(AT.v, AT.nzcv));
    const state = this.#state;
    const put = (address: number, at: number): void => {
      state[address / 4] = this.#startHalves[2 * at] ?? 0;
      state[address / 4 + 1] = this.#startHalves[2 * at + 1] ?? 0;
    };
    put(STATE.SP_BANK.at, AT.sp);
    put(FPCR, AT.fpcr);
    put(FPSR, AT.fpsr);
    // The harness's prologue has X30 there.
    this.#setSysreg('TPIDR_EL0', this.#start[AT.x + 30] ?? 0n);
    this.#setSysreg('SPSR_EL1', (this.#start[AT.nzcv] ?? 0n) << 28n);
    this.#setSysreg('ELR_EL1', pc);
    this.#memory.view.setBigUint64(STATE.PC.at, BigInt(pageAddress(PAGES.supervisor)), true);
  }

  #compareState(output: Output): void {
    const state = this.#state;
    const start = this.#startHalves;
    const compare = (address: number, at: number): void => {
      const [low, high] = [state[address / 4] ?? 0, state[address / 4 + 1] ?? 0];
      if (low !== start[2 * at] || high !== start[2 * at + 1]) output.change(at, low, high);
    };
    for (let n = 0; n < AT.sp; n++) compare(STATE.X.at + 8 * n, AT.x + n);
    compare(STATE.SP_BANK.at, AT.sp);
    for (let n = 0; n < 64; n++) compare(STATE.V.at + 8 * n, AT.v + n);
    const nzcv = Number(this.#sysreg('SPSR_EL1') >> 28n) & 15;
    if (nzcv !== start[2 * AT.nzcv]) output.change(AT.nzcv, nzcv, 0);
    compare(FPCR, AT.fpcr);
    compare(FPSR, AT.fpsr);
  }

  #compareMemory(output: Output): void {
    const [page, start] = [this.#pageHalves, this.#startMemoryHalves];
    for (let n = 0; n < MEMORY_WORDS; n++) {
      const at = 2 * wordInRam(n);
      const [low, high] = [page[at] ?? 0, page[at + 1] ?? 0];
      if (low === start[at] && high === start[at + 1]) continue;
      output.change(AT.memory + n, low, high);
    }
    this.#page.set(this.#startMemory);
  }

  #setMemory(words: BigUint64Array): void {
    words.forEach((value, n) => {
      this.#setWord(n, value);
    });
  }

  #setWord(n: number, value: bigint): void {
    this.#page[wordInRam(n)] = this.#startMemory[wordInRam(n)] = value;
  }

  #writeProgram({ slot }: Program, words: readonly number[]): void {
    invariant(slot < SLOTS, 'a slot of the code area');
    this.#writeWords(pageAddress(PAGES.code) + 4 * slot * SLOT_WORDS, words);
  }

  #writeWords(address: number, words: readonly number[]): void {
    this.#write(address, new Uint8Array(Uint32Array.from(words).buffer));
  }

  #write(address: number, bytes: Uint8Array): void {
    invariant(this.#engine.dma.write(address, bytes), 'RAM is mapped');
  }

  #sysreg(name: string): bigint {
    return this.#memory.view.getBigUint64(sysregAddress(name), true);
  }

  #setSysreg(name: string, value: bigint): void {
    this.#memory.view.setBigUint64(sysregAddress(name), value, true);
  }
}

const FPCR = sysregAddress('FPCR');
const FPSR = sysregAddress('FPSR');
