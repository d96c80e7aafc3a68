/**
 * The processors of a machine: instantiates the core module, serves its imports, keeps the handler tables and the map of
 * direct memory. Guest code runs inside `run`; devices are called from there.
 */
import { hex, invariant } from '../base/index.js';
import type { Trace } from '../base/index.js';
import type {
  AddressSpace, AccessSize, CpuActivity, CpuObserver, DirectMap, LendingDmaPort, SystemRegisterPort,
} from '../bus/index.js'; // prettier-ignore
import { A64 } from '../isa/a64.js';
import { absentSystemEncoding } from '../isa/absent-system-encodings.js';
import type { Row } from '../isa/row.js';
import {
  SYSTEM_REGISTERS, findSystemEncoding, systemEncodingOf, systemEncodingText,
} from '../isa/system-registers.js'; // prettier-ignore
import { webAssembly } from '../wasm/host.js';
import type { Engine, RunExit } from './engine.js';
import type { GuestMemory } from './guest-memory.js';
import { HandlerTables, pageOf } from './handler-tables.js';
import { NEXT } from './interpreter-stage.js';
import { HANDLER, HandlerFinder } from './handler-finder.js';
import type { CoreExports, CoreImage, HostImports } from './interpreter.js';
import {
  BANK_ASID, CPU_COUNT, ERASED, ERASED_PAGE, EXIT, HANDLER_COUNTS, MAX_CPUS, NO_ASID, PAGE_SIZE, REGIONS, REGION_COUNT, REGION_READ_ONLY,
  SIDE_BASE, SIDE_TABLE, STATE, STATE_USED, parkedStateOf, tlbsOf,
} from './layout.js'; // prettier-ignore
import type { CpuModel } from './models.js';
import { exists, highestEl } from './models.js';
import { sysregAddress } from './state.js';
import type { RegionChooser, TranslationPolicy } from './translation-policy.js';
import { translatesWhatIsHot } from './translation-policy.js';
import type { TranslationService } from './translation-service.js';
import { Translations } from './translations.js';

/** What a firmware call did. */
export type FirmwareResult = 'continue' | 'wait' | 'off' | 'stop' | 'undefined';

export interface EnginePorts {
  readonly addressSpace: AddressSpace;
  /** Serves `external` system registers; undefined for a register that the machine doesn't have (a GICv2 machine's ICC). */
  systemRegisterPort(name: string): SystemRegisterPort | undefined;
  /** HVC and SMC with these X0 … X3; sets X0 through `setX0`. */
  firmwareCall(
    conduit: 'hvc' | 'smc',
    cpu: number,
    arguments_: readonly [bigint, bigint, bigint, bigint],
    setX0: (value: bigint) => void,
  ): FirmwareResult;
  readonly trace: Trace;
  /** Looks at the guest every now and then. */
  readonly sampler?: Sampler;
  /** Translates hot code where the policy is `async`. */
  readonly translationService?: TranslationService;
}

/** What a profiler is to the engine. */
export interface Sampler {
  /**
   * Called between two instructions, when so many have been executed. Returns how many that will be next time; with several
   * CPUs it waits for the end of a turn.
   */
  sample(instructions: number): number;
  /** Called after the word at a host address, which is executed next, has been decoded. */
  decoded(hostAddress: number): void;
}

/** Memory that the CPU reaches directly, at a physical address. */
export interface DirectRegion {
  readonly base: number;
  readonly sizeBytes: number;
  /** Block of the guest memory that backs it. */
  readonly block: number;
  /** Stores go to the device at the address. */
  readonly isReadOnly: boolean;
}

const MAX_SLICE = 1_000_000;
/** Instructions until hot code is translated, while code is translated. */
const TRANSLATION_SLICE = 200_000;
/**
 * Instructions until the next CPU has its turn. Taking turns costs about a microsecond; who spins on a lock, or sends
 * an interrupt to another CPU, waits for some such turns at most.
 */
const TURN = 10_000;

