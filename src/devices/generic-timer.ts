/**
 * The Generic Timer as each CPU sees it through system registers: system counter, physical and virtual timer of EL1,
 * physical and virtual timer of EL2. Document: Arm DDI 0487, chapter "The Generic Timer in AArch64 state" (D11 in issue
 * G.a), and the registers' own descriptions.
 *
 * Modelled: counters, the timers with their compare and timer-value views, the virtual offset. Controls of trapping
 * (CNTKCTL_EL1, CNTHCTL_EL2) belong to the CPU, and so does which register a name means to a host at EL2. No
 * memory-mapped frames.
 *
 * Timer values of a disabled timer are UNKNOWN to the architecture; here they go on counting.
 *
 * @deviation There is no event stream (CNTKCTL_EL1.EVNTEN). No WFE waits for one: it ends when devices have had their
 * turn.
 */
import { invariant } from '../base/index.js';
import type {
  Clock,
  DtNode,
  IrqLine,
  Snapshottable,
  SystemRegisterPort,
  Timer as ClockTimer,
} from '../bus/index.js';

/** The views of each timer: its control, its compare value, and the time to it. */
const VIEWS = ['CTL', 'CVAL', 'TVAL'] as const;

/** Each timer's registers, by view. */
const TIMERS = {
  physical: { CTL: 'CNTP_CTL_EL0', CVAL: 'CNTP_CVAL_EL0', TVAL: 'CNTP_TVAL_EL0' },
  virtual: { CTL: 'CNTV_CTL_EL0', CVAL: 'CNTV_CVAL_EL0', TVAL: 'CNTV_TVAL_EL0' },
  hypervisor: { CTL: 'CNTHP_CTL_EL2', CVAL: 'CNTHP_CVAL_EL2', TVAL: 'CNTHP_TVAL_EL2' },
  hypervisorVirtual: { CTL: 'CNTHV_CTL_EL2', CVAL: 'CNTHV_CVAL_EL2', TVAL: 'CNTHV_TVAL_EL2' },
} as const;

type Which = keyof typeof TIMERS;
const ALL = Object.keys(TIMERS) as readonly Which[];

type View = (typeof VIEWS)[number];
type TimerRegister =
  'CNTFRQ_EL0' | 'CNTPCT_EL0' | 'CNTVCT_EL0' | 'CNTVOFF_EL2' | (typeof TIMERS)[Which][View];

/** Timer and view of a register that is one. */
const VIEW_OF: ReadonlyMap<string, { readonly which: Which; readonly view: View }> = new Map(
  ALL.flatMap((which) => VIEWS.map((view) => [TIMERS[which][view], { which, view }] as const)),
);

/**
 * The system registers that `GenericTimers` serves. Those of EL2 are reached from there alone: for a CPU without it the
 * offset stays 0 and two timers are never used.
 */
export const TIMER_REGISTERS: readonly TimerRegister[] = [
  'CNTFRQ_EL0',
  'CNTPCT_EL0',
  'CNTVCT_EL0',
  'CNTVOFF_EL2',
  ...ALL.flatMap((which) => VIEWS.map((view) => TIMERS[which][view])),
];

/** CNTP_CTL_EL0 and its kind. ISTATUS is made up at each read. */
const CTL = { ENABLE: 1 << 0, IMASK: 1 << 1, ISTATUS: 1 << 2, writable: 0x3 } as const;

const NS_PER_S = 1_000_000_000;

interface TimerState {
  /** ENABLE and IMASK. */
  ctl: number;
  /** CNTP_CVAL_EL0 and its kind: unsigned 64 bits. */
  compare: bigint;
}

interface CpuState {
  /** CNTFRQ_EL0: what software says the frequency is; the counter does not care. */
  frequency: number;
  /** CNTVOFF_EL2. */
  offset: bigint;
  readonly timers: Readonly<Record<Which, TimerState>>;
}

interface GenericTimersState {
  readonly version: 1;
  readonly cpus: readonly CpuState[];
}

interface GenericTimersPorts {
  readonly clock: Clock;
  /** For each CPU, the interrupt lines of its timers, level-sensitive. */
  readonly cpus: readonly Readonly<Record<Which, IrqLine>>[];
}

/** PPI numbers (INTID − 16) of the timers of Armv8-A; some of them a guest without EL2 and EL3 never uses. */
interface TimerPpis extends Readonly<Record<Which, number>> {
  readonly securePhysical: number;
}

