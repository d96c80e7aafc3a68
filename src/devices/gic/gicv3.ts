/**
 * Arm Generic Interrupt Controller version 3: distributor, redistributors and the system-register CPU interface.
 * Document: Arm IHI 0069H. Identifies itself as a GIC-500 (DDI 0516).
 *
 * Modelled: one security state (GICD_CTLR.DS = 1), affinity routing always on (GICD_CTLR.ARE = 1), both interrupt
 * groups, SGIs, PPIs and SPIs, 32 priority levels, preemption, EOImode, the EL1 interface without the legacy one.
 * Not there, and said so in the type registers: LPIs, message-based SPIs, extended ranges, 1-of-N routing.
 *
 * @deviation A redistributor whose GICR_WAKER.ProcessorSleep is set forwards interrupts all the same: EDK2 leaves
 * the wake-up to firmware that a virtual machine does not have.
 */
import { bits, hex, invariant, lowestSetBit, NO_TRACE, type PhysAddr, type Trace } from '../../base/index.js';
import { cells64 } from '../../bus/index.js';
import type {
  AccessSize,
  DtNode,
  IrqLine,
  MmioDevice,
  Snapshottable,
  SystemRegisterPort,
} from '../../bus/index.js';
import * as bank from './interrupt-bank.js';
import type { InterruptBank } from './interrupt-bank.js';
import * as priority from './priority.js';
import type { PriorityState } from './priority.js';
import { RegisterFrame, type FrameRegister, type RegisterRow } from './register-frame.js';

/** SPIs come in words of 32; INTIDs 1020–1023 are special, so the last word is left out (IHI0069 2.2). */
const MAX_SPIS = 960;

const DISTRIBUTOR_BYTES = 0x10000;
/** RD_base and SGI_base, 64 KiB each, for one CPU (IHI0069 12.10). */
const REDISTRIBUTOR_BYTES = 0x20000;

/** INTIDs that name no interrupt (IHI0069 2.2.1). */
const FIRST_SPECIAL_INTID = 1020;
const INTID_SPURIOUS = 1023;

const NONE = bank.candidate(priority.IDLE_PRIORITY, INTID_SPURIOUS);

/** For `#driven`, where 0 is neither line, 1 is IRQ and 2 is FIQ: drive them whatever they are. */
const UNKNOWN_LINES = 3;

const DISTRIBUTOR = {
  GICD_CTLR: { at: 0x0000, spec: '12.9' },
  GICD_TYPER: { at: 0x0004, spec: '12.9' },
  GICD_IIDR: { at: 0x0008, spec: '12.9' },
  GICD_TYPER2: { at: 0x000c, spec: '12.9' },
  GICD_STATUSR: { at: 0x0010, spec: '12.9' },
  GICD_IGROUPR: { at: 0x0080, words: 32, aspect: 'group', spec: '12.9' },
  GICD_ISENABLER: { at: 0x0100, words: 32, aspect: 'setEnable', spec: '12.9' },
  GICD_ICENABLER: { at: 0x0180, words: 32, aspect: 'clearEnable', spec: '12.9' },
  GICD_ISPENDR: { at: 0x0200, words: 32, aspect: 'setPending', spec: '12.9' },
  GICD_ICPENDR: { at: 0x0280, words: 32, aspect: 'clearPending', spec: '12.9' },
  GICD_ISACTIVER: { at: 0x0300, words: 32, aspect: 'setActive', spec: '12.9' },
  GICD_ICACTIVER: { at: 0x0380, words: 32, aspect: 'clearActive', spec: '12.9' },
  GICD_IPRIORITYR: { at: 0x0400, words: 255, aspect: 'priority', byteAccess: true, spec: '12.9' },
  GICD_ICFGR: { at: 0x0c00, words: 64, aspect: 'configuration', spec: '12.9' },
  GICD_IGRPMODR: { at: 0x0d00, words: 32, spec: '12.9' },
  GICD_NSACR: { at: 0x0e00, words: 64, spec: '12.9' },
  GICD_IROUTER: { at: 0x6000, words: 2040, spec: '12.9' },
  GICD_PIDR4: { at: 0xffd0, words: 4, spec: '12.1.2' },
  GICD_PIDR0: { at: 0xffe0, words: 4, spec: '12.1.2' },
  GICD_CIDR0: { at: 0xfff0, words: 4, spec: '12.1.2' },
} as const satisfies Record<string, RegisterRow>;

