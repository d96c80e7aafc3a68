/**
 * The core of every virtio device, whatever its type and its transport (OASIS Virtual I/O Device (VIRTIO) Version 1.2,
 * "VIRTIO 1.2" below, chapters 2, 3 and 6): feature negotiation, status, configuration space, queues, notifications.
 *
 * A **type of device** extends `VirtioDevice`: it states its identity in the constructor, keeps `config` true, takes
 * chains from queues in `serve`, and gives them back then or later:
 *
 *     protected serve(queue: Virtqueue): 'done' | 'more' {
 *       for (let count = 0; count < A_FAIR_SHARE; count++) {
 *         const chain = queue.next();
 *         if (!chain) return 'done';
 *         … chain.read(offset, bytes), chain.write(offset, bytes) …
 *         chain.complete(writtenBytes);
 *       }
 *       return 'more'; // Called again between guest instructions.
 *     }
 *
 * Whoever completes chains at another time calls `queue.flush()` afterwards, which interrupts the driver.
 *
 * A **transport** (virtio-mmio, virtio-pci) owns the registers that its chapter of the document has, and translates:
 *
 *     device.connect({ isLegacy, features, memory, queueUsed, configChanged, onReset })    once, when it is made
 *     device.deviceId
 *     device.deviceFeatures, driverFeatures, setDriverFeatures(half, bits)
 *     device.status, writeStatus(value)                          0 resets the device, which calls `onReset`
 *     device.configGeneration, readConfig(), writeConfig()       any offset; what lies beyond reads as zero
 *     device.queues[i]: maxSize, registers.*, isReady            the driver writes `registers` while not ready
 *     device.enableQueue(i), disableQueue(i), resetQueue(i)     QueueReady 1 or 0, queue_enable; QueueReset
 *     device.notify(i)                                           any number
 *     device.reset()                                             reset of the machine
 *     device.saveState(), restoreState()                         as a part of the transport's own state
 *
 * `queueUsed` and `configChanged` are called inside those calls, from timers, and when something comes from outside,
 * always between guest instructions or inside a device access. Interrupt status is the transport's business.
 *
 * A driver that breaks a rule (a chain with a loop, a ring that is no memory, a queue of impossible size) makes the
 * device need a reset (2.1.2): it takes no more chains and tells the driver. Each call does a bounded amount of work.
 *
 * @deviation Chains of up to 1,024 descriptors are taken where an indirect table has more than the queue (2.7.5.3.1).
 */
import { deepCopy, invariant } from '../../base/index.js';
import type { Trace } from '../../base/index.js';
import type { AccessSize, Clock, LendingDmaPort, Snapshottable, Timer } from '../../bus/index.js';
import type { Chain } from './chain.js';
import { FEATURE } from './features.js';
import type { QueueState } from './virtqueue.js';
import { MAX_QUEUE_SIZE, Virtqueue } from './virtqueue.js';

/** Device status (VIRTIO 1.2 2.1). */
const STATUS = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  DEVICE_NEEDS_RESET: 64,
  FAILED: 128,
} as const;

const DRIVER_STATUS =
  STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.DRIVER_OK | STATUS.FEATURES_OK | STATUS.FAILED;

/** What a type of device is. */
export interface VirtioIdentity {
  /** Name in traces and statistics: `virtio-blk0`. */
  readonly name: string;
  /** VIRTIO 1.2 5 */
  readonly deviceId: number;
  /** Feature bits of the type. */
  readonly features: bigint;
  /** Most elements of each queue. */
  readonly queueSizes: readonly number[];
  readonly configBytes: number;
}

export interface VirtioPorts {
  /** Guest memory as the device sees it. */
  readonly dma: LendingDmaPort;
  readonly clock: Clock;
  readonly trace: Trace;
}

export interface VirtioOptions {
  /** Offers VIRTIO_F_ACCESS_PLATFORM and insists on it: an IOMMU is between `dma` and memory. */
  readonly accessPlatform?: boolean;
  /** False: VIRTIO_F_RING_PACKED is not offered. */
  readonly packed?: boolean;
}

