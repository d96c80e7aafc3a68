/**
 * What Arm IHI 0048B (GICv2) and IHI 0069H (GICv3) say alike: the state of all interrupts behind the arrays of the
 * distributor, the input lines, the selection of each CPU's highest priority pending interrupt, and what
 * acknowledging and deactivating it do. Who has the registers of INTIDs 0–31, how SPIs are routed and through which
 * registers a CPU takes an interrupt differ: each version's file has that.
 */
import { invariant, lowestSetBit, NO_TRACE, type PhysAddr, type Trace } from '../../base/index.js';
import { cells64 } from '../../bus/index.js';
import type { AccessSize, DtNode, IrqLine, MmioDevice, Snapshottable } from '../../bus/index.js';
import * as bank from './interrupt-bank.js';
import type { BankAspect, InterruptBank } from './interrupt-bank.js';
import * as priority from './priority.js';
import type { PriorityState } from './priority.js';
import { RegisterFrame, type FrameBehaviour, type RegisterRow } from './register-frame.js';

/** SPIs come in words of 32; INTIDs from 1020 are special, so the last word is left out (IHI0048B 2.2.1, IHI0069 2.2). */
const MAX_SPIS = 960;

/** INTIDs that name no interrupt (IHI0048B 3.2.5, IHI0069 2.2.1). */
export const FIRST_SPECIAL_INTID = 1020;
export const INTID_SPURIOUS = 1023;

/** A candidate that is no interrupt. */
export const NONE = bank.candidate(priority.IDLE_PRIORITY, INTID_SPURIOUS);

/** For `#driven`, where 0 is neither line, 1 is IRQ and 2 is FIQ: drive them whatever they are. */
const UNKNOWN_LINES = 3;

/** The registers that are in both distributors; IHI0069 12.9 has them all. */
export const COMMON_DISTRIBUTOR = {
  GICD_CTLR: { at: 0x000, spec: 'IHI0048B 4.3.1' },
  GICD_TYPER: { at: 0x004, spec: 'IHI0048B 4.3.2' },
  GICD_IIDR: { at: 0x008, spec: 'IHI0048B 4.3.3' },
  GICD_IGROUPR: { at: 0x080, words: 32, aspect: 'group', spec: 'IHI0048B 4.3.4' },
  GICD_ISENABLER: { at: 0x100, words: 32, aspect: 'setEnable', spec: 'IHI0048B 4.3.5' },
  GICD_ICENABLER: { at: 0x180, words: 32, aspect: 'clearEnable', spec: 'IHI0048B 4.3.6' },
  GICD_ISPENDR: { at: 0x200, words: 32, aspect: 'setPending', spec: 'IHI0048B 4.3.7' },
  GICD_ICPENDR: { at: 0x280, words: 32, aspect: 'clearPending', spec: 'IHI0048B 4.3.8' },
  GICD_ISACTIVER: { at: 0x300, words: 32, aspect: 'setActive', spec: 'IHI0048B 4.3.9' },
  GICD_ICACTIVER: { at: 0x380, words: 32, aspect: 'clearActive', spec: 'IHI0048B 4.3.10' },
  GICD_IPRIORITYR: { at: 0x400, words: 255, aspect: 'priority', byteAccess: true, spec: 'IHI0048B 4.3.11' },
  GICD_ICFGR: { at: 0xc00, words: 64, aspect: 'configuration', spec: 'IHI0048B 4.3.13' },
  GICD_NSACR: { at: 0xe00, words: 64, spec: 'IHI0048B 4.3.14' },
} as const satisfies Record<string, RegisterRow>;

/** Group 0 in bit 0, Group 1 in bit 1, as EnableGrp0 and EnableGrp1 of GICD_CTLR are (IHI0048B 4.3.1, IHI0069 12.9). */
export const BOTH_GROUPS = 0x3;

/** The component identification registers of every PrimeCell (DDI0471B 3.2, DDI0516 3.2). */
const CIDR0_3 = [0x0d, 0xf0, 0x05, 0xb1];

