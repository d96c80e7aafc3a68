/**
 * Arm Generic Interrupt Controller version 2: distributor and CPU interfaces for 1–8 CPUs.
 * Document: Arm IHI 0048B (architecture), DDI 0471B (GIC-400: identification, priority bits).
 *
 * Modelled: a single security state (GICD_TYPER.SecurityExtn = 0) with both interrupt groups, SGIs, PPIs and
 * SPIs, level and edge, 32 priority levels, preemption, EOImode, active priorities registers.
 *
 * Choices where the architecture leaves one: SGIs are always enabled (4.3.5); PPIs have a writable
 * configuration (4.3.13); of several sources of one SGI the lowest-numbered CPU is acknowledged first.
 * @deviation GICC_CTLR bypass bits are stored only: there is no legacy interrupt input to bypass to.
 */
import { bits, hex, invariant, lowestSetBit, NO_TRACE, type PhysAddr, type Trace } from '../../base/index.js';
import { cells64 } from '../../bus/index.js';
import type { AccessSize, DtNode, IrqLine, MmioDevice, Snapshottable } from '../../bus/index.js';
import * as bank from './interrupt-bank.js';
import type { InterruptBank } from './interrupt-bank.js';
import * as priority from './priority.js';
import type { PriorityState } from './priority.js';
import { RegisterFrame, type FrameRegister, type RegisterRow } from './register-frame.js';

const MAX_CPUS = 8;

/** SPIs come in words of 32; INTIDs 1020–1023 are special, so the last word is left out (IHI0048B 2.2.1). */
const MAX_SPIS = 960;

const DISTRIBUTOR_BYTES = 0x1000;
const CPU_INTERFACE_BYTES = 0x2000;

/** INTIDs that name no interrupt (IHI0048B 3.2.5). */
const FIRST_SPECIAL_INTID = 1020;
const INTID_GROUP1 = 1022;
const INTID_SPURIOUS = 1023;

/** For `#driven`, where 0 is neither line, 1 is IRQ and 2 is FIQ: drive them whatever they are. */
const UNKNOWN_LINES = 3;

const NONE = bank.candidate(priority.IDLE_PRIORITY, INTID_SPURIOUS);

const DISTRIBUTOR = {
  GICD_CTLR: { at: 0x000, spec: '4.3.1' },
  GICD_TYPER: { at: 0x004, spec: '4.3.2' },
  GICD_IIDR: { at: 0x008, spec: '4.3.3' },
  GICD_IGROUPR: { at: 0x080, words: 32, aspect: 'group', spec: '4.3.4' },
  GICD_ISENABLER: { at: 0x100, words: 32, aspect: 'setEnable', spec: '4.3.5' },
  GICD_ICENABLER: { at: 0x180, words: 32, aspect: 'clearEnable', spec: '4.3.6' },
  GICD_ISPENDR: { at: 0x200, words: 32, aspect: 'setPending', spec: '4.3.7' },
  GICD_ICPENDR: { at: 0x280, words: 32, aspect: 'clearPending', spec: '4.3.8' },
  GICD_ISACTIVER: { at: 0x300, words: 32, aspect: 'setActive', spec: '4.3.9' },
  GICD_ICACTIVER: { at: 0x380, words: 32, aspect: 'clearActive', spec: '4.3.10' },
  GICD_IPRIORITYR: { at: 0x400, words: 255, aspect: 'priority', byteAccess: true, spec: '4.3.11' },
  GICD_ITARGETSR: { at: 0x800, words: 255, byteAccess: true, spec: '4.3.12' },
  GICD_ICFGR: { at: 0xc00, words: 64, aspect: 'configuration', spec: '4.3.13' },
  GICD_NSACR: { at: 0xe00, words: 64, spec: '4.3.14' },
  GICD_SGIR: { at: 0xf00, spec: '4.3.15' },
  GICD_CPENDSGIR: { at: 0xf10, words: 4, byteAccess: true, spec: '4.3.16' },
  GICD_SPENDSGIR: { at: 0xf20, words: 4, byteAccess: true, spec: '4.3.17' },
  GICD_PIDR4: { at: 0xfd0, words: 4, spec: 'DDI0471B 3.2' },
  GICD_PIDR0: { at: 0xfe0, words: 4, spec: 'DDI0471B 3.2' },
  GICD_CIDR0: { at: 0xff0, words: 4, spec: 'DDI0471B 3.2' },
} as const satisfies Record<string, RegisterRow>;

