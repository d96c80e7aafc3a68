import { UserError } from '../base/index.js';
import type { ByteReceiver } from '../bus/index.js';
import type { Engine } from '../cpu/engine.js';
import type { ConsoleSize } from '../devices/virtio/virtio-console.js';
import type { MachineClock } from './clock.js';
import { checkConsoleSize, type ConsoleKind, type VirtioLines } from './consoles.js';
import type { StopReason } from './errors.js';
import type { HostLoop } from './host-loop.js';
import type { Profile } from '../profile/report.js';
import type { OutsideWorld } from './outside-world.js';
import type { Profiler } from './profiler.js';
import type { Serial, SerialConsole } from './serial.js';

/** Host time spent executing before the host's event loop gets its turn. */
const TURN_NS = 4_000_000;
/** Slices may be as short as one instruction; reading the host's clock and taking turns cost little beside so many. */
const MAX_TURN_SLICES = 256;
const NS_PER_MS = 1_000_000;
/** The longest delay that hosts take; also keeps the process alive while a machine waits for input. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** `created` until `start()`; `stopped` is final. */
export type MachineState = 'created' | 'running' | 'paused' | 'stopped';

/** What a device counted since the machine was made: name of the count to number. */
export interface DeviceStatistics {
  readonly name: string;
  readonly counts: Readonly<Record<string, number>>;
}

export interface MachineStatistics {
  /** Instructions the guest has executed. */
  readonly instructions: number;
  /** Guest time since the machine was made. */
  readonly guestNs: number;
  /** Part of `guestNs` that was skipped because every CPU waited (virtual clock only). */
  readonly skippedNs: number;
  /** Host time spent executing the guest, devices included. */
  readonly executingNs: number;
  /** Million instructions per second of `executingNs`. */
  readonly mips: number;
  /** Entries into the engine. */
  readonly slices: number;
  readonly serialBytesOut: number;
  readonly serialBytesIn: number;
  readonly devices: readonly DeviceStatistics[];
}

/** What asks the machine to stop while the engine runs, kept until it has come back: the first request counts. */
export class PowerLatch {
  #request: StopReason | undefined;

  /** The guest switches the power off. The engine comes back by itself. */
  powerOff(): void {
    this.#request ??= { kind: 'power-off' };
  }

  /** The guest asks for a reset. The engine comes back by itself. */
  reset(): void {
    this.#request ??= { kind: 'reset' };
  }

  /** The last CPU switched itself off (PSCI CPU_OFF). The engine comes back by itself. */
  halt(): void {
    this.#request ??= { kind: 'halted' };
  }

  /** The host failed the guest. Whoever calls this from inside a slice kicks the engine. */
  fail(error: unknown): void {
    this.#request ??= { kind: 'error', error: asError(error) };
  }

