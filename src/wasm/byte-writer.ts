/** LEB128 and what else modules are made of. WebAssembly Core Specification 2.0, 5.2 and 5.3. */
import { ByteBuffer } from '../base/index.js';
import type { ValType } from './expr.js';

const VAL_TYPES = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

export class ByteWriter extends ByteBuffer {
  u8(byte: number): void {
    this.push(byte);
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
    this.extend(bytes.length).set(bytes);
  }

  /** What `other` holds. */
  append(other: ByteWriter): void {
    this.bytes(other.written);
  }

  /** A name: ours, and ASCII. */
  name(name: string): void {
    this.u32(name.length);
    for (let i = 0; i < name.length; i++) this.u8(name.charCodeAt(i));
  }

  valType(type: ValType): void {
    this.u8(VAL_TYPES[type]);
  }
}