/** One of each for every timer. */
function forEach<T>(make: (which: Which) => T): Record<Which, T> {
  return Object.fromEntries(ALL.map((which) => [which, make(which)])) as Record<Which, T>;
}

export class GenericTimers implements SystemRegisterPort, Snapshottable<GenericTimersState> {
  readonly #ports: GenericTimersPorts;
  readonly #frequencyHz: number;
  readonly #ticks: TickRate;
  readonly #deadlines: readonly Readonly<Record<Which, ClockTimer>>[];
  #state: GenericTimersState;

  /** `frequencyHz` is that of the system counter, and CNTFRQ_EL0 after reset. */
  constructor(frequencyHz: number, ports: GenericTimersPorts) {
    invariant(Number.isSafeInteger(frequencyHz) && frequencyHz > 0, `counter of ${frequencyHz} Hz`);
    this.#ports = ports;
    this.#frequencyHz = frequencyHz;
    this.#ticks = new TickRate(frequencyHz);
    this.#state = this.#initialState();
    this.#deadlines = ports.cpus.map((_, cpu) =>
      forEach((which) => ports.clock.timer(`cpu${cpu} ${which} timer`, () => this.#updateIrq(cpu, which))),
    );
  }

  /** The timers of all CPUs disabled. The system counter goes on: it is the machine's time. */
  reset(): void {
    this.#state = this.#initialState();
    this.#updateAll();
  }

  saveState(): GenericTimersState {
    return copyState(this.#state);
  }

  restoreState(state: GenericTimersState): void {
    invariant(state.cpus.length === this.#state.cpus.length, 'timer snapshot of another configuration');
    this.#state = copyState(state);
    this.#updateAll();
  }

  readSystemRegister(name: string, cpu: number): bigint {
    const { frequency, offset, timers } = this.#state.cpus[cpu]!;
    switch (name as TimerRegister) {
      case 'CNTFRQ_EL0':
        return BigInt(frequency);
      case 'CNTPCT_EL0':
        return this.#count(cpu, 'physical', this.#ports.clock.pollNs());
      case 'CNTVCT_EL0':
        return this.#count(cpu, 'virtual', this.#ports.clock.pollNs());
      case 'CNTVOFF_EL2':
        return offset;
      default:
    }
    const register = VIEW_OF.get(name);
    if (!register) return 0n;
    const { which, view } = register;
    switch (view) {
      case 'CTL':
        return this.#readCtl(cpu, which);
      case 'CVAL':
        return timers[which].compare;
      case 'TVAL':
        return BigInt.asUintN(32, timers[which].compare - this.#count(cpu, which));
    }
  }

  writeSystemRegister(name: string, cpu: number, value: bigint): void {
    const state = this.#state.cpus[cpu]!;
    switch (name as TimerRegister) {
      case 'CNTFRQ_EL0':
        state.frequency = Number(BigInt.asUintN(32, value));
        return;
      case 'CNTVOFF_EL2':
        state.offset = BigInt.asUintN(64, value);
        this.#updateIrq(cpu, 'virtual');
        return;
      default: // The counters are read-only.
    }
    const register = VIEW_OF.get(name);
    if (!register) return;
    const { which, view } = register;
    switch (view) {
      case 'CTL':
        this.#writeCtl(cpu, which, value);
        break;
      case 'CVAL':
        this.#writeCompare(cpu, which, value);
        break;
      case 'TVAL':
        this.#writeCompare(cpu, which, this.#count(cpu, which) + BigInt.asIntN(32, value));
        break;
    }
  }

  /**
   * The device-tree node. `cpuMask` has a bit for each CPU where the interrupt controller is a GICv2 and is 0 where
   * it is a GICv3. EL2 has a virtual timer of its own where it has FEAT_VHE. Bindings: arm,arch_timer.yaml, arm,gic.yaml.
   */
  describe(ppis: TimerPpis, cpuMask: number, hasVhe: boolean): DtNode {
    const PPI = 1;
    const LEVEL_HIGH = 4;
    const order = [ppis.securePhysical, ppis.physical, ppis.virtual, ppis.hypervisor];
    if (hasVhe) order.push(ppis.hypervisorVirtual);
    return {
      name: 'timer',
      properties: {
        compatible: ['arm,armv8-timer', 'arm,armv7-timer'],
        'always-on': true,
        interrupts: { cells: order.flatMap((ppi) => [PPI, ppi, LEVEL_HIGH | (cpuMask << 8)]) },
      },
    };
  }

  /**
   * What the counter of that timer shows: that of EL1's virtual timer is behind by CNTVOFF_EL2, which is no concern of
   * EL2's own.
   */
  #count(cpu: number, which: Which, nowNs = this.#ports.clock.nowNs()): bigint {
    const physical = this.#ticks.at(nowNs);
    if (which !== 'virtual') return physical;
    const { offset } = this.#state.cpus[cpu]!;
    return offset === 0n ? physical : BigInt.asUintN(64, physical - offset);
  }

  #readCtl(cpu: number, which: Which): bigint {
    const { ctl, compare } = this.#state.cpus[cpu]!.timers[which];
    const isMet = (ctl & CTL.ENABLE) !== 0 && this.#count(cpu, which) >= compare;
    return BigInt(ctl | (isMet ? CTL.ISTATUS : 0));
  }

  #writeCtl(cpu: number, which: Which, value: bigint): void {
    this.#state.cpus[cpu]!.timers[which].ctl = Number(value & BigInt(CTL.writable));
    this.#updateIrq(cpu, which);
  }

  #writeCompare(cpu: number, which: Which, value: bigint): void {
    this.#state.cpus[cpu]!.timers[which].compare = BigInt.asUintN(64, value);
    this.#updateIrq(cpu, which);
  }

