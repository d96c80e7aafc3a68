/** Everything that `--trace` can name. */
export const TRACE_CHANNELS = [
  'flash',
  'mmio',
  'exceptions',
  'irq',
  'psci',
  'fwcfg',
  'virtio',
  'sysreg',
  'guest-errors',
] as const;

export type TraceChannel = (typeof TRACE_CHANNELS)[number];

/**
 * Where devices and the CPU report what they do. `on` is checked before the arguments of an event are built,
 * so a channel that nobody listens to costs one property read.
 */
export interface Trace {
  /** True where somebody listens to the channel. */
  on(channel: TraceChannel): boolean;
  /** Reports one event: a line of text without a newline, numbers in hexadecimal with `0x`. */
  event(channel: TraceChannel, text: string): void;
}

export const NO_TRACE: Trace = {
  on: () => false,
  event: () => undefined,
};
