import { invariant } from '../base/index.js';
import type { Clock, Timer } from '../bus/index.js';
import type { Engine } from '../cpu/engine.js';
import { TimerQueue } from './timer-queue.js';

/** Guest time per executed instruction in virtual mode: a machine of 250 MIPS. */
export const DEFAULT_NS_PER_INSTRUCTION = 4;

/**
 * Most instructions between two looks at timers and the host: a few milliseconds of host time. Compiled code of
 * a better tier is also entered only when the engine is entered anew (no on-stack replacement in wasm).
 */
export const MAX_SLICE_INSTRUCTIONS = 1_000_000;

/** Fewest instructions worth an entry into the engine when time follows the host. */
const MIN_REAL_SLICE_INSTRUCTIONS = 2_000;

/** What the clock needs of the engine. */
export type ClockedEngine = Pick<Engine, 'instructions' | 'busyCpus' | 'kick'>;

/**
 * The clock of a machine: guest time for devices, and slices for the run loop. A slice is one entry into the
 * engine; timers fire between slices, and a device that arms a timer due before the slice's end shortens it.
 */
export interface MachineClock extends Clock {
  /** Connects the engine, once, before anything runs: clock and engine each need the other. */
  connect(engine: ClockedEngine): void;
  /** Deadline of the earliest timer, `Infinity` when none is armed. */
  readonly nextDeadlineNs: number;
  /** Fires every timer that is due. Not to be called inside a slice. */
  fireDue(): void;
  /** Starts a slice and returns its budget in instructions, at least 1. */
  beginSlice(): number;
  endSlice(): void;
  /**
   * All CPUs wait. True when guest time has been moved to the next deadline, false when it passes by itself
   * or when there is no deadline.
   */
  skipIdle(): boolean;
  /** All CPUs waited for `hostNs` of the host's time because something from outside may have come. */
  waited(hostNs: number): void;
  /** Lets time pass: only virtual time can do without. */
  start(): void;
  /** Stops time while the machine is paused. */
  stop(): void;
  /** Nanoseconds of guest time that were skipped because all CPUs waited. */
  readonly skippedNs: number;
}

abstract class SlicedClock {
  protected readonly queue = new TimerQueue((deadlineNs) => {
    if (deadlineNs < this.sliceEndNs) {
      // One kick is enough, whatever else is armed until the engine comes back.
      this.sliceEndNs = -Infinity;
      this.engine.kick();
    }
  });
  /** When the running slice is expected to end; -Infinity outside of slices. */
  protected sliceEndNs = -Infinity;
  #engine: ClockedEngine | undefined;