/** The identification registers of a frame, at `at`: `pidr` is PIDR4, then PIDR0 to PIDR2. */
export function identificationRegisters<Prefix extends 'GICD' | 'GICR' | 'GITS'>(
  prefix: Prefix,
  at: number,
  pidr: readonly [pidr4: number, pidr0: number, pidr1: number, pidr2: number],
  spec: string,
): Record<`${Prefix}_PIDR4` | `${Prefix}_PIDR0` | `${Prefix}_CIDR0`, RegisterRow> {
  const [pidr4, ...pidr0to2] = pidr;
  const rows: Record<string, RegisterRow> = {
    [`${prefix}_PIDR4`]: { at, words: 4, values: [pidr4, 0, 0, 0], spec },
    [`${prefix}_PIDR0`]: { at: at + 0x10, words: 4, values: [...pidr0to2, 0], spec },
    [`${prefix}_CIDR0`]: { at: at + 0x20, words: 4, values: CIDR0_3, spec },
  };
  return rows;
}

/** What a GIC keeps for one CPU. */
export interface GicCpuState {
  /** SGIs and PPIs. */
  readonly banked: InterruptBank;
  /** The writable bits of the CPU interface's control register. */
  ctlr: number;
  readonly priority: PriorityState;
}

export interface GicState<Cpu extends GicCpuState> {
  readonly version: 1;
  /** The enables of GICD_CTLR. */
  ctlr: number;
  readonly spis: InterruptBank;
  readonly cpus: readonly Cpu[];
}

/** The interrupt inputs of one CPU. */
export interface CpuInputs {
  readonly irq: IrqLine;
  readonly fiq: IrqLine;
}

interface GicConfiguration<State> {
  /** For messages. */
  readonly name: string;
  /** A multiple of 32, up to 960. */
  readonly spis: number;
  readonly cpus: readonly CpuInputs[];
  readonly trace: Trace | undefined;
  initialState(): State;
}

/** A place and size of a frame in the machine's address space. */
type Region = readonly [base: PhysAddr, bytes: number];

export abstract class Gic<
  Cpu extends GicCpuState,
  State extends GicState<Cpu>,