const REDISTRIBUTOR = {
  GICR_CTLR: { at: 0x00000, spec: '12.11' },
  GICR_IIDR: { at: 0x00004, spec: '12.11' },
  GICR_TYPER: { at: 0x00008, words: 2, spec: '12.11' },
  GICR_STATUSR: { at: 0x00010, spec: '12.11' },
  GICR_WAKER: { at: 0x00014, spec: '12.11' },
  GICR_PIDR4: { at: 0x0ffd0, words: 4, spec: '12.1.2' },
  GICR_PIDR0: { at: 0x0ffe0, words: 4, spec: '12.1.2' },
  GICR_CIDR0: { at: 0x0fff0, words: 4, spec: '12.1.2' },
  GICR_IGROUPR0: { at: 0x10080, aspect: 'group', spec: '12.11' },
  GICR_ISENABLER0: { at: 0x10100, aspect: 'setEnable', spec: '12.11' },
  GICR_ICENABLER0: { at: 0x10180, aspect: 'clearEnable', spec: '12.11' },
  GICR_ISPENDR0: { at: 0x10200, aspect: 'setPending', spec: '12.11' },
  GICR_ICPENDR0: { at: 0x10280, aspect: 'clearPending', spec: '12.11' },
  GICR_ISACTIVER0: { at: 0x10300, aspect: 'setActive', spec: '12.11' },
  GICR_ICACTIVER0: { at: 0x10380, aspect: 'clearActive', spec: '12.11' },
  GICR_IPRIORITYR: { at: 0x10400, words: 8, aspect: 'priority', byteAccess: true, spec: '12.11' },
  GICR_ICFGR: { at: 0x10c00, words: 2, aspect: 'configuration', spec: '12.11' },
  GICR_IGRPMODR0: { at: 0x10d00, spec: '12.11' },
  GICR_NSACR: { at: 0x10e00, spec: '12.11' },
} as const satisfies Record<string, RegisterRow>;

/** The system registers of the CPU interface at EL1 (IHI0069 12.2); with 5 bits of priority, one AP<g>R<n> each. */
export const ICC_REGISTERS = [
  'ICC_AP0R0_EL1',
  'ICC_AP1R0_EL1',
  'ICC_ASGI1R_EL1',
  'ICC_BPR0_EL1',
  'ICC_BPR1_EL1',
  'ICC_CTLR_EL1',
  'ICC_DIR_EL1',
  'ICC_EOIR0_EL1',
  'ICC_EOIR1_EL1',
  'ICC_HPPIR0_EL1',
  'ICC_HPPIR1_EL1',
  'ICC_IAR0_EL1',
  'ICC_IAR1_EL1',
  'ICC_IGRPEN0_EL1',
  'ICC_IGRPEN1_EL1',
  'ICC_PMR_EL1',
  'ICC_RPR_EL1',
  'ICC_SGI0R_EL1',
  'ICC_SGI1R_EL1',
  'ICC_SRE_EL1',
] as const;

type IccRegister = (typeof ICC_REGISTERS)[number];

/** GICD_CTLR with one security state: EnableGrp0 and EnableGrp1 to write, ARE and DS fixed (12.9). */
const GICD_CTLR = { enables: 0x3, fixed: (1 << 4) | (1 << 6) } as const;
/** GICD_TYPER above ITLinesNumber: 10 bits of INTID, A3V, No1N (12.9). */
const GICD_TYPER = (9 << 19) | (1 << 24) | (1 << 25);
/** GICR_WAKER.ProcessorSleep and ChildrenAsleep, which follows it at once (12.11). */
const WAKER = { PROCESSOR_SLEEP: 1 << 1, CHILDREN_ASLEEP: 1 << 2 } as const;
/** GICR_TYPER.Last, in its low word beside Processor_Number (12.11). */
const TYPER_LAST = 1 << 4;
/** ICC_CTLR_EL1 (12.2): CBPR, EOImode and PMHE to write; A3V, 16 bits of INTID, PRIbits fixed. */
const ICC_CTLR = {
  CBPR: 1 << 0,
  EOI_MODE: 1 << 1,
  writable: (1 << 0) | (1 << 1) | (1 << 6),
  fixed: (1 << 15) | (priority.PRI_BITS_FIELD << 8),
} as const;
/** ICC_SRE_EL1: system registers only, no bypass (12.2). */
const ICC_SRE = 0x7n;

