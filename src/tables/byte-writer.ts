import { ByteBuffer, invariant } from '../base/index.js';

/** Numbers go in in one byte order. */
export class ByteWriter extends ByteBuffer {
  readonly #isLittleEndian: boolean;

  constructor(order: 'little-endian' | 'big-endian') {
    super();
    this.#isLittleEndian = order === 'little-endian';
  }

  u8(value: number): this {
    return this.#number(1, value);
  }

  u16(value: number): this {
    return this.#number(2, value);
  }

  u32(value: number): this {
    return this.#number(4, value);
  }

  u64(value: number | bigint): this {
    const whole = BigInt(value);
    invariant(whole === BigInt.asUintN(64, whole), () => `${whole} does not fit in 8 bytes`);
    const halves = [Number(whole & 0xffff_ffffn), Number(whole >> 32n)];
    if (!this.#isLittleEndian) halves.reverse();
    for (const half of halves) this.u32(half);
    return this;
  }

  bytes(bytes: ArrayLike<number>): this {
    this.extend(bytes.length).set(bytes);
    return this;
  }

  /** ASCII characters, as many bytes as `sizeBytes`, filled up with `fill`. */
  ascii(text: string, sizeBytes = text.length, fill = 0): this {
    invariant(
      /^[\x20-\x7e]*$/.test(text) && text.length <= sizeBytes,
      () => `no ${sizeBytes} bytes of ASCII: ${text}`,
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

  #number(sizeBytes: 1 | 2 | 4, value: number): this {
    invariant(
      Number.isInteger(value) && value >= 0 && value < 2 ** (8 * sizeBytes),
      () => `${value} does not fit in ${sizeBytes} bytes`,
    );
    for (let i = 0; i < sizeBytes; i++) {
      const shift = 8 * (this.#isLittleEndian ? i : sizeBytes - 1 - i);
      this.push((value >>> shift) & 0xff);
    }
    return this;
  }
}