  #updateAll(): void {
    for (let cpu = 0; cpu < this.#state.cpus.length; cpu++) {
      for (const which of ALL) this.#updateIrq(cpu, which);
    }
  }

  /** Drives the timer's line, and asks the clock to be called when that has to change by itself. */
  #updateIrq(cpu: number, which: Which): void {
    const { ctl, compare } = this.#state.cpus[cpu]!.timers[which];
    const line = this.#ports.cpus[cpu]![which];
    const deadline = this.#deadlines[cpu]![which];
    if ((ctl & (CTL.ENABLE | CTL.IMASK)) !== CTL.ENABLE) {
      deadline.cancel();
      line.set(false);
      return;
    }
    const count = this.#count(cpu, which);
    const isMet = count >= compare;
    // Unsigned comparison: once met, it stays so until the count wraps.
    const ticksToGo = (isMet ? 1n << 64n : compare) - count;
    const deadlineNs = this.#ticks.nsOf(this.#count(cpu, 'physical') + ticksToGo);
    if (deadlineNs === undefined) deadline.cancel();
    else deadline.arm(deadlineNs);
    line.set(isMet);
  }

  #initialState(): GenericTimersState {
    return {
      version: 1,
      cpus: this.#ports.cpus.map(() => ({
        frequency: this.#frequencyHz,
        offset: 0n,
        timers: forEach(() => ({ ctl: 0, compare: 0n })),
      })),
    };
  }
}

/** Between nanoseconds and ticks of the counter, exactly. */
class TickRate {
  /** Ticks per nanosecond as a reduced fraction. */
  readonly #ticks: bigint;
  readonly #ns: number;

  constructor(frequencyHz: number) {
    const divisor = greatestCommonDivisor(frequencyHz, NS_PER_S);
    this.#ticks = BigInt(frequencyHz / divisor);
    this.#ns = NS_PER_S / divisor;
  }

  /** Ticks completed at `nowNs`. */
  at(nowNs: number): bigint {
    // Most machines have a whole number of nanoseconds in a tick, and guests read the counter in tight loops.
    if (this.#ticks === 1n) return BigInt(Math.floor(nowNs / this.#ns));
    return (BigInt(nowNs) * this.#ticks) / BigInt(this.#ns);
  }

  /** The first nanosecond at which `tick` is completed; undefined beyond what guest time can reach. */
  nsOf(tick: bigint): number | undefined {
    const ns = (tick * BigInt(this.#ns) + this.#ticks - 1n) / this.#ticks;
    return ns <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(ns) : undefined;
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function copyState(state: GenericTimersState): GenericTimersState {
  return {
    ...state,
    cpus: state.cpus.map((cpu) => ({ ...cpu, timers: forEach((which) => ({ ...cpu.timers[which] })) })),
  };
}
