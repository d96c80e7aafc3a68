/** One virtqueue of a device (VIRTIO 1.2 2.6): what the driver sets up, and the chains that travel through it. */
import { deepCopy, isPowerOfTwo } from '../../base/index.js';
import type { LendingDmaPort } from '../../bus/index.js';
import type { ChainOwner, ChainState } from './chain.js';
import { Chain } from './chain.js';
import { FEATURE } from './features.js';
import type { PackedPosition } from './packed-ring.js';
import { PackedRing } from './packed-ring.js';
import type { RingContext, RingLayout } from './ring.js';
import type { SplitPosition } from './split-ring.js';
import { SplitRing } from './split-ring.js';

/** VIRTIO 1.2 2.7, 2.8 */
export const MAX_QUEUE_SIZE = 32768;

/**
 * What the driver writes through the transport, in halves as most transports have them. Read when the queue is enabled
 * and at no other time.
 */
export interface QueueRegisters {
  /** Number of elements. */
  size: number;
  descriptorLow: number;
  descriptorHigh: number;
  driverLow: number;
  driverHigh: number;
  deviceLow: number;
  deviceHigh: number;
}

/** A queue in use. */
interface ActiveQueue {
  readonly format: 'split' | 'packed';
  readonly layout: RingLayout;
  readonly features: bigint;
  readonly ring: SplitRing | PackedRing;
  /** Chains taken and not given back, in the order in which they were taken. */
  readonly inFlight: Set<Chain>;
}

export interface QueueState {
  readonly registers: QueueRegisters;
  readonly active:
    | {
        readonly format: 'split' | 'packed';
        readonly layout: RingLayout;
        readonly features: bigint;
        readonly position: SplitPosition | PackedPosition;
        readonly inFlight: readonly ChainState[];
        readonly hasUsed: boolean;
        readonly isBroken: boolean;
      }
    | undefined;
}

/** What a queue needs of its device. */
export interface VirtqueuePorts {
  readonly dma: LendingDmaPort;
  /** Buffers were used, and the driver wants to hear of it (VIRTIO 1.2 2.3). */
  interrupt(queue: number): void;
  /** The driver has broken a rule: the device needs a reset. */
  fail(reason: string): void;
}

export class Virtqueue {
  readonly index: number;
  /** Most elements that the driver may ask for. */
  readonly maxSize: number;
  #registers: QueueRegisters;
  readonly #ports: VirtqueuePorts;
  readonly #owner: ChainOwner;
  #active: ActiveQueue | undefined;
  /** Buffers were used since the driver was last asked whether it wants an interrupt. */
  #hasUsed = false;
  /** The driver has broken a rule since the queue was enabled. */
  #isBroken = false;

  constructor(index: number, maxSize: number, ports: VirtqueuePorts) {
    this.index = index;
    this.maxSize = maxSize;
    this.#ports = ports;
    this.#registers = this.#initialRegisters();
    this.#owner = {
      dma: ports.dma,
      owns: (chain) => this.#active?.inFlight.has(chain) === true,
      giveBack: (chain, writtenBytes) => {
        if (this.#active?.inFlight.delete(chain) !== true) return;
        this.#active.ring.use(chain.state, writtenBytes);
        this.#hasUsed = true;
      },
      fail: (reason) => {
        this.#fail(reason);
      },
    };
  }

  /** For transports, which write to it as the driver tells them. */
  get registers(): QueueRegisters {
    return this.#registers;
  }

  get isReady(): boolean {
    return this.#active !== undefined;
  }

  /** Puts the queue into use, as its registers and the negotiated features say. */
  enable(features: bigint): void {
    if (this.#active) return;
    const { size, ...halves } = this.#registers;
    const format = (features & FEATURE.RING_PACKED) !== 0n ? 'packed' : 'split';
    // VIRTIO 1.2 2.7: a power of two; 2.8.10.1: a packed ring need not be.
    if (size < 1 || size > this.maxSize || (format === 'split' && !isPowerOfTwo(size))) {
      this.#fail(`size ${size} of a queue that may have ${this.maxSize}`);
      return;
    }
    const layout: RingLayout = {
      size,
      descriptorArea: halves.descriptorLow + halves.descriptorHigh * 2 ** 32,
      driverArea: halves.driverLow + halves.driverHigh * 2 ** 32,
      deviceArea: halves.deviceLow + halves.deviceHigh * 2 ** 32,
    };
    this.#activate(format, layout, features, undefined, []);
  }

  /** Takes the queue out of use: chains that the device still has are the driver's again. */
  disable(): void {
    this.#active = undefined;
    this.#hasUsed = false;
    this.#isBroken = false;
  }

  reset(): void {
    this.disable();
    this.#registers = this.#initialRegisters();
  }

  /** The next chain that the driver has made available, if there is one. The driver notifies the device of the next. */
  next(): Chain | undefined {
    const active = this.#active;
    if (!active || this.#isBroken) return undefined;
    const state = active.ring.next();
    if (!state) return undefined;
    if (active.inFlight.size >= active.layout.size) {
      this.#fail('more chains than the queue has elements');
      return undefined;
    }
    const chain = new Chain(state, this.#owner);
    active.inFlight.add(chain);
    return chain;
  }

  /** Interrupts the driver, if it wants that, for what was used since the last call. */
  flush(): void {
    if (!this.#active || !this.#hasUsed) return;
    this.#hasUsed = false;
    if (this.#active.ring.wantsInterrupt()) this.#ports.interrupt(this.index);
  }

  saveState(): QueueState {
    const active = this.#active;
    return {
      registers: { ...this.#registers },
      active: active && {
        format: active.format,
        layout: active.layout,
        features: active.features,
        position: { ...active.ring.position },
        inFlight: deepCopy(Array.from(active.inFlight, ({ state }) => state)),
        hasUsed: this.#hasUsed,
        isBroken: this.#isBroken,
      },
    };
  }

  /** Returns the chains that the device had, in the order in which it had taken them. */
  restoreState({ registers, active }: QueueState): Chain[] {
    this.disable();
    this.#registers = { ...registers };
    if (!active) return [];
    this.#hasUsed = active.hasUsed;
    this.#isBroken = active.isBroken;
    return this.#activate(
      active.format,
      active.layout,
      active.features,
      { ...active.position },
      deepCopy(active.inFlight),
    );
  }

  #activate(
    format: 'split' | 'packed',
    layout: RingLayout,
    features: bigint,
    position: SplitPosition | PackedPosition | undefined,
    states: readonly ChainState[],
  ): Chain[] {
    const context: RingContext = {
      dma: this.#ports.dma,
      hasIndirect: (features & FEATURE.RING_INDIRECT_DESC) !== 0n,
      hasEventIdx: (features & FEATURE.RING_EVENT_IDX) !== 0n,
      fail: this.#owner.fail,
    };
    const ring =
      format === 'packed'
        ? new PackedRing(layout, context, position as PackedPosition | undefined)
        : new SplitRing(layout, context, position as SplitPosition | undefined);
    const chains = states.map((state) => new Chain(state, this.#owner));
    this.#active = { format, layout, features, ring, inFlight: new Set(chains) };
    return chains;
  }

  #fail(reason: string): void {
    this.#isBroken = true;
    this.#ports.fail(`queue ${this.index}: ${reason}`);
  }

  #initialRegisters(): QueueRegisters {
    return {
      size: this.maxSize,
      descriptorLow: 0,
      descriptorHigh: 0,
      driverLow: 0,
      driverHigh: 0,
      deviceLow: 0,
      deviceHigh: 0,
    };
  }
}
