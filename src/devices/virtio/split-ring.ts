/** Split virtqueues (VIRTIO 1.2 2.7). Legacy ones are the same, at addresses that follow from one page number. */
import type { ChainState } from './chain.js';
import { ChainBuilder } from './chain.js';
import type { Descriptor, Ring, RingContext, RingLayout } from './ring.js';
import {
  descriptorAt,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_FLAG,
  finishChain,
  passesEvent,
  RingMemory,
} from './ring.js';

/** Indices count without end, modulo 2^16 (VIRTIO 1.2 2.7.6). */
export interface SplitPosition {
  /** Of the next element of the available ring to look at. */
  nextAvail: number;
  /** Of the next element of the used ring to fill. */
  nextUsed: number;
  /** `nextUsed` when the driver was last asked whether it wants an interrupt. */
  askedUsed: number;
}

/** Fields of the available and the used ring: flags, idx, elements (VIRTIO 1.2 2.7.6, 2.7.8). */
const INDEX = 2;
const ELEMENTS = 4;
const AVAIL_ELEMENT_BYTES = 2;
const USED_ELEMENT_BYTES = 8;
/** `VIRTQ_AVAIL_F_NO_INTERRUPT` */
const NO_INTERRUPT = 1;

export class SplitRing implements Ring {
  readonly position: SplitPosition;
  readonly #layout: RingLayout;
  readonly #context: RingContext;
  readonly #memory: RingMemory;

  constructor(layout: RingLayout, context: RingContext, position?: SplitPosition) {
    this.#layout = layout;
    this.#context = context;
    this.#memory = new RingMemory(context);
    this.position = position ?? { nextAvail: 0, nextUsed: 0, askedUsed: 0 };
  }

  next(): ChainState | undefined {
    const { position } = this;
    const { size, driverArea } = this.#layout;
    let available = this.#available();
    if (available === 0 && this.#context.hasEventIdx) {
      // Asks to be notified of the next chain (2.7.10). What came in between would be missed.
      const { deviceArea } = this.#layout;
      if (!this.#memory.write16(deviceArea + ELEMENTS + USED_ELEMENT_BYTES * size, position.nextAvail))
        return;
      available = this.#available();
    }
    if (available === undefined || available === 0) return undefined;
    if (available > size) return this.#fail(`idx is ${available} ahead in a ring of ${size}`);
    const slot = position.nextAvail % size;
    const head = this.#memory.read16(driverArea + ELEMENTS + AVAIL_ELEMENT_BYTES * slot);
    if (head === undefined) return undefined;
    const chain = this.#chain(head);
    if (chain) position.nextAvail = (position.nextAvail + 1) & 0xffff;
    return chain;
  }

  use({ id }: ChainState, writtenBytes: number): void {
    const { position } = this;
    const { size, deviceArea } = this.#layout;
    const element = deviceArea + ELEMENTS + USED_ELEMENT_BYTES * (position.nextUsed % size);
    if (!this.#memory.write32s(element, id, writtenBytes)) return;
    position.nextUsed = (position.nextUsed + 1) & 0xffff;
    this.#memory.write16(deviceArea + INDEX, position.nextUsed);
  }

  wantsInterrupt(): boolean {
    const { position } = this;
    const { size, driverArea } = this.#layout;
    const { nextUsed, askedUsed } = position;
    position.askedUsed = nextUsed;
    if (this.#context.hasEventIdx) {
      const event = this.#memory.read16(driverArea + ELEMENTS + AVAIL_ELEMENT_BYTES * size);
      return event !== undefined && passesEvent(event, nextUsed, askedUsed);
    }
    const flags = this.#memory.read16(driverArea);
    return flags !== undefined && (flags & NO_INTERRUPT) === 0;
  }

  /** Chains between the driver's index and ours. */
  #available(): number | undefined {
    const index = this.#memory.read16(this.#layout.driverArea + INDEX);
    return index === undefined ? undefined : (index - this.position.nextAvail) & 0xffff;
  }

  #chain(head: number): ChainState | undefined {
    const { size, descriptorArea } = this.#layout;
    const builder = new ChainBuilder();
    let index = head;
    // No chain is longer than the table (2.7.5.2): one that is has a loop.
    for (let count = 0; count < size; count++) {
      if (index >= size) return this.#fail(`descriptor ${index} in a table of ${size}`);
      const descriptor = this.#memory.descriptor(descriptorArea + DESCRIPTOR_BYTES * index);
      if (!descriptor) return undefined;
      const { field12: flags, field14: next } = descriptor;
      if ((flags & DESCRIPTOR_FLAG.INDIRECT) !== 0) {
        if (!this.#context.hasIndirect) return this.#fail('indirect descriptor without the feature');
        // 2.7.5.3.1
        if ((flags & DESCRIPTOR_FLAG.NEXT) !== 0) return this.#fail('indirect descriptor with a next one');
        return this.#addTable(descriptor, builder) ? finishChain(head, 1, builder) : undefined;
      }
      if (!this.#add(descriptor, builder)) return undefined;
      if ((flags & DESCRIPTOR_FLAG.NEXT) === 0) return finishChain(head, 1, builder);
      index = next;
    }
    return this.#fail(`chain from ${head} has a loop`);
  }

  #addTable(indirect: Descriptor, builder: ChainBuilder): boolean {
    const table = this.#memory.indirectTable(indirect);
    if (!table) return false;
    const size = table.byteLength / DESCRIPTOR_BYTES;
    let index = 0;
    for (let count = 0; count < size; count++) {
      if (index >= size) return this.#fail(`descriptor ${index} in an indirect table of ${size}`) ?? false;
      const descriptor = descriptorAt(table, DESCRIPTOR_BYTES * index);
      const { field12: flags, field14: next } = descriptor;
      if ((flags & DESCRIPTOR_FLAG.INDIRECT) !== 0)
        return this.#fail('indirect table in an indirect table') ?? false;
      if (!this.#add(descriptor, builder)) return false;
      if ((flags & DESCRIPTOR_FLAG.NEXT) === 0) return true;
      index = next;
    }
    return this.#fail('indirect table has a loop') ?? false;
  }

  #add({ address, length, field12: flags }: Descriptor, builder: ChainBuilder): boolean {
    const problem = builder.add(address, length, (flags & DESCRIPTOR_FLAG.WRITE) !== 0);
    if (problem !== undefined) this.#context.fail(problem);
    return problem === undefined;
  }

  #fail(reason: string): undefined {
    this.#context.fail(reason);
  }
}
