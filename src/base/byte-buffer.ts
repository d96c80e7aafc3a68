/** So small an array is cheap to make, and most buffers stay small. */
const INITIAL_BYTES = 64;
const GROWTH = 4;

/** Bytes in the order in which they are written. What formats are made of is for subclasses. */
export class ByteBuffer {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** A copy of what has been written. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** What has been written, until more is. */
  protected get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  protected push(byte: number): void {
    if (this.#length === this.#bytes.length) this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  /** The next `count` bytes, zero, to be filled before more is written. */
  protected extend(count: number): Uint8Array {
    this.#reserve(count);
    const start = this.#length;
    this.#length += count;
    return this.#bytes.subarray(start, this.#length);
  }

  /** Puts another byte where one has been written. */
  protected replace(at: number, byte: number): void {
    this.#bytes[at] = byte;
  }

  /** Makes room for so many more bytes. */
  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, GROWTH * this.#bytes.length));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
