/**
 * When changes of a flash array reach its storage.
 *
 * `quiet` holds them back while the guest is in the middle of an update and hands them over together once no
 * program or erase command has come for `QUIET_NS` of guest time: storage then only ever holds the array as it was
 * at some quiet moment. Firmware of 2022 erases and rewrites a whole block to change one variable; anyone who
 * stores each step loses the whole variable store to a badly timed `kill -9`.
 *
 * `immediate` hands over each command's changes before the guest can read that the command is done: a kill loses
 * the command in flight at most, and tears it as NOR does.
 */
import type { Clock, DirectMap, FlashRange, FlashStorage, Timer } from '../../bus/index.js';
import type { FlashChanges } from './cfi-flash.js';

export type FlashCommitPolicy = 'quiet' | 'immediate';

/** How long a guest must leave the flash alone before its update counts as finished. */
export const QUIET_NS = 20_000_000;

/** Changes are remembered by the page: fine enough for storage, coarse enough to be cheap. */
const PAGE_BYTES = 4096;

export interface FlashCommitOptions {
  readonly policy: FlashCommitPolicy;
  /** For the timer's name. */
  readonly name: string;
  readonly map: Pick<DirectMap, 'bytes' | 'sizeBytes'>;
  readonly storage: FlashStorage;
  readonly clock: Clock;
  /**
   * Storage threw `error`. The machine must stop: its guest believes in changes that are not stored. They are
   * kept, and the next `flush` tries again.
   */
  readonly onStorageError: (error: unknown) => void;
}

export class FlashCommit implements FlashChanges {
  readonly #options: FlashCommitOptions;
  readonly #quietTimer: Timer;
  readonly #dirtyPages = new Set<number>();
  #isArmed = false;
  #lastActivityNs = 0;

  constructor(options: FlashCommitOptions) {
    this.#options = options;
    this.#quietTimer = options.clock.timer(`${options.name} commit`, () => this.#onTimer());
  }

  /** True while the array has changes that storage has not. */
  get isPending(): boolean {
    return this.#dirtyPages.size > 0;
  }

  onActivity(): void {
    this.#lastActivityNs = this.#options.clock.nowNs();
  }

  onChanged(offset: number, length: number): void {
    if (this.#options.policy === 'immediate' && !this.isPending) {
      const bytes = this.#options.map.bytes(offset, length);
      if (this.#attempt(() => this.#options.storage.write({ offset, bytes }))) return;
    }
    const last = Math.floor((offset + length - 1) / PAGE_BYTES);
    for (let page = Math.floor(offset / PAGE_BYTES); page <= last; page++) this.#dirtyPages.add(page);
    if (this.#options.policy === 'quiet') this.#arm();
  }

  /**
   * Stores everything that is still held back. Called whenever the guest stops running: stop, pause, reset,
   * power-off, snapshot. False, after `onStorageError`, where storage failed; nothing is forgotten then.
   */
  flush(): boolean {
    if (!this.isPending) return true;
    const isStored = this.#attempt(() => this.#options.storage.commit(this.#dirtyRanges()));
    if (isStored) this.#dirtyPages.clear();
    return isStored;
  }

  /** As `flush`, and asks storage to make it survive a crash of the host: at power-off and exit. */
  sync(): boolean {
    return this.flush() && this.#attempt(() => this.#options.storage.sync());
  }

  #attempt(store: () => void): boolean {
    try {
      store();
      return true;
    } catch (error) {
      this.#options.onStorageError(error);
      return false;
    }
  }

  /** Activity is far more frequent than quiet, so it only notes the time and the timer looks whether it may fire. */
  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#quietTimer.arm(this.#lastActivityNs + QUIET_NS);
  }

  #onTimer(): void {
    this.#isArmed = false;
    if (!this.isPending) return;
    if (this.#options.clock.nowNs() < this.#lastActivityNs + QUIET_NS) this.#arm();
    else this.flush();
  }

  #dirtyRanges(): FlashRange[] {
    const { map } = this.#options;
    const ranges: FlashRange[] = [];
    let start = -1;
    let end = -1;
    const close = (): void => {
      if (start < 0) return;
      ranges.push({ offset: start, bytes: map.bytes(start, Math.min(end, map.sizeBytes) - start) });
    };
    for (const page of [...this.#dirtyPages].sort((a, b) => a - b)) {
      const at = page * PAGE_BYTES;
      if (at !== end) {
        close();
        start = at;
      }
      end = at + PAGE_BYTES;
    }
    close();
    return ranges;
  }
}