/** A CPU as the engine takes turns among them. */
interface Cpu {
  /** Aff3 to Aff0 of MPIDR_EL1, in the register's places. */
  readonly affinity: bigint;
  power: 'on' | 'on-pending' | 'off';
  /** It waits for an interrupt (WFI, PSCI CPU_SUSPEND). */
  isWaiting: boolean;
  /** Instructions executed before its current slice. */
  executed: number;
  /** Calls `observer.onAlarm` when it has executed as many. */
  alarm: number;
  observer: CpuObserver | undefined;
}

function isAll(words: Int32Array, value: number): boolean {
  for (const word of words) if (word !== value) return false;
  return true;
}

export class WasmEngine implements Engine {
  readonly #memory: GuestMemory;
  readonly #view: DataView<ArrayBuffer>;
  readonly #exchange: DataView;
  readonly #ports: EnginePorts;
  readonly #handlers: HandlerFinder;
  readonly #tables: HandlerTables;
  readonly #exports: CoreExports;
  readonly #model: CpuModel;
  /** Mapped direct memory; flash comes and goes. */
  readonly #regions: DirectRegion[] = [];
  /** Host pages that have a handler table, in the order they got it. */
  #codePages: number[] = [];
  /** Host addresses of words that breakpoints are on. */
  readonly #breakpoints = new Set<number>();
  readonly #breakpointHandler: number;
  /** Instructions executed before the current slice. */
  #executed = 0;
  #sliceBudget = 0;
  /** Part of the slice's budget set aside by `kick`. */
  #surplus = 0;
  #isKicked = false;
  #isRunning = false;
  #isStopped = false;
  readonly #cpus: readonly Cpu[];
  /** The CPU whose state is at the start of memory. */
  #current = 0;
  /** Instructions executed when the sampler is called next. */
  #sampleAt = Infinity;
  readonly #reported = new Set<string>();
  readonly #policy: TranslationPolicy | RegionChooser;
  readonly #translations: Translations;
  readonly #externalPorts: { readonly name: string; readonly port: SystemRegisterPort }[] = [];

