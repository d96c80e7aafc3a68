import { invariant } from '../base/index.js';
import type { ByteReceiver, ByteSink } from '../bus/index.js';
import { MachineStoppedError, TimeoutError } from './errors.js';
import type { StopReason } from './errors.js';
import type { HostLoop } from './host-loop.js';
import { Transcript } from './transcript.js';

/** Playwright's habit: long enough for a boot, short enough to end a test that hangs. */
const DEFAULT_TIMEOUT_MS = 60_000;
const LAST_LINES = 20;
const STREAM_HIGH_WATER_BYTES = 64 * 1024;

/** What `waitFor` found. */
export interface SerialMatch {
  /** What the guest printed before the match, from where the last match ended. */
  readonly before: string;
  /** The matched text and, for a regular expression, its groups. */
  readonly match: readonly string[];
}

export interface WaitForOptions {
  /**
   * Milliseconds of host time, 60,000 when left out; 0 or `Infinity` waits as long as the machine runs. Host time
   * with either clock, because it is the host that must not wait for ever; it never changes what the guest does.
   */
  readonly timeoutMs?: number;
}

/** Called with bytes the guest sent. Shared between listeners: not to be changed. */
export type OutputListener = (bytes: Uint8Array) => void | Promise<void>;

/**
 * The serial console of a machine, from outside.
 *
 * The guest's output becomes visible between two slices of execution, and no further slice runs before every
 * promise reaction to it has run. So `await serial.waitFor(…)` followed by `serial.send(…)` is part of the
 * machine's deterministic history when the clock is virtual, as long as nothing else is awaited in between.
 */
export interface Serial {
  /**
   * Waits until the guest has printed `pattern`: text, or a regular expression (its `g` and `y` flags are
   * ignored). Looks at everything printed since the end of the last match, also before the call, as far as the
   * last 256 Ki characters. Output is decoded as UTF-8, control sequences are left in.
   *
   * @throws {TimeoutError} when `timeoutMs` passes first; its message shows the last lines of output.
   * @throws {MachineStoppedError} when the machine stops first.
   */
  waitFor(pattern: string | RegExp, options?: WaitForOptions): Promise<SerialMatch>;
  /** Types `data`: bytes, copied, or text as UTF-8. It waits in a queue until the guest's UART has room. */
  send(data: string | Uint8Array): void;
  /**
   * Says that no more input will come, except in answer to output. A guest that prints nothing and can do nothing
   * without input then counts as halted.
   */
  end(): void;
  /**
   * Calls `listener` with the guest's output from now on, at most once per slice. When it returns a promise, the
   * machine executes nothing until that settles. Returns a function that removes the listener.
   */
  onOutput(listener: OutputListener): () => void;
  /**
   * The guest's output from now on as a web stream (async-iterable in Node), which ends with `close()`. A reader
   * that stops reading stops the machine: cancel the stream instead.
   */
  output(): ReadableStream<Uint8Array>;
  /** The guest's input as a web stream: a write settles when the UART has taken it; closing it is `end()`. */
  input(): WritableStream<Uint8Array>;
  /** The last lines the guest printed, at most `count` (20 when left out), without control sequences. */
  lastLines(count?: number): string[];
}

interface Waiter {
  readonly pattern: string | RegExp;
  readonly startOffset: number;
  /** Text before this offset is known not to hold the start of a match. */
  searchedOffset: number;
  readonly resolve: (match: SerialMatch) => void;
  readonly reject: (error: Error) => void;
  readonly cancelTimeout: () => void;
}