> implements Snapshottable<State> {
  protected readonly trace: Trace;
  protected readonly cpuCount: number;
  protected readonly spiCount: number;
  protected state: State;
  readonly #configuration: GicConfiguration<State>;

  // Derived from the state: the highest priority pending interrupts, and the lines as driven.
  readonly #bestBanked: Uint32Array;
  readonly #bestSpi: Uint32Array;
  readonly #driven: Uint8Array;

  constructor(configuration: GicConfiguration<State>) {
    const { name, spis, cpus, trace } = configuration;
    invariant(spis % 32 === 0 && spis > 0 && spis <= MAX_SPIS, `${name} with ${spis} SPIs`);
    this.#configuration = configuration;
    this.trace = trace ?? NO_TRACE;
    this.cpuCount = cpus.length;
    this.spiCount = spis;
    this.state = configuration.initialState();
    this.#bestBanked = new Uint32Array(cpus.length).fill(NONE);
    this.#bestSpi = new Uint32Array(cpus.length).fill(NONE);
    this.#driven = new Uint8Array(cpus.length);
  }

  /** Whether GICC_BPR or ICC_BPR0_EL1 is the binary point of both groups. */
  protected abstract isCommonBpr(cpu: Cpu): boolean;

  /** The groups that are forwarded to a CPU if the distributor's enables allow, Group 0 in bit 0. */
  protected abstract forwardedGroups(cpu: Cpu): number;

  /** The groups of forwarded interrupts that the CPU interface signals, Group 0 in bit 0. */
  protected abstract signalledGroups(cpu: Cpu): number;

  /** Whether Group 0 is signalled by FIQ, as Group 1 never is. */
  protected abstract isGroup0Fiq(cpu: Cpu): boolean;

  /** Merges SPI `spi`, as a candidate, into the `best` of each CPU that it is routed to. */
  protected abstract offerSpi(spi: number, candidate: number, best: Uint32Array): void;

  /** The input of SPI `spi`, INTID 32 + `spi`. */
  spi(spi: number): IrqLine {
    invariant(spi >= 0 && spi < this.spiCount, `no SPI ${spi}`);
    return {
      set: (level) => {
        if (bank.setLevel(this.state.spis, spi, level)) this.spisChanged();
      },
    };
  }

  /** The input of `cpu`'s PPI `ppi` (0–15), INTID 16 + `ppi`. */
  ppi(cpu: number, ppi: number): IrqLine {
    invariant(cpu >= 0 && cpu < this.cpuCount && ppi >= 0 && ppi < 16, `no PPI ${ppi} of CPU ${cpu}`);
    return {
      set: (level) => {
        if (bank.setLevel(this.cpu(cpu).banked, 16 + ppi, level)) this.bankedChanged(cpu);
      },
    };
  }

  /** Registers to their reset values. The input lines keep their levels: they belong to other devices. */
  reset(): void {
    const wired = this.state;
    const fresh = this.#configuration.initialState();
    this.state = {
      ...fresh,
      spis: bank.resetBank(fresh.spis, wired.spis),
      cpus: fresh.cpus.map((cpu, i) => ({
        ...cpu,
        banked: bank.resetBank(cpu.banked, wired.cpus[i]!.banked),
      })),
    };
    this.allChanged();
  }

  saveState(): State {
    return this.copyState(this.state);
  }

  restoreState(state: State): void {
    invariant(
      state.cpus.length === this.cpuCount && state.spis.priority.length === this.spiCount,
      `${this.#configuration.name} snapshot of another configuration`,
    );
    this.state = this.copyState(state);
    this.#driven.fill(UNKNOWN_LINES);
    this.allChanged();
  }

  /** A copy that shares nothing with `state`; each version adds what is its own. */
  protected copyState(state: State): State {
    return {
      ...state,
      spis: bank.copyBank(state.spis),
      cpus: state.cpus.map((cpu) => ({
        ...cpu,
        banked: bank.copyBank(cpu.banked),
        priority: { ...cpu.priority },
      })),
    };
  }

  /** The device-tree node, labelled `intc`, with the distributor's region and one more. */
  protected describeAs(
    compatible: string,
    distributor: Region,
    second: Region,
    children: readonly DtNode[],
    properties: DtNode['properties'] = {},
  ): DtNode {
    return {
      name: `intc@${distributor[0].toString(16)}`,
      label: 'intc',
      properties: {
        compatible,
        reg: { cells: [...distributor, ...second].flatMap((cell) => cells64(cell)) },
        ...properties,
        'interrupt-controller': true,
        '#interrupt-cells': { cells: [3] },
        '#address-cells': { cells: [2] },
        '#size-cells': { cells: [2] },
        ranges: true,
      },
      children,
    };
  }

  /** A frame of registers, or `copies` of it in a row, that resets the whole GIC. */
  protected frame<Name extends string>(
    name: string,
    bytes: number,
    copies: number,
    table: Readonly<Record<Name, RegisterRow>>,
    accesses: Omit<FrameBehaviour<Name>, 'reset'>,
  ): MmioDevice {
    return new RegisterFrame(
      name,
      bytes,
      copies,
      table,
      { ...accesses, reset: () => this.reset() },
      this.trace,
    );
  }

  protected cpu(cpu: number): Cpu {
    return this.state.cpus[cpu]!;
  }

  // Arrays of the distributor

  /**
   * Word `index` of an array that shows an aspect of all interrupts. The first 32 are those of `privates`; without,
   * they are not the distributor's.
   */
  protected readArray(aspect: BankAspect, index: number, privates?: InterruptBank): number {
    const first = index - bank.registersPer32(aspect);
    if (first >= 0) return bank.readAspect(this.state.spis, aspect, first);
    return privates === undefined ? 0 : bank.readAspect(privates, aspect, index);
  }

  /** Writes such an array from byte `at`. Without `cpu` the first 32 interrupts are not the distributor's. */
  protected writeArray(aspect: BankAspect, at: number, size: AccessSize, value: number, cpu?: number): void {
    const first = at - 4 * bank.registersPer32(aspect);
    if (first >= 0) {
      bank.writeAspect(this.state.spis, aspect, first, size, value);
      this.spisChanged();
    } else if (cpu !== undefined) {
      this.writePrivates(cpu, aspect, at, size, value);
    }
  }

  /** Writes an array of a CPU's SGIs and PPIs. */
  protected writePrivates(
    cpu: number,
    aspect: BankAspect,
    at: number,
    size: AccessSize,
    value: number,
  ): void {
    // SGIs are edge-triggered for good (IHI0048B 4.3.13, IHI0069 12.11).
    if (aspect === 'configuration' && at === 0) return;
    bank.writeAspect(this.cpu(cpu).banked, aspect, at, size, value);
    this.bankedChanged(cpu);
  }

  // Interrupts by INTID, as a CPU interface has them

  #bankOf(cpu: number, intid: number): InterruptBank {
    return intid < 32 ? this.cpu(cpu).banked : this.state.spis;
  }

  protected isImplemented(intid: number): boolean {
    return intid < 32 + this.spiCount;
  }

  protected groupOf(cpu: number, intid: number): 0 | 1 {
    return bank.groupOf(this.#bankOf(cpu, intid), indexInBank(intid));
  }

  /** The highest priority pending interrupt that is forwarded to `cpu`, as a candidate. */
  protected best(cpu: number): number {
    return Math.min(this.#bestBanked[cpu]!, this.#bestSpi[cpu]!);
  }

  /** Group of the highest priority pending interrupt if the CPU interface signals it to the CPU. */
  protected signalledGroup(index: number): 0 | 1 | undefined {
    const best = this.best(index);
    if (best === NONE) return undefined;
    const cpu = this.cpu(index);
    const group = this.groupOf(index, bank.candidateIntid(best));
    if (((this.signalledGroups(cpu) >>> group) & 1) === 0) return undefined;
    const level = bank.candidatePriority(best);
    return priority.isSufficient(cpu.priority, group, this.isCommonBpr(cpu), level) ? group : undefined;
  }

  /** The highest priority pending interrupt, which is of `group`, becomes active, and its latch is cleared. */
  protected activateBest(index: number, group: 0 | 1): void {
    const best = this.best(index);
    const cpu = this.cpu(index);
    priority.activatePriority(cpu.priority, group, this.isCommonBpr(cpu), bank.candidatePriority(best));
    this.activate(index, bank.candidateIntid(best));
  }

  protected activate(index: number, intid: number): void {
    const interrupts = this.#bankOf(index, intid);
    bank.setActive(interrupts, indexInBank(intid), true);
    bank.setLatch(interrupts, indexInBank(intid), false);
    this.#interruptChanged(index, intid);
  }

  protected deactivate(cpu: number, intid: number): void {
    if (!this.isImplemented(intid)) return;
    bank.setActive(this.#bankOf(cpu, intid), indexInBank(intid), false);
    this.#interruptChanged(cpu, intid);
  }

  // Selection. Each change of state looks again at the interrupts it may concern, and at no others.

  #interruptChanged(cpu: number, intid: number): void {
    if (intid < 32) this.bankedChanged(cpu);
    else this.spisChanged();
  }

  protected bankedChanged(index: number): void {
    const cpu = this.cpu(index);
    const { banked } = cpu;
    let best = NONE;
    let forwarded = bank.forwardedBits(banked, 0, this.state.ctlr & this.forwardedGroups(cpu));
    while (forwarded !== 0) {
      const intid = lowestSetBit(forwarded);
      forwarded &= forwarded - 1;
      best = Math.min(best, bank.candidate(banked.priority[intid]!, intid));
    }
    this.#bestBanked[index] = best;
    this.updateIrq(index);
  }

  protected spisChanged(): void {
    const { spis, ctlr } = this.state;
    const best = this.#bestSpi.fill(NONE);
    for (let word = 0; word < spis.enabled.length; word++) {
      let forwarded = bank.forwardedBits(spis, word, ctlr);
      while (forwarded !== 0) {
        const spi = word * 32 + lowestSetBit(forwarded);
        forwarded &= forwarded - 1;
        this.offerSpi(spi, bank.candidate(spis.priority[spi]!, 32 + spi), best);
      }
    }
    for (let cpu = 0; cpu < this.cpuCount; cpu++) this.updateIrq(cpu);
  }

  protected allChanged(): void {
    for (let cpu = 0; cpu < this.cpuCount; cpu++) this.bankedChanged(cpu);
    this.spisChanged();
  }

  protected updateIrq(index: number): void {
    const group = this.signalledGroup(index);
    const isFiq = group === 0 && this.isGroup0Fiq(this.cpu(index));
    const wanted = group === undefined ? 0 : isFiq ? 2 : 1;
    if (wanted === this.#driven[index]) return;
    this.#driven[index] = wanted;
    const { irq, fiq } = this.#configuration.cpus[index]!;
    irq.set(wanted === 1);
    fiq.set(wanted === 2);
  }
}

/** Where an INTID is in the bank that has it. */
function indexInBank(intid: number): number {
  return intid < 32 ? intid : intid - 32;
}