  connect(engine: ClockedEngine): void {
    invariant(!this.#engine, 'a clock has one engine');
    this.#engine = engine;
  }

  protected get engine(): ClockedEngine {
    invariant(this.#engine !== undefined, 'the clock has no engine yet');
    return this.#engine;
  }

  abstract nowNs(): number;

  pollNs(): number {
    return this.nowNs();
  }

  /** The name is for whoever looks at the machine in a debugger. */
  timer(_name: string, callback: () => void): Timer {
    return this.queue.timer(callback);
  }

  get nextDeadlineNs(): number {
    return this.queue.nextDeadlineNs;
  }

  fireDue(): void {
    this.queue.fireDue(this.nowNs());
  }
}

/** Two reads of a counter this few instructions apart belong to one wait. */
const POLL_GAP_INSTRUCTIONS = 128;
/** A wait is left alone for this long: short delays are exact. */
const POLL_PATIENCE_NS = 10_000;
/** Then each read lets this part of the time waited so far pass: no wait gets longer by more. */
const POLL_STRIDE = 1 / 32;

/**
 * Time made of executed instructions: `instructions * nsPerInstruction`, plus the waits that were skipped. Nothing
 * of the host enters, so the same guest with the same input does the same at the same nanosecond, every time.
 */
export class VirtualClock extends SlicedClock implements MachineClock {
  readonly #nsPerInstruction: number;
  #skippedNs = 0;
  #connected = false;
  /** The wait that the guest spends reading a counter: when it began, the instruction of the last read. */
  #pollStartNs = 0;
  #lastPoll = -Infinity;

  /** `nsPerInstruction` is a whole number, at least 1. */
  constructor(nsPerInstruction = DEFAULT_NS_PER_INSTRUCTION) {
    super();
    invariant(
      Number.isSafeInteger(nsPerInstruction) && nsPerInstruction >= 1,
      'nsPerInstruction is a whole number',
    );
    this.#nsPerInstruction = nsPerInstruction;
  }

  override connect(engine: ClockedEngine): void {
    super.connect(engine);
    this.#connected = true;
  }

  get skippedNs(): number {
    return this.#skippedNs;
  }

  nowNs(): number {
    // Devices may look at the time while the board is being built, before there is an engine.
    return this.#connected ? this.engine.instructions * this.#nsPerInstruction + this.#skippedNs : 0;
  }

  /**
   * A guest that reads a counter over and over, with hardly an instruction in between, waits for a time to come. Such a
   * wait passes in steps that grow with it, never beyond the next deadline: a firmware's delay of seconds takes
   * some hundred reads. A timer that fires ends it, since what its handler reads is no wait, and time would run away from
   * a guest that is kept busy by handlers. Only instructions and reads enter, so runs repeat exactly.
   */
  override pollNs(): number {
    const nowNs = this.nowNs();
    // While one CPU waits the others work: their time must not pass without them.
    if (this.engine.busyCpus > 1) return nowNs;
    const { instructions } = this.engine;
    const gap = instructions - this.#lastPoll;
    if (gap > POLL_GAP_INSTRUCTIONS) this.#pollStartNs = nowNs;
    this.#lastPoll = instructions;
    const waitedNs = nowNs - this.#pollStartNs;
    if (waitedNs < POLL_PATIENCE_NS) return nowNs;
    const stepNs = Math.max(0, Math.floor(Math.min(waitedNs * POLL_STRIDE, this.nextDeadlineNs - nowNs)));
    this.#skippedNs += stepNs;
    // The slice now ends that much later: too late, perhaps, for the deadline it was made for.
    this.sliceEndNs += stepNs;
    if (this.nextDeadlineNs < this.sliceEndNs) {
      this.sliceEndNs = -Infinity;
      this.engine.kick();
    }
    return nowNs + stepNs;
  }

  override fireDue(): void {
    if (this.nextDeadlineNs <= this.nowNs()) this.#lastPoll = -Infinity;
    super.fireDue();
  }

  beginSlice(): number {
    const nowNs = this.nowNs();
    const untilDeadline = Math.ceil((this.nextDeadlineNs - nowNs) / this.#nsPerInstruction);
    const budget = Math.max(1, Math.min(MAX_SLICE_INSTRUCTIONS, untilDeadline));
    this.sliceEndNs = nowNs + budget * this.#nsPerInstruction;
    return budget;
  }

  endSlice(): void {
    this.sliceEndNs = -Infinity;
  }

  skipIdle(): boolean {
    if (this.nextDeadlineNs === Infinity) return false;
    this.#skippedNs += Math.max(0, this.nextDeadlineNs - this.nowNs());
    return true;
  }

  waited(hostNs: number): void {
    this.#skippedNs += Math.max(0, Math.min(hostNs, this.nextDeadlineNs - this.nowNs()));
  }

  start(): void {
    // Instructions are the time.
  }

  stop(): void {
    // Instructions are the time.
  }
}

/** The host's monotonic clock: whole nanoseconds from any origin. */
export interface MonotonicClock {
  nowNs(): number;
}

/** Time that follows the host's clock while the machine runs. */
export class RealClock extends SlicedClock implements MachineClock {
  readonly skippedNs = 0;
  readonly #host: MonotonicClock;
  /** Guest time at `#startedNs`, or now while stopped. */
  #elapsedNs = 0;
  #startedNs: number | undefined;
  #instructionsPerNs = 0.1;
  #sliceStartNs = 0;
  #sliceStartInstructions = 0;

  constructor(host: MonotonicClock) {
    super();
    this.#host = host;
  }

  nowNs(): number {
    if (this.#startedNs === undefined) return this.#elapsedNs;
    return this.#elapsedNs + this.#host.nowNs() - this.#startedNs;
  }

  start(): void {
    this.#startedNs ??= this.#host.nowNs();
  }

  stop(): void {
    this.#elapsedNs = this.nowNs();
    this.#startedNs = undefined;
  }

  /** The budget aims at the next deadline with the speed seen so far, so that timers are not milliseconds late. */
  beginSlice(): number {
    this.#sliceStartNs = this.nowNs();
    this.#sliceStartInstructions = this.engine.instructions;
    const untilDeadline = Math.ceil((this.nextDeadlineNs - this.#sliceStartNs) * this.#instructionsPerNs);
    const budget = Math.max(MIN_REAL_SLICE_INSTRUCTIONS, Math.min(MAX_SLICE_INSTRUCTIONS, untilDeadline));
    this.sliceEndNs = this.#sliceStartNs + Math.ceil(budget / this.#instructionsPerNs);
    return budget;
  }

  endSlice(): void {
    this.sliceEndNs = -Infinity;
    const ranNs = this.nowNs() - this.#sliceStartNs;
    const ran = this.engine.instructions - this.#sliceStartInstructions;
    // Short slices measure their own overhead, not the engine.
    if (ran < MIN_REAL_SLICE_INSTRUCTIONS || ranNs <= 0) return;
    this.#instructionsPerNs += (ran / ranNs - this.#instructionsPerNs) / 8;
  }

  skipIdle(): boolean {
    return false;
  }

  waited(): void {
    // The host's time is the time.
  }
}
