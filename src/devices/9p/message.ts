/**
 * 9P2000.L on the wire: types of messages, and their fields one after the other.
 *
 * Documents: intro(5) of the Plan 9 manual for 9P2000, "9P2000.L Protocol" of the diod project (protocol.md) for what
 * Linux adds. All numbers are little-endian, strings have their length in front, the first field is the length of all.
 */
import type { ByteString } from '../../bus/index.js';
import { ShareError } from '../../bus/index.js';

/** Requests; the answer to each has the next number. */
export const REQUEST = {
  STATFS: 8, LOPEN: 12, LCREATE: 14, SYMLINK: 16, MKNOD: 18, RENAME: 20, READLINK: 22, GETATTR: 24, SETATTR: 26,
  READDIR: 40, FSYNC: 50, LOCK: 52, GETLOCK: 54, LINK: 70, MKDIR: 72, RENAMEAT: 74, UNLINKAT: 76,
  VERSION: 100, ATTACH: 104, FLUSH: 108, WALK: 110, READ: 116, WRITE: 118, CLUNK: 120, REMOVE: 122,
} as const; // prettier-ignore

export const LERROR_REPLY = 7;

/** Length, type, tag. */
export const HEADER_BYTES = 7;
export const LERROR_BYTES = HEADER_BYTES + 4;
/** What a reply with data has before these: their count. */
export const DATA_HEADER_BYTES = HEADER_BYTES + 4;
export const NO_TAG = 0xffff;

/** Takes fields out of a request. One that is too short is refused (`EPROTO`). */
export class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** Borrowed. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  string(): ByteString {
    const bytes = this.bytes(this.u16());
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    return text;
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw new ShareError('EPROTO');
    this.#at += length;
    return at;
  }
}

/** Puts a reply together. What doesn't fit is refused (`EMSGSIZE`). */
export class MessageWriter {
  readonly #limitBytes: number;
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.#limitBytes - this.#length;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  u64(value: bigint | number): this {
    const at = this.#grow(8);
    this.#view.setBigInt64(at, BigInt.asIntN(64, BigInt(value)), true);
    return this;
  }

  string(text: ByteString): this {
    this.u16(text.length);
    const at = this.#grow(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[at + i] = text.charCodeAt(i);
    return this;
  }

  /**
   * A count and so many bytes, at most `maxBytes`: `fill` gets the room for them, which is as much as there is, and
   * returns how many it put there.
   */
  data(maxBytes: number, fill: (into: Uint8Array) => number): void {
    const countAt = this.#grow(4);
    const at = this.#length;
    const into = Math.max(0, Math.min(maxBytes, this.room));
    this.#grow(into);
    const count = fill(this.#bytes.subarray(at, at + into));
    this.#length = at + count;
    this.#view.setUint32(countAt, count, true);
  }

  /** The message, its length set. Not to be written to afterwards. */
  finish(): Uint8Array {
    this.#view.setUint32(0, this.#length, true);
    return this.body();
  }

  /** What has been written, without a length in front. Not to be written to afterwards. */
  body(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Where `length` bytes more are. `#bytes` and `#view` may be others afterwards. */
  #grow(length: number): number {
    if (length > this.room) throw new ShareError('EMSGSIZE');
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
