import { UserError } from '../base/index.js';
import type { Machine, Serial, StopReason } from '../vm/index.js';
import { ExitStatus, SIGPIPE } from './exit-status.js';
import type { ScriptStep } from './program.js';

/** How a run ended, for the shell and for the reader. */
export interface Outcome {
  readonly status: number;
  /** What to say on standard error; nothing after a success. */
  readonly message?: string;
  /** Whether the guest's last lines explain it. */
  readonly showsOutput?: true;
}

/** A machine, its script, and what ends the run from outside. */
export interface SessionOptions {
  readonly machine: Pick<Machine, 'stopped' | 'start'> & {
    readonly console: Pick<Serial, 'waitFor' | 'send'>;
  };
  readonly script: readonly ScriptStep[];
  /** Milliseconds of host time for all of it. */
  readonly timeoutMs?: number;
  /** Calls back once after a time; returns a function that calls it off. */
  readonly delay: (delayMs: number, callback: () => void) => () => void;
}

/**
 * One run of a machine: starts it, plays the script and settles `outcome` with whatever ends the run first. It leaves
 * the machine as it is then.
 *
 * The script needs no care of its own to be deterministic: the machine executes nothing between output that meets
 * an `--expect` and the promise reactions to it, and the next `--send` is one of those.
 */
export class Session {
  readonly outcome: Promise<Outcome>;
  readonly #options: SessionOptions;
  readonly #end: (outcome: Outcome) => void;
  /** Steps of the script that are done. */
  #done = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    let end!: (outcome: Outcome) => void;
    this.outcome = new Promise((resolve) => {
      end = resolve;
    });
    this.#end = end;
  }

  /** Returns `outcome`. */
  run(): Promise<Outcome> {
    const { machine, timeoutMs, delay } = this.#options;
    if (timeoutMs !== undefined) {
      const cancel = delay(timeoutMs, () => {
        this.#end(this.#timedOut(timeoutMs));
      });
      void this.outcome.then(cancel);
    }
    void machine.stopped().then((reason) => {
      this.#end(this.afterStop(reason));
    });
    void this.#play();
    machine.start();
    return this.outcome;
  }

  /** Ctrl-A x. */
  quit(): void {
    this.#end(this.#unmet('ended from the keyboard') ?? { status: ExitStatus.ok });
  }

  signalled(name: string, signalNumber: number): void {
    this.#end({ status: ExitStatus.signalBase + signalNumber, message: `ended by ${name}` });
  }

  /** Nobody reads standard output any more. */
  outputClosed(): void {
    this.#end({ status: ExitStatus.signalBase + SIGPIPE });
  }

  /** What it means for the run that the machine stopped for `reason`. */
  afterStop(reason: StopReason): Outcome {
    switch (reason.kind) {
      case 'power-off':
        return this.#unmet('the guest powered off') ?? { status: ExitStatus.ok };
      case 'reset':
        return this.#unmet('the guest reset') ?? { status: ExitStatus.guestReset };
      case 'halted':
        return (
          this.#unmet('the guest halted') ?? {
            status: ExitStatus.halted,
            message: 'the guest halted: it waits, and nothing can wake it',
            showsOutput: true,
          }
        );
      case 'host':
        return { status: ExitStatus.ok };
      case 'error':
        if (reason.error instanceof UserError) {
          return { status: ExitStatus.hostError, message: reason.error.message };
        }
        return {
          status: ExitStatus.internalError,
          message: `bug in v8a, please report it: ${reason.error.stack ?? reason.error.message}`,
        };
    }
  }

  async #play(): Promise<void> {
    const { script, machine } = this.#options;
    try {
      for (const step of script) {
        if (step.kind === 'expect') await machine.console.waitFor(step.text, { timeoutMs: 0 });
        else machine.console.send(step.bytes);
        this.#done++;
      }
    } catch {
      // The machine stopped first, and its reason is what ends the run.
      return;
    }
    // What a last --send brings about is the guest's to show: usually that it powers off.
    if (script.at(-1)?.kind === 'expect') this.#end({ status: ExitStatus.ok });
  }

  #timedOut(timeoutMs: number): Outcome {
    const after = `timeout after ${timeoutMs / 1000} s`;
    return (
      this.#unmet(after) ?? {
        status: ExitStatus.notMet,
        message: `${after}: the guest did not power off`,
        showsOutput: true,
      }
    );
  }

  /** The outcome when steps are left of the script. */
  #unmet(what: string): Outcome | undefined {
    const { script } = this.#options;
    const step = script[this.#done];
    if (!step) return undefined;
    // A --send is done at once, so what is not done is an --expect.
    const wanted = step.kind === 'expect' ? `--expect ${JSON.stringify(step.text)}` : '--send';
    return {
      status: ExitStatus.notMet,
      message: `${what} before ${wanted} was met (step ${this.#done + 1} of ${script.length})`,
      showsOutput: true,
    };
  }
}
