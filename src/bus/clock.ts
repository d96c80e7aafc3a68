/** Fires once when guest time reaches a deadline. */
export interface Timer {
  /** Sets or moves the deadline, in nanoseconds of guest time; one in the past fires at the next opportunity. */
  arm(deadlineNs: number): void;
  cancel(): void;
}

/**
 * Guest time. It starts at 0 with the machine, never goes back and is not reset with it. Whether it follows the
 * host's clock or the count of executed instructions is the machine's business, not the device's.
 */
export interface Clock {
  /** Nanoseconds since the machine was made, a safe integer. */
  nowNs(): number;
  /**
   * `nowNs`, where the guest itself reads a counter. A guest that does nothing else is waiting, and a clock that isn't
   * bound to the host's may make the wait short.
   */
  pollNs(): number;
  /** A new timer, not armed. `callback` runs between guest instructions, with `nowNs() >= deadlineNs`. */
  timer(name: string, callback: () => void): Timer;
}

/** A clock that moves only when told to. For tests. */
export class ManualClock implements Clock {
  #nowNs = 0;
  readonly #timers: { deadlineNs: number; callback: () => void }[] = [];

  nowNs(): number {
    return this.#nowNs;
  }

  pollNs(): number {
    return this.#nowNs;
  }

  timer(_name: string, callback: () => void): Timer {
    const entry = { deadlineNs: Infinity, callback };
    this.#timers.push(entry);
    return {
      arm: (deadlineNs) => {
        entry.deadlineNs = deadlineNs;
      },
      cancel: () => {
        entry.deadlineNs = Infinity;
      },
    };
  }

  /** Moves on by `deltaNs`, firing timers in the order of their deadlines. */
  advance(deltaNs: number): void {
    const endNs = this.#nowNs + deltaNs;
    for (;;) {
      let next = this.#timers[0];
      for (const timer of this.#timers) if (next && timer.deadlineNs < next.deadlineNs) next = timer;
      if (!next || next.deadlineNs > endNs) break;
      this.#nowNs = Math.max(this.#nowNs, next.deadlineNs);
      next.deadlineNs = Infinity;
      next.callback();
    }
    this.#nowNs = endNs;
  }
}