const CPU_INTERFACE = {
  GICC_CTLR: { at: 0x0000, spec: '4.4.1' },
  GICC_PMR: { at: 0x0004, spec: '4.4.2' },
  GICC_BPR: { at: 0x0008, spec: '4.4.3' },
  GICC_IAR: { at: 0x000c, spec: '4.4.4' },
  GICC_EOIR: { at: 0x0010, spec: '4.4.5' },
  GICC_RPR: { at: 0x0014, spec: '4.4.6' },
  GICC_HPPIR: { at: 0x0018, spec: '4.4.7' },
  GICC_ABPR: { at: 0x001c, spec: '4.4.8' },
  GICC_AIAR: { at: 0x0020, spec: '4.4.9' },
  GICC_AEOIR: { at: 0x0024, spec: '4.4.10' },
  GICC_AHPPIR: { at: 0x0028, spec: '4.4.11' },
  /** Of each four, five bits of priority need the first; the others are RAZ/WI. */
  GICC_APR: { at: 0x00d0, words: 4, spec: '4.4.12' },
  GICC_NSAPR: { at: 0x00e0, words: 4, spec: '4.4.13' },
  GICC_IIDR: { at: 0x00fc, spec: '4.4.14' },
  GICC_DIR: { at: 0x1000, spec: '4.4.15' },
} as const satisfies Record<string, RegisterRow>;

/** EnableGrp0 and EnableGrp1, in GICD_CTLR and in GICC_CTLR. */
const CTLR_ENABLES = 0x3;
/** GICC_CTLR without the Security Extensions (IHI0048B 4.4.1, table 4-30). */
const GICC_CTLR = {
  ACK_CTL: 1 << 2,
  FIQ_EN: 1 << 3,
  CBPR: 1 << 4,
  EOI_MODE: 1 << 9,
  writable: 0x3ff,
} as const;

/** Identification of a GIC-400 r0p1 (DDI0471B 3.2, 3.3). */
const GICD_IIDR = 0x0200143b;
const GICC_IIDR = 0x0202143b;
const PIDR4_7 = [0x04, 0, 0, 0];
const PIDR0_3 = [0x90, 0xb4, 0x2b, 0];
const CIDR0_3 = [0x0d, 0xf0, 0x05, 0xb1];

type DistributorRegister = FrameRegister<keyof typeof DISTRIBUTOR>;
type CpuInterfaceRegister = FrameRegister<keyof typeof CPU_INTERFACE>;

interface Gicv2CpuState {
  /** SGIs and PPIs; an SGI's latch is set while any of its sources is pending. */
  readonly banked: InterruptBank;
  /** For each SGI, one bit for each CPU that it is pending from (GICD_SPENDSGIR). */
  readonly sgiSources: Uint8Array;
  /** GICC_CTLR. */
  ctlr: number;
  readonly priority: PriorityState;
}

export interface Gicv2State {
  readonly version: 1;
  /** GICD_CTLR. */
  ctlr: number;
  readonly spis: InterruptBank;
  /** GICD_ITARGETSR of the SPIs, one byte each. */
  readonly targets: Uint8Array;
  readonly cpus: readonly Gicv2CpuState[];
}

/** The interrupt inputs of one CPU. */
interface CpuInputs {
  readonly irq: IrqLine;
  readonly fiq: IrqLine;
}

interface Gicv2Ports {
  /** One for each CPU, 1 to 8. */
  readonly cpus: readonly CpuInputs[];
  /** Index of the CPU whose access is being made: most registers are banked. */
  currentCpu(): number;
  readonly trace?: Trace;
}

export class Gicv2 implements Snapshottable<Gicv2State> {
  readonly distributor: MmioDevice;
  readonly cpuInterface: MmioDevice;
  readonly #ports: Gicv2Ports;
  readonly #trace: Trace;
  readonly #cpuCount: number;
  #state: Gicv2State;