/** How a device reaches its driver. */
export interface VirtioTransport {
  /** The driver is one of before VIRTIO 1.0 (VIRTIO 1.2 1.3.1, 7.4): no VERSION_1, FEATURES_OK, packed rings. */
  readonly isLegacy: boolean;
  /** Feature bits that the transport adds: RING_RESET. */
  readonly features: bigint;
  /** Guest memory as the transport lets the device use it; left out: always. */
  memory?(memory: LendingDmaPort): LendingDmaPort;
  /** Buffers of a queue were used, and the driver wants an interrupt. */
  queueUsed(queue: number): void;
  /** The configuration has changed, or the device needs a reset. */
  configChanged(): void;
  /** The driver has reset the device by its status: queue registers, features and interrupts are gone. */
  onReset(): void;
}

/** What `VirtioDevice` keeps, with `own`, what the type of device adds. */
export interface VirtioDeviceState<Own = unknown> {
  readonly status: number;
  readonly driverFeatures: bigint;
  readonly config: Uint8Array;
  readonly configGeneration: number;
  readonly queues: readonly QueueState[];
  /** Queues to be served at the next opportunity. */
  readonly waiting: readonly number[];
  readonly own: Own;
}

export abstract class VirtioDevice<Own = unknown> implements Snapshottable<VirtioDeviceState<Own>> {
  readonly name: string;
  readonly deviceId: number;
  readonly queues: readonly Virtqueue[];
  protected readonly ports: VirtioPorts;
  /** The configuration space of the type, little-endian. Changed by `changeConfig` once the guest runs. */
  protected readonly config: DataView<ArrayBuffer>;
  readonly #configBytes: Uint8Array<ArrayBuffer>;
  readonly #features: bigint;
  readonly #options: VirtioOptions;
  readonly #laterTimer: Timer;
  readonly #waiting = new Set<number>();
  #transport: VirtioTransport | undefined;
  #memory: LendingDmaPort;
  #status = 0;
  #driverFeatures = 0n;
  #configGeneration = 0;

