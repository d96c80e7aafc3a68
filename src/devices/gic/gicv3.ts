/**
 * Arm Generic Interrupt Controller version 3: distributor, redistributors and the system-register CPU interface.
 * Document: Arm IHI 0069H. Identifies itself as a GIC-500 (DDI 0516).
 *
 * Modelled: one security state (GICD_CTLR.DS = 1), affinity routing always on (GICD_CTLR.ARE = 1), both interrupt
 * groups, SGIs, PPIs and SPIs, LPIs on request, 32 priority levels, preemption, EOImode, the EL1 interface without the
 * legacy one. Not there, and said so in the type registers: message-based SPIs, extended ranges, 1-of-N routing, LPIs
 * without an ITS.
 *
 * @deviation A redistributor whose GICR_WAKER.ProcessorSleep is set forwards interrupts all the same: EDK2 leaves
 * the wake-up to firmware that a virtual machine does not have.
 */
import { bits, hex, invariant, lowestSetBit, type PhysAddr, type Trace } from '../../base/index.js';
import type {
  AccessSize,
  AcpiInterruptController,
  AcpiProcessor,
  DmaPort,
  DtNode,
  MmioDevice,
  SystemRegisterPort,
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
import * as lpis from './lpis.js';
import * as priority from './priority.js';
import type { FrameRegister, RegisterRow } from './register-frame.js';

const DISTRIBUTOR_BYTES = 0x10000;
/** RD_base and SGI_base, 64 KiB each, for one CPU (IHI0069 12.10). */
const REDISTRIBUTOR_BYTES = 0x20000;

const DISTRIBUTOR = {
  ...COMMON_DISTRIBUTOR,
  GICD_TYPER2: { at: 0x000c, spec: '12.9' },
  GICD_STATUSR: { at: 0x0010, spec: '12.9' },
  GICD_IGRPMODR: { at: 0x0d00, words: 32, spec: '12.9' },
  GICD_IROUTER: { at: 0x6000, words: 2040, spec: '12.9' },
  // Here and below of a GIC-500 (DDI0516 3.2).
  ...identificationRegisters('GICD', 0xffd0, [0x44, 0x92, 0xb4, 0x3b], '12.1.2'),
} as const satisfies Record<string, RegisterRow>;

const REDISTRIBUTOR = {
  GICR_CTLR: { at: 0x00000, spec: '12.11' },
  GICR_IIDR: { at: 0x00004, spec: '12.11' },
  GICR_TYPER: { at: 0x00008, words: 2, spec: '12.11' },
  GICR_STATUSR: { at: 0x00010, spec: '12.11' },
  GICR_WAKER: { at: 0x00014, spec: '12.11' },
  GICR_PROPBASER: { at: 0x00070, words: 2, spec: '12.11' },
  GICR_PENDBASER: { at: 0x00078, words: 2, spec: '12.11' },
  ...identificationRegisters('GICR', 0xffd0, [0x44, 0x93, 0xb4, 0x3b], '12.1.2'),
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

/** ARE and DS of GICD_CTLR, fixed with one security state (12.9). */
const GICD_CTLR_FIXED = (1 << 4) | (1 << 6);
/** GICD_TYPER above ITLinesNumber: A3V, No1N; 10 bits of INTID, or LPIS and their bits (12.9). */
const GICD_TYPER = (1 << 24) | (1 << 25);
const GICD_TYPER_NO_LPIS = 9 << 19;
const GICD_TYPER_LPIS = (1 << 17) | ((lpis.INTID_BITS - 1) << 19);
/** In GICD_CTLR and `groupEnables`. */
const GROUP_1 = 1 << 1;
/** GICR_WAKER.ProcessorSleep and ChildrenAsleep, which follows it at once (12.11). */
const WAKER = { PROCESSOR_SLEEP: 1 << 1, CHILDREN_ASLEEP: 1 << 2 } as const;
/** GICR_TYPER.Last, in its low word beside Processor_Number (12.11). */
const TYPER_LAST = 1 << 4;
const TYPER_PLPIS = 1 << 0;
/** GICR_CTLR (12.11): LPIs can be disabled again, says CES. */
const CTLR_ENABLE_LPIS = 1 << 0;
const CTLR_CES = 1 << 1;
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

type DistributorRegister = FrameRegister<keyof typeof DISTRIBUTOR>;
type RedistributorRegister = FrameRegister<keyof typeof REDISTRIBUTOR>;

interface Gicv3CpuState extends GicCpuState {
  /** GICR_WAKER.ProcessorSleep. */
  isAsleep: boolean;
  /** ICC_IGRPEN0_EL1 in bit 0, ICC_IGRPEN1_EL1 in bit 1. */
  groupEnables: number;
  readonly lpis: lpis.LpiState;
}

export interface Gicv3State extends GicState<Gicv3CpuState> {
  /** GICD_IROUTER of the SPIs, Aff3.Aff2.Aff1.Aff0 from the top byte down. */
  readonly routes: Uint32Array;
}

interface Gicv3Cpu extends CpuInputs {
  /** Aff3.Aff2.Aff1.Aff0 of its MPIDR_EL1, from the top byte down. */
  readonly affinity: number;
}

interface Gicv3Ports {
  readonly cpus: readonly Gicv3Cpu[];
  /** Guest memory, where the tables of LPIs are; without, there are no LPIs. */
  readonly lpiTables?: DmaPort;
  readonly trace?: Trace;
}

export class Gicv3 extends Gic<Gicv3CpuState, Gicv3State> implements SystemRegisterPort {
  readonly distributor: MmioDevice;
  /** The frames of all redistributors, in the order of the CPUs. */
  readonly redistributors: MmioDevice;
  readonly #cpus: readonly Gicv3Cpu[];
  readonly #cpuByAffinity: ReadonlyMap<number, number>;
  /** Derived from the state: the CPU each SPI is routed to (-1: none). */
  readonly #routedTo: Int16Array;
  readonly #lpiTables: DmaPort | undefined;
  /** Derived from the state: the highest priority pending LPI of each CPU, unless that has to be found out. */
  readonly #bestLpi: (number | undefined)[];

  /** `spis` is a multiple of 32, up to 960. */
  constructor(spis: number, { cpus, lpiTables, trace }: Gicv3Ports) {
    super({ name: 'GICv3', spis, cpus, trace, initialState: () => initialState(spis, cpus.length) });
    this.#cpus = cpus;
    this.#lpiTables = lpiTables;
    this.#bestLpi = cpus.map(() => undefined);
    this.#cpuByAffinity = new Map(cpus.map((cpu, index) => [cpu.affinity >>> 0, index]));
    invariant(this.#cpuByAffinity.size === cpus.length, 'two CPUs with one affinity');
    this.#routedTo = new Int16Array(spis);
    this.#routesChanged();
    this.distributor = this.frame('gicd', DISTRIBUTOR_BYTES, 1, DISTRIBUTOR, {
      read: (register, index) => this.#readDistributor(register, index),
      write: (register, at, size, value) => this.#writeDistributor(register, at, size, value),
    });
    this.redistributors = this.frame('gicr', REDISTRIBUTOR_BYTES, cpus.length, REDISTRIBUTOR, {
      read: (register, index, cpu) => this.#readRedistributor(register, index, cpu),
      write: (register, at, size, value, cpu) => this.#writeRedistributor(register, at, size, value, cpu),
    });
  }

  /** The device-tree node, labelled `intc`; the board adds its addresses. Binding: arm,gic-v3.yaml. */
  describe(
    at: { distributor: PhysAddr; redistributors: PhysAddr },
    children: readonly DtNode[] = [],
  ): DtNode {
    return this.describeAs(
      'arm,gic-v3',
      [at.distributor, DISTRIBUTOR_BYTES],
      [at.redistributors, this.redistributors.sizeBytes],
      children,
      { '#redistributor-regions': { cells: [1] } },
    );
  }

  /** Its entries of the MADT, and those of the processors that it serves. */
  describeAcpi(
    at: { distributor: PhysAddr; redistributors: PhysAddr },
    processors: readonly AcpiProcessor[],
  ): readonly AcpiInterruptController[] {
    return [
      { kind: 'gicd', base: at.distributor, gicVersion: 3 },
      ...processors.map((processor) => ({ kind: 'gicc' as const, ...processor })),
      { kind: 'gicr', base: at.redistributors, sizeBytes: this.redistributors.sizeBytes },
    ];
  }

  protected override copyState(state: Gicv3State): Gicv3State {
    const copy = super.copyState(state);
    return {
      ...copy,
      routes: state.routes.slice(),
      cpus: copy.cpus.map((cpu) => ({ ...cpu, lpis: lpis.copyLpiState(cpu.lpis) })),
    };
  }

  // Distributor

  #readDistributor(register: DistributorRegister, index: number): number {
    // With affinity routing the first 32 interrupts are the redistributors' (IHI0069 12.9).
    if (register.aspect !== undefined) return this.readArray(register.aspect, index);
    switch (register.name) {
      case 'GICD_CTLR':
        return this.state.ctlr | GICD_CTLR_FIXED;
      case 'GICD_TYPER':
        return (
          this.state.spis.enabled.length |
          GICD_TYPER |
          (this.#lpiTables ? GICD_TYPER_LPIS : GICD_TYPER_NO_LPIS)
        );
      case 'GICD_IIDR':
        return IIDR;
      case 'GICD_IROUTER': {
        const route = this.state.routes[(index >>> 1) - 32] ?? 0;
        return (index & 1) === 0 ? route & 0xffffff : route >>> 24;
      }
      default: // GICD_TYPER2, GICD_STATUSR: nothing optional. GICD_IGRPMODR, GICD_NSACR: RAZ/WI with DS = 1.
        return 0;
    }
  }

  #writeDistributor(register: DistributorRegister, at: number, size: AccessSize, value: number): void {
    if (register.aspect !== undefined) {
      this.writeArray(register.aspect, at, size, value);
      return;
    }
    switch (register.name) {
      case 'GICD_CTLR':
        this.state.ctlr = value & BOTH_GROUPS;
        this.allChanged();
        break;
      case 'GICD_IROUTER': {
        const spi = (at >>> 3) - 32;
        const { routes } = this.state;
        if (spi < 0 || spi >= routes.length) break;
        const route = routes[spi]!;
        routes[spi] =
          (at & 4) === 0 ? (route & ~0xffffff) | (value & 0xffffff) : (route & 0xffffff) | (value << 24);
        this.#routesChanged();
        this.spisChanged();
        break;
      }
      default:
    }
  }

  // Redistributors

  #readRedistributor(register: RedistributorRegister, index: number, copy: number): number {
    const cpu = this.cpu(copy);
    if (register.aspect !== undefined) return bank.readAspect(cpu.banked, register.aspect, index);
    switch (register.name) {
      case 'GICR_IIDR':
        return IIDR;
      case 'GICR_TYPER': {
        const isLast = copy === this.cpuCount - 1;
        if (index === 1) return this.#cpus[copy]!.affinity;
        return (copy << 8) | (isLast ? TYPER_LAST : 0) | (this.#lpiTables ? TYPER_PLPIS : 0);
      }
      case 'GICR_CTLR':
        // Writes are done at once.
        return (this.#lpiTables ? CTLR_CES : 0) | (cpu.lpis.isEnabled ? CTLR_ENABLE_LPIS : 0);
      case 'GICR_PROPBASER':
        return cpu.lpis.configurationBase[index]!;
      case 'GICR_PENDBASER':
        return cpu.lpis.pendingBase[index]!;
      case 'GICR_WAKER':
        return cpu.isAsleep ? WAKER.PROCESSOR_SLEEP | WAKER.CHILDREN_ASLEEP : 0;
      default: // GICR_STATUSR and the two of security states: RAZ/WI.
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
    if (register.aspect !== undefined) {
      this.writePrivates(copy, register.aspect, at, size, value);
      return;
    }
    const cpu = this.cpu(copy);
    const index = at >>> 2;
    switch (register.name) {
      case 'GICR_WAKER':
        cpu.isAsleep = (value & WAKER.PROCESSOR_SLEEP) !== 0;
        break;
      case 'GICR_CTLR':
        if (!this.#lpiTables) break;
        lpis.enableLpis(cpu.lpis, (value & CTLR_ENABLE_LPIS) !== 0, this.#lpiTables);
        this.#lpisChanged(copy);
        this.updateIrq(copy);
        break;
      // Writes to these two while LPIs are enabled are UNPREDICTABLE (12.11); they are ignored.
      case 'GICR_PROPBASER':
        if (!this.#lpiTables || cpu.lpis.isEnabled) break;
        cpu.lpis.configurationBase[index] = (value & lpis.CONFIGURATION_BASE_MASKS[index]!) >>> 0;
        break;
      case 'GICR_PENDBASER':
        if (!this.#lpiTables || cpu.lpis.isEnabled) break;
        cpu.lpis.pendingBase[index] = (value & lpis.PENDING_BASE_MASKS[index]!) >>> 0;
        break;
      default:
    }
  }

  // LPIs

  /** For an ITS. */
  get lpiPort(): lpis.LpiPort {
    const tables = this.#lpiTables;
    invariant(tables !== undefined, 'a GICv3 without LPIs');
    const changed = new Set<number>();
    const stateOf = (cpu: number): lpis.LpiState => {
      changed.add(cpu);
      this.#lpisChanged(cpu);
      return this.cpu(cpu).lpis;
    };
    return {
      cpuCount: this.cpuCount,
      setPending: (cpu, intid, isPending) => {
        lpis.setLpiPending(stateOf(cpu), intid, isPending, tables);
      },
      move: (from, to, intid) => {
        lpis.moveLpi(stateOf(from), stateOf(to), intid, tables);
      },
      moveAll: (from, to) => {
        lpis.moveAllLpis(stateOf(from), stateOf(to), tables);
      },
      invalidate: (cpu, intid) => {
        lpis.invalidateLpi(stateOf(cpu), intid, tables);
      },
      invalidateAll: (cpu) => {
        stateOf(cpu).isStale = true;
      },
      update: () => {
        for (const cpu of changed) this.updateIrq(cpu);
        changed.clear();
      },
    };
  }

  #lpisChanged(cpu: number): void {
    this.#bestLpi[cpu] = undefined;
  }

  /** LPIs are of Group 1 (IHI0069 4.6). */
  protected override groupOf(cpu: number, intid: number): 0 | 1 {
    return intid >= lpis.FIRST_LPI ? 1 : super.groupOf(cpu, intid);
  }

  protected override best(cpu: number): number {
    const best = super.best(cpu);
    const { lpis: state, groupEnables } = this.cpu(cpu);
    if (!this.#lpiTables || !state.isEnabled || (this.state.ctlr & groupEnables & GROUP_1) === 0) return best;
    this.#bestLpi[cpu] ??= lpis.bestLpi(state, NONE, this.#lpiTables);
    return Math.min(best, this.#bestLpi[cpu]);
  }

  /** An LPI has no active state (IHI0069 1.2.2). */
  protected override activate(cpu: number, intid: number): void {
    if (intid < lpis.FIRST_LPI) {
      super.activate(cpu, intid);
      return;
    }
    this.cpu(cpu).lpis.pending.delete(intid);
    this.#lpisChanged(cpu);
    this.updateIrq(cpu);
  }

  // CPU interface

  readSystemRegister(name: string, index: number): bigint {
    return BigInt(this.#readIcc(name as IccRegister, index) >>> 0);
  }

  #readIcc(name: IccRegister, index: number): number {
    const cpu = this.cpu(index);
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
        return this.isCommonBpr(cpu) ? Math.min(cpu.priority.bpr0 + 1, 7) : cpu.priority.bpr1;
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
    const cpu = this.cpu(index);
    const low = Number(value & 0xffff_ffffn);
    switch (name as IccRegister) {
      case 'ICC_PMR_EL1':
        cpu.priority.mask = low & priority.PRIORITY_MASK;
        break;
      case 'ICC_BPR0_EL1':
        priority.writeBinaryPoint(cpu.priority, 0, low);
        break;
      case 'ICC_BPR1_EL1':
        if (!this.isCommonBpr(cpu)) priority.writeBinaryPoint(cpu.priority, 1, low);
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
        if ((cpu.ctlr & ICC_CTLR.EOI_MODE) !== 0) this.deactivate(index, bits(low, 0, 24));
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
    this.updateIrq(index);
  }

  protected isCommonBpr(cpu: Gicv3CpuState): boolean {
    return (cpu.ctlr & ICC_CTLR.CBPR) !== 0;
  }

  #generateSgi(self: number, value: bigint, group: 0 | 1): void {
    const low = Number(value & 0xffff_ffffn);
    const high = Number((value >> 32n) & 0xffff_ffffn);
    const sgi = bits(low, 24, 4);
    const routesToAllOthers = bits(high, 8, 1) === 1;
    if (routesToAllOthers) {
      for (let cpu = 0; cpu < this.cpuCount; cpu++) if (cpu !== self) this.#makeSgiPending(cpu, sgi, group);
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
    const { banked } = this.cpu(cpu);
    if (bank.groupOf(banked, sgi) !== group) return;
    bank.setLatch(banked, sgi, true);
    this.bankedChanged(cpu);
  }

  /** ICC_HPPIR0_EL1 and ICC_HPPIR1_EL1: the interrupt if it is of that group. */
  #highestPending(index: number, group: 0 | 1): number {
    const best = this.best(index);
    if (best === NONE) return INTID_SPURIOUS;
    const intid = bank.candidateIntid(best);
    return this.groupOf(index, intid) === group ? intid : INTID_SPURIOUS;
  }

  #acknowledge(index: number, group: 0 | 1): number {
    if (this.signalledGroup(index) !== group) return INTID_SPURIOUS;
    const intid = bank.candidateIntid(this.best(index));
    if (this.trace.on('irq')) this.trace.event('irq', `icc: CPU ${index} acknowledges ${hex(intid)}`);
    this.activateBest(index, group);
    return intid;
  }

  #endOfInterrupt(index: number, intid: number, group: 0 | 1): void {
    const isLpi = lpis.isLpi(this.cpu(index).lpis, intid);
    if (!isLpi && (intid >= FIRST_SPECIAL_INTID || !this.isImplemented(intid))) return;
    if (this.trace.on('irq')) this.trace.event('irq', `icc: CPU ${index} ends ${hex(intid)}`);
    const cpu = this.cpu(index);
    // An EOI that does not go with the latest acknowledge is UNPREDICTABLE (12.2); it is ignored.
    if (priority.highestActiveGroup(cpu.priority) !== group) return;
    priority.dropPriority(cpu.priority, group);
    if (!isLpi && (cpu.ctlr & ICC_CTLR.EOI_MODE) === 0) this.deactivate(index, intid);
  }

  /**
   * Groups that its CPU interface does not enable are not forwarded to a CPU (IHI0069 4.7), so that they do not hide
   * interrupts of the other group.
   */
  protected forwardedGroups(cpu: Gicv3CpuState): number {
    return cpu.groupEnables;
  }

  protected signalledGroups(): number {
    return BOTH_GROUPS;
  }

  /** Group 0 is FIQ and Group 1 IRQ with one security state (IHI0069 4.6.2). */
  protected isGroup0Fiq(): boolean {
    return true;
  }

  protected offerSpi(spi: number, candidate: number, best: Uint32Array): void {
    const { spis, cpus } = this.state;
    const cpu = this.#routedTo[spi]!;
    if (cpu < 0 || ((cpus[cpu]!.groupEnables >>> bank.groupOf(spis, spi)) & 1) === 0) return;
    best[cpu] = Math.min(best[cpu]!, candidate);
  }

  #groupEnablesChanged(cpu: number): void {
    this.bankedChanged(cpu);
    this.spisChanged();
  }

  #routesChanged(): void {
    const { routes } = this.state;
    for (let spi = 0; spi < routes.length; spi++) {
      this.#routedTo[spi] = this.#cpuByAffinity.get(routes[spi]!) ?? -1;
    }
  }

  protected override allChanged(): void {
    this.#routesChanged();
    this.#bestLpi.fill(undefined);
    super.allChanged();
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
      lpis: lpis.makeLpiState(),
      priority: priority.makePriorityState(),
    })),
  };
}
