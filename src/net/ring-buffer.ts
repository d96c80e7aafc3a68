const MIN_CAPACITY = 4096;

/** A queue of bytes that takes no more memory than twice what was in it since it was last empty. */
export class RingBuffer {
  #bytes = new Uint8Array();
  #start = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(from: Uint8Array): void {
    const needed = this.#length + from.length;
    if (needed > this.#bytes.length) this.#grow(needed);
    const at = (this.#start + this.#length) % Math.max(1, this.#bytes.length);
    const first = Math.min(from.length, this.#bytes.length - at);
    this.#bytes.set(from.subarray(0, first), at);
    this.#bytes.set(from.subarray(first), 0);
    this.#length = needed;
  }

  /** Copies what is at `offset` from the front, where there must be enough. */
  copy(offset: number, into: Uint8Array): void {
    if (into.length === 0) return;
    const at = (this.#start + offset) % this.#bytes.length;
    const first = Math.min(into.length, this.#bytes.length - at);
    into.set(this.#bytes.subarray(at, at + first));
    into.set(this.#bytes.subarray(0, into.length - first), first);
  }

  /** Takes so many bytes from the front, at most all. */
  discard(count: number): void {
    this.#length -= count;
    if (this.#length === 0) {
      this.#start = 0;
      // A connection that rests should cost nothing.
      if (this.#bytes.length > MIN_CAPACITY) this.#bytes = new Uint8Array();
    } else {
      this.#start = (this.#start + count) % this.#bytes.length;
    }
  }

  #grow(needed: number): void {
    let capacity = Math.max(MIN_CAPACITY, this.#bytes.length);
    while (capacity < needed) capacity *= 2;
    const bytes = new Uint8Array(capacity);
    this.copy(0, bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#start = 0;
  }
}