  constructor(identity: VirtioIdentity, ports: VirtioPorts, options: VirtioOptions = {}) {
    this.name = identity.name;
    this.deviceId = identity.deviceId;
    this.ports = ports;
    this.#memory = ports.dma;
    this.#options = options;
    this.#features = identity.features;
    this.#configBytes = new Uint8Array(identity.configBytes);
    this.config = new DataView(this.#configBytes.buffer);
    this.queues = identity.queueSizes.map((maxSize, index) => {
      invariant(maxSize >= 1 && maxSize <= MAX_QUEUE_SIZE, `${identity.name}: queue size ${maxSize}`);
      return new Virtqueue(index, maxSize, {
        dma: {
          read: (address, into) => this.#memory.read(address, into),
          write: (address, from) => this.#memory.write(address, from),
          lend: (address, length) => this.#memory.lend(address, length),
        },
        interrupt: (queue) => this.#transport?.queueUsed(queue),
        fail: (reason) => {
          this.fail(reason);
        },
      });
    });
    this.#laterTimer = ports.clock.timer(`${identity.name} work`, () => {
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const queue of waiting) this.#serve(queue);
    });
  }

  // For transports.

  connect(transport: VirtioTransport): void {
    invariant(this.#transport === undefined, `${this.name} has a transport`);
    this.#transport = transport;
    if (transport.memory) this.#memory = transport.memory(this.ports.dma);
  }

  /** Everything offered (VIRTIO 1.2 2.2). */
  get deviceFeatures(): bigint {
    const { isLegacy, features } = this.#connected;
    const { RING_INDIRECT_DESC, RING_EVENT_IDX, VERSION_1, RING_PACKED, ACCESS_PLATFORM, ANY_LAYOUT } =
      FEATURE;
    const common = this.#features | RING_INDIRECT_DESC | RING_EVENT_IDX;
    if (isLegacy) return BigInt.asUintN(32, common | ANY_LAYOUT);
    return (
      common |
      features |
      VERSION_1 |
      (this.#options.packed === false ? 0n : RING_PACKED) |
      (this.#options.accessPlatform === true ? ACCESS_PLATFORM : 0n)
    );
  }

  get driverFeatures(): bigint {
    return this.#driverFeatures;
  }

  /** The driver accepts features: bits 31:0 (`half` 0) or 63:32 (1); others do not exist. */
  setDriverFeatures(half: number, bits: number): void {
    // VIRTIO 1.2 3.1.1: not after FEATURES_OK. Legacy drivers have no such point.
    if ((half !== 0 && half !== 1) || (this.#status & STATUS.FEATURES_OK) !== 0) return;
    const shift = BigInt(32 * half);
    const others = this.#driverFeatures & ~(0xffff_ffffn << shift);
    const accepted = others | (BigInt(bits >>> 0) << shift);
    this.#driverFeatures = this.#connected.isLegacy ? accepted & this.deviceFeatures : accepted;
  }

  get status(): number {
    return this.#status;
  }

  /** VIRTIO 1.2 2.1, 3.1. Zero resets the device; other bits can only be added. */
  writeStatus(value: number): void {
    if (value === 0) {
      this.#reset();
      this.#connected.onReset();
      return;
    }
    let added = value & DRIVER_STATUS & ~this.#status;
    if ((added & STATUS.FEATURES_OK) !== 0 && !this.#acceptsFeatures()) {
      this.#guestError(`features 0x${this.#driverFeatures.toString(16)} are not acceptable`);
      added &= ~STATUS.FEATURES_OK;
    }
    this.#status |= added;
    if (this.ports.trace.on('virtio')) this.#event(`status 0x${this.#status.toString(16)}`);
    // Buffers may have been made available before.
    if ((added & STATUS.DRIVER_OK) !== 0) for (const { index } of this.queues) this.notify(index);
  }

  /** Changes whenever a driver that reads the configuration in parts could get parts that don't belong together. */
  get configGeneration(): number {
    return this.#configGeneration;
  }

  readConfig(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.#configBytes[offset + i] ?? 0);
    return value;
  }

  writeConfig(offset: number, size: AccessSize, value: number): void {
    if (!this.configWritten(offset, size, value)) {
      this.#guestError(
        `write of ${size} bytes to configuration 0x${offset.toString(16)}, which is read-only`,
      );
    }
  }

  /** Puts a queue into use as its registers say. */
  enableQueue(index: number): void {
    this.queues[index]?.enable(this.#driverFeatures);
  }

  /** Takes a queue out of use. */
  disableQueue(index: number): void {
    const queue = this.queues[index];
    if (!queue) return;
    queue.disable();
    this.#waiting.delete(index);
    this.queueStopped(queue);
  }

  /** Takes a queue out of use and forgets its registers (VIRTIO 1.2 2.6.1). */
  resetQueue(index: number): void {
    this.disableQueue(index);
    this.queues[index]?.reset();
  }

  /** The driver has made buffers available (VIRTIO 1.2 2.9). */
  notify(index: number): void {
    if (!this.queues[index]) this.#guestError(`notification of queue ${index}, which does not exist`);
    else this.#serve(index);
  }

  /** Power-on state: as after a reset by the driver, and the configuration is that of the start. */
  reset(): void {
    this.#reset();
  }

  saveState(): VirtioDeviceState<Own> {
    return {
      status: this.#status,
      driverFeatures: this.#driverFeatures,
      config: this.#configBytes.slice(),
      configGeneration: this.#configGeneration,
      queues: this.queues.map((queue) => queue.saveState()),
      waiting: [...this.#waiting],
      own: deepCopy(this.saveOwn()),
    };
  }

  restoreState(state: VirtioDeviceState<Own>): void {
    this.#reset();
    this.#status = state.status;
    this.#driverFeatures = state.driverFeatures;
    this.#configBytes.set(state.config);
    this.#configGeneration = state.configGeneration;
    const chains = this.queues.map((queue, index) => queue.restoreState(state.queues[index]!));
    for (const index of state.waiting) this.serveLater(this.queues[index]!);
    this.restoreOwn(deepCopy(state.own), chains);
  }

  // For types of devices.

  /** Takes chains and works on them: a bounded amount. `more` asks for another call between guest instructions. */
  protected abstract serve(queue: Virtqueue): 'done' | 'more';

  /** The device was reset: chains that it has are void, settings of the driver are gone. */
  protected abstract stopped(): void;

  /** One queue was reset: chains of it that the device has are void. */
  protected queueStopped(queue: Virtqueue): void {
    void queue;
  }

  /** The driver writes to the configuration. False where it may not. */
  protected configWritten(offset: number, size: AccessSize, value: number): boolean {
    void [offset, size, value];
    return false;
  }

  /** The type's own state. */
  protected abstract saveOwn(): Own;

  /** Replaces it, and goes on with `chains`, which each queue had when the state was saved. */
  protected abstract restoreOwn(own: Own, chains: readonly (readonly Chain[])[]): void;

  /** True where the driver has accepted the feature. */
  protected hasFeature(feature: bigint): boolean {
    return (this.#driverFeatures & feature) !== 0n;
  }

  protected get isLegacy(): boolean {
    return this.#connected.isLegacy;
  }

  /** The driver runs, and has broken no rule. */
  protected get isLive(): boolean {
    if ((this.#status & STATUS.DEVICE_NEEDS_RESET) !== 0) return false;
    // VIRTIO 1.2 3.1.2: legacy drivers used queues before DRIVER_OK.
    return (this.#status & STATUS.DRIVER_OK) !== 0 || this.isLegacy;
  }

  /** Has `serve` called for the queue as if the driver had notified the device: something came from outside. */
  protected poke(queue: Virtqueue): void {
    this.#serve(queue.index);
  }

  /** Has `serve` called for the queue between guest instructions. */
  protected serveLater({ index }: Virtqueue): void {
    this.#waiting.add(index);
    this.#laterTimer.arm(this.ports.clock.nowNs());
  }

  /** Changes the configuration and tells the driver. */
  protected changeConfig(change: (config: DataView<ArrayBuffer>) => void): void {
    change(this.config);
    this.#configGeneration = (this.#configGeneration + 1) >>> 0;
    if (this.isLive) this.#connected.configChanged();
  }

  /** The driver has broken a rule (VIRTIO 1.2 2.1.2): nothing works until it resets the device. */
  protected fail(reason: string): void {
    this.#guestError(`${reason}; the device needs a reset`);
    if ((this.#status & STATUS.DEVICE_NEEDS_RESET) !== 0) return;
    const wasLive = (this.#status & STATUS.DRIVER_OK) !== 0;
    this.#status |= STATUS.DEVICE_NEEDS_RESET;
    if (wasLive) this.#connected.configChanged();
  }

  #serve(index: number): void {
    const queue = this.queues[index];
    if (queue?.isReady !== true || !this.isLive) return;
    if (this.serve(queue) === 'more') this.serveLater(queue);
    queue.flush();
  }

  #reset(): void {
    this.#status = 0;
    this.#driverFeatures = 0n;
    this.#waiting.clear();
    this.#laterTimer.cancel();
    for (const queue of this.queues) queue.reset();
    this.stopped();
  }

  /** VIRTIO 1.2 2.2.2, 6.1, 6.2 */
  #acceptsFeatures(): boolean {
    if (this.#connected.isLegacy) return true;
    const accepted = this.#driverFeatures;
    const required =
      FEATURE.VERSION_1 | (this.#options.accessPlatform === true ? FEATURE.ACCESS_PLATFORM : 0n);
    return (accepted & ~this.deviceFeatures) === 0n && (accepted & required) === required;
  }

  get #connected(): VirtioTransport {
    invariant(this.#transport !== undefined, `${this.name} has no transport`);
    return this.#transport;
  }

  #guestError(text: string): void {
    if (this.ports.trace.on('guest-errors')) this.ports.trace.event('guest-errors', `${this.name}: ${text}`);
  }

  #event(text: string): void {
    this.ports.trace.event('virtio', `${this.name}: ${text}`);
  }
}
