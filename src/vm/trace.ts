import type { Trace, TraceChannel } from '../base/index.js';
import type { Clock } from '../bus/index.js';

/** One thing that happened inside the machine. */
export interface TraceEvent {
  readonly channel: TraceChannel;
  /** One line, without a newline. */
  readonly text: string;
  /** Guest time when it happened. */
  readonly guestNs: number;
}

export interface TraceOptions {
  readonly channels: readonly TraceChannel[];
  /** Called while the guest executes an instruction: quick, and without touching the machine. */
  readonly onEvent: (event: TraceEvent) => void;
}

/** A trace whose events get the guest's time and go to a listener. */
export function timedTrace({ channels, onEvent }: TraceOptions, clock: Clock): Trace {
  const listened = new Set(channels);
  return {
    on: (channel) => listened.has(channel),
    event: (channel, text) => {
      if (listened.has(channel)) onEvent({ channel, text, guestNs: clock.nowNs() });
    },
  };
}
