import type { Timer } from '../bus/index.js';

interface Entry {
  readonly callback: () => void;
  deadlineNs: number;
  /** Number of the `arm` that set the deadline; decides between equal deadlines. */
  order: number;
  /** Place in the heap, -1 while not in it. */
  index: number;
}

/**
 * The armed timers of a machine: a binary heap by deadline, equal deadlines by the order in which they were
 * armed, so that the same guest always sees its timers fire in the same order.
 */
export class TimerQueue {
  readonly #heap: Entry[] = [];
  #armed = 0;
  readonly #onArm: (deadlineNs: number) => void;

  /** `onArm` hears every new deadline after it is in the queue. */
  constructor(onArm: (deadlineNs: number) => void) {
    this.#onArm = onArm;
  }

  timer(callback: () => void): Timer {
    const entry: Entry = { callback, deadlineNs: Infinity, order: 0, index: -1 };
    return {
      arm: (deadlineNs) => {
        this.#remove(entry);
        entry.order = this.#armed++;
        // A fraction of a nanosecond would make `nowNs() >= deadlineNs` depend on rounding elsewhere.
        entry.deadlineNs = Math.ceil(deadlineNs);
        if (entry.deadlineNs === Infinity) return;
        this.#insert(entry);
        this.#onArm(entry.deadlineNs);
      },
      cancel: () => {
        this.#remove(entry);
        entry.deadlineNs = Infinity;
      },
    };
  }

  /** The earliest deadline, `Infinity` when nothing is armed. */
  get nextDeadlineNs(): number {
    return this.#heap[0]?.deadlineNs ?? Infinity;
  }

  /**
   * Fires what is due at `nowNs`, earliest deadline first. A timer armed by one of the callbacks waits for the
   * next call even when it is already due: a guest that programs a period of zero must not hold the host.
   */
  fireDue(nowNs: number): void {
    if (this.nextDeadlineNs > nowNs) return;
    const due: { entry: Entry; order: number }[] = [];
    for (;;) {
      const entry = this.#heap[0];
      if (!entry || entry.deadlineNs > nowNs) break;
      due.push({ entry, order: entry.order });
      this.#remove(entry);
    }
    for (const { entry, order } of due) {
      // An earlier callback may have cancelled this one, or armed it anew.
      if (entry.order !== order || entry.deadlineNs === Infinity) continue;
      entry.deadlineNs = Infinity;
      entry.callback();
    }
  }

  #insert(entry: Entry): void {
    entry.index = this.#heap.length;
    this.#heap.push(entry);
    this.#up(entry);
  }

  #remove(entry: Entry): void {
    if (entry.index < 0) return;
    const last = this.#heap.pop()!;
    if (last !== entry) {
      last.index = entry.index;
      this.#heap[last.index] = last;
      this.#up(last);
      this.#down(last);
    }
    entry.index = -1;
  }

  #up(entry: Entry): void {
    while (entry.index > 0) {
      const parent = this.#heap[(entry.index - 1) >> 1]!;
      if (!isBefore(entry, parent)) return;
      this.#swap(entry, parent);
    }
  }

  #down(entry: Entry): void {
    for (;;) {
      const left = this.#heap[2 * entry.index + 1];
      if (!left) return;
      const right = this.#heap[2 * entry.index + 2];
      const child = right && isBefore(right, left) ? right : left;
      if (!isBefore(child, entry)) return;
      this.#swap(child, entry);
    }
  }

  #swap(a: Entry, b: Entry): void {
    [a.index, b.index] = [b.index, a.index];
    this.#heap[a.index] = a;
    this.#heap[b.index] = b;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.deadlineNs < b.deadlineNs || (a.deadlineNs === b.deadlineNs && a.order < b.order);
}
