/** Bytes in the order in which they are written, and LEB128. WebAssembly Core Specification 2.0, 5.2 and 5.3. */
import type { ValType } from './expr.js';

/** Arrays of up to so many bytes are cheap to make in V8. */
const INITIAL_BYTES = 64;
const GROWTH = 4;

const VAL_TYPES = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

export class ByteWriter {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(byte: number): void {
    if (this.#length === this.#bytes.length) this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  u32(value: number): void {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.u8((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.u8(rest);
  }

  s32(value: number): void {
    let rest = value | 0;
    // What follows bit 6 repeats it.
    while (rest < -0x40 || rest > 0x3f) {
      this.u8((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    this.u8(rest & 0x7f);
  }

  /** The number whose 32-bit halves these are. */
  s64(low: number, high: number): void {
    let rest = low | 0;
    let above = high | 0;
    while (above !== rest >> 31) {
      this.u8((rest & 0x7f) | 0x80);
      rest = (rest >>> 7) | (above << 25);
      above >>= 7;
    }
    this.s32(rest);
  }

  /** 32 bits, little-endian. */
  word(value: number): void {
    this.u8(value & 0xff);
    this.u8((value >>> 8) & 0xff);
    this.u8((value >>> 16) & 0xff);
    this.u8(value >>> 24);
  }

  bytes(bytes: ArrayLike<number>): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Puts another byte where one has been written. */
  protected replace(at: number, byte: number): void {
    this.#bytes[at] = byte;
  }

  /** What `other` holds. */
  append(other: ByteWriter): void {
    this.bytes(other.#bytes.subarray(0, other.#length));
  }

  /** A name: ours, and ASCII. */
  name(name: string): void {
    this.u32(name.length);
    for (let i = 0; i < name.length; i++) this.u8(name.charCodeAt(i));
  }

  valType(type: ValType): void {
    this.u8(VAL_TYPES[type]);
  }

  /** A copy of what has been written. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
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
