/**
 * The Performance Monitors of each CPU: PMUv3 through system registers. Document: Arm DDI 0487, chapter "The Performance
 * Monitors Extension" (D13 in issue J.a), and the registers' own descriptions.
 *
 * Modelled: the cycle counter, event counters of 32 bits, filters by exception level, overflow and its interrupt, chained
 * counters, what EL2 reserves for itself (MDCR_EL2.HPMN, HPME). PMCEID0_EL0 tells the events. Who may access what
 * (PMUSERENR_EL0, MDCR_EL2.TPM and TPMCR) belongs to the CPU. A counter that is not accessible reads as zero and
 * ignores writes. There is neither AArch32 (PMCR_EL0.LC is set, D is not) nor an export bus (X), nor EL3.
 *
 * A cycle is an instruction begun: one that ends in an abort or a trap took a cycle and was not executed. So both
 * counts are exact, the same in every run, and stand still while the CPU waits for an interrupt.
 *
 * @deviation There are no events of caches and of branch prediction, neither of which is modelled, and none of those
 * beyond what every PMUv3 has.
 *
 * Counts are brought up to date when somebody asks, and at changes of the exception level where a filter makes a
 * difference; nothing is done for an instruction. An overflow that raises the interrupt is found by an alarm.
 */
import { invariant } from '../base/index.js';
import type { CpuActivity, DtNode, IrqLine, Snapshottable, SystemRegisterPort } from '../bus/index.js';

/** By their numbers in PMEVTYPER<n>_EL0. Others never happen. */
const EVENT = { SW_INCR: 0x00, INST_RETIRED: 0x08, CPU_CYCLES: 0x11, CHAIN: 0x1e } as const;

/** PMCEID0_EL0: a bit for each event. */
const PMCEID0 = Object.values(EVENT).reduce((bits, event) => bits | (1n << BigInt(event)), 0n);

/** PMCR_EL0. */
const PMCR = { E: 1 << 0, P: 1 << 1, C: 1 << 2, DP: 1 << 5, LC: 1 << 6, nShift: 11, n: 0x1f } as const;

/** MDCR_EL2: the number of event counters that are EL1's; whether the others count. */
const MDCR = { HPMN: 0x1f, HPME: 1 << 7 } as const;

/** PMEVTYPER<n>_EL0 and PMCCFILTR_EL0. NSH is there with EL2; what EL3 is needed for is RES0. */
const FILTER = { P: 2 ** 31, U: 1 << 30, NSH: 1 << 27, evtCount: 0x3ff } as const;

/** The cycle counter among event counters: in masks, and as what PMSELR_EL0 selects. */
const CYCLE_COUNTER = 31;

const EVENT_COUNTER_RANGE = 2 ** 32;
const CYCLE_COUNTER_RANGE = 1n << 64n;

const SIMPLE_REGISTERS = [
  'PMCR_EL0',
  'PMCNTENSET_EL0',
  'PMCNTENCLR_EL0',
  'PMOVSSET_EL0',
  'PMOVSCLR_EL0',
  'PMINTENSET_EL1',
  'PMINTENCLR_EL1',
  'PMSWINC_EL0',
  'PMSELR_EL0',
  'PMCEID0_EL0',
  'PMCEID1_EL0',
  'PMCCNTR_EL0',
  'PMCCFILTR_EL0',
  'PMXEVTYPER_EL0',
  'PMXEVCNTR_EL0',
  'MDCR_EL2',
] as const;

/** MDCR_EL2 is the CPU's: writes of it are shown. */
type SimpleRegister = (typeof SIMPLE_REGISTERS)[number];

/** Registers that are bits of one mask: where it is kept, and whether a write sets them. */
const MASKS: ReadonlyMap<
  string,
  { readonly mask: 'enabled' | 'overflowed' | 'interrupting'; readonly sets: boolean }
> = new Map([
  ['PMCNTENSET_EL0', { mask: 'enabled', sets: true }],
  ['PMCNTENCLR_EL0', { mask: 'enabled', sets: false }],
  ['PMOVSSET_EL0', { mask: 'overflowed', sets: true }],
  ['PMOVSCLR_EL0', { mask: 'overflowed', sets: false }],
  ['PMINTENSET_EL1', { mask: 'interrupting', sets: true }],
  ['PMINTENCLR_EL1', { mask: 'interrupting', sets: false }],
]);