  take(): StopReason | undefined {
    const request = this.#request;
    this.#request = undefined;
    return request;
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** A built board as the machine sees it. */
export interface Hardware {
  readonly engine: Engine;
  /** The receiving side of the console's UART. */
  readonly receiver: ByteReceiver;
  /** The console device: the receiving sides of its ports, the console first. */
  readonly virtioConsole?: { readonly inputs: readonly ByteReceiver[]; resize(size: ConsoleSize): void };
  /** Power-on state: every device reset, CPU 0 at the firmware's first instruction. Media keep. */
  reset(): void;
  /** The flattened device tree that the guest gets. */
  readonly deviceTree: Uint8Array;
  /** What the user should know about the files, one line each. */
  readonly notices: readonly string[];
  /** A short press of the power button: asks the guest to shut down. Left out: there is none. */
  readonly pressPowerKey?: () => void;
  /** Commits what media hold back. A failure goes to `PowerLatch.fail`. */
  flush(): void;
  /** As `flush`, and what the host has taken survives a crash of it: at power-off and exit. */
  sync(): void;
  /** Gives up the files, after `sync`. Called once, after which nothing else is. */
  close(): void;
  statistics(): readonly DeviceStatistics[];
}

export interface MachineEvents {
  /** The guest has been reset, by itself or by `reset()`, and goes on from the reset vector. */
  reset: [];
  paused: [];
  resumed: [];
  /** The user should know this, a failure of the host's disk for instance. One line. */
  notice: [line: string];
  stopped: [reason: StopReason];
}

interface MachineParts {
  readonly hardware: Hardware;
  readonly clock: MachineClock;
  readonly host: HostLoop;
  readonly power: PowerLatch;
  readonly console: SerialConsole;
  /** What the console device of `hardware` has on its other side. */
  readonly virtioLines?: VirtioLines;
  /** `serial` when left out. */
  readonly consoleKind?: ConsoleKind;
  readonly outside: OutsideWorld;
  /** It has been started. */
  readonly profiler?: Profiler;
  readonly onReset: 'restart' | 'stop';
}

/**
 * A virtual machine. `createMachine` makes one.
 *
 * Execution is a sequence of slices: `#step` delivers queued input, fires the timers that are due and enters the
 * engine for a number of instructions. Between slices the output of the guest is shown; after a slice with
 * output, and every few milliseconds, the host's event loop runs.
 *
 * With the virtual clock the sequence is a function of the guest and its input alone. A slice ends at an
 * instruction count derived from the next timer deadline, or where the guest itself ends it (a timer armed
 * earlier, all CPUs waiting, power-off); never at a host time. How many slices share one turn of the event loop
 * is a matter of host time, but the guest cannot see it: the only thing that reaches it from outside is input,
 * delivered at the start of a slice (and, when the UART was full, at the access that makes room). Reactions to
 * output run between the slice that made it and the next one. So a script of `waitFor` and `send` gives the same
 * machine the same bytes at the same instruction in every run; keys typed by a person arrive when they do.
 */
export class Machine {
  /** The serial console: output, input, `waitFor`. */
  readonly serial: Serial;
  /** The user's console: `serial`, or that of the virtio console device, as the option `console` says. */
  readonly console: Serial;
  /** The ports of the option `ports`, by name. What is sent waits until the guest has opened the port. */
  readonly ports: ReadonlyMap<string, Serial>;
  /** The flattened device tree that the guest gets. Not to be changed. */
  readonly deviceTree: Uint8Array;
  /** What the user should know about the files given, one line each. */
  readonly notices: readonly string[];
  readonly #hardware: Hardware;
  readonly #engine: Engine;
  readonly #clock: MachineClock;
  readonly #host: HostLoop;
  readonly #power: PowerLatch;
  /** All of them: the UART's, then those of the console device. */
  readonly #consoles: readonly SerialConsole[];
  readonly #outside: OutsideWorld;
  #profiler: Profiler | undefined;
  readonly #onReset: 'restart' | 'stop';
  readonly #listeners: { [Event in keyof MachineEvents]: Set<(...args: MachineEvents[Event]) => void> } = {
    reset: new Set(),
    paused: new Set(),
    resumed: new Set(),
    notice: new Set(),
    stopped: new Set(),
  };
  readonly #stopped: Promise<StopReason>;
  #resolveStopped!: (reason: StopReason) => void;
  #state: MachineState = 'created';
  #isClosed = false;
  /** Every CPU waited when the last slice ended. */
  #isIdle = false;
  /** Calls off the turn that is due to run, or the wait for one. */
  #cancelTurn: (() => void) | undefined;
  #isWaiting = false;
  /** When the wait for something from outside began, by the host's clock. */
  #expectingSinceNs: number | undefined;
  #executingNs = 0;
  #slices = 0;

  /** Takes freshly built hardware and resets it. */
  constructor(parts: MachineParts) {
    this.#hardware = parts.hardware;
    this.#engine = parts.hardware.engine;
    this.#clock = parts.clock;
    this.#host = parts.host;
    this.#power = parts.power;
    const { virtioLines } = parts;
    this.#consoles = [
      parts.console,
      ...(virtioLines ? [virtioLines.console, ...virtioLines.ports.values()] : []),
    ];
    this.#outside = parts.outside;
    this.#profiler = parts.profiler;
    this.#onReset = parts.onReset;
    this.serial = parts.console;
    this.console = parts.consoleKind === 'virtio' && virtioLines ? virtioLines.console : parts.console;
    this.ports = virtioLines?.ports ?? new Map<string, Serial>();
    this.deviceTree = parts.hardware.deviceTree;
    this.notices = parts.hardware.notices;
    this.#stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve;
    });
    this.#clock.connect(this.#engine);
    const wake = () => {
      if (this.#isWaiting) this.#runSoon();
    };
    const receivers = [this.#hardware.receiver, ...(this.#hardware.virtioConsole?.inputs ?? [])];
    for (const [index, console] of this.#consoles.entries()) console.connect(receivers[index]!, wake);
    this.#outside.connect(wake, (line) => {
      this.#emit('notice', line);
    });
    this.#hardware.reset();
  }

  get state(): MachineState {
    return this.#state;
  }

  /** Starts the machine, or goes on after `pause()`. Does nothing when it already runs. */
  start(): void {
    if (this.#state === 'running') return;
    this.#refuseWhenStopped('start');
    const wasPaused = this.#state === 'paused';
    this.#state = 'running';
    this.#clock.start();
    this.#runSoon();
    if (wasPaused) this.#emit('resumed');
  }

  /** Goes on after `pause()`. Does nothing unless the machine is paused. */
  resume(): void {
    if (this.#state === 'paused') this.start();
  }

  /**
   * Stops executing; guest time stands still, and what the flash held back is committed. Settles when the machine
   * is between two instructions and everything is on disk.
   */
  pause(): Promise<void> {
    return this.#attempt(() => {
      if (this.#state !== 'running') return;
      this.#state = 'paused';
      this.#halt();
      this.#hardware.flush();
      this.#obeyPower();
      if (this.#state === 'paused') this.#emit('paused');
    });
  }

  /** Presses the reset button: devices and CPUs start again, media and guest time keep, and RAM on the board `virt`. */
  reset(): Promise<void> {
    return this.#attempt(() => {
      this.#refuseWhenStopped('reset');
      this.#resetHardware();
      if (this.#state === 'running') this.#runSoon();
    });
  }

  /**
   * A short press of the power button: asks the guest to shut down, which it may ignore. On a board without one nothing
   * happens but a notice.
   */
  pressPowerKey(): void {
    if (this.#state === 'stopped') return;
    const { pressPowerKey } = this.#hardware;
    if (!pressPowerKey) {
      this.#emit('notice', 'this machine has no power button');
      return;
    }
    pressPowerKey();
    if (this.#isWaiting) this.#runSoon();
  }

  /** The terminal that the virtio console is shown on has another size. Nothing happens unless `consoleSize` was given. */
  resizeConsole(size: ConsoleSize): void {
    checkConsoleSize(size);
    if (this.#state !== 'stopped') this.#hardware.virtioConsole?.resize(size);
    if (this.#isWaiting) this.#runSoon();
  }

  /** Pulls the plug: the machine stops for good, what the flash held back is committed. */
  stop(): Promise<void> {
    return this.#attempt(() => {
      this.#finish({ kind: 'host' });
    });
  }

  /** Settles when the machine has stopped, with the reason. Never rejects. */
  stopped(): Promise<StopReason> {
    return this.#stopped;
  }

  /**
   * Stops the machine and gives up its files. Does nothing the second time. Whether everything could be written
   * is in the reason that `stopped()` gives.
   */
  close(): Promise<void> {
    return this.#attempt(() => {
      if (this.#isClosed) return;
      this.#isClosed = true;
      this.#profiler?.close();
      this.#finish({ kind: 'host' });
      for (const console of this.#consoles) console.close();
      this.#hardware.close();
    });
  }

  /** Calls `listener` whenever `event` happens. Returns a function that removes it. */
  on<Event extends keyof MachineEvents>(
    event: Event,
    listener: (...args: MachineEvents[Event]) => void,
  ): () => void {
    // Its own function, so that adding one listener twice means two calls.
    const entry = (...args: MachineEvents[Event]) => {
      listener(...args);
    };
    this.#listeners[event].add(entry);
    return () => {
      this.#listeners[event].delete(entry);
    };
  }

  stats(): MachineStatistics {
    const { instructions } = this.#engine;
    return {
      instructions,
      guestNs: this.#clock.nowNs(),
      skippedNs: this.#clock.skippedNs,
      executingNs: this.#executingNs,
      mips: this.#executingNs === 0 ? 0 : (instructions * 1000) / this.#executingNs,
      slices: this.#slices,
      serialBytesOut: this.#countBytes('bytesOut'),
      serialBytesIn: this.#countBytes('bytesIn'),
      devices: this.#hardware.statistics(),
    };
  }

  /**
   * Ends what the option `profile` has begun. `name` is what a viewer shows.
   *
   * @throws UserError `not-profiled` without that option, and the second time.
   */
  async takeProfile(name: string): Promise<Profile> {
    const profiler = this.#profiler;
    this.#profiler = undefined;
    if (!profiler) {
      throw new UserError(
        'not-profiled',
        'takeProfile: accepted: once, for a machine with the option profile',
      );
    }
    return profiler.take(name);
  }

  /**
   * One slice. `waiting` when nothing was executed: every CPU waits, there is no input for them, and the next
   * deadline, if any, is in the future of a clock that passes by itself.
   */
  #step(): 'ran' | 'waiting' {
    let gotInput = false;
    for (const console of this.#consoles) if (console.deliver()) gotInput = true;
    if (this.#expectingSinceNs !== undefined) {
      this.#clock.waited(this.#host.nowNs() - this.#expectingSinceNs);
      this.#expectingSinceNs = undefined;
    }
    // Something from outside may have raised an interrupt.
    const isIdle = this.#isIdle && !gotInput && this.#engine.busyCpus === 0;
    if (isIdle && this.#clock.nextDeadlineNs > this.#clock.nowNs()) {
      if (this.#outside.isExpecting) {
        this.#expectingSinceNs = this.#host.nowNs();
        return 'waiting';
      }
      if (!this.#clock.skipIdle()) return 'waiting';
    }
    this.#clock.fireDue();
    const budget = this.#clock.beginSlice();
    try {
      this.#isIdle = this.#engine.run(budget) === 'idle';
    } finally {
      this.#clock.endSlice();
    }
    this.#slices++;
    return 'ran';
  }

  readonly #turn = () => {
    this.#cancelTurn = undefined;
    this.#isWaiting = false;
    try {
      const startNs = this.#host.nowNs();
      let outcome: 'ran' | 'waiting';
      let isOutput: boolean;
      let nowNs: number;
      let slices = 0;
      do {
        outcome = this.#step();
        isOutput = this.#publish();
        this.#obeyPower();
        nowNs = this.#host.nowNs();
        slices++;
      } while (
        this.#state === 'running' &&
        outcome === 'ran' &&
        !isOutput &&
        slices < MAX_TURN_SLICES &&
        nowNs - startNs < TURN_NS
      );
      this.#executingNs += nowNs - startNs;
      // A listener may have paused or stopped the machine, or already asked for the next turn.
      if (this.#state !== 'running' || this.#isTurnDue()) return;
      const backpressure = this.#consoles.flatMap((console) => console.takeBackpressure() ?? []);
      if (backpressure.length > 0) this.#runAfter(Promise.all(backpressure));
      else if (outcome === 'ran') this.#runSoon();
      else this.#runWhenDue();
    } catch (error) {
      // A listener that throws after the end has nobody else to hear it.
      if (this.#state === 'stopped') throw error;
      this.#finish({ kind: 'error', error: asError(error) });
    }
  };

  /** Shows the output of a slice. True when there was any. */
  #publish(): boolean {
    let isOutput = false;
    for (const console of this.#consoles) if (console.publish()) isOutput = true;
    return isOutput;
  }

  #countBytes(direction: 'bytesIn' | 'bytesOut'): number {
    return this.#consoles.reduce((sum, { statistics }) => sum + statistics[direction], 0);
  }

  #isTurnDue(): boolean {
    return this.#cancelTurn !== undefined;
  }

  #runSoon(): void {
    this.#cancelTurn?.();
    let isCancelled = false;
    this.#isWaiting = false;
    this.#cancelTurn = () => {
      isCancelled = true;
    };
    this.#host.defer(() => {
      if (!isCancelled) this.#turn();
    });
  }

  #runAfter(promise: Promise<unknown>): void {
    let isCancelled = false;
    this.#cancelTurn = () => {
      isCancelled = true;
    };
    promise.then(
      () => {
        if (!isCancelled) this.#runSoon();
      },
      (error: unknown) => {
        this.#finish({ kind: 'error', error: asError(error) });
      },
    );
  }

  /** Every CPU waits: for the next deadline of a clock that passes by itself, and for input. */
  #runWhenDue(): void {
    const waitNs = this.#clock.nextDeadlineNs - this.#clock.nowNs();
    const isInputOver = this.#consoles.every((console) => console.isInputOver);
    if (waitNs === Infinity && isInputOver && !this.#outside.isExpecting) {
      this.#finish({ kind: 'halted' });
      return;
    }
    // Host timers count milliseconds; the rest of one is spent asking.
    if (waitNs < NS_PER_MS) {
      this.#runSoon();
      return;
    }
    this.#isWaiting = true;
    this.#cancelTurn = this.#host.delay(
      Math.min(LONGEST_DELAY_MS, Math.floor(waitNs / NS_PER_MS)),
      this.#turn,
    );
  }

  #obeyPower(): void {
    const request = this.#power.take();
    if (!request) return;
    if (request.kind === 'reset' && this.#onReset === 'restart') this.#resetHardware();
    else this.#finish(request);
  }

  #resetHardware(): void {
    this.#isIdle = false;
    this.#hardware.reset();
    this.#hardware.flush();
    this.#obeyPower();
    if (this.#state !== 'stopped') this.#emit('reset');
  }

  #finish(reason: StopReason): void {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.#halt();
    let finalReason = reason;
    try {
      this.#publish();
      this.#hardware.sync();
      finalReason = failureIn(this.#power.take()) ?? reason;
    } catch (error) {
      finalReason = { kind: 'error', error: asError(error) };
    }
    // The first failure is the one to report.
    if (reason.kind === 'error') finalReason = reason;
    for (const console of this.#consoles) console.stopped(finalReason);
    this.#resolveStopped(finalReason);
    this.#emit('stopped', finalReason);
  }

  /** No turn runs, and guest time stands still. */
  #halt(): void {
    this.#cancelTurn?.();
    this.#cancelTurn = undefined;
    this.#isWaiting = false;
    this.#clock.stop();
  }

  #refuseWhenStopped(action: string): void {
    if (this.#state !== 'stopped') return;
    throw new UserError('machine-stopped', `${action}: the machine has stopped; make a new one`);
  }

  #emit<Event extends keyof MachineEvents>(event: Event, ...args: MachineEvents[Event]): void {
    for (const listener of this.#listeners[event]) listener(...args);
  }

  /** The action's result or exception as a promise: machines may come to live in a worker. */
  #attempt(action: () => void): Promise<void> {
    return new Promise((resolve) => {
      action();
      resolve();
    });
  }
}

function failureIn(request: StopReason | undefined): StopReason | undefined {
  return request?.kind === 'error' ? request : undefined;
}
