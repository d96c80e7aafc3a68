import { invariant } from '../base/index.js';

/** Bytes that grow. Numbers go in in one byte order. */
export class ByteWriter {
  readonly #isLittleEndian: boolean;
  /** So small an array is cheap to make, and ACPI's tables take a thousand writers. */
  #bytes = new Uint8Array(64);
  #length = 0;

  constructor(order: 'little-endian' | 'big-endian') {
    this.#isLittleEndian = order === 'little-endian';
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    return this.#number(1, BigInt(value));
  }

  u16(value: number): this {
    return this.#number(2, BigInt(value));
  }

  u32(value: number): this {
    return this.#number(4, BigInt(value));
  }

  u64(value: number | bigint): this {
    return this.#number(8, BigInt(value));
  }

  bytes(bytes: ArrayLike<number>): this {
    this.#bytesFor(bytes.length).set(bytes);
    return this;
  }

  /** ASCII characters, as many bytes as `sizeBytes`, filled up with `fill`. */
  ascii(text: string, sizeBytes = text.length, fill = 0): this {
    invariant(
      /^[\x20-\x7e]*$/.test(text) && text.length <= sizeBytes,
      `no ${sizeBytes} bytes of ASCII: ${text}`,
    );
    const into = this.#bytesFor(sizeBytes).fill(fill);
    for (let i = 0; i < text.length; i++) into[i] = text.charCodeAt(i);
    return this;
  }

  zeros(count: number): this {
    this.#bytesFor(count);
    return this;
  }

  /** Zeros up to a multiple of `alignment`. */
  align(alignment: number): this {
    return this.zeros((alignment - (this.#length % alignment)) % alignment);
  }

  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #number(sizeBytes: number, value: bigint): this {
    invariant(
      value >= 0n && value < 1n << BigInt(8 * sizeBytes),
      `${value} does not fit in ${sizeBytes} bytes`,
    );
    const into = this.#bytesFor(sizeBytes);
    for (let i = 0; i < sizeBytes; i++) {
      const shift = 8 * (this.#isLittleEndian ? i : sizeBytes - 1 - i);
      into[i] = Number((value >> BigInt(shift)) & 0xffn);
    }
    return this;
  }

  /** The next `count` bytes, zero, to be filled. */
  #bytesFor(count: number): Uint8Array {
    const start = this.#length;
    const end = start + count;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#length = end;
    return this.#bytes.subarray(start, end);
  }
}