/** Identification of a GIC-500 (DDI0516 3.2). */
const IIDR = 0x0000043b;
const PIDR4_7 = [0x44, 0, 0, 0];
const GICD_PIDR0_3 = [0x92, 0xb4, 0x3b, 0];
const GICR_PIDR0_3 = [0x93, 0xb4, 0x3b, 0];
const CIDR0_3 = [0x0d, 0xf0, 0x05, 0xb1];

type DistributorRegister = FrameRegister<keyof typeof DISTRIBUTOR>;
type RedistributorRegister = FrameRegister<keyof typeof REDISTRIBUTOR>;

interface Gicv3CpuState {
  /** SGIs and PPIs. */
  readonly banked: InterruptBank;
  /** GICR_WAKER.ProcessorSleep. */
  isAsleep: boolean;
  /** The writable bits of ICC_CTLR_EL1. */
  ctlr: number;
  /** ICC_IGRPEN0_EL1 in bit 0, ICC_IGRPEN1_EL1 in bit 1. */
  groupEnables: number;
  readonly priority: PriorityState;
}

export interface Gicv3State {
  readonly version: 1;
  /** The enables of GICD_CTLR. */
  ctlr: number;
  readonly spis: InterruptBank;
  /** GICD_IROUTER of the SPIs, Aff3.Aff2.Aff1.Aff0 from the top byte down. */
  readonly routes: Uint32Array;
  readonly cpus: readonly Gicv3CpuState[];
}

interface Gicv3Cpu {
  readonly irq: IrqLine;
  readonly fiq: IrqLine;
  /** Aff3.Aff2.Aff1.Aff0 of its MPIDR_EL1, from the top byte down. */
  readonly affinity: number;
}

interface Gicv3Ports {
  readonly cpus: readonly Gicv3Cpu[];
  readonly trace?: Trace;
}

export class Gicv3 implements Snapshottable<Gicv3State>, SystemRegisterPort {
  readonly distributor: MmioDevice;
  /** The frames of all redistributors, in the order of the CPUs. */
  readonly redistributors: MmioDevice;
  readonly #cpus: readonly Gicv3Cpu[];
  readonly #cpuByAffinity: ReadonlyMap<number, number>;
  readonly #trace: Trace;
  #state: Gicv3State;

  // Derived from the state: the CPU each SPI is routed to (-1: none), the highest priority pending interrupts,
  // and the lines as driven.
  readonly #routedTo: Int16Array;
  readonly #bestBanked: Uint32Array;
  readonly #bestSpi: Uint32Array;
  readonly #driven: Uint8Array;