  // Derived from the state: the highest priority pending interrupts, and the lines as driven.
  readonly #bestBanked: Uint32Array;
  readonly #bestSpi: Uint32Array;
  readonly #driven: Uint8Array;

  /** `spis` is a multiple of 32, up to 960. */
  constructor(spis: number, ports: Gicv2Ports) {
    invariant(spis % 32 === 0 && spis > 0 && spis <= MAX_SPIS, `GICv2 with ${spis} SPIs`);
    invariant(ports.cpus.length > 0 && ports.cpus.length <= MAX_CPUS, `GICv2 with ${ports.cpus.length} CPUs`);
    this.#ports = ports;
    this.#trace = ports.trace ?? NO_TRACE;
    this.#cpuCount = ports.cpus.length;
    this.#state = initialState(spis, this.#cpuCount);
    this.#bestBanked = new Uint32Array(this.#cpuCount).fill(NONE);
    this.#bestSpi = new Uint32Array(this.#cpuCount).fill(NONE);
    this.#driven = new Uint8Array(this.#cpuCount);
    this.distributor = new RegisterFrame(
      'gicd',
      DISTRIBUTOR_BYTES,
      1,
      DISTRIBUTOR,
      {
        read: (register, index) => this.#readDistributor(register, index),
        write: (register, at, size, value) => this.#writeDistributor(register, at, size, value),
        reset: () => this.reset(),
      },
      this.#trace,
    );
    this.cpuInterface = new RegisterFrame(
      'gicc',
      CPU_INTERFACE_BYTES,
      1,
      CPU_INTERFACE,
      {
        read: (register, index) => this.#readCpuInterface(register, index),
        write: (register, at, _size, value) => this.#writeCpuInterface(register, at, value),
        reset: () => this.reset(),
      },
      this.#trace,
    );
  }

