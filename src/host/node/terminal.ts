import type { Readable, Writable } from 'node:stream';
import { EscapeParser } from './escape-parser.js';
import type { TerminalCommand } from './escape-parser.js';

/** Signals that end a command in an orderly way, and their numbers (signal(7)). */
export const ENDING_SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

export type EndingSignal = keyof typeof ENDING_SIGNALS;

const LINE_FEED = 0x0a;

/** Colours back to normal and the cursor visible: guests leave both as they please. */
const NORMAL_ATTRIBUTES = '\u001b[0m\u001b[?25h';

export interface TerminalPorts {
  /** Standard input: a terminal, a pipe or a file. */
  readonly input: Readable & { readonly isTTY?: boolean; setRawMode?(isRaw: boolean): unknown };
  /** Standard output. */
  readonly output: Writable & { readonly isTTY?: boolean };
  /** Where signals and the end of the process are heard of; `process` itself, except in tests. */
  readonly process: Pick<NodeJS.Process, 'on' | 'off'>;
}

export interface TerminalListener {
  /** Something was typed. No more is read until a returned promise settles. */
  onInput(bytes: Uint8Array): void | Promise<void>;
  /** Standard input is at its end. */
  onInputEnd(): void;
  onCommand(command: TerminalCommand): void;
  /** Nobody reads standard output any more, such as after `| head`. */
  onOutputClosed(): void;
  /** A signal asks the process to end. */
  onSignal(signal: EndingSignal): void;
}

/**
 * Standard input and output as the guest's console. On a terminal, raw mode, so that every key reaches the guest
 * and Ctrl-A starts a command for v8a; from a pipe or a file, every byte is for the guest.
 *
 * The terminal is put back by `close()` and, whatever else happens, when the process ends: `exit` also comes after
 * an uncaught exception, and the signals listened for keep the process from dying at once.
 */
export class Terminal {
  readonly #ports: TerminalPorts;
  readonly #listener: TerminalListener;
  readonly #escapes = new EscapeParser();
  readonly #isRaw: boolean;
  readonly #signalListeners = new Map<EndingSignal | 'SIGCONT', () => void>();
  #isOutputClosed = false;
  /** Whether the next byte begins a line. */
  #isAtLineStart = true;
  #isRestored = false;

  /** `readsInput` false leaves standard input alone. */
  constructor(ports: TerminalPorts, listener: TerminalListener, readsInput: boolean) {
    this.#ports = ports;
    this.#listener = listener;
    this.#isRaw = readsInput && ports.input.isTTY === true;
    ports.process.on('exit', this.#restore);
    for (const signal of Object.keys(ENDING_SIGNALS) as EndingSignal[]) {
      this.#signalListeners.set(signal, () => {
        listener.onSignal(signal);
      });
    }
    // Whoever stopped the process has changed the terminal since.
    if (this.#isRaw) this.#signalListeners.set('SIGCONT', () => ports.input.setRawMode?.(true));
    for (const [signal, heard] of this.#signalListeners) ports.process.on(signal, heard);
    ports.output.on('error', this.#outputFailed);
    if (!readsInput) return;
    if (this.#isRaw) ports.input.setRawMode?.(true);
    ports.input.on('data', this.#read);
    ports.input.on('end', this.#inputEnded);
    ports.input.on('error', this.#inputEnded);
  }

  /** Shows `bytes`. A returned promise settles when the reader of standard output has caught up. */
  write(bytes: Uint8Array): void | Promise<void> {
    if (this.#isOutputClosed) return;
    const { output } = this.#ports;
    this.#isAtLineStart = bytes.at(-1) === LINE_FEED;
    if (output.write(bytes)) return;
    return new Promise((resolve) => {
      const done = () => {
        output.off('drain', done);
        output.off('close', done);
        output.off('error', done);
        resolve();
      };
      output.on('drain', done);
      output.on('close', done);
      output.on('error', done);
    });
  }

  /** Puts the terminal back and stops listening. */
  close(): void {
    this.#restore();
    const { input, process } = this.#ports;
    process.off('exit', this.#restore);
    for (const [signal, heard] of this.#signalListeners) process.off(signal, heard);
    input.off('data', this.#read);
    input.off('end', this.#inputEnded);
    input.off('error', this.#inputEnded);
    input.pause();
  }

  readonly #restore = () => {
    if (this.#isRestored) return;
    this.#isRestored = true;
    if (this.#isRaw) this.#ports.input.setRawMode?.(false);
    if (this.#ports.output.isTTY !== true || this.#isOutputClosed) return;
    // The shell's prompt goes below what the guest was in the middle of.
    this.#ports.output.write(this.#isAtLineStart ? NORMAL_ATTRIBUTES : `${NORMAL_ATTRIBUTES}\r\n`);
  };

  readonly #read = (chunk: Uint8Array) => {
    const { data, commands } = this.#isRaw ? this.#escapes.feed(chunk) : { data: chunk, commands: [] };
    if (data.length > 0) {
      const taken = this.#listener.onInput(data);
      // A person who types ahead must still be able to quit.
      if (taken && !this.#isRaw) {
        this.#ports.input.pause();
        void taken.then(() => {
          if (!this.#isRestored) this.#ports.input.resume();
        });
      }
    }
    for (const command of commands) this.#listener.onCommand(command);
  };

  readonly #inputEnded = () => {
    this.#listener.onInputEnd();
  };

  /** Node ignores SIGPIPE, so a reader that is gone shows as EPIPE; a terminal that is gone as EIO. */
  readonly #outputFailed = () => {
    if (this.#isOutputClosed) return;
    this.#isOutputClosed = true;
    this.#listener.onOutputClosed();
  };
}
