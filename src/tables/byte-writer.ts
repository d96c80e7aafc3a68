import { ByteBuffer, invariant } from '../base/index.js';

/** Numbers go in in one byte order. */
export class ByteWriter extends ByteBuffer {
  readonly #isLittleEndian: boolean;

  constructor(order: 'little-endian' | 'big-endian') {
    super();
    this.#isLittleEndian = order === 'little-endian';
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
    this.extend(bytes.length).set(bytes);
    return this;
  }

  /** ASCII characters, as many bytes as `sizeBytes`, filled up with `fill`. */
  ascii(text: string, sizeBytes = text.length, fill = 0): this {
    invariant(
      /^[\x20-\x7e]*$/.test(text) && text.length <= sizeBytes,
      `no ${sizeBytes} bytes of ASCII: ${text}`,
    );
    const into = this.extend(sizeBytes).fill(fill);
    for (let i = 0; i < text.length; i++) into[i] = text.charCodeAt(i);
    return this;
  }

  zeros(count: number): this {
    this.extend(count);
    return this;
  }

  /** Zeros up to a multiple of `alignment`. */
  align(alignment: number): this {
    return this.zeros((alignment - (this.length % alignment)) % alignment);
  }

  #number(sizeBytes: number, value: bigint): this {
    invariant(
      value >= 0n && value < 1n << BigInt(8 * sizeBytes),
      `${value} does not fit in ${sizeBytes} bytes`,
    );
    const into = this.extend(sizeBytes);
    for (let i = 0; i < sizeBytes; i++) {
      const shift = 8 * (this.#isLittleEndian ? i : sizeBytes - 1 - i);
      into[i] = Number((value >> BigInt(shift)) & 0xffn);
    }
    return this;
  }
}
