/** How a machine came to its end. */
export type StopReason =
  /** The guest switched the power off (PSCI SYSTEM_OFF). */
  | { readonly kind: 'power-off' }
  /** The guest asked for a reset (PSCI SYSTEM_RESET) and the machine was made with `onReset: 'stop'`. */
  | { readonly kind: 'reset' }
  /** Every CPU waits, no timer is set and no input can come: nothing would ever happen again. */
  | { readonly kind: 'halted' }
  /** `stop()` or `close()` was called. */
  | { readonly kind: 'host' }
  /** The host failed, such as a full disk under the flash file; the message says what to do. */
  | { readonly kind: 'error'; readonly error: Error };

/** A stop reason as the end of a sentence: "the guest …". */
function describeStop(reason: StopReason): string {
  switch (reason.kind) {
    case 'power-off':
      return 'the guest powered off';
    case 'reset':
      return 'the guest reset';
    case 'halted':
      return 'the guest halted: every CPU waits and nothing can wake it';
    case 'host':
      return 'the machine was stopped';
    case 'error':
      return `the machine failed: ${reason.error.message}`;
  }
}

function withLastLines(sentence: string, lastLines: readonly string[]): string {
  if (lastLines.length === 0) return `${sentence}; it printed nothing`;
  return [`${sentence}; its last lines:`, ...lastLines.map((line) => `    | ${line}`)].join('\n');
}

/** `waitFor` saw no match in time. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
  readonly code = 'timeout';
  readonly timeoutMs: number;
  /** The last lines the guest printed, without control sequences. */
  readonly lastLines: readonly string[];

  constructor(pattern: string | RegExp, timeoutMs: number, lastLines: readonly string[]) {
    super(
      withLastLines(
        `waitFor(${showPattern(pattern)}): the guest did not print it in ${timeoutMs} ms`,
        lastLines,
      ),
    );
    this.timeoutMs = timeoutMs;
    this.lastLines = lastLines;
  }
}

/** The machine stopped before the guest printed what `waitFor` was waiting for. */
export class MachineStoppedError extends Error {
  override readonly name = 'MachineStoppedError';
  readonly code = 'machine-stopped';
  readonly reason: StopReason;
  /** The last lines the guest printed, without control sequences. */
  readonly lastLines: readonly string[];

  constructor(pattern: string | RegExp, reason: StopReason, lastLines: readonly string[]) {
    const sentence = `waitFor(${showPattern(pattern)}): ${describeStop(reason)} before it was printed`;
    super(withLastLines(sentence, lastLines), reason.kind === 'error' ? { cause: reason.error } : undefined);
    this.reason = reason;
    this.lastLines = lastLines;
  }
}

function showPattern(pattern: string | RegExp): string {
  return typeof pattern === 'string' ? JSON.stringify(pattern) : String(pattern);
}
