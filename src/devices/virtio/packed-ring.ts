/** Packed virtqueues (VIRTIO 1.2 2.8): one ring of descriptors that driver and device write in turns. */
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

/** Places in the ring with the wrap counters that belong to them (VIRTIO 1.2 2.8.1). */
export interface PackedPosition {
  nextAvail: number;
  availWrap: boolean;
  nextUsed: number;
  usedWrap: boolean;
  /** Elements used since the driver was last asked whether it wants an interrupt. */
  usedSinceAsked: number;
}

/** Event suppression structures: offset and wrap counter in the low half, flags in the high one (VIRTIO 1.2 2.8.14). */
const EVENT_WRAP = 1 << 15;
const EVENT_FLAGS_SHIFT = 16;
const EVENT_FLAGS = { ENABLE: 0, DISABLE: 1, DESC: 2 } as const;

export class PackedRing implements Ring {
  readonly position: PackedPosition;
  readonly #layout: RingLayout;
  readonly #context: RingContext;
  readonly #memory: RingMemory;

  constructor(layout: RingLayout, context: RingContext, position?: PackedPosition) {
    this.#layout = layout;
    this.#context = context;
    this.#memory = new RingMemory(context);
    // 2.8.1: both counters start with 1.
    this.position = position ?? {
      nextAvail: 0,
      availWrap: true,
      nextUsed: 0,
      usedWrap: true,
      usedSinceAsked: 0,
    };
  }

  next(): ChainState | undefined {
    const { nextAvail, availWrap } = this.position;
    let first = this.#availableDescriptor(nextAvail, availWrap);
    if (!first && this.#context.hasEventIdx) {
      // Asks to be notified of the next chain (2.8.10). What came in between would be missed.
      const event = nextAvail | (availWrap ? EVENT_WRAP : 0);
      const flags = EVENT_FLAGS.DESC << EVENT_FLAGS_SHIFT;
      if (!this.#memory.write32(this.#layout.deviceArea, event | flags)) return undefined;
      first = this.#availableDescriptor(nextAvail, availWrap);
    }
    return first && this.#chain(first);
  }

  use({ id, slots }: ChainState, writtenBytes: number): void {
    const { position } = this;
    const { size, descriptorArea } = this.#layout;
    const element = descriptorArea + DESCRIPTOR_BYTES * position.nextUsed;
    const wrap = position.usedWrap ? DESCRIPTOR_FLAG.AVAIL | DESCRIPTOR_FLAG.USED : 0;
    // 2.8.3: a used descriptor with the write flag has a length.
    const flags = wrap | (writtenBytes > 0 ? DESCRIPTOR_FLAG.WRITE : 0);
    if (!this.#memory.write32s(element + 8, writtenBytes, id | (flags << 16))) return;
    position.usedSinceAsked += slots;
    position.nextUsed += slots;
    if (position.nextUsed >= size) {
      position.nextUsed -= size;
      position.usedWrap = !position.usedWrap;
    }
  }

  wantsInterrupt(): boolean {
    const { position } = this;
    const { size, driverArea } = this.#layout;
    const { usedSinceAsked } = position;
    position.usedSinceAsked = 0;
    const event = this.#memory.read32(driverArea);
    if (event === undefined) return false;
    const flags = (event >>> EVENT_FLAGS_SHIFT) & 3;
    if (flags !== EVENT_FLAGS.DESC || !this.#context.hasEventIdx) return flags !== EVENT_FLAGS.DISABLE;
    const isThisRound = ((event & EVENT_WRAP) !== 0) === position.usedWrap;
    const offset = (event & (EVENT_WRAP - 1)) - (isThisRound ? 0 : size);
    return passesEvent(offset, position.nextUsed, position.nextUsed - usedSinceAsked);
  }

  /** The element, if its flags say that it is the driver's offer of this round (2.8.1). */
  #availableDescriptor(index: number, wrap: boolean): Descriptor | undefined {
    const descriptor = this.#memory.descriptor(this.#layout.descriptorArea + DESCRIPTOR_BYTES * index);
    if (!descriptor) return undefined;
    const { field14: flags } = descriptor;
    const isAvail = (flags & DESCRIPTOR_FLAG.AVAIL) !== 0;
    const isUsed = (flags & DESCRIPTOR_FLAG.USED) !== 0;
    return isAvail === wrap && isUsed !== wrap ? descriptor : undefined;
  }

  #chain(first: Descriptor): ChainState | undefined {
    const { position } = this;
    const { size } = this.#layout;
    const builder = new ChainBuilder();
    let { nextAvail: index, availWrap: wrap } = position;
    let descriptor: Descriptor | undefined = first;
    for (let slots = 1; slots <= size; slots++) {
      // 2.8.6: the first element is made available last, so the others must be.
      if (!descriptor) return this.#fail('chain goes on with an element that is not available');
      const { field12: id, field14: flags } = descriptor;
      const hasNext = (flags & DESCRIPTOR_FLAG.NEXT) !== 0;
      if ((flags & DESCRIPTOR_FLAG.INDIRECT) !== 0) {
        if (!this.#context.hasIndirect) return this.#fail('indirect descriptor without the feature');
        // 2.8.19
        if (hasNext || slots > 1) return this.#fail('indirect descriptor in a chain');
        if (!this.#addTable(descriptor, builder)) return undefined;
      } else if (!this.#add(descriptor, (flags & DESCRIPTOR_FLAG.WRITE) !== 0, builder)) {
        return undefined;
      }
      index++;
      if (index === size) {
        index = 0;
        wrap = !wrap;
      }
      if (!hasNext) {
        position.nextAvail = index;
        position.availWrap = wrap;
        return finishChain(id, slots, builder);
      }
      descriptor = this.#availableDescriptor(index, wrap);
    }
    return this.#fail(`chain is longer than the ring of ${size}`);
  }

  /** 2.8.7: every element of the table is part of the chain, and only the write flag counts. */
  #addTable(indirect: Descriptor, builder: ChainBuilder): boolean {
    const table = this.#memory.indirectTable(indirect);
    if (!table) return false;
    for (let offset = 0; offset < table.byteLength; offset += DESCRIPTOR_BYTES) {
      const descriptor = descriptorAt(table, offset);
      const { field14: flags } = descriptor;
      if ((flags & DESCRIPTOR_FLAG.INDIRECT) !== 0) {
        this.#context.fail('indirect table in an indirect table');
        return false;
      }
      if (!this.#add(descriptor, (flags & DESCRIPTOR_FLAG.WRITE) !== 0, builder)) return false;
    }
    return true;
  }

  #add({ address, length }: Descriptor, isWritable: boolean, builder: ChainBuilder): boolean {
    const problem = builder.add(address, length, isWritable);
    if (problem !== undefined) this.#context.fail(problem);
    return problem === undefined;
  }

  #fail(reason: string): undefined {
    this.#context.fail(reason);
  }
}
