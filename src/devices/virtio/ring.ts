/** What the two formats of a virtqueue have in common: access to rings in guest memory, and descriptors. */
import type { DmaPort } from '../../bus/index.js';
import type { ChainBuilder, ChainState } from './chain.js';
import { MAX_CHAIN_DESCRIPTORS } from './chain.js';

/** One format of a virtqueue (VIRTIO 1.2 2.7, 2.8). Guest mistakes go to `RingContext.fail`. */
export interface Ring {
  /**
   * The next chain that the driver has made available. Undefined when there is none, in which case the driver will
   * notify the device of the next one, or when the ring makes no sense.
   */
  next(): ChainState | undefined;
  /** Tells the driver that `chain` was used and how many bytes were written. */
  use(chain: ChainState, writtenBytes: number): void;
  /** Whether the driver wants an interrupt for what was used since the last call. */
  wantsInterrupt(): boolean;
}

/** What a ring needs of its queue. */
export interface RingContext {
  readonly dma: DmaPort;
  /** Negotiated (VIRTIO 1.2 6). */
  readonly hasIndirect: boolean;
  readonly hasEventIdx: boolean;
  /** The ring in guest memory makes no sense: nothing of it can be used any more. */
  readonly fail: (reason: string) => void;
}

/** Where the driver has put a ring. */
export interface RingLayout {
  /** Number of elements. */
  readonly size: number;
  readonly descriptorArea: number;
  readonly driverArea: number;
  readonly deviceArea: number;
}

/** `flags` of a descriptor (VIRTIO 1.2 2.7.5, 2.8.13). */
export const DESCRIPTOR_FLAG = { NEXT: 1, WRITE: 2, INDIRECT: 4, AVAIL: 1 << 7, USED: 1 << 15 } as const;
export const DESCRIPTOR_BYTES = 16;

/** One descriptor as it lies in memory; the meaning of the last two fields depends on the format. */
export interface Descriptor {
  readonly address: number;
  readonly length: number;
  /** `flags` in a split ring, `id` in a packed one. */
  readonly field12: number;
  /** `next` in a split ring, `flags` in a packed one. */
  readonly field14: number;
}

/** Reads and writes the fields of rings. An address that is no memory fails the ring. */
export class RingMemory {
  readonly #context: RingContext;
  readonly #small = new DataView(new ArrayBuffer(8));
  readonly #two = new Uint8Array(this.#small.buffer, 0, 2);
  readonly #four = new Uint8Array(this.#small.buffer, 0, 4);
  readonly #eight = new Uint8Array(this.#small.buffer, 0, 8);
  readonly #descriptor = new DataView(new ArrayBuffer(DESCRIPTOR_BYTES));
  readonly #descriptorBytes = new Uint8Array(this.#descriptor.buffer);

  constructor(context: RingContext) {
    this.#context = context;
  }

  read16(address: number): number | undefined {
    return this.#read(address, this.#two) ? this.#small.getUint16(0, true) : undefined;
  }

  write16(address: number, value: number): boolean {
    this.#small.setUint16(0, value, true);
    return this.#write(address, this.#two);
  }

  read32(address: number): number | undefined {
    return this.#read(address, this.#four) ? this.#small.getUint32(0, true) : undefined;
  }

  write32(address: number, value: number): boolean {
    this.#small.setUint32(0, value, true);
    return this.#write(address, this.#four);
  }

  /** Two 32-bit fields, one behind the other. */
  write32s(address: number, first: number, second: number): boolean {
    this.#small.setUint32(0, first, true);
    this.#small.setUint32(4, second, true);
    return this.#write(address, this.#eight);
  }

  descriptor(address: number): Descriptor | undefined {
    return this.#read(address, this.#descriptorBytes) ? descriptorAt(this.#descriptor, 0) : undefined;
  }

  /** A whole table of indirect descriptors (VIRTIO 1.2 2.7.5.3, 2.8.7). */
  indirectTable({ address, length }: Descriptor): DataView | undefined {
    const fail = (what: string): undefined => {
      this.#context.fail(`indirect table ${what}`);
    };
    if (length === 0 || length % DESCRIPTOR_BYTES !== 0) return fail(`of ${length} bytes`);
    if (length / DESCRIPTOR_BYTES > MAX_CHAIN_DESCRIPTORS) {
      return fail(`of more than ${MAX_CHAIN_DESCRIPTORS} descriptors`);
    }
    const table = new Uint8Array(length);
    if (!this.#read(address, table)) return undefined;
    return new DataView(table.buffer);
  }

  #read(address: number, into: Uint8Array): boolean {
    if (this.#context.dma.read(address, into)) return true;
    this.#context.fail(`ring address 0x${address.toString(16)} is no memory`);
    return false;
  }

  #write(address: number, from: Uint8Array): boolean {
    if (this.#context.dma.write(address, from)) return true;
    this.#context.fail(`ring address 0x${address.toString(16)} is no RAM`);
    return false;
  }
}

export function descriptorAt(table: DataView, offset: number): Descriptor {
  return {
    address: table.getUint32(offset, true) + table.getUint32(offset + 4, true) * 2 ** 32,
    length: table.getUint32(offset + 8, true),
    field12: table.getUint16(offset + 12, true),
    field14: table.getUint16(offset + 14, true),
  };
}

/** The chain as built, for `id` and `slots`. */
export function finishChain(id: number, slots: number, { readable, writable }: ChainBuilder): ChainState {
  return { id, slots, readable, writable };
}

/** VIRTIO 1.2 2.7.7.1, 2.7.10: does an index that went from `oldIndex` to `newIndex` pass `event`? All modulo 2^16. */
export function passesEvent(event: number, newIndex: number, oldIndex: number): boolean {
  return ((newIndex - event - 1) & 0xffff) < ((newIndex - oldIndex) & 0xffff);
}
