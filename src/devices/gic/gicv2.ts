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
import { bits, hex, invariant, lowestSetBit, type PhysAddr, type Trace } from '../../base/index.js';
import type {
  AccessSize,
  AcpiInterruptController,
  AcpiProcessor,
  DtNode,
  MmioDevice,
} from '../../bus/index.js';
import {
  BOTH_GROUPS,
  COMMON_DISTRIBUTOR,
  identificationRegisters,
  FIRST_SPECIAL_INTID,
  Gic,
  INTID_SPURIOUS,
  NONE,
  type CpuInputs,
  type GicCpuState,
  type GicState,
} from './gic.js';
import * as bank from './interrupt-bank.js';
import * as priority from './priority.js';
import type { FrameRegister, RegisterRow } from './register-frame.js';

const MAX_CPUS = 8;

const DISTRIBUTOR_BYTES = 0x1000;
const CPU_INTERFACE_BYTES = 0x2000;

/** Group 1 is pending, seen through a register of Group 0 (IHI0048B 3.2.5). */
const INTID_GROUP1 = 1022;

const DISTRIBUTOR = {
  ...COMMON_DISTRIBUTOR,
  GICD_ITARGETSR: { at: 0x800, words: 255, byteAccess: true, spec: '4.3.12' },
  GICD_SGIR: { at: 0xf00, spec: '4.3.15' },
  GICD_CPENDSGIR: { at: 0xf10, words: 4, byteAccess: true, spec: '4.3.16' },
  GICD_SPENDSGIR: { at: 0xf20, words: 4, byteAccess: true, spec: '4.3.17' },
  // Of a GIC-400 r0p1.
  ...identificationRegisters('GICD', 0xfd0, [0x04, 0x90, 0xb4, 0x2b], 'DDI0471B 3.2'),
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

/** GICC_CTLR without the Security Extensions (IHI0048B 4.4.1, table 4-30). */
const GICC_CTLR = {
  ACK_CTL: 1 << 2,
  FIQ_EN: 1 << 3,
  CBPR: 1 << 4,
  EOI_MODE: 1 << 9,
  writable: 0x3ff,
} as const;

/** Identification of a GIC-400 r0p1 (DDI0471B 3.3). */
const GICD_IIDR = 0x0200143b;
const GICC_IIDR = 0x0202143b;

type DistributorRegister = FrameRegister<keyof typeof DISTRIBUTOR>;
type CpuInterfaceRegister = FrameRegister<keyof typeof CPU_INTERFACE>;

/** An SGI's latch is set while any of its sources is pending. */
interface Gicv2CpuState extends GicCpuState {
  /** For each SGI, one bit for each CPU that it is pending from (GICD_SPENDSGIR). */
  readonly sgiSources: Uint8Array;
}

export interface Gicv2State extends GicState<Gicv2CpuState> {
  /** GICD_ITARGETSR of the SPIs, one byte each. */
  readonly targets: Uint8Array;
}

interface Gicv2Ports {
  /** One for each CPU, 1 to 8. */
  readonly cpus: readonly CpuInputs[];
  /** Index of the CPU whose access is being made: most registers are banked. */
  currentCpu(): number;
  readonly trace?: Trace;
}

export class Gicv2 extends Gic<Gicv2CpuState, Gicv2State> {
  readonly distributor: MmioDevice;
  readonly cpuInterface: MmioDevice;
  readonly #ports: Gicv2Ports;

  /** `spis` is a multiple of 32, up to 960. */
  constructor(spis: number, ports: Gicv2Ports) {
    const { cpus, trace } = ports;
    super({ name: 'GICv2', spis, cpus, trace, initialState: () => initialState(spis, cpus.length) });
    invariant(cpus.length > 0 && cpus.length <= MAX_CPUS, `GICv2 with ${cpus.length} CPUs`);
    this.#ports = ports;
    this.distributor = this.frame('gicd', DISTRIBUTOR_BYTES, 1, DISTRIBUTOR, {
      read: (register, index) => this.#readDistributor(register, index),
      write: (register, at, size, value) => this.#writeDistributor(register, at, size, value),
    });
    this.cpuInterface = this.frame('gicc', CPU_INTERFACE_BYTES, 1, CPU_INTERFACE, {
      read: (register, index) => this.#readCpuInterface(register, index),
      write: (register, at, _size, value) => this.#writeCpuInterface(register, at, value),
    });
  }

  /**
   * The device-tree node, labelled `intc`; the board adds its address and may hang a GICv2m below it.
   * Binding: arm,gic.yaml.
   */
  describe(at: { distributor: PhysAddr; cpuInterface: PhysAddr }, children: readonly DtNode[] = []): DtNode {
    return this.describeAs(
      'arm,cortex-a15-gic',
      [at.distributor, DISTRIBUTOR_BYTES],
      [at.cpuInterface, CPU_INTERFACE_BYTES],
      children,
    );
  }

  /** Its entries of the MADT, and those of the processors that it serves. */
  describeAcpi(
    at: { distributor: PhysAddr; cpuInterface: PhysAddr },
    processors: readonly AcpiProcessor[],
  ): readonly AcpiInterruptController[] {
    return [
      { kind: 'gicd', base: at.distributor, gicVersion: 2 },
      ...processors.map((processor) => ({ kind: 'gicc' as const, ...processor, base: at.cpuInterface })),
    ];
  }

  protected override copyState(state: Gicv2State): Gicv2State {
    const copy = super.copyState(state);
    return {
      ...copy,
      targets: state.targets.slice(),
      cpus: copy.cpus.map((cpu) => ({ ...cpu, sgiSources: cpu.sgiSources.slice() })),
    };
  }

  // Distributor

  #readDistributor(register: DistributorRegister, index: number): number {
    const cpu = this.#ports.currentCpu();
    if (register.aspect !== undefined) {
      return this.readArray(register.aspect, index, this.cpu(cpu).banked);
    }
    switch (register.name) {
      case 'GICD_CTLR':
        return this.state.ctlr;
      case 'GICD_TYPER':
        return this.state.spis.enabled.length | ((this.cpuCount - 1) << 5);
      case 'GICD_IIDR':
        return GICD_IIDR;
      case 'GICD_ITARGETSR':
        return this.#readTargets(cpu, index * 4);
      case 'GICD_CPENDSGIR':
      case 'GICD_SPENDSGIR':
        return bank.readFields(this.cpu(cpu).sgiSources, index * 4);
      default: // GICD_SGIR is write-only; GICD_NSACR is RAZ/WI without the Security Extensions.
        return 0;
    }
  }

  #writeDistributor(register: DistributorRegister, at: number, size: AccessSize, value: number): void {
    const cpu = this.#ports.currentCpu();
    if (register.aspect !== undefined) {
      this.writeArray(register.aspect, at, size, value, cpu);
      return;
    }
    switch (register.name) {
      case 'GICD_CTLR':
        this.state.ctlr = value & BOTH_GROUPS;
        this.allChanged();
        break;
      case 'GICD_ITARGETSR':
        // The first 32 are read-only; with one CPU all are RAZ/WI (IHI0048B 4.3.12).
        if (at >= 32 && this.cpuCount > 1) {
          bank.writeFields(this.state.targets, at - 32, size, value, (1 << this.cpuCount) - 1);
          this.spisChanged();
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
    }
  }

  /** Enables of SGIs are fixed, and their pending is a matter of sources (IHI0048B 4.3.5–4.3.8). */
  protected override writePrivates(
    cpu: number,
    aspect: bank.BankAspect,
    at: number,
    size: AccessSize,
    value: number,
  ): void {
    const areSgisFixed = aspect === 'clearEnable' || aspect === 'setPending' || aspect === 'clearPending';
    super.writePrivates(cpu, aspect, at, size, areSgisFixed ? value & ~bank.SGI_BITS : value);
  }

  #readTargets(cpu: number, at: number): number {
    if (this.cpuCount === 1) return 0;
    return at < 32 ? (1 << cpu) * 0x01010101 : bank.readFields(this.state.targets, at - 32);
  }

  #generateSgi(cpu: number, value: number): void {
    const sgi = bits(value, 0, 4);
    const all = (1 << this.cpuCount) - 1;
    const self = 1 << cpu;
    // TargetListFilter; the fourth value is reserved.
    const targets = [bits(value, 16, 8) & all, all & ~self, self, 0][bits(value, 24, 2)]!;
    for (let target = 0; target < this.cpuCount; target++) {
      if ((targets & (1 << target)) !== 0) this.#setSgiSources(target, sgi, self, true);
    }
  }

  #writeSgiSources(cpu: number, at: number, size: AccessSize, value: number, pending: boolean): void {
    const all = (1 << this.cpuCount) - 1;
    for (let i = 0; i < size; i++) this.#setSgiSources(cpu, at + i, (value >>> (8 * i)) & all, pending);
  }

  #setSgiSources(cpu: number, sgi: number, sources: number, pending: boolean): void {
    const { banked, sgiSources } = this.cpu(cpu);
    if (pending) sgiSources[sgi]! |= sources;
    else sgiSources[sgi]! &= ~sources;
    bank.setLatch(banked, sgi, sgiSources[sgi] !== 0);
    this.bankedChanged(cpu);
  }

  // CPU interface

  #readCpuInterface(register: CpuInterfaceRegister, position: number): number {
    const index = this.#ports.currentCpu();
    const cpu = this.cpu(index);
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
    const cpu = this.cpu(index);
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
        if ((cpu.ctlr & GICC_CTLR.EOI_MODE) !== 0) this.deactivate(index, bits(value, 0, 10));
        break;
      default:
    }
    this.updateIrq(index);
  }

  /**
   * What the plain or aliased register shows of the highest priority pending interrupt, with its source if it is
   * an SGI: the alias is for Group 1 only; the plain one shows Group 1 if AckCtl is set (IHI0048B 4.4.4–4.4.11).
   */
  #visibleIntid(cpu: number, view: 'plain' | 'aliased'): number {
    const best = this.best(cpu);
    if (best === NONE) return INTID_SPURIOUS;
    const intid = bank.candidateIntid(best);
    const group = this.groupOf(cpu, intid);
    if (view === 'aliased' && group === 0) return INTID_SPURIOUS;
    if (view === 'plain' && group === 1 && (this.cpu(cpu).ctlr & GICC_CTLR.ACK_CTL) === 0)
      return INTID_GROUP1;
    return intid < 16 ? intid | (lowestSetBit(this.cpu(cpu).sgiSources[intid]!) << 10) : intid;
  }

  #acknowledge(index: number, view: 'plain' | 'aliased'): number {
    const group = this.signalledGroup(index);
    if (group === undefined) return INTID_SPURIOUS;
    const visible = this.#visibleIntid(index, view);
    const intid = bits(visible, 0, 10);
    if (intid >= FIRST_SPECIAL_INTID) return visible;
    if (this.trace.on('irq')) this.trace.event('irq', `gicc: CPU ${index} acknowledges ${hex(visible)}`);
    this.activateBest(index, group);
    if (intid < 16) this.#setSgiSources(index, intid, 1 << (visible >>> 10), false);
    return visible;
  }

  #endOfInterrupt(index: number, value: number, view: 'plain' | 'aliased'): void {
    const intid = bits(value, 0, 10);
    const cpu = this.cpu(index);
    if (!this.isImplemented(intid)) return;
    const group = this.groupOf(index, intid);
    if (view === 'aliased' && group === 0) return;
    if (this.trace.on('irq')) this.trace.event('irq', `gicc: CPU ${index} ends ${hex(value)}`);
    // An EOI that no acknowledge goes with is UNPREDICTABLE (IHI0048B 4.4.5); it is ignored.
    if (!priority.dropPriority(cpu.priority, group)) return;
    if ((cpu.ctlr & GICC_CTLR.EOI_MODE) === 0) this.deactivate(index, intid);
  }

  protected isCommonBpr(cpu: Gicv2CpuState): boolean {
    return (cpu.ctlr & GICC_CTLR.CBPR) !== 0;
  }

  protected forwardedGroups(): number {
    return BOTH_GROUPS;
  }

  protected signalledGroups(cpu: Gicv2CpuState): number {
    return cpu.ctlr;
  }

  protected isGroup0Fiq(cpu: Gicv2CpuState): boolean {
    return (cpu.ctlr & GICC_CTLR.FIQ_EN) !== 0;
  }

  protected offerSpi(spi: number, candidate: number, best: Uint32Array): void {
    // With one CPU, that is the target whatever the register says (IHI0048B 4.3.12).
    let cpus = this.cpuCount === 1 ? 1 : this.state.targets[spi]!;
    while (cpus !== 0) {
      const cpu = lowestSetBit(cpus);
      cpus &= cpus - 1;
      best[cpu] = Math.min(best[cpu]!, candidate);
    }
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