/** The system registers that `PerformanceMonitors` serves, or that are shown to it, with that many event counters. */
export function monitorRegisters(eventCounters: number): readonly string[] {
  const numbers = Array.from({ length: eventCounters }, (_, n) => n);
  return [...SIMPLE_REGISTERS, ...numbers.flatMap((n) => [`PMEVCNTR${n}_EL0`, `PMEVTYPER${n}_EL0`])];
}

interface CpuState {
  /** PMCR_EL0.E and DP. */
  control: number;
  /** PMSELR_EL0.SEL. */
  selected: number;
  /** A bit for each counter, as in PMCNTENSET_EL0, PMOVSSET_EL0 and PMINTENSET_EL1; unsigned. */
  enabled: number;
  overflowed: number;
  interrupting: number;
  /** PMCCNTR_EL0, PMCCFILTR_EL0. */
  cycles: bigint;
  cycleFilter: number;
  /** PMEVCNTR<n>_EL0 and PMEVTYPER<n>_EL0. */
  readonly counts: number[];
  readonly types: number[];
  /** What concerns counters of MDCR_EL2. */
  hypervisorControl: number;
}

interface PerformanceMonitorsState {
  readonly version: 1;
  readonly cpus: readonly CpuState[];
}

interface MonitoredCpu {
  readonly activity: CpuActivity;
  /** PMUIRQ, level-sensitive. */
  readonly irq: IrqLine;
}

interface PerformanceMonitorsOptions {
  /** PMCR_EL0.IMP, IDCODE and N (1 to 30), in their places. */
  readonly pmcr: number;
  /** The CPUs have EL2. */
  readonly hasEl2: boolean;
}

/** Up to when a CPU's work has been counted, and at which exception level it has been since. */
interface Seen {
  begun: number;
  retired: number;
  level: number;
}

export class PerformanceMonitors implements SystemRegisterPort, Snapshottable<PerformanceMonitorsState> {
  readonly #cpus: readonly MonitoredCpu[];
  readonly #options: PerformanceMonitorsOptions;
  /** Of the event counters. */
  readonly #numbers: readonly number[];
  readonly #seen: Seen[];
  #state: PerformanceMonitorsState;

  constructor(options: PerformanceMonitorsOptions, cpus: readonly MonitoredCpu[]) {
    const eventCounters = (options.pmcr >>> PMCR.nShift) & PMCR.n;
    invariant(eventCounters >= 1 && eventCounters < CYCLE_COUNTER, `${eventCounters} event counters`);
    this.#options = options;
    this.#cpus = cpus;
    this.#numbers = Array.from({ length: eventCounters }, (_, n) => n);
    this.#state = this.#initialState();
    this.#seen = cpus.map(({ activity }) => seenOf(activity));
    cpus.forEach(({ activity }, cpu) => {
      activity.observe({
        onAlarm: () => {
          this.#catchUp(cpu);
          this.#update(cpu);
        },
        onLevelChange: () => {
          this.#catchUp(cpu);
          this.#update(cpu);
        },
        onReset: () => {
          this.#resetCpu(cpu);
        },
      });
    });
  }