  /** The input of SPI `spi`, INTID 32 + `spi`. */
  spi(spi: number): IrqLine {
    invariant(spi >= 0 && spi < this.#state.targets.length, `no SPI ${spi}`);
    return {
      set: (level) => {
        if (bank.setLevel(this.#state.spis, spi, level)) this.#spisChanged();
      },
    };
  }

  /** The input of `cpu`'s PPI `ppi` (0–15), INTID 16 + `ppi`. */
  ppi(cpu: number, ppi: number): IrqLine {
    invariant(cpu >= 0 && cpu < this.#cpuCount && ppi >= 0 && ppi < 16, `no PPI ${ppi} of CPU ${cpu}`);
    return {
      set: (level) => {
        if (bank.setLevel(this.#cpu(cpu).banked, 16 + ppi, level)) this.#bankedChanged(cpu);
      },
    };
  }

  /** Registers to their reset values. The input lines keep their levels: they belong to other devices. */
  reset(): void {
    const wired = this.#state;
    const fresh = initialState(wired.targets.length, this.#cpuCount);
    this.#state = {
      ...fresh,
      spis: bank.resetBank(fresh.spis, wired.spis),
      cpus: fresh.cpus.map((cpu, i) => ({
        ...cpu,
        banked: bank.resetBank(cpu.banked, this.#cpuOf(wired, i).banked),
      })),
    };
    this.#allChanged();
  }

  saveState(): Gicv2State {
    return copyState(this.#state);
  }

  restoreState(state: Gicv2State): void {
    invariant(
      state.cpus.length === this.#cpuCount && state.targets.length === this.#state.targets.length,
      'GICv2 snapshot of another configuration',
    );
    this.#state = copyState(state);
    this.#driven.fill(UNKNOWN_LINES);
    this.#allChanged();
  }

  /**
   * The device-tree node, labelled `intc`; the board adds its address and may hang a GICv2m below it.
   * Binding: arm,gic.yaml.
   */
  describe(at: { distributor: PhysAddr; cpuInterface: PhysAddr }, children: readonly DtNode[] = []): DtNode {
    return {
      name: `intc@${at.distributor.toString(16)}`,
      label: 'intc',
      properties: {
        compatible: 'arm,cortex-a15-gic',
        reg: {
          cells: [
            ...cells64(at.distributor),
            ...cells64(DISTRIBUTOR_BYTES),
            ...cells64(at.cpuInterface),
            ...cells64(CPU_INTERFACE_BYTES),
          ],
        },
        'interrupt-controller': true,
        '#interrupt-cells': { cells: [3] },
        '#address-cells': { cells: [2] },
        '#size-cells': { cells: [2] },
        ranges: true,
      },
      children,
    };
  }

  #cpu(cpu: number): Gicv2CpuState {
    return this.#cpuOf(this.#state, cpu);
  }

  #cpuOf(state: Gicv2State, cpu: number): Gicv2CpuState {
    return state.cpus[cpu]!;
  }

  #bankOf(cpu: number, intid: number): InterruptBank {
    return intid < 32 ? this.#cpu(cpu).banked : this.#state.spis;
  }

  // Distributor

  #readDistributor(register: DistributorRegister, index: number): number {
    const cpu = this.#ports.currentCpu();
    if (register.aspect !== undefined) return this.#readAspect(cpu, register.aspect, index);
    switch (register.name) {
      case 'GICD_CTLR':
        return this.#state.ctlr;
      case 'GICD_TYPER':
        return this.#state.spis.enabled.length | ((this.#cpuCount - 1) << 5);
      case 'GICD_IIDR':
        return GICD_IIDR;
      case 'GICD_ITARGETSR':
        return this.#readTargets(cpu, index * 4);
      case 'GICD_CPENDSGIR':
      case 'GICD_SPENDSGIR':
        return bank.readFields(this.#cpu(cpu).sgiSources, index * 4);
      case 'GICD_PIDR4':
        return PIDR4_7[index]!;
      case 'GICD_PIDR0':
        return PIDR0_3[index]!;
      case 'GICD_CIDR0':
        return CIDR0_3[index]!;
      default: // GICD_SGIR is write-only; GICD_NSACR is RAZ/WI without the Security Extensions.
        return 0;
    }
  }

  #writeDistributor(register: DistributorRegister, at: number, size: AccessSize, value: number): void {
    const cpu = this.#ports.currentCpu();
    switch (register.name) {
      case 'GICD_CTLR':
        this.#state.ctlr = value & CTLR_ENABLES;
        this.#allChanged();
        break;
      case 'GICD_IPRIORITYR':
        if (at < 32) {
          bank.writeFields(this.#cpu(cpu).banked.priority, at, size, value, priority.PRIORITY_MASK);
          this.#bankedChanged(cpu);
        } else {
          bank.writeFields(this.#state.spis.priority, at - 32, size, value, priority.PRIORITY_MASK);
          this.#spisChanged();
        }
        break;
      case 'GICD_ITARGETSR':
        // The first 32 are read-only; with one CPU all are RAZ/WI (IHI0048B 4.3.12).
        if (at >= 32 && this.#cpuCount > 1) {
          bank.writeFields(this.#state.targets, at - 32, size, value, (1 << this.#cpuCount) - 1);
          this.#spisChanged();
        }
        break;
      case 'GICD_SGIR':
        this.#generateSgi(cpu, value);
        break;
      case 'GICD_CPENDSGIR':
      case 'GICD_SPENDSGIR':
        this.#writeSgiSources(cpu, at, size, value, register.name === 'GICD_SPENDSGIR');
        break;
      default:
        if (register.aspect !== undefined) {
          this.#writeAspect(cpu, register.aspect, at >>> 2, value);
        }
    }
  }

  #readAspect(cpu: number, aspect: bank.BankAspect, index: number): number {
    const banked = bank.registersPer32(aspect);
    return index < banked
      ? bank.readAspect(this.#cpu(cpu).banked, aspect, index)
      : bank.readAspect(this.#state.spis, aspect, index - banked);
  }

  #writeAspect(cpu: number, aspect: bank.BankAspect, index: number, value: number): void {
    const banked = bank.registersPer32(aspect);
    if (index >= banked) {
      bank.writeAspect(this.#state.spis, aspect, index - banked, value);
      this.#spisChanged();
      return;
    }
    // Of SGIs, enable and configuration are fixed, and pending is a matter of sources (IHI0048B 4.3.5–4.3.13).
    if (aspect === 'configuration' && index === 0) return;
    const areSgisFixed = aspect === 'clearEnable' || aspect === 'setPending' || aspect === 'clearPending';
    bank.writeAspect(this.#cpu(cpu).banked, aspect, index, areSgisFixed ? value & ~bank.SGI_BITS : value);
    this.#bankedChanged(cpu);
  }

  #readTargets(cpu: number, at: number): number {
    if (this.#cpuCount === 1) return 0;
    return at < 32 ? (1 << cpu) * 0x01010101 : bank.readFields(this.#state.targets, at - 32);
  }

  #generateSgi(cpu: number, value: number): void {
    const sgi = bits(value, 0, 4);
    const all = (1 << this.#cpuCount) - 1;
    const self = 1 << cpu;
    // TargetListFilter; the fourth value is reserved.
    const targets = [bits(value, 16, 8) & all, all & ~self, self, 0][bits(value, 24, 2)]!;
    for (let target = 0; target < this.#cpuCount; target++) {
      if ((targets & (1 << target)) !== 0) this.#setSgiSources(target, sgi, self, true);
    }
  }

  #writeSgiSources(cpu: number, at: number, size: AccessSize, value: number, pending: boolean): void {
    const all = (1 << this.#cpuCount) - 1;
    for (let i = 0; i < size; i++) this.#setSgiSources(cpu, at + i, (value >>> (8 * i)) & all, pending);
  }

  #setSgiSources(cpu: number, sgi: number, sources: number, pending: boolean): void {
    const { banked, sgiSources } = this.#cpu(cpu);
    if (pending) sgiSources[sgi]! |= sources;
    else sgiSources[sgi]! &= ~sources;
    bank.writeAspect(banked, sgiSources[sgi] === 0 ? 'clearPending' : 'setPending', 0, 1 << sgi);
    this.#bankedChanged(cpu);
  }

  // CPU interface

  #readCpuInterface(register: CpuInterfaceRegister, position: number): number {
    const index = this.#ports.currentCpu();
    const cpu = this.#cpu(index);
    switch (register.name) {
      case 'GICC_CTLR':
        return cpu.ctlr;
      case 'GICC_PMR':
        return cpu.priority.mask;
      case 'GICC_BPR':
        return cpu.priority.bpr0;
      case 'GICC_ABPR':
        return cpu.priority.bpr1;
      case 'GICC_IAR':
        return this.#acknowledge(index, 'plain');
      case 'GICC_AIAR':
        return this.#acknowledge(index, 'aliased');
      case 'GICC_RPR':
        return priority.runningPriorityField(cpu.priority);
      case 'GICC_HPPIR':
        return this.#visibleIntid(index, 'plain');
      case 'GICC_AHPPIR':
        return this.#visibleIntid(index, 'aliased');
      case 'GICC_APR':
        return position === 0 ? cpu.priority.apr0 : 0;
      case 'GICC_NSAPR':
        return position === 0 ? cpu.priority.apr1 : 0;
      case 'GICC_IIDR':
        return GICC_IIDR;
      default: // GICC_EOIR, GICC_AEOIR and GICC_DIR are write-only.
        return 0;
    }
  }

  #writeCpuInterface(register: CpuInterfaceRegister, at: number, value: number): void {
    const index = this.#ports.currentCpu();
    const cpu = this.#cpu(index);
    switch (register.name) {
      case 'GICC_CTLR':
        cpu.ctlr = value & GICC_CTLR.writable;
        break;
      case 'GICC_PMR':
        cpu.priority.mask = value & priority.PRIORITY_MASK;
        break;
      case 'GICC_BPR':
        priority.writeBinaryPoint(cpu.priority, 0, value);
        break;
      case 'GICC_ABPR':
        priority.writeBinaryPoint(cpu.priority, 1, value);
        break;
      case 'GICC_EOIR':
        this.#endOfInterrupt(index, value, 'plain');
        break;
      case 'GICC_AEOIR':
        this.#endOfInterrupt(index, value, 'aliased');
        break;
      case 'GICC_APR':
        if (at === 0) cpu.priority.apr0 = value;
        break;
      case 'GICC_NSAPR':
        if (at === 0) cpu.priority.apr1 = value;
        break;
      case 'GICC_DIR':
        // Without EOImode, EOIR has deactivated already (IHI0048B 4.4.15: UNPREDICTABLE; ignored).
        if ((cpu.ctlr & GICC_CTLR.EOI_MODE) !== 0) this.#deactivate(index, bits(value, 0, 10));
        break;
      default:
    }
    this.#updateIrq(index);
  }

  /** The highest priority pending interrupt of `cpu`, forwarded by the distributor, as a candidate. */
  #best(cpu: number): number {
    return Math.min(this.#bestBanked[cpu]!, this.#bestSpi[cpu]!);
  }

  /** Group of the highest priority pending interrupt if the CPU interface signals it to the CPU. */
  #signalledGroup(cpu: number): 0 | 1 | undefined {
    const best = this.#best(cpu);
    if (best === NONE) return undefined;
    const { ctlr, priority: state } = this.#cpu(cpu);
    const group = this.#groupOf(cpu, bank.candidateIntid(best));
    if (((ctlr >>> group) & 1) === 0) return undefined;
    const isCommonBpr = (ctlr & GICC_CTLR.CBPR) !== 0;
    return priority.isSufficient(state, group, isCommonBpr, bank.candidatePriority(best)) ? group : undefined;
  }

  #groupOf(cpu: number, intid: number): 0 | 1 {
    return bank.groupOf(this.#bankOf(cpu, intid), intid < 32 ? intid : intid - 32);
  }

  /**
   * What the plain or aliased register shows of the highest priority pending interrupt, with its source if it is
   * an SGI: the alias is for Group 1 only; the plain one shows Group 1 if AckCtl is set (IHI0048B 4.4.4–4.4.11).
   */
  #visibleIntid(cpu: number, view: 'plain' | 'aliased'): number {
    const best = this.#best(cpu);
    if (best === NONE) return INTID_SPURIOUS;
    const intid = bank.candidateIntid(best);
    const group = this.#groupOf(cpu, intid);
    if (view === 'aliased' && group === 0) return INTID_SPURIOUS;
    if (view === 'plain' && group === 1 && (this.#cpu(cpu).ctlr & GICC_CTLR.ACK_CTL) === 0)
      return INTID_GROUP1;
    return intid < 16 ? intid | (lowestSetBit(this.#cpu(cpu).sgiSources[intid]!) << 10) : intid;
  }

  #acknowledge(index: number, view: 'plain' | 'aliased'): number {
    const group = this.#signalledGroup(index);
    if (group === undefined) return INTID_SPURIOUS;
    const visible = this.#visibleIntid(index, view);
    const intid = bits(visible, 0, 10);
    if (intid >= FIRST_SPECIAL_INTID) return visible;
    const cpu = this.#cpu(index);
    const level = bank.candidatePriority(this.#best(index));
    if (this.#trace.on('irq')) this.#trace.event('irq', `gicc: CPU ${index} acknowledges ${hex(visible)}`);
    priority.activatePriority(cpu.priority, group, (cpu.ctlr & GICC_CTLR.CBPR) !== 0, level);
    if (intid < 32) {
      bank.setActive(cpu.banked, intid, true);
      if (intid < 16) this.#setSgiSources(index, intid, 1 << (visible >>> 10), false);
      else bank.clearLatch(cpu.banked, intid);
      this.#bankedChanged(index);
    } else {
      bank.setActive(this.#state.spis, intid - 32, true);
      bank.clearLatch(this.#state.spis, intid - 32);
      this.#spisChanged();
    }
    return visible;
  }

  #endOfInterrupt(index: number, value: number, view: 'plain' | 'aliased'): void {
    const intid = bits(value, 0, 10);
    const cpu = this.#cpu(index);
    if (!this.#isImplemented(intid)) return;
    const group = this.#groupOf(index, intid);
    if (view === 'aliased' && group === 0) return;
    if (this.#trace.on('irq')) this.#trace.event('irq', `gicc: CPU ${index} ends ${hex(value)}`);
    // An EOI that no acknowledge goes with is UNPREDICTABLE (IHI0048B 4.4.5); it is ignored.
    if (!priority.dropPriority(cpu.priority, group)) return;
    if ((cpu.ctlr & GICC_CTLR.EOI_MODE) === 0) this.#deactivate(index, intid);
  }

  #deactivate(cpu: number, intid: number): void {
    if (!this.#isImplemented(intid)) return;
    bank.setActive(this.#bankOf(cpu, intid), intid < 32 ? intid : intid - 32, false);
    if (intid < 32) this.#bankedChanged(cpu);
    else this.#spisChanged();
  }

  #isImplemented(intid: number): boolean {
    return intid < 32 + this.#state.targets.length;
  }

  // Selection. Each change of state looks again at the interrupts it may concern, and at no others.

  #bankedChanged(cpu: number): void {
    const { banked } = this.#cpu(cpu);
    let best = NONE;
    let forwarded = bank.forwardedBits(banked, 0, this.#state.ctlr);
    while (forwarded !== 0) {
      const intid = lowestSetBit(forwarded);
      forwarded &= forwarded - 1;
      best = Math.min(best, bank.candidate(banked.priority[intid]!, intid));
    }
    this.#bestBanked[cpu] = best;
    this.#updateIrq(cpu);
  }

  #spisChanged(): void {
    const { spis, targets, ctlr } = this.#state;
    const bestSpi = this.#bestSpi.fill(NONE);
    for (let word = 0; word < spis.enabled.length; word++) {
      let forwarded = bank.forwardedBits(spis, word, ctlr);
      while (forwarded !== 0) {
        const spi = word * 32 + lowestSetBit(forwarded);
        forwarded &= forwarded - 1;
        const found = bank.candidate(spis.priority[spi]!, 32 + spi);
        // With one CPU, that is the target whatever the register says (IHI0048B 4.3.12).
        let cpus = this.#cpuCount === 1 ? 1 : targets[spi]!;
        while (cpus !== 0) {
          const cpu = lowestSetBit(cpus);
          cpus &= cpus - 1;
          bestSpi[cpu] = Math.min(bestSpi[cpu]!, found);
        }
      }
    }
    for (let cpu = 0; cpu < this.#cpuCount; cpu++) this.#updateIrq(cpu);
  }

  #allChanged(): void {
    for (let cpu = 0; cpu < this.#cpuCount; cpu++) this.#bankedChanged(cpu);
    this.#spisChanged();
  }

  #updateIrq(cpu: number): void {
    const group = this.#signalledGroup(cpu);
    const isFiq = group === 0 && (this.#cpu(cpu).ctlr & GICC_CTLR.FIQ_EN) !== 0;
    const wanted = group === undefined ? 0 : isFiq ? 2 : 1;
    if (wanted === this.#driven[cpu]) return;
    this.#driven[cpu] = wanted;
    this.#ports.cpus[cpu]!.irq.set(wanted === 1);
    this.#ports.cpus[cpu]!.fiq.set(wanted === 2);
  }
}

function initialState(spis: number, cpuCount: number): Gicv2State {
  return {
    version: 1,
    ctlr: 0,
    spis: bank.makeBank(spis / 32),
    targets: new Uint8Array(spis),
    cpus: Array.from({ length: cpuCount }, () => {
      const banked = bank.makePrivateBank();
      banked.enabled[0] = bank.SGI_BITS;
      return { banked, sgiSources: new Uint8Array(16), ctlr: 0, priority: priority.makePriorityState() };
    }),
  };
}

function copyState(state: Gicv2State): Gicv2State {
  return {
    ...state,
    spis: bank.copyBank(state.spis),
    targets: state.targets.slice(),
    cpus: state.cpus.map((cpu) => ({
      ...cpu,
      banked: bank.copyBank(cpu.banked),
      sgiSources: cpu.sgiSources.slice(),
      priority: { ...cpu.priority },
    })),
  };
}