/** The machine's end of the serial line: a sink for the UART's output, a queue for its input. */
export class SerialConsole implements Serial, ByteSink {
  readonly #host: HostLoop;
  #onInput: () => void = () => undefined;
  readonly #transcript = new Transcript();
  readonly #decoder = new TextDecoder();
  readonly #listeners = new Set<OutputListener>();
  readonly #waiters = new Set<Waiter>();
  readonly #closers = new Set<() => void>();
  #receiver: ByteReceiver | undefined;
  #produced = new Uint8Array(4096);
  #producedLength = 0;
  #queue: { bytes: Uint8Array; taken: () => void }[] = [];
  #cursor = 0;
  #backpressure: Promise<unknown> | undefined;
  #stopReason: StopReason | undefined;
  #isEnded = false;
  #bytesOut = 0;
  #bytesIn = 0;

  constructor(host: HostLoop) {
    this.#host = host;
  }

  /** Connects the UART's receiver, once. `onInput` is told when there is something to deliver, or when input ends. */
  connect(receiver: ByteReceiver, onInput: () => void): void {
    invariant(!this.#receiver, 'a serial console has one receiver');
    this.#receiver = receiver;
    this.#onInput = onInput;
    // The guest has just made room, at an instant of its own: going on there keeps the input deterministic.
    receiver.onReceiveRoom = () => {
      this.deliver();
    };
  }

  /** A byte from the guest; it stays here until `publish`. */
  write(byte: number): void {
    if (this.#producedLength === this.#produced.length) {
      const larger = new Uint8Array(2 * this.#produced.length);
      larger.set(this.#produced);
      this.#produced = larger;
    }
    this.#produced[this.#producedLength++] = byte;
  }

  /** Hands queued input to the UART. True when it took any. */
  deliver(): boolean {
    let tookAny = false;
    for (;;) {
      const head = this.#queue[0];
      if (!head || !this.#receiver) return tookAny;
      const count = this.#receiver.receive(head.bytes);
      this.#bytesIn += count;
      tookAny ||= count > 0;
      if (count < head.bytes.length) {
        head.bytes = head.bytes.subarray(count);
        return tookAny;
      }
      this.#queue.shift();
      head.taken();
    }
  }

  /** Shows the output of a slice to listeners and waiters. True when there was any. */
  publish(): boolean {
    if (this.#producedLength === 0) return false;
    const bytes = this.#produced.slice(0, this.#producedLength);
    this.#bytesOut += bytes.length;
    this.#producedLength = 0;
    this.#transcript.append(this.#decoder.decode(bytes, { stream: true }));
    const pending: Promise<void>[] = [];
    for (const listener of this.#listeners) {
      const result = listener(bytes);
      if (result) pending.push(result);
    }
    if (pending.length > 0) this.#backpressure = Promise.all([this.#backpressure, ...pending]);
    for (const waiter of this.#waiters) this.#match(waiter);
    return true;
  }

  /** What listeners still want to be waited for. */
  takeBackpressure(): Promise<unknown> | undefined {
    const backpressure = this.#backpressure;
    this.#backpressure = undefined;
    return backpressure;
  }

  /** True when no input is queued and none will come. */
  get isInputOver(): boolean {
    return this.#isEnded && this.#queue.length === 0;
  }

  get statistics(): { readonly bytesOut: number; readonly bytesIn: number } {
    return { bytesOut: this.#bytesOut, bytesIn: this.#bytesIn };
  }

  /** The machine has stopped: whoever waits, waits in vain, and queued input is dropped. */
  stopped(reason: StopReason): void {
    this.#stopReason = reason;
    for (const waiter of this.#waiters) {
      this.#settle(waiter);
      waiter.reject(new MachineStoppedError(waiter.pattern, reason, this.lastLines()));
    }
    for (const { taken } of this.#queue) taken();
    this.#queue = [];
  }

  /** Ends the output streams. */
  close(): void {
    for (const close of this.#closers) close();
    this.#closers.clear();
    this.#listeners.clear();
  }

  waitFor(pattern: string | RegExp, options: WaitForOptions = {}): Promise<SerialMatch> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const promise = new Promise<SerialMatch>((resolve, reject) => {
      const waiter: Waiter = {
        pattern: typeof pattern === 'string' ? pattern : withoutPosition(pattern),
        startOffset: this.#cursor,
        searchedOffset: this.#cursor,
        resolve,
        reject,
        cancelTimeout:
          timeoutMs === 0 || timeoutMs === Infinity || this.#stopReason !== undefined
            ? () => undefined
            : this.#host.delay(timeoutMs, () => {
                this.#settle(waiter);
                reject(new TimeoutError(pattern, timeoutMs, this.lastLines()));
              }),
      };
      this.#waiters.add(waiter);
      this.#match(waiter);
      if (!this.#stopReason || !this.#waiters.has(waiter)) return;
      this.#settle(waiter);
      reject(new MachineStoppedError(pattern, this.#stopReason, this.lastLines()));
    });
    return promise;
  }

  send(data: string | Uint8Array): void {
    this.#enqueue(typeof data === 'string' ? new TextEncoder().encode(data) : data.slice(), () => undefined);
  }

  end(): void {
    this.#isEnded = true;
    this.#onInput();
  }

  onOutput(listener: OutputListener): () => void {
    // Its own function, so that adding one listener twice means two calls.
    const entry: OutputListener = (bytes) => listener(bytes);
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  output(): ReadableStream<Uint8Array> {
    let room: (() => void) | undefined;
    let stopListening: () => void;
    let close: () => void;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          stopListening = this.onOutput((bytes) => {
            controller.enqueue(bytes);
            if ((controller.desiredSize ?? 1) > 0) return;
            return new Promise((resolve) => {
              room = resolve;
            });
          });
          close = () => {
            stopListening();
            room?.();
            controller.close();
          };
          this.#closers.add(close);
        },
        pull: () => {
          room?.();
          room = undefined;
        },
        cancel: () => {
          stopListening();
          room?.();
          this.#closers.delete(close);
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: STREAM_HIGH_WATER_BYTES }),
    );
  }

  input(): WritableStream<Uint8Array> {
    return new WritableStream<Uint8Array>(
      {
        write: (bytes) =>
          new Promise((taken) => {
            this.#enqueue(bytes.slice(), taken);
          }),
        close: () => {
          this.end();
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: STREAM_HIGH_WATER_BYTES }),
    );
  }

  lastLines(count = LAST_LINES): string[] {
    return this.#transcript.lastLines(count);
  }

  #enqueue(bytes: Uint8Array, taken: () => void): void {
    if (bytes.length === 0 || this.#stopReason) {
      taken();
      return;
    }
    this.#queue.push({ bytes, taken });
    this.#onInput();
  }

  #match(waiter: Waiter): void {
    const { pattern } = waiter;
    let offset: number;
    let match: readonly string[];
    if (typeof pattern === 'string') {
      const fromOffset = Math.max(waiter.searchedOffset, this.#transcript.startOffset);
      const index = this.#transcript.from(fromOffset).indexOf(pattern);
      if (index < 0) {
        // A match may begin in the text that is there and end in text to come.
        waiter.searchedOffset = Math.max(fromOffset, this.#transcript.endOffset - pattern.length + 1);
        return;
      }
      offset = fromOffset + index;
      match = [pattern];
    } else {
      const fromOffset = Math.max(waiter.startOffset, this.#transcript.startOffset);
      const found = pattern.exec(this.#transcript.from(fromOffset));
      if (!found) return;
      offset = fromOffset + found.index;
      match = [...found];
    }
    const startOffset = Math.max(waiter.startOffset, this.#transcript.startOffset);
    const before = this.#transcript.from(startOffset).slice(0, offset - startOffset);
    this.#cursor = Math.max(this.#cursor, offset + match[0]!.length);
    this.#settle(waiter);
    waiter.resolve({ before, match });
  }

  #settle(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    waiter.cancelTimeout();
  }
}

/** Without the flags that make a regular expression remember where it stopped. */
function withoutPosition(pattern: RegExp): RegExp {
  return new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
}
