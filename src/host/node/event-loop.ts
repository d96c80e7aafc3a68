import { performance } from 'node:perf_hooks';

const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** Node's event loop and monotonic clock, as machines use them (`HostLoop` in `src/vm`). */
export const nodeLoop = {
  /** Whole nanoseconds since the process started; a safe integer for a hundred days. */
  nowNs: (): number => Math.floor(performance.now() * 1e6),

  /** After the events that are there now: input, finished reads and writes, expired timers. */
  defer: (callback: () => void): void => {
    setImmediate(callback);
  },

  delay: (delayMs: number, callback: () => void): (() => void) => {
    const timeout = setTimeout(callback, Math.min(delayMs, LONGEST_DELAY_MS));
    return () => {
      clearTimeout(timeout);
    };
  },
};