  /** `spis` is a multiple of 32, up to 960. */
  constructor(spis: number, ports: Gicv3Ports) {
    invariant(spis % 32 === 0 && spis > 0 && spis <= MAX_SPIS, `GICv3 with ${spis} SPIs`);
    this.#cpus = ports.cpus;
    this.#cpuByAffinity = new Map(ports.cpus.map((cpu, index) => [cpu.affinity >>> 0, index]));
    invariant(this.#cpuByAffinity.size === ports.cpus.length, 'two CPUs with one affinity');
    this.#trace = ports.trace ?? NO_TRACE;
    this.#state = initialState(spis, ports.cpus.length);
    this.#routedTo = new Int16Array(spis);
    this.#bestBanked = new Uint32Array(ports.cpus.length).fill(NONE);
    this.#bestSpi = new Uint32Array(ports.cpus.length).fill(NONE);
    this.#driven = new Uint8Array(ports.cpus.length);
    this.#routesChanged();
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
    this.redistributors = new RegisterFrame(
      'gicr',
      REDISTRIBUTOR_BYTES,
      ports.cpus.length,
      REDISTRIBUTOR,
      {
        read: (register, index, cpu) => this.#readRedistributor(register, index, cpu),
        write: (register, at, size, value, cpu) => this.#writeRedistributor(register, at, size, value, cpu),
        reset: () => this.reset(),
      },
      this.#trace,
    );
  }

  /** The input of SPI `spi`, INTID 32 + `spi`. */
  spi(spi: number): IrqLine {
    invariant(spi >= 0 && spi < this.#state.routes.length, `no SPI ${spi}`);
    return {
      set: (level) => {
        if (bank.setLevel(this.#state.spis, spi, level)) this.#spisChanged();
      },
    };
  }

  /** The input of `cpu`'s PPI `ppi` (0–15), INTID 16 + `ppi`. */
  ppi(cpu: number, ppi: number): IrqLine {
    invariant(cpu >= 0 && cpu < this.#cpus.length && ppi >= 0 && ppi < 16, `no PPI ${ppi} of CPU ${cpu}`);
    return {
      set: (level) => {
        if (bank.setLevel(this.#cpu(cpu).banked, 16 + ppi, level)) this.#bankedChanged(cpu);
      },
    };
  }

  /** Registers to their reset values. The input lines keep their levels: they belong to other devices. */
  reset(): void {
    const wired = this.#state;
    const fresh = initialState(wired.routes.length, this.#cpus.length);
    this.#state = {
      ...fresh,
      spis: bank.resetBank(fresh.spis, wired.spis),
      cpus: fresh.cpus.map((cpu, i) => ({
        ...cpu,
        banked: bank.resetBank(cpu.banked, wired.cpus[i]!.banked),
      })),
    };
    this.#allChanged();
  }

  saveState(): Gicv3State {
    return copyState(this.#state);
  }

  restoreState(state: Gicv3State): void {
    invariant(
      state.cpus.length === this.#cpus.length && state.routes.length === this.#state.routes.length,
      'GICv3 snapshot of another configuration',
    );
    this.#state = copyState(state);
    this.#driven.fill(UNKNOWN_LINES);
    this.#allChanged();
  }

  /** The device-tree node, labelled `intc`; the board adds its addresses. Binding: arm,gic-v3.yaml. */
  describe(
    at: { distributor: PhysAddr; redistributors: PhysAddr },
    children: readonly DtNode[] = [],
  ): DtNode {
    return {
      name: `intc@${at.distributor.toString(16)}`,
      label: 'intc',
      properties: {
        compatible: 'arm,gic-v3',
        reg: {
          cells: [
            ...cells64(at.distributor),
            ...cells64(DISTRIBUTOR_BYTES),
            ...cells64(at.redistributors),
            ...cells64(this.redistributors.sizeBytes),
          ],
        },
        '#redistributor-regions': { cells: [1] },
        'interrupt-controller': true,
        '#interrupt-cells': { cells: [3] },
        '#address-cells': { cells: [2] },
        '#size-cells': { cells: [2] },
        ranges: true,
      },
      children,
    };
  }

  #cpu(cpu: number): Gicv3CpuState {
    return this.#state.cpus[cpu]!;
  }

  #bankOf(cpu: number, intid: number): InterruptBank {
    return intid < 32 ? this.#cpu(cpu).banked : this.#state.spis;
  }

  // Distributor

  #readDistributor(register: DistributorRegister, index: number): number {
    if (register.aspect !== undefined) {
      // With affinity routing the first 32 interrupts are the redistributors' (IHI0069 12.9).
      const banked = bank.registersPer32(register.aspect);
      return index < banked ? 0 : bank.readAspect(this.#state.spis, register.aspect, index - banked);
    }
    switch (register.name) {
      case 'GICD_CTLR':
        return this.#state.ctlr | GICD_CTLR.fixed;
      case 'GICD_TYPER':
        return this.#state.spis.enabled.length | GICD_TYPER;
      case 'GICD_IIDR':
        return IIDR;
      case 'GICD_IROUTER': {
        const route = this.#state.routes[(index >>> 1) - 32] ?? 0;
        return (index & 1) === 0 ? route & 0xffffff : route >>> 24;
      }
      case 'GICD_PIDR4':
        return PIDR4_7[index]!;
      case 'GICD_PIDR0':
        return GICD_PIDR0_3[index]!;
      case 'GICD_CIDR0':
        return CIDR0_3[index]!;
      default: // GICD_TYPER2, GICD_STATUSR: nothing optional. GICD_IGRPMODR, GICD_NSACR: RAZ/WI with DS = 1.
        return 0;
    }
  }

  #writeDistributor(register: DistributorRegister, at: number, size: AccessSize, value: number): void {
    const index = at >>> 2;
    switch (register.name) {
      case 'GICD_CTLR':
        this.#state.ctlr = value & GICD_CTLR.enables;
        this.#allChanged();
        break;
      case 'GICD_IPRIORITYR': {
        const spi = at - 32;
        if (spi >= 0) {
          bank.writeFields(this.#state.spis.priority, spi, size, value, priority.PRIORITY_MASK);
          this.#spisChanged();
        }
        break;
      }
      case 'GICD_IROUTER': {
        const spi = (index >>> 1) - 32;
        const { routes } = this.#state;
        if (spi < 0 || spi >= routes.length) break;
        const route = routes[spi]!;
        routes[spi] =
          (index & 1) === 0 ? (route & ~0xffffff) | (value & 0xffffff) : (route & 0xffffff) | (value << 24);
        this.#routesChanged();
        this.#spisChanged();
        break;
      }
      default:
        if (register.aspect !== undefined) {
          const banked = bank.registersPer32(register.aspect);
          if (index < banked) break;
          bank.writeAspect(this.#state.spis, register.aspect, index - banked, value);
          this.#spisChanged();
        }
    }
  }

  // Redistributors

  #readRedistributor(register: RedistributorRegister, index: number, copy: number): number {
    const cpu = this.#cpu(copy);
    if (register.aspect !== undefined) return bank.readAspect(cpu.banked, register.aspect, index);
    switch (register.name) {
      case 'GICR_IIDR':
        return IIDR;
      case 'GICR_TYPER': {
        const isLast = copy === this.#cpus.length - 1;
        return index === 1 ? this.#cpus[copy]!.affinity : (copy << 8) | (isLast ? TYPER_LAST : 0);
      }
      case 'GICR_WAKER':
        return cpu.isAsleep ? WAKER.PROCESSOR_SLEEP | WAKER.CHILDREN_ASLEEP : 0;
      case 'GICR_PIDR4':
        return PIDR4_7[index]!;
      case 'GICR_PIDR0':
        return GICR_PIDR0_3[index]!;
      case 'GICR_CIDR0':
        return CIDR0_3[index]!;
      default: // GICR_CTLR: no LPIs, writes done at once. GICR_STATUSR and the two of security states: RAZ/WI.
        return 0;
    }
  }

  #writeRedistributor(
    register: RedistributorRegister,
    at: number,
    size: AccessSize,
    value: number,
    copy: number,
  ): void {
    const cpu = this.#cpu(copy);
    switch (register.name) {
      case 'GICR_WAKER':
        cpu.isAsleep = (value & WAKER.PROCESSOR_SLEEP) !== 0;
        break;
      case 'GICR_IPRIORITYR':
        bank.writeFields(cpu.banked.priority, at, size, value, priority.PRIORITY_MASK);
        this.#bankedChanged(copy);
        break;
      default:
        if (register.aspect === undefined) break;
        // SGIs are edge-triggered for good (12.11).
        if (register.aspect === 'configuration' && at === 0) break;
        bank.writeAspect(cpu.banked, register.aspect, at >>> 2, value);
        this.#bankedChanged(copy);
    }
  }

  // CPU interface

  readSystemRegister(name: string, index: number): bigint {
    return BigInt(this.#readIcc(name as IccRegister, index) >>> 0);
  }

  #readIcc(name: IccRegister, index: number): number {
    const cpu = this.#cpu(index);
    switch (name) {
      case 'ICC_IAR0_EL1':
        return this.#acknowledge(index, 0);
      case 'ICC_IAR1_EL1':
        return this.#acknowledge(index, 1);
      case 'ICC_HPPIR0_EL1':
        return this.#highestPending(index, 0);
      case 'ICC_HPPIR1_EL1':
        return this.#highestPending(index, 1);
      case 'ICC_PMR_EL1':
        return cpu.priority.mask;
      case 'ICC_RPR_EL1':
        return priority.runningPriorityField(cpu.priority);
      case 'ICC_BPR0_EL1':
        return cpu.priority.bpr0;
      case 'ICC_BPR1_EL1':
        // 12.2: with CBPR it shows the common binary point as Group 1 counts it, and is read-only.
        return this.#isCommonBpr(cpu) ? Math.min(cpu.priority.bpr0 + 1, 7) : cpu.priority.bpr1;
      case 'ICC_CTLR_EL1':
        return cpu.ctlr | ICC_CTLR.fixed;
      case 'ICC_SRE_EL1':
        return Number(ICC_SRE);
      case 'ICC_IGRPEN0_EL1':
        return cpu.groupEnables & 1;
      case 'ICC_IGRPEN1_EL1':
        return cpu.groupEnables >>> 1;
      case 'ICC_AP0R0_EL1':
        return cpu.priority.apr0;
      case 'ICC_AP1R0_EL1':
        return cpu.priority.apr1;
      default: // The others are write-only.
        return 0;
    }
  }

  writeSystemRegister(name: string, index: number, value: bigint): void {
    const cpu = this.#cpu(index);
    const low = Number(value & 0xffff_ffffn);
    switch (name as IccRegister) {
      case 'ICC_PMR_EL1':
        cpu.priority.mask = low & priority.PRIORITY_MASK;
        break;
      case 'ICC_BPR0_EL1':
        priority.writeBinaryPoint(cpu.priority, 0, low);
        break;
      case 'ICC_BPR1_EL1':
        if (!this.#isCommonBpr(cpu)) priority.writeBinaryPoint(cpu.priority, 1, low);
        break;
      case 'ICC_CTLR_EL1':
        cpu.ctlr = low & ICC_CTLR.writable;
        break;
      case 'ICC_IGRPEN0_EL1':
        cpu.groupEnables = (cpu.groupEnables & 2) | (low & 1);
        this.#groupEnablesChanged(index);
        break;
      case 'ICC_IGRPEN1_EL1':
        cpu.groupEnables = (cpu.groupEnables & 1) | ((low & 1) << 1);
        this.#groupEnablesChanged(index);
        break;
      case 'ICC_AP0R0_EL1':
        cpu.priority.apr0 = low;
        break;
      case 'ICC_AP1R0_EL1':
        cpu.priority.apr1 = low;
        break;
      case 'ICC_EOIR0_EL1':
        this.#endOfInterrupt(index, bits(low, 0, 24), 0);
        break;
      case 'ICC_EOIR1_EL1':
        this.#endOfInterrupt(index, bits(low, 0, 24), 1);
        break;
      case 'ICC_DIR_EL1':
        // Without EOImode, EOIR has deactivated already (12.2: UNPREDICTABLE; ignored).
        if ((cpu.ctlr & ICC_CTLR.EOI_MODE) !== 0) this.#deactivate(index, bits(low, 0, 24));
        break;
      case 'ICC_SGI1R_EL1':
        this.#generateSgi(index, value, 1);
        break;
      case 'ICC_SGI0R_EL1':
      case 'ICC_ASGI1R_EL1':
        // With one security state, "the other state's Group 1" is Group 0 (12.2).
        this.#generateSgi(index, value, 0);
        break;
      default:
    }
    this.#updateIrq(index);
  }

  #isCommonBpr(cpu: Gicv3CpuState): boolean {
    return (cpu.ctlr & ICC_CTLR.CBPR) !== 0;
  }

  #generateSgi(self: number, value: bigint, group: 0 | 1): void {
    const low = Number(value & 0xffff_ffffn);
    const high = Number((value >> 32n) & 0xffff_ffffn);
    const sgi = bits(low, 24, 4);
    const routesToAllOthers = bits(high, 8, 1) === 1;
    if (routesToAllOthers) {
      for (let cpu = 0; cpu < this.#cpus.length; cpu++)
        if (cpu !== self) this.#makeSgiPending(cpu, sgi, group);
      return;
    }
    const cluster = (bits(high, 16, 8) << 24) | (bits(high, 0, 8) << 16) | (bits(low, 16, 8) << 8);
    const firstAff0 = bits(high, 12, 4) * 16;
    let targets = bits(low, 0, 16);
    while (targets !== 0) {
      const cpu = this.#cpuByAffinity.get((cluster | (firstAff0 + lowestSetBit(targets))) >>> 0);
      targets &= targets - 1;
      if (cpu !== undefined) this.#makeSgiPending(cpu, sgi, group);
    }
  }

  /** A target takes an SGI only of the group that it has configured it to be. */
  #makeSgiPending(cpu: number, sgi: number, group: 0 | 1): void {
    const { banked } = this.#cpu(cpu);
    if (bank.groupOf(banked, sgi) !== group) return;
    bank.writeAspect(banked, 'setPending', 0, 1 << sgi);
    this.#bankedChanged(cpu);
  }

  /**
   * The highest priority pending interrupt of `cpu` as a candidate. Groups that its CPU interface does not enable are
   * not forwarded to it (IHI0069 4.7), so that they do not hide interrupts of the other group.
   */
  #best(cpu: number): number {
    return Math.min(this.#bestBanked[cpu]!, this.#bestSpi[cpu]!);
  }

  #groupOf(cpu: number, intid: number): 0 | 1 {
    return bank.groupOf(this.#bankOf(cpu, intid), intid < 32 ? intid : intid - 32);
  }

  /** ICC_HPPIR0_EL1 and ICC_HPPIR1_EL1: the interrupt if it is of that group. */
  #highestPending(index: number, group: 0 | 1): number {
    const best = this.#best(index);
    if (best === NONE) return INTID_SPURIOUS;
    const intid = bank.candidateIntid(best);
    return this.#groupOf(index, intid) === group ? intid : INTID_SPURIOUS;
  }

  /** Group of the highest priority pending interrupt if the CPU interface signals it to the CPU. */
  #signalledGroup(index: number): 0 | 1 | undefined {
    const best = this.#best(index);
    if (best === NONE) return undefined;
    const cpu = this.#cpu(index);
    const group = this.#groupOf(index, bank.candidateIntid(best));
    const isCommonBpr = this.#isCommonBpr(cpu);
    const level = bank.candidatePriority(best);
    return priority.isSufficient(cpu.priority, group, isCommonBpr, level) ? group : undefined;
  }

  #acknowledge(index: number, group: 0 | 1): number {
    if (this.#signalledGroup(index) !== group) return INTID_SPURIOUS;
    const best = this.#best(index);
    const intid = bank.candidateIntid(best);
    const cpu = this.#cpu(index);
    if (this.#trace.on('irq')) this.#trace.event('irq', `icc: CPU ${index} acknowledges ${hex(intid)}`);
    priority.activatePriority(cpu.priority, group, this.#isCommonBpr(cpu), bank.candidatePriority(best));
    const of = this.#bankOf(index, intid);
    const at = intid < 32 ? intid : intid - 32;
    bank.setActive(of, at, true);
    bank.clearLatch(of, at);
    this.#interruptChanged(index, intid);
    return intid;
  }

  #endOfInterrupt(index: number, intid: number, group: 0 | 1): void {
    if (intid >= FIRST_SPECIAL_INTID || !this.#isImplemented(intid)) return;
    if (this.#trace.on('irq')) this.#trace.event('irq', `icc: CPU ${index} ends ${hex(intid)}`);
    const cpu = this.#cpu(index);
    // An EOI that does not go with the latest acknowledge is UNPREDICTABLE (12.2); it is ignored.
    if (priority.highestActiveGroup(cpu.priority) !== group) return;
    priority.dropPriority(cpu.priority, group);
    if ((cpu.ctlr & ICC_CTLR.EOI_MODE) === 0) this.#deactivate(index, intid);
  }

  #deactivate(index: number, intid: number): void {
    if (!this.#isImplemented(intid)) return;
    bank.setActive(this.#bankOf(index, intid), intid < 32 ? intid : intid - 32, false);
    this.#interruptChanged(index, intid);
  }

  #isImplemented(intid: number): boolean {
    return intid < 32 + this.#state.routes.length;
  }

  // Selection. Each change of state looks again at the interrupts it may concern, and at no others.

  #interruptChanged(cpu: number, intid: number): void {
    if (intid < 32) this.#bankedChanged(cpu);
    else this.#spisChanged();
  }

  #bankedChanged(cpu: number): void {
    const { banked, groupEnables } = this.#cpu(cpu);
    let best = NONE;
    let forwarded = bank.forwardedBits(banked, 0, this.#state.ctlr & groupEnables);
    while (forwarded !== 0) {
      const intid = lowestSetBit(forwarded);
      forwarded &= forwarded - 1;
      best = Math.min(best, bank.candidate(banked.priority[intid]!, intid));
    }
    this.#bestBanked[cpu] = best;
    this.#updateIrq(cpu);
  }

  #spisChanged(): void {
    const { spis, ctlr, cpus } = this.#state;
    const bestSpi = this.#bestSpi.fill(NONE);
    for (let word = 0; word < spis.enabled.length; word++) {
      let forwarded = bank.forwardedBits(spis, word, ctlr);
      while (forwarded !== 0) {
        const spi = word * 32 + lowestSetBit(forwarded);
        forwarded &= forwarded - 1;
        const cpu = this.#routedTo[spi]!;
        if (cpu < 0 || ((cpus[cpu]!.groupEnables >>> bank.groupOf(spis, spi)) & 1) === 0) continue;
        bestSpi[cpu] = Math.min(bestSpi[cpu]!, bank.candidate(spis.priority[spi]!, 32 + spi));
      }
    }
    for (let cpu = 0; cpu < this.#cpus.length; cpu++) this.#updateIrq(cpu);
  }

  #groupEnablesChanged(cpu: number): void {
    this.#bankedChanged(cpu);
    this.#spisChanged();
  }

  #routesChanged(): void {
    const { routes } = this.#state;
    for (let spi = 0; spi < routes.length; spi++) {
      this.#routedTo[spi] = this.#cpuByAffinity.get(routes[spi]!) ?? -1;
    }
  }

  #allChanged(): void {
    this.#routesChanged();
    for (let cpu = 0; cpu < this.#cpus.length; cpu++) this.#bankedChanged(cpu);
    this.#spisChanged();
  }

  /** Drives the inputs of a CPU: Group 0 is FIQ and Group 1 IRQ with one security state (IHI0069 4.6.2). */
  #updateIrq(cpu: number): void {
    const group = this.#signalledGroup(cpu);
    const wanted = group === undefined ? 0 : group === 1 ? 1 : 2;
    if (wanted === this.#driven[cpu]) return;
    this.#driven[cpu] = wanted;
    this.#cpus[cpu]!.irq.set(wanted === 1);
    this.#cpus[cpu]!.fiq.set(wanted === 2);
  }
}

function initialState(spis: number, cpuCount: number): Gicv3State {
  return {
    version: 1,
    ctlr: 0,
    spis: bank.makeBank(spis / 32),
    routes: new Uint32Array(spis),
    cpus: Array.from({ length: cpuCount }, () => ({
      banked: bank.makePrivateBank(),
      isAsleep: true,
      ctlr: 0,
      groupEnables: 0,
      priority: priority.makePriorityState(),
    })),
  };
}

function copyState(state: Gicv3State): Gicv3State {
  return {
    ...state,
    spis: bank.copyBank(state.spis),
    routes: state.routes.slice(),
    cpus: state.cpus.map((cpu) => ({
      ...cpu,
      banked: bank.copyBank(cpu.banked),
      priority: { ...cpu.priority },
    })),
  };
}
