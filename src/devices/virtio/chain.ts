/**
 * Descriptor chains: what a driver makes available, as one buffer to read from and one to write to
 * (VIRTIO 1.2 2.6, 2.7.4).
 */
import type { LendingDmaPort } from '../../bus/index.js';

/** A piece of guest memory. */
export interface Segment {
  readonly address: number;
  readonly length: number;
}

/** A chain as plain data. */
export interface ChainState {
  /** What the driver knows the chain by: index of its first descriptor, or buffer id in a packed ring. */
  readonly id: number;
  /** Elements of a packed ring that it takes. */
  readonly slots: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

/** What a chain needs of its queue. */
export interface ChainOwner {
  readonly dma: LendingDmaPort;
  /** False once the chain was given back, or its queue was reset: guest memory is not the device's any more. */
  owns(chain: Chain): boolean;
  giveBack(chain: Chain, writtenBytes: number): void;
  readonly fail: (reason: string) => void;
}

/**
 * A chain that a driver has made available. The device reads and writes it in any order, now or later, and gives it
 * back with `complete`, once. After a reset nothing of that has an effect.
 */
export class Chain {
  readonly state: ChainState;
  /** Bytes that the device may read, and bytes that it may write. Less than 2^32 together. */
  readonly readableBytes: number;
  readonly writableBytes: number;
  readonly #owner: ChainOwner;

  constructor(state: ChainState, owner: ChainOwner) {
    this.state = state;
    this.#owner = owner;
    this.readableBytes = totalBytes(state.readable);
    this.writableBytes = totalBytes(state.writable);
  }

  /**
   * Copies from the readable part, from `offset`, where it must hold `into.length` bytes. False where that is no memory
   * (the device then needs a reset) and after a reset.
   */
  read(offset: number, into: Uint8Array): boolean {
    const { dma } = this.#owner;
    return this.#visit('read', this.state.readable, offset, into.length, (address, done, count) =>
      dma.read(address, into.subarray(done, done + count)),
    );
  }

  /** Copies `from` into the writable part at `offset`. False as for `read`; a part may have been written. */
  write(offset: number, from: Uint8Array): boolean {
    const { dma } = this.#owner;
    return this.#visit('write', this.state.writable, offset, from.length, (address, done, count) =>
      dma.write(address, from.subarray(done, done + count)),
    );
  }

  /**
   * The guest's memory of `length` bytes of the writable part from `offset`, to be filled at once: it is borrowed until
   * the call from outside returns. Undefined where `write` would be false.
   */
  lend(offset: number, length: number): readonly Uint8Array[] | undefined {
    const { dma } = this.#owner;
    const parts: Uint8Array[] = [];
    const isThere = this.#visit('write', this.state.writable, offset, length, (address, _done, count) => {
      const part = dma.lend(address, count);
      if (part) parts.push(part);
      return part !== undefined;
    });
    return isThere ? parts : undefined;
  }

  /** Gives the chain back, with `writtenBytes` bytes from the start of the writable part written. */
  complete(writtenBytes: number): void {
    this.#owner.giveBack(this, writtenBytes);
  }

  /** Calls `visit` for the pieces of memory of a range, each with how much came before it, while it returns true. */
  #visit(
    verb: 'read' | 'write',
    segments: readonly Segment[],
    offset: number,
    total: number,
    visit: (address: number, done: number, count: number) => boolean,
  ): boolean {
    const owner = this.#owner;
    if (!owner.owns(this)) return false;
    let skip = offset;
    let done = 0;
    for (const { address, length } of segments) {
      if (done === total) break;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const count = Math.min(length - skip, total - done);
      if (!visit(address + skip, done, count)) {
        owner.fail(`buffer at 0x${address.toString(16)}+0x${length.toString(16)} is no memory to ${verb}`);
        return false;
      }
      done += count;
      skip = 0;
    }
    return done === total;
  }
}

function totalBytes(segments: readonly Segment[]): number {
  let bytes = 0;
  for (const { length } of segments) bytes += length;
  return bytes;
}

/** Longest chain taken, indirect descriptors included. QEMU's limit too, so drivers stay below it. */
export const MAX_CHAIN_DESCRIPTORS = 1024;
/** VIRTIO 1.2 2.7.5.2: no chain has more bytes than that. */
const MAX_CHAIN_BYTES = 2 ** 32;

/** Collects the descriptors of a chain and checks what drivers must see to. */
export class ChainBuilder {
  readonly readable: Segment[] = [];
  readonly writable: Segment[] = [];
  #bytes = 0;
  #count = 0;

  /** Returns what is wrong with the descriptor, if anything is. */
  add(address: number, length: number, isWritable: boolean): string | undefined {
    this.#count++;
    if (this.#count > MAX_CHAIN_DESCRIPTORS)
      return `a chain of more than ${MAX_CHAIN_DESCRIPTORS} descriptors`;
    this.#bytes += length;
    if (this.#bytes >= MAX_CHAIN_BYTES) return 'a chain of 4 GiB or more';
    if (isWritable) {
      this.writable.push({ address, length });
    } else {
      // VIRTIO 1.2 2.7.4.2
      if (this.writable.length > 0) return 'a descriptor to read after one to write';
      this.readable.push({ address, length });
    }
    return undefined;
  }
}