  /** `core` was generated for `model`. `affinities`: of each CPU, in the places of MPIDR_EL1. */
  constructor(
    memory: GuestMemory,
    model: CpuModel,
    core: CoreImage,
    ports: EnginePorts,
    affinities: readonly bigint[] = [0n],
    policy: TranslationPolicy | RegionChooser = 'off',
  ) {
    invariant(affinities.length >= 1 && affinities.length <= MAX_CPUS, `1 to ${MAX_CPUS} CPUs`);
    this.#cpus = affinities.map((affinity) => ({
      affinity,
      power: 'off',
      isWaiting: false,
      executed: 0,
      alarm: Infinity,
      observer: undefined,
    }));
    this.#memory = memory;
    this.#view = memory.view;
    this.#tables = new HandlerTables(memory);
    this.#exchange = new DataView(memory.memory.buffer, STATE.EXCHANGE.at, 16);
    this.#ports = ports;
    this.#model = model;
    this.#handlers = new HandlerFinder(A64, model, core.handlers);
    this.#breakpointHandler = core.handlers.breakpoint;
    this.#policy = policy;
    if (ports.sampler) this.#sampleAt = 0;
    const imports: HostImports = {
      decode: (p) => {
        this.#decode(p);
        ports.sampler?.decoded(p >>> 0);
      },
      deviceRead: (address, bytes) =>
        ports.addressSpace.read(address, bytes as AccessSize, this.#exchange)
          ? 0
          : this.#external('read', address),
      deviceWrite: (address, bytes) =>
        ports.addressSpace.write(address, bytes as AccessSize, this.#exchange)
          ? 0
          : this.#external('write', address),
      makeCodePage: (hostPage) => this.#makeCodePage(hostPage),
      hot: (p) => {
        this.#translations.addHot(p >>> 0);
      },
      dropTranslations: (hostAddress, bytes) => {
        this.#translations.drop(hostAddress >>> 0, bytes);
      },
      coldHandler: (p) => this.#handlers.findCold(this.#view.getUint32(p >>> 0, true)),
      markBreakpoint: (p) => {
        this.#markBreakpoint(p >>> 0);
      },
      clearBreakpoints: () => {
        this.#clearBreakpoints();
      },
      externalRead: (index) => this.#externalRead(index),
      externalWrite: (index) => this.#externalWrite(index),
      firmwareCall: (conduit) => this.#firmwareCall(conduit),
      traceException: (vector) => {
        this.#traceException(vector);
      },
      levelChanged: () => {
        this.#cpu.observer?.onLevelChange();
      },
    };
    const instance = new webAssembly.Instance(new webAssembly.Module(core.bytes), {
      env: { memory: memory.memory, ...imports },
    });
    this.#exports = instance.exports as unknown as CoreExports;
    this.#translations = new Translations(
      {
        ...{
          memory,
          model,
          core: this.#exports,
          index: core.handlers,
          finder: this.#handlers,
          tables: this.#tables,
        },
        isProfiled: ports.sampler !== undefined,
        hasBreakpoints: (page) => [...this.#breakpoints].some((at) => pageOf(at) === page),
        service: ports.translationService,
      },
      policy,
    );
    memory.bytes.fill(0xff, ERASED_PAGE, ERASED_PAGE + PAGE_SIZE);
    this.#view.setInt32(CPU_COUNT, affinities.length, true);
    this.reset(0, 0);
  }

  // ---- Engine

  get instructions(): number {
    if (!this.#isRunning) return this.#executed;
    return this.#executed + this.#sliceBudget - this.#surplus - this.#view.getInt32(STATE.BUDGET.at, true);
  }

  run(budget: number): RunExit {
    invariant(!this.#isRunning, 'run inside run');
    let left = Math.max(1, Math.floor(budget));
    this.#isStopped = false;
    /** Turns in a row that ended with WFE. */
    let eventWaits = 0;
    while (left > 0) {
      if (!this.#isRunnable(this.#current)) {
        const next = this.#nextRunnable();
        if (next === undefined) return 'idle';
        this.#switchTo(next);
      }
      const cpu = this.#cpu;
      cpu.isWaiting = false;
      cpu.power = 'on';
      // TurboFan's code is entered only when the function is called anew: come back often.
      const turn = Math.min(left, this.#cpus.length === 1 ? this.#maxSlice : TURN);
      // A turn that ended for a sample would be another order of turns.
      const untilSample = this.#cpus.length === 1 ? this.#sampleAt - this.#executed : Infinity;
      const slice = Math.max(1, Math.min(turn, cpu.alarm - cpu.executed, untilSample));
      const before = this.#executed;
      this.#sliceBudget = slice;
      this.#surplus = 0;
      this.#isKicked = false;
      this.#view.setInt32(STATE.BUDGET.at, slice, true);
      this.#isRunning = true;
      try {
        this.#exports.run(slice);
      } finally {
        this.#executed = this.instructions;
        this.#isRunning = false;
        cpu.executed += this.#executed - before;
      }
      left -= this.#executed - before;
      if (this.#executed >= this.#sampleAt) this.#sample();
      this.#translations.translateHot(this.#executed);
      if (cpu.executed >= cpu.alarm) {
        cpu.alarm = Infinity;
        cpu.observer?.onAlarm();
      }
      if (this.#isStopped) return 'stopped';
      const exit = this.#view.getInt32(STATE.EXIT.at, true);
      if (exit === EXIT.waitForInterrupt) cpu.isWaiting = true;
      // WFE may be woken by events that aren't modelled: when all CPUs wait for one, devices get their turn.
      eventWaits = exit === EXIT.waitForEvent ? eventWaits + 1 : 0;
      const next = this.#nextRunnable();
      if (next === undefined) return 'idle';
      if (next !== this.#current) this.#switchTo(next);
      if (this.#isKicked || eventWaits >= this.#cpus.length) return 'budget';
    }
    return 'budget';
  }

  #sample(): void {
    // Where the guest itself ended the slice it would be seen more often than its share.
    if (this.#isKicked || this.#view.getInt32(STATE.EXIT.at, true) !== EXIT.budget) return;
    this.#sampleAt = this.#ports.sampler?.sample(this.#executed) ?? Infinity;
  }

  get #maxSlice(): number {
    return translatesWhatIsHot(this.#policy) ? TRANSLATION_SLICE : MAX_SLICE;
  }

  // ---- taking turns

  get #cpu(): Cpu {
    const cpu = this.#cpus[this.#current];
    invariant(cpu !== undefined, 'the current CPU exists');
    return cpu;
  }

  /** Index of the CPU that executes, or executed last. */
  get currentCpu(): number {
    return this.#current;
  }

  get busyCpus(): number {
    return this.#cpus.filter((_, index) => this.#isRunnable(index)).length;
  }

  /** Where the state of a CPU is now. */
  #stateOf(cpu: number): number {
    return cpu === this.#current ? 0 : parkedStateOf(cpu);
  }

  #isRunnable(index: number): boolean {
    const cpu = this.#cpus[index];
    if (cpu === undefined || cpu.power === 'off') return false;
    return !cpu.isWaiting || this.#view.getInt32(this.#stateOf(index) + STATE.PENDING.at, true) !== 0;
  }

  /** The one after the current CPU that can execute, which may be itself. */
  #nextRunnable(): number | undefined {
    const count = this.#cpus.length;
    for (let i = 1; i <= count; i++) {
      const index = (this.#current + i) % count;
      if (this.#isRunnable(index)) return index;
    }
    return undefined;
  }

  #switchTo(index: number): void {
    const { bytes } = this.#memory;
    bytes.copyWithin(parkedStateOf(this.#current), 0, STATE_USED);
    bytes.copyWithin(0, parkedStateOf(index), parkedStateOf(index) + STATE_USED);
    this.#current = index;
    // Its translations may have been forgotten in the meantime.
    const bank = this.#view.getUint32(STATE.TLB_BANK.at, true);
    if (this.#view.getBigInt64(bank + BANK_ASID, true) === NO_ASID) this.#exports.selectAddressSpace();
  }

  // ---- what CPUs do

  /** What `cpu` shows of its work. */
  activity(cpu: number): CpuActivity {
    const of = this.#cpus[cpu];
    invariant(of !== undefined, `CPU ${cpu} exists`);
    const begun = (): number =>
      of.executed + (this.#isRunning && cpu === this.#current ? this.instructions - this.#executed : 0);
    const unretired = (): number =>
      Number(this.#view.getBigUint64(this.#stateOf(cpu) + STATE.UNRETIRED.at, true));
    const exceptionLevel = (): number => this.#view.getInt32(this.#stateOf(cpu) + STATE.EL.at, true);
    return {
      get begun() {
        return begun();
      },
      get retired() {
        return begun() - unretired();
      },
      get exceptionLevel() {
        return exceptionLevel();
      },
      observe: (observer) => {
        invariant(of.observer === undefined, 'a CPU has one observer');
        of.observer = observer;
      },
      setAlarm: (at) => {
        of.alarm = at;
        const sliceEnd = of.executed + this.#sliceBudget - this.#surplus;
        if (this.#isRunning && cpu === this.#current && at < sliceEnd) this.kick();
      },
      watchLevel: (isWatched) => {
        const at = this.#stateOf(cpu) + STATE.LEVEL_WATCH.at;
        this.#view.setInt32(at, isWatched ? exceptionLevel() + 1 : 0, true);
      },
    };
  }

  // ---- power of the CPUs

  cpuPower(cpu: number): 'on' | 'on-pending' | 'off' {
    return this.#cpus[cpu]?.power ?? 'off';
  }

  get poweredCpus(): number {
    return this.#cpus.filter(({ power }) => power !== 'off').length;
  }

  /** Starts a CPU that is off at `pc` with `x0`. */
  powerOn(cpu: number, pc: number, x0: bigint): void {
    const target = this.#cpus[cpu];
    invariant(target?.power === 'off', `CPU ${cpu} is off`);
    this.#resetCpu(cpu, pc, x0);
    target.power = 'on-pending';
    target.isWaiting = false;
  }

  /** Switches the current CPU off, in a firmware call that returns `off` or `stop`. */
  powerOff(cpu: number): void {
    invariant(cpu === this.#current, 'a CPU switches itself off');
    this.#cpu.power = 'off';
  }

  kick(): void {
    if (!this.#isRunning) return;
    this.#isKicked = true;
    this.#surplus += this.#view.getInt32(STATE.BUDGET.at, true);
    this.#view.setInt32(STATE.BUDGET.at, 0, true);
  }

  reset(pc: number, x0: number): void {
    this.#cpus.forEach((cpu, index) => {
      cpu.power = index === 0 ? 'on' : 'off';
      cpu.isWaiting = false;
      this.#resetCpu(index, pc, BigInt(x0));
    });
    if (this.#current !== 0) this.#switchTo(0);
    this.#clearBreakpoints();
  }

  #resetCpu(cpu: number, pc: number, x0: bigint): void {
    const before = this.#current;
    if (cpu !== before) this.#switchTo(cpu);
    const view = this.#view;
    // All state to zero but the inputs, which devices drive, and what is counted.
    const pending = view.getInt32(STATE.PENDING.at, true);
    const unretired = view.getBigUint64(STATE.UNRETIRED.at, true);
    this.#memory.bytes.fill(0, 0, STATE_USED);
    view.setInt32(STATE.PENDING.at, pending, true);
    view.setBigUint64(STATE.UNRETIRED.at, unretired, true);
    for (const register of SYSTEM_REGISTERS)
      if (register.behind.kind === 'storage')
        view.setBigUint64(sysregAddress(register.name), register.behind.reset, true);
    // Bit 31: multiprocessing extensions.
    const mpidr = 0x8000_0000n | (this.#cpus[cpu]?.affinity ?? 0n);
    view.setBigUint64(STATE.X.at, x0, true);
    view.setBigInt64(STATE.PC.at, BigInt(pc), true);
    const el = highestEl(this.#model);
    if (el === 2) {
      view.setBigUint64(sysregAddress('VPIDR_EL2'), this.#model.identification['MIDR_EL1'] ?? 0n, true);
      view.setBigUint64(sysregAddress('VMPIDR_EL2'), mpidr, true);
    }
    view.setInt32(STATE.EL.at, el, true);
    view.setInt32(STATE.SPSEL.at, 1, true);
    view.setInt32(STATE.DAIF.at, 0xf, true);
    view.setInt32(STATE.FLAG_KIND.at, 2, true);
    view.setBigUint64(STATE.MPIDR.at, mpidr, true);
    view.setInt32(STATE.GIC.at, this.#hasGicRegisters(el) ? 1 : 0, true);
    view.setInt32(STATE.CPU.at, cpu, true);
    view.setInt32(STATE.TLB_BANK.at, tlbsOf(cpu), true);
    view.setInt32(STATE.TRACE_EXCEPTIONS.at, this.#ports.trace.on('exceptions') ? 1 : 0, true);
    this.#exports.flushAll();
    this.#exports.stateChanged();
    this.#exports.selectAddressSpace();
    if (cpu !== before) this.#switchTo(before);
    const target = this.#cpus[cpu];
    if (!target) return;
    target.alarm = Infinity;
    target.observer?.onReset();
  }

  /**
   * Whether ID_AA64PFR0_EL1 says that the interrupt controller has system registers.
   *
   * @deviation Where the CPUs have EL2 it doesn't, GICv3 or not: what EL2 would have to have then, ICC_SRE_EL2 and the
   * interface of virtual machines (ICH_*), isn't there. EL1's registers are.
   */
  #hasGicRegisters(highest: 1 | 2): boolean {
    return highest === 1 && this.#ports.systemRegisterPort('ICC_SRE_EL1') !== undefined;
  }

  /** Makes the running `run` return with `stopped`. */
  stop(): void {
    this.#isStopped = true;
    this.kick();
  }

  setIrq(cpu: number, level: boolean): void {
    this.#setPending(cpu, 2, level);
  }

  setFiq(cpu: number, level: boolean): void {
    this.#setPending(cpu, 1, level);
  }

  #setPending(cpu: number, bit: number, level: boolean): void {
    const at = this.#stateOf(cpu) + STATE.PENDING.at;
    const before = this.#view.getInt32(at, true);
    const now = level ? before | bit : before & ~bit;
    if (now === before) return;
    this.#view.setInt32(at, now, true);
    if (level) this.kick();
  }

  // ---- direct memory

  /** Maps or unmaps, before the guest's next access. */
  setMapped(region: DirectRegion, isMapped: boolean): void {
    const index = this.#regions.indexOf(region);
    if (isMapped === index >= 0) return;
    if (isMapped) this.#regions.push(region);
    else this.#regions.splice(index, 1);
    // They are searched in this order, and most walks are of RAM.
    this.#regions.sort((a, b) => b.sizeBytes - a.sizeBytes);
    invariant(this.#regions.length <= REGIONS.capacity, 'too many regions of direct memory');
    this.#regions.forEach((r, i) => {
      const at = REGIONS.at + i * REGIONS.stride;
      this.#view.setUint32(at, r.base / PAGE_SIZE, true);
      this.#view.setUint32(at + 4, r.sizeBytes / PAGE_SIZE, true);
      this.#view.setUint32(at + 8, this.#memory.addressOf(r.block), true);
      this.#view.setUint32(at + 12, r.isReadOnly ? REGION_READ_ONLY : 0, true);
    });
    this.#view.setUint32(REGION_COUNT, this.#regions.length, true);
    this.#exports.flushEveryCpu();
    // Code that runs from the region must notice.
    this.kick();
  }

  /** The port of a device whose array the CPU sees directly. */
  directMap(region: DirectRegion): DirectMap {
    const { sizeBytes } = region;
    const base = this.#memory.addressOf(region.block);
    for (let page = 0; page < sizeBytes; page += PAGE_SIZE) this.#tables.setTableOf(base + page, ERASED);
    return {
      sizeBytes,
      bytes: (offset, length) => {
        invariant(offset >= 0 && length >= 0 && offset + length <= sizeBytes, 'bytes of the array');
        this.#fillErased(base + offset, length);
        return this.#memory.bytes.subarray(base + offset, base + offset + length);
      },
      load: (offset, bytes) => {
        invariant(offset >= 0 && offset + bytes.length <= sizeBytes, 'bytes of the array');
        this.#load(base + offset, bytes);
      },
      setMapped: (isMapped) => {
        this.setMapped(region, isMapped);
      },
      changed: (offset, length) => {
        this.#dropCode(base + offset, length);
      },
    };
  }

  /** Guest memory for bus masters. */
  readonly dma: LendingDmaPort = {
    read: (address, into) => {
      const at = this.#hostAddress(address, into.length, false);
      if (at === undefined) return false;
      this.#fillErased(at, into.length);
      into.set(this.#memory.bytes.subarray(at, at + into.length));
      return true;
    },
    write: (address, from) => {
      const room = this.dma.lend(address, from.length);
      room?.set(from);
      return room !== undefined;
    },
    lend: (address, length) => {
      const at = this.#hostAddress(address, length, true);
      if (at === undefined) return undefined;
      // Nothing is decoded anew before the bytes are there: the guest does not run.
      this.#dropCode(at, length);
      return this.#memory.bytes.subarray(at, at + length);
    },
  };

  /** Fills the pages of a range that are marked as erased. */
  #fillErased(hostAddress: number, length: number): void {
    let hasFilled = false;
    for (let page = pageOf(hostAddress); page < hostAddress + length; page += PAGE_SIZE) {
      if (this.#tables.tableOf(page) !== ERASED) continue;
      this.#memory.bytes.fill(0xff, page, page + PAGE_SIZE);
      this.#tables.setTableOf(page, 0);
      hasFilled = true;
    }
    // The CPU may have seen `ERASED_PAGE` there.
    if (hasFilled) this.#exports.flushEveryCpu();
  }

  /** Copies into memory, but leaves pages as they are that need no memory: all ones where erased, all zeros. */
  #load(hostAddress: number, from: Uint8Array): void {
    const words = new Int32Array(PAGE_SIZE / 4);
    const bytes = new Uint8Array(words.buffer);
    for (let done = 0; done < from.length;) {
      const at = hostAddress + done;
      const page = pageOf(at);
      const piece = from.subarray(done, done + page + PAGE_SIZE - at);
      done += piece.length;
      if (piece.length === PAGE_SIZE && this.#tables.tableOf(page) === ERASED) {
        bytes.set(piece);
        if (isAll(words, -1)) continue;
        // A page that was never filled is zero.
        this.#tables.setTableOf(page, 0);
        if (isAll(words, 0)) continue;
      }
      this.#fillErased(at, piece.length);
      this.#memory.bytes.set(piece, at);
    }
    this.#exports.flushEveryCpu();
  }

  #hostAddress(address: number, length: number, forWrite: boolean): number | undefined {
    for (const region of this.#regions) {
      if (address < region.base || address + length > region.base + region.sizeBytes) continue;
      if (forWrite && region.isReadOnly) return undefined;
      return this.#memory.addressOf(region.block) + (address - region.base);
    }
    return undefined;
  }

  // ---- handler tables

  #makeCodePage(hostPage: number): number {
    hostPage >>>= 0;
    if (this.#codePages.length === SIDE_TABLE.capacity) {
      this.#translations.dropAll();
      for (const page of this.#codePages) this.#tables.setTableOf(page, 0);
      this.#codePages = [];
      this.#exports.flushEveryCpu();
    }
    const table = SIDE_BASE + this.#codePages.length * SIDE_TABLE.stride;
    this.#codePages.push(hostPage);
    this.#memory.bytes.fill(0, table, table + SIDE_TABLE.stride);
    this.#view.setUint16(table + SIDE_TABLE.words * 2, HANDLER.pageEnd, true);
    this.#tables.setTableOf(hostPage, table);
    this.#exports.dropWriteTags(hostPage);
    return table;
  }

  #dropCode(hostAddress: number, length: number): void {
    const end = hostAddress + length;
    for (let page = pageOf(hostAddress); page < end; page += PAGE_SIZE) {
      const table = this.#tables.tableOf(page);
      if (table === 0 || table === ERASED) continue;
      const first = Math.max(hostAddress - page, 0) >> 2;
      const last = (Math.min(end - page, PAGE_SIZE) - 1) >> 2;
      this.#translations.drop(page + first * 4, (last - first + 1) * 4);
      this.#memory.bytes.fill(0, table + first * 2, table + (last + 1) * 2);
    }
  }

  #decode(p: number): void {
    p >>>= 0;
    const word = this.#view.getUint32(p, true);
    const offset = p % PAGE_SIZE;
    const { row, handler } = this.#handlers.find(word, offset);
    if (this.#ports.trace.on('guest-errors')) {
      const what = handler === HANDLER.undefined ? this.#undefinedText(word, row) : this.#absentText(word);
      if (what !== undefined) this.#reportOnce(what);
    }
    this.#tables.setHandlerAt(p, this.#breakpoints.has(p) ? this.#breakpointHandler : handler);
    this.#translations.onDecoded(p);
  }

  // Breakpoints take effect where words are decoded.

  #markBreakpoint(p: number): void {
    if (this.#breakpoints.has(p)) return;
    this.#breakpoints.add(p);
    this.#translations.dropPage(pageOf(p));
    this.#tables.setHandlerAt(p, HANDLER.decode);
  }

  #clearBreakpoints(): void {
    for (const p of this.#breakpoints)
      if (this.#tables.tableOf(p) !== 0) this.#tables.setHandlerAt(p, HANDLER.decode);
    this.#breakpoints.clear();
  }

  #undefinedText(word: number, row: Row | undefined): string {
    if (!row) return `unallocated instruction ${hex(word, 8)}`;
    const named = `instruction ${row.name} (${hex(word, 8)})`;
    return `${named}, which ${row.status === 'trapped' ? 'is undefined here' : `a ${this.#model.name} does not have`}`;
  }

  /** Names the system register or operation of an MRS, MSR or SYS where the CPU has none with that encoding. */
  #absentText(word: number): string | undefined {
    const encoding = systemEncodingOf(word);
    if (encoding === undefined) return undefined;
    const known = findSystemEncoding(encoding);
    if (known && exists(this.#model, known)) return undefined;
    const name = systemEncodingText(encoding);
    const absent = known ?? absentSystemEncoding(encoding);
    if (!absent) return `unallocated system register ${name}`;
    return `system register ${absent.name} (${name}), which a ${this.#model.name} does not have`;
  }

  #reportOnce(what: string): void {
    if (this.#reported.has(what)) return;
    this.#reported.add(what);
    this.#ports.trace.event('guest-errors', what);
  }

  // ---- what generated code asks for

  #external(kind: 'read' | 'write', address: number): 1 {
    if (this.#ports.trace.on('guest-errors'))
      this.#ports.trace.event('guest-errors', `external abort: ${kind} at ${hex(address)}, where nothing is`);
    return 1;
  }

  /** The port of `SYSTEM_REGISTERS[index]`. Guests read counters millions of times: it is looked up once. */
  #externalPort(index: number): { readonly name: string; readonly port: SystemRegisterPort } | undefined {
    const known = this.#externalPorts[index];
    if (known) return known;
    const name = SYSTEM_REGISTERS[index]?.name ?? '';
    const port = this.#ports.systemRegisterPort(name);
    return port && (this.#externalPorts[index] = { name, port });
  }

  #externalRead(index: number): number {
    const external = this.#externalPort(index);
    if (!external) return 1;
    const { name, port } = external;
    const value = port.readSystemRegister(name, this.#current);
    this.#exchange.setBigUint64(0, value, true);
    if (this.#ports.trace.on('sysreg')) this.#ports.trace.event('sysreg', `read ${name} = ${hex(value)}`);
    return 0;
  }

  #externalWrite(index: number): number {
    const external = this.#externalPort(index);
    if (!external) return 1;
    const { name, port } = external;
    const value = this.#exchange.getBigUint64(0, true);
    if (this.#ports.trace.on('sysreg')) this.#ports.trace.event('sysreg', `write ${name} = ${hex(value)}`);
    port.writeSystemRegister(name, this.#current, value);
    return 0;
  }

  #firmwareCall(conduit: number): number {
    const result = this.#ports.firmwareCall(
      conduit === 0 ? 'hvc' : 'smc',
      this.#current,
      [this.x(0), this.x(1), this.x(2), this.x(3)],
      (value) => {
        this.setX(0, value);
      },
    );
    switch (result) {
      case 'continue':
        return NEXT.refetch;
      case 'wait':
        if (this.#view.getInt32(STATE.PENDING.at, true) !== 0) return NEXT.refetch;
        this.#view.setInt32(STATE.EXIT.at, EXIT.waitForInterrupt, true);
        return NEXT.exit;
      case 'off':
        this.#view.setInt32(STATE.EXIT.at, EXIT.budget, true);
        return NEXT.exit;
      case 'stop':
        this.#isStopped = true;
        return NEXT.exit;
      case 'undefined':
        return -1;
    }
  }

  #traceException(vector: number): void {
    const register = (name: string): string => hex(this.#view.getBigUint64(sysregAddress(name), true));
    const kinds: Record<number, string> = {
      0x000: 'synchronous',
      0x080: 'IRQ',
      0x100: 'FIQ',
      0x180: 'SError',
    };
    const el = `EL${this.#view.getInt32(STATE.EL.at, true)}`;
    const syndrome = vector === 0 ? ` ESR ${register(`ESR_${el}`)} FAR ${register(`FAR_${el}`)}` : '';
    this.#ports.trace.event(
      'exceptions',
      `${kinds[vector] ?? hex(vector)} to ${el} ELR ${register(`ELR_${el}`)} SPSR ${register(`SPSR_${el}`)}${syndrome}`,
    );
  }

  // ---- state, for tools and tests

  /** How often each handler was executed, by index, if the core counts; borrowed. */
  handlerCounts(): Uint32Array {
    return new Uint32Array(this.#memory.memory.buffer, HANDLER_COUNTS.at, HANDLER_COUNTS.capacity);
  }

  /** The CPU model's name. */
  get model(): string {
    return this.#model.name;
  }

  pc(): bigint {
    return this.#view.getBigUint64(STATE.PC.at, true);
  }

  /** X0 … X30; 31 is SP. */
  x(index: number): bigint {
    return this.#view.getBigUint64(index === 31 ? STATE.SP.at : STATE.X.at + index * 8, true);
  }

  setX(index: number, value: bigint): void {
    this.#view.setBigUint64(
      index === 31 ? STATE.SP.at : STATE.X.at + index * 8,
      BigInt.asUintN(64, value),
      true,
    );
  }
}
