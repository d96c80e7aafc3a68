import type { MonotonicClock } from './clock.js';

/**
 * The host's event loop and clock, as far as a machine needs them. `host/node` has the one for Node; tests use
 * one that they turn by hand.
 */
export interface HostLoop extends MonotonicClock {
  /** Calls back after the host has looked at its input and run every pending promise reaction. */
  defer(callback: () => void): void;
  /** Calls back once in about `delayMs` milliseconds, at most 2^31-1. Returns a function that calls it off. */
  delay(delayMs: number, callback: () => void): () => void;
}

/** A host whose time passes only when told to, and whose callbacks run only then. For tests. */
export class ManualHost implements HostLoop {
  #nowNs = 0;
  #deferred: (() => void)[] = [];
  readonly #delayed = new Set<{ readonly dueNs: number; readonly callback: () => void }>();

  nowNs(): number {
    return this.#nowNs;
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
  }

  delay(delayMs: number, callback: () => void): () => void {
    const entry = { dueNs: this.#nowNs + delayMs * 1_000_000, callback };
    this.#delayed.add(entry);
    return () => {
      this.#delayed.delete(entry);
    };
  }

  /** Host time passes and nothing else happens, as while a slice runs. */
  advance(deltaNs: number): void {
    this.#nowNs += deltaNs;
  }

  /** Runs what has been deferred so far, then every promise reaction. False when there was nothing to run. */
  async turn(): Promise<boolean> {
    const callbacks = this.#deferred;
    this.#deferred = [];
    for (const callback of callbacks) callback();
    await drainMicrotasks();
    return callbacks.length > 0;
  }

  /** Lets time pass to the next delayed callback and runs it. False when there is none. */
  async sleep(): Promise<boolean> {
    let next: { readonly dueNs: number; readonly callback: () => void } | undefined;
    for (const entry of this.#delayed) if (!next || entry.dueNs < next.dueNs) next = entry;
    if (!next) return false;
    this.#delayed.delete(next);
    this.#nowNs = Math.max(this.#nowNs, next.dueNs);
    next.callback();
    await drainMicrotasks();
    return true;
  }
}

/** Longer than any chain of promise reactions in the tests. */
async function drainMicrotasks(): Promise<void> {
  for (let i = 0; i < 32; i++) await Promise.resolve();
}