  get registers(): readonly string[] {
    return monitorRegisters(this.#numbers.length);
  }

  reset(): void {
    this.#cpus.forEach((_, cpu) => {
      this.#resetCpu(cpu);
    });
  }

  saveState(): PerformanceMonitorsState {
    this.#cpus.forEach((_, cpu) => {
      this.#catchUp(cpu);
    });
    return copyState(this.#state);
  }

  restoreState(state: PerformanceMonitorsState): void {
    invariant(
      state.cpus.length === this.#cpus.length &&
        state.cpus.every(({ counts }) => counts.length === this.#numbers.length),
      'performance monitor snapshot of another configuration',
    );
    this.#state = copyState(state);
    this.#cpus.forEach(({ activity }, cpu) => {
      this.#seen[cpu] = seenOf(activity);
      this.#update(cpu);
    });
  }

  readSystemRegister(name: string, cpu: number): bigint {
    const state = this.#state.cpus[cpu]!;
    const overflowed = state.overflowed;
    this.#catchUp(cpu);
    if (state.overflowed !== overflowed) this.#update(cpu);
    return BigInt(this.#read(cpu, state, name));
  }

  #read(cpu: number, state: CpuState, name: string): number | bigint {
    const mask = MASKS.get(name);
    if (mask) return (state[mask.mask] & this.#accessibleMask(cpu)) >>> 0;
    switch (name as SimpleRegister) {
      case 'PMCR_EL0': {
        const identification = this.#options.pmcr & ~(PMCR.n << PMCR.nShift);
        const n = this.#accessible(cpu) << PMCR.nShift;
        return (identification | n | PMCR.LC | state.control) >>> 0;
      }
      case 'PMSELR_EL0':
        return state.selected;
      case 'PMCEID0_EL0':
        return PMCEID0;
      case 'PMCCNTR_EL0':
        return state.cycles;
      case 'PMCCFILTR_EL0':
        return state.cycleFilter;
      case 'PMXEVTYPER_EL0':
        return this.#readType(cpu, state, state.selected);
      case 'PMXEVCNTR_EL0':
        return this.#readCount(cpu, state, state.selected);
      default:
    }
    const n = counterOf(name);
    if (n === undefined) return 0;
    return name.startsWith('PMEVCNTR') ? this.#readCount(cpu, state, n) : this.#readType(cpu, state, n);
  }

  #readType(cpu: number, { types, cycleFilter }: CpuState, n: number): number {
    if (n === CYCLE_COUNTER) return cycleFilter;
    return n < this.#accessible(cpu) ? types[n]! : 0;
  }

  #readCount(cpu: number, { counts }: CpuState, n: number): number {
    return n < this.#accessible(cpu) ? counts[n]! : 0;
  }

  writeSystemRegister(name: string, cpu: number, value: bigint): void {
    this.#catchUp(cpu);
    this.#write(cpu, this.#state.cpus[cpu]!, name, value);
    this.#update(cpu);
  }

  #write(cpu: number, state: CpuState, name: string, value: bigint): void {
    const low = Number(BigInt.asUintN(32, value));
    const mask = MASKS.get(name);
    if (mask) {
      const bits = low & this.#accessibleMask(cpu);
      const before = state[mask.mask];
      state[mask.mask] = (mask.sets ? before | bits : before & ~bits) >>> 0;
      return;
    }
    switch (name as SimpleRegister) {
      case 'PMCR_EL0':
        state.control = low & (PMCR.E | PMCR.DP);
        if ((low & PMCR.P) !== 0) state.counts.fill(0, 0, this.#accessible(cpu));
        if ((low & PMCR.C) !== 0) state.cycles = 0n;
        return;
      case 'PMSWINC_EL0':
        this.#increment(cpu, state, low & this.#accessibleMask(cpu));
        return;
      case 'PMSELR_EL0':
        state.selected = low & 0x1f;
        return;
      case 'PMCCNTR_EL0':
        state.cycles = BigInt.asUintN(64, value);
        return;
      case 'PMCCFILTR_EL0':
        state.cycleFilter = this.#filterOf(low);
        return;
      case 'PMXEVTYPER_EL0':
        this.#writeType(cpu, state, state.selected, low);
        return;
      case 'PMXEVCNTR_EL0':
        this.#writeCount(cpu, state, state.selected, low);
        return;
      case 'MDCR_EL2':
        state.hypervisorControl = low & (MDCR.HPMN | MDCR.HPME);
        return;
      default:
    }
    const n = counterOf(name);
    if (n === undefined) return;
    if (name.startsWith('PMEVCNTR')) this.#writeCount(cpu, state, n, low);
    else this.#writeType(cpu, state, n, low);
  }

  #writeType(cpu: number, state: CpuState, n: number, value: number): void {
    if (n === CYCLE_COUNTER) state.cycleFilter = this.#filterOf(value);
    else if (n < this.#accessible(cpu)) {
      state.types[n] = (this.#filterOf(value) | (value & FILTER.evtCount)) >>> 0;
    }
  }

  #writeCount(cpu: number, { counts }: CpuState, n: number, value: number): void {
    if (n < this.#accessible(cpu)) counts[n] = value;
  }

  /** The device-tree node, for PPI `ppi` (INTID − 16). `cpuMask` as for `GenericTimers`. Bindings: arm,pmu.yaml. */
  describe(ppi: number, cpuMask: number): DtNode {
    const PPI = 1;
    const LEVEL_HIGH = 4;
    return {
      name: 'pmu',
      properties: {
        compatible: 'arm,armv8-pmuv3',
        interrupts: { cells: [PPI, ppi, LEVEL_HIGH | (cpuMask << 8)] },
      },
    };
  }

  #filterOf(value: number): number {
    const writable = FILTER.P | FILTER.U | (this.#options.hasEl2 ? FILTER.NSH : 0);
    return (value & writable) >>> 0;
  }

  /** How many event counters EL1 and EL0 have: EL2 keeps the rest. */
  #lowerCounters({ hypervisorControl }: CpuState): number {
    return Math.min(hypervisorControl & MDCR.HPMN, this.#numbers.length);
  }

  /** The event counters below this one are accessible at the current exception level. */
  #accessible(cpu: number): number {
    const isAtEl2 = this.#cpus[cpu]!.activity.exceptionLevel === 2;
    return isAtEl2 ? this.#numbers.length : this.#lowerCounters(this.#state.cpus[cpu]!);
  }

  #accessibleMask(cpu: number): number {
    return (2 ** this.#accessible(cpu) - 1) | (1 << CYCLE_COUNTER);
  }

  /** Whether counter `n` may count, filters apart. */
  #isEnabled(state: CpuState, n: number): boolean {
    if (((state.enabled >>> n) & 1) === 0) return false;
    return this.#isSwitchedOn(state, n);
  }

  /** PMCR_EL0.E, or MDCR_EL2.HPME for what is EL2's. */
  #isSwitchedOn(state: CpuState, n: number): boolean {
    return n === CYCLE_COUNTER || n < this.#lowerCounters(state)
      ? (state.control & PMCR.E) !== 0
      : (state.hypervisorControl & MDCR.HPME) !== 0;
  }

  #isCounting(state: CpuState, n: number, level: number): boolean {
    return this.#isEnabled(state, n) && countsAt(filterOf(state, n), level);
  }

  /** Counts what the CPU has done since the last time. */
  #catchUp(cpu: number): void {
    const state = this.#state.cpus[cpu]!;
    const { begun, retired, level } = this.#seen[cpu]!;
    const seen = seenOf(this.#cpus[cpu]!.activity);
    this.#seen[cpu] = seen;
    if (state.enabled === 0 || seen.begun === begun) return;
    for (const n of this.#numbers) {
      const event = eventOf(state, n);
      if (event !== EVENT.CPU_CYCLES && event !== EVENT.INST_RETIRED) continue;
      if (!this.#isCounting(state, n, level)) continue;
      this.#add(state, n, event === EVENT.CPU_CYCLES ? seen.begun - begun : seen.retired - retired, level);
    }
    if (!this.#isCounting(state, CYCLE_COUNTER, level)) return;
    state.cycles += BigInt(seen.begun - begun);
    if (state.cycles >= CYCLE_COUNTER_RANGE) {
      state.cycles -= CYCLE_COUNTER_RANGE;
      state.overflowed = (state.overflowed | (1 << CYCLE_COUNTER)) >>> 0;
    }
  }

  #add(state: CpuState, n: number, amount: number, level: number): void {
    const sum = state.counts[n]! + amount;
    const overflows = Math.floor(sum / EVENT_COUNTER_RANGE);
    state.counts[n] = sum % EVENT_COUNTER_RANGE;
    if (overflows === 0) return;
    state.overflowed = (state.overflowed | (1 << n)) >>> 0;
    const next = this.#chainedTo(state, n, level);
    if (next !== undefined) this.#add(state, next, overflows, level);
  }

  /** The counter that counts the overflows of `n`. */
  #chainedTo(state: CpuState, n: number, level: number): number | undefined {
    const next = n + 1;
    const isPair = n % 2 === 0 && next < this.#numbers.length;
    return isPair && eventOf(state, next) === EVENT.CHAIN && this.#isCounting(state, next, level)
      ? next
      : undefined;
  }

  /** Software increment of the counters in `mask`. */
  #increment(cpu: number, state: CpuState, mask: number): void {
    const { level } = this.#seen[cpu]!;
    for (const n of this.#numbers) {
      if (((mask >>> n) & 1) === 0 || eventOf(state, n) !== EVENT.SW_INCR) continue;
      if (this.#isCounting(state, n, level)) this.#add(state, n, 1, level);
    }
  }

  /** Drives the line, and asks to be called when that has to change by itself or another filter applies. */
  #update(cpu: number): void {
    const state = this.#state.cpus[cpu]!;
    const { activity, irq } = this.#cpus[cpu]!;
    const { begun, level } = this.#seen[cpu]!;
    const all = [...this.#numbers, CYCLE_COUNTER];
    const due = state.overflowed & state.interrupting;
    irq.set(all.some((n) => ((due >>> n) & 1) !== 0 && this.#isSwitchedOn(state, n)));
    const levels = this.#options.hasEl2 ? [0, 1, 2] : [0, 1];
    const isFiltered = (n: number): boolean =>
      new Set(levels.map((at) => countsAt(filterOf(state, n), at))).size > 1;
    activity.watchLevel(all.some((n) => this.#isEnabled(state, n) && isFiltered(n)));
    activity.setAlarm(begun + Math.min(...all.map((n) => this.#cyclesToInterrupt(state, n, level))));
  }

  /**
   * Cycles that pass before counter `n` or one that is chained to it requests an interrupt, or fewer: instructions
   * that are not executed take cycles, too.
   */
  #cyclesToInterrupt(state: CpuState, n: number, level: number): number {
    if (!this.#isCounting(state, n, level)) return Infinity;
    /** An overflow would raise the line. */
    const isAwaited = (counter: number): boolean =>
      (((state.interrupting & ~state.overflowed) >>> counter) & 1) !== 0;
    if (n === CYCLE_COUNTER) return isAwaited(n) ? Number(CYCLE_COUNTER_RANGE - state.cycles) : Infinity;
    const event = eventOf(state, n);
    if (event !== EVENT.CPU_CYCLES && event !== EVENT.INST_RETIRED) return Infinity;
    const toOverflow = EVENT_COUNTER_RANGE - state.counts[n]!;
    if (isAwaited(n)) return toOverflow;
    const next = this.#chainedTo(state, n, level);
    if (next === undefined || !isAwaited(next)) return Infinity;
    return toOverflow + (EVENT_COUNTER_RANGE - 1 - state.counts[next]!) * EVENT_COUNTER_RANGE;
  }

  #resetCpu(cpu: number): void {
    Object.assign(this.#state.cpus[cpu]!, this.#initialCpuState());
    this.#seen[cpu] = seenOf(this.#cpus[cpu]!.activity);
    this.#update(cpu);
  }

  #initialCpuState(): CpuState {
    const zeros = (): number[] => this.#numbers.map(() => 0);
    return {
      control: 0,
      selected: 0,
      enabled: 0,
      overflowed: 0,
      interrupting: 0,
      cycles: 0n,
      cycleFilter: 0,
      counts: zeros(),
      types: zeros(),
      hypervisorControl: this.#numbers.length,
    };
  }

  #initialState(): PerformanceMonitorsState {
    return { version: 1, cpus: this.#cpus.map(() => this.#initialCpuState()) };
  }
}

function seenOf({ begun, retired, exceptionLevel }: CpuActivity): Seen {
  return { begun, retired, level: exceptionLevel };
}

/** `n` of PMEVCNTR<n>_EL0 and PMEVTYPER<n>_EL0. */
function counterOf(name: string): number | undefined {
  const [, digits] = /^PMEV(?:CNTR|TYPER)(\d+)_EL0$/.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

function filterOf({ types, cycleFilter }: CpuState, n: number): number {
  return n === CYCLE_COUNTER ? cycleFilter : types[n]!;
}

function eventOf({ types }: CpuState, n: number): number {
  return types[n]! & FILTER.evtCount;
}

function countsAt(filter: number, level: number): boolean {
  if (level === 2) return (filter & FILTER.NSH) !== 0;
  return (filter & (level === 0 ? FILTER.U : FILTER.P)) === 0;
}

function copyState(state: PerformanceMonitorsState): PerformanceMonitorsState {
  return {
    ...state,
    cpus: state.cpus.map((cpu) => ({ ...cpu, counts: cpu.counts.slice(), types: cpu.types.slice() })),
  };
}
