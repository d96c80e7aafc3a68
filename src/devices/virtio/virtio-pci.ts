/**
 * Virtio over PCI: a function of its own for each device.
 *
 * OASIS Virtual I/O Device (VIRTIO) Version 1.2, 4.1; devices are not transitional. `virtio-device.ts` is what is
 * behind it. BARs and what is where in them are as in QEMU.
 *
 * A queue's and the configuration's interrupt is the MSI-X vector that the driver gives it, or, while MSI-X is
 * disabled, INTA# with the cause in the ISR status.
 *
 * @deviation There are no shared memory regions and no notification data (VIRTIO_F_NOTIFICATION_DATA).
 */
import { hex, invariant } from '../../base/index.js';
import type { AccessSize } from '../../bus/index.js';
import { Msix } from '../pcie/msix.js';
import { pciExpressCapability } from '../pcie/pci-express-capability.js';
import { PciEndpoint } from '../pcie/pci-function.js';
import type { BarRegion, PciCapability, PciEndpointPorts } from '../pcie/pci-function.js';
import { RegisterCapability } from '../pcie/register-capability.js';
import { registers } from '../registers.js';
import { FEATURE, featureHalf } from './features.js';
import type { VirtioDevice, VirtioDeviceState } from './virtio-device.js';
import type { QueueRegisters, Virtqueue } from './virtqueue.js';

const VENDOR_ID = 0x1af4;
/** Added to the type of the device (4.1.2). */
const FIRST_DEVICE_ID = 0x1040;
const REVISION = 1;
const SUBSYSTEM_ID = 0x1100;
/** Base class, subclass and interface by type of device (PCI D); others are of no class. */
const CLASS_CODES: Readonly<Record<number, number>> = { 1: 0x02_0000, 2: 0x01_0000, 3: 0x07_8000 };
const NO_CLASS_CODE = 0x00_ff00;
const INTA = 1;

const MSIX_BAR = 1;
const VIRTIO_BAR = 4;
/** The parts of the virtio BAR, each of this size. */
const PART_BYTES = 0x1000;
const PART = { COMMON: 0, ISR: 1, DEVICE: 2, NOTIFY: 3 } as const;
const PART_COUNT = 4;
/** From the notification address of a queue to that of the next (4.1.4.4). */
const NOTIFY_STRIDE = 4;
const MAX_QUEUES = PART_BYTES / NOTIFY_STRIDE;

/** No vector (4.1.5.1.2.1). */
const NO_VECTOR = 0xffff;
/** ISR status (4.1.4.5). */
const ISR = { QUEUE: 1, CONFIGURATION: 2 } as const;

/** virtio_pci_cap.cfg_type (4.1.4). */
const CFG_TYPE = { COMMON: 1, NOTIFY: 2, ISR: 3, DEVICE: 4, PCI: 5 } as const;
const CAPABILITY_VENDOR_SPECIFIC = 0x09;

/** virtio_pci_common_cfg (4.1.4.3); 64-bit fields are two of these. In order, without gaps. */
const COMMON = {
  device_feature_select: { at: 0x00, bytes: 4 },
  device_feature: { at: 0x04, bytes: 4 },
  driver_feature_select: { at: 0x08, bytes: 4 },
  driver_feature: { at: 0x0c, bytes: 4 },
  config_msix_vector: { at: 0x10, bytes: 2 },
  num_queues: { at: 0x12, bytes: 2 },
  device_status: { at: 0x14, bytes: 1 },
  config_generation: { at: 0x15, bytes: 1 },
  queue_select: { at: 0x16, bytes: 2 },
  queue_size: { at: 0x18, bytes: 2 },
  queue_msix_vector: { at: 0x1a, bytes: 2 },
  queue_enable: { at: 0x1c, bytes: 2 },
  queue_notify_off: { at: 0x1e, bytes: 2 },
  queue_desc_low: { at: 0x20, bytes: 4 },
  queue_desc_high: { at: 0x24, bytes: 4 },
  queue_driver_low: { at: 0x28, bytes: 4 },
  queue_driver_high: { at: 0x2c, bytes: 4 },
  queue_device_low: { at: 0x30, bytes: 4 },
  queue_device_high: { at: 0x34, bytes: 4 },
  queue_notify_data: { at: 0x38, bytes: 2 },
  queue_reset: { at: 0x3a, bytes: 2 },
} as const satisfies Record<string, { readonly at: number; readonly bytes: 1 | 2 | 4 }>;

type CommonName = keyof typeof COMMON;

/** What a field does; one without `write` is read-only. */
interface CommonField {
  readonly read: () => number;
  readonly write?: (value: number) => void;
}

/** By byte offset: whose byte it is. */
const COMMON_AT = (Object.keys(COMMON) as CommonName[]).flatMap((name) =>
  Array<CommonName>(COMMON[name].bytes).fill(name),
);

/** What the driver has written and the transport keeps. */
interface TransportRegisters {
  deviceFeatureSelect: number;
  driverFeatureSelect: number;
  queueSelect: number;
  isr: number;
  configVector: number;
  queueVectors: number[];
}

interface VirtioPciOwnState {
  readonly registers: TransportRegisters;
  readonly device: VirtioDeviceState;
}

export class VirtioPci extends PciEndpoint<VirtioPciOwnState> {
  readonly device: VirtioDevice;
  readonly #msix: Msix;
  readonly #common: Readonly<Record<CommonName, CommonField>>;
  #registers: TransportRegisters;

  /**
   * `name` is that of the slot, `virtio-pci1`; `device` has no transport yet. Where nothing takes messages, the function
   * has no MSI-X: drivers would try it first, and Linux warns of a controller that is missing.
   */
  constructor(name: string, device: VirtioDevice, ports: PciEndpointPorts, hasMsix = true) {
    super(
      {
        name,
        vendorId: VENDOR_ID,
        deviceId: FIRST_DEVICE_ID + device.deviceId,
        revision: REVISION,
        classCode: CLASS_CODES[device.deviceId] ?? NO_CLASS_CODE,
        subsystemVendorId: VENDOR_ID,
        subsystemId: SUBSYSTEM_ID,
        pin: INTA,
      },
      ports,
    );
    invariant(device.queues.length <= MAX_QUEUES, `${name}: ${device.queues.length} queues`);
    this.device = device;
    this.#registers = this.#initialRegisters();
    this.#common = this.#commonFields();
    const { trace } = ports;
    // One for each queue and one for the configuration.
    this.#msix = new Msix(name, device.queues.length + 1, MSIX_BAR, {
      send: (address, data) => this.sendMessage(address, data),
      enableChanged: () => {
        this.#updateInterrupt();
      },
      trace,
    });
    if (hasMsix) this.addBar({ index: MSIX_BAR, kind: 'memory32', region: this.#msix.region });
    this.addBar({
      index: VIRTIO_BAR,
      kind: 'memory64',
      isPrefetchable: true,
      region: {
        sizeBytes: PART_COUNT * PART_BYTES,
        read: (offset, size) => this.#readPart(offset, size),
        write: (offset, size, value) => {
          this.#writePart(offset, size, value);
        },
      },
    });
    for (const capability of [
      pciExpressCapability(name, {
        resetFunction: () => {
          this.reset();
        },
        trace,
      }),
      ...(hasMsix ? [this.#msix] : []),
      new PartCapability(CFG_TYPE.COMMON, PART.COMMON),
      new PartCapability(CFG_TYPE.ISR, PART.ISR),
      new PartCapability(CFG_TYPE.DEVICE, PART.DEVICE),
      new PartCapability(CFG_TYPE.NOTIFY, PART.NOTIFY, [NOTIFY_STRIDE]),
      configurationAccess(name, (bar) => this.barRegion(bar), ports),
    ]) {
      this.addCapability(capability);
    }
    device.connect({
      isLegacy: false,
      features: FEATURE.RING_RESET,
      memory: (memory) => this.asBusMaster(memory),
      queueUsed: (queue) => {
        if (this.#msix.isEnabled) this.#trigger(this.#registers.queueVectors[queue]!);
        else this.#setCause(ISR.QUEUE);
      },
      configChanged: () => {
        if (this.#msix.isEnabled) this.#trigger(this.#registers.configVector);
        this.#setCause(ISR.CONFIGURATION);
      },
      onReset: () => {
        this.#resetRegisters();
      },
    });
  }

  protected override resetOwn(): void {
    this.device.reset();
    this.#resetRegisters();
  }

  protected override saveOwn(): VirtioPciOwnState {
    return { registers: this.#registers, device: this.device.saveState() };
  }

  protected override restoreOwn({ registers: saved, device }: VirtioPciOwnState): void {
    this.#registers = saved;
    this.device.restoreState(device);
  }

  #commonFields(): Record<CommonName, CommonField> {
    const { device } = this;
    const queueRegister = (name: keyof QueueRegisters): CommonField => ({
      read: () => this.#queue?.registers[name] ?? 0,
      write: (value) => {
        if (this.#queue) this.#queue.registers[name] = value;
      },
    });
    return {
      device_feature_select: {
        read: () => this.#registers.deviceFeatureSelect,
        write: (half) => {
          this.#registers.deviceFeatureSelect = half;
        },
      },
      device_feature: {
        read: () => featureHalf(device.deviceFeatures, this.#registers.deviceFeatureSelect),
      },
      driver_feature_select: {
        read: () => this.#registers.driverFeatureSelect,
        write: (half) => {
          this.#registers.driverFeatureSelect = half;
        },
      },
      driver_feature: {
        read: () => featureHalf(device.driverFeatures, this.#registers.driverFeatureSelect),
        write: (bits) => {
          device.setDriverFeatures(this.#registers.driverFeatureSelect, bits);
        },
      },
      config_msix_vector: {
        read: () => this.#registers.configVector,
        write: (vector) => {
          this.#registers.configVector = this.#vectorOf(vector);
        },
      },
      num_queues: { read: () => device.queues.length },
      device_status: {
        read: () => device.status,
        write: (value) => {
          device.writeStatus(value);
        },
      },
      config_generation: { read: () => device.configGeneration & 0xff },
      queue_select: {
        read: () => this.#registers.queueSelect,
        write: (queue) => {
          this.#registers.queueSelect = queue;
        },
      },
      queue_size: queueRegister('size'),
      queue_msix_vector: {
        read: () => this.#registers.queueVectors[this.#registers.queueSelect] ?? NO_VECTOR,
        write: (vector) => {
          if (this.#queue) this.#registers.queueVectors[this.#queue.index] = this.#vectorOf(vector);
        },
      },
      queue_enable: {
        read: () => Number(this.#queue?.isReady ?? false),
        write: (value) => {
          // 4.1.4.3.2: a driver never writes 0.
          if (value === 1) device.enableQueue(this.#registers.queueSelect);
        },
      },
      queue_notify_off: { read: () => this.#queue?.index ?? 0 },
      queue_desc_low: queueRegister('descriptorLow'),
      queue_desc_high: queueRegister('descriptorHigh'),
      queue_driver_low: queueRegister('driverLow'),
      queue_driver_high: queueRegister('driverHigh'),
      queue_device_low: queueRegister('deviceLow'),
      queue_device_high: queueRegister('deviceHigh'),
      queue_notify_data: { read: () => 0 },
      queue_reset: {
        // The reset is over when the write is.
        read: () => 0,
        write: (value) => {
          if (value !== 1 || !this.#queue || (device.driverFeatures & FEATURE.RING_RESET) === 0n) return;
          this.#registers.queueVectors[this.#queue.index] = NO_VECTOR;
          device.resetQueue(this.#queue.index);
        },
      },
    };
  }

  get #queue(): Virtqueue | undefined {
    return this.device.queues[this.#registers.queueSelect];
  }

  /** 4.1.5.1.2.1: a vector that there is not reads back as none. */
  #vectorOf(vector: number): number {
    return vector < this.#msix.vectorCount ? vector : NO_VECTOR;
  }

  #readPart(offset: number, size: AccessSize): number {
    const inside = offset % PART_BYTES;
    switch (Math.floor(offset / PART_BYTES)) {
      case PART.COMMON:
        return this.#readCommon(inside, size);
      case PART.ISR: {
        if (inside > 0) return 0;
        // 4.1.4.5.1: reading acknowledges.
        const { isr } = this.#registers;
        this.#registers.isr = 0;
        this.#updateInterrupt();
        return isr;
      }
      case PART.DEVICE:
        return this.device.readConfig(inside, size);
      default: // Notifications are written.
        return 0;
    }
  }

  #writePart(offset: number, size: AccessSize, value: number): void {
    const inside = offset % PART_BYTES;
    switch (Math.floor(offset / PART_BYTES)) {
      case PART.COMMON:
        this.#writeCommon(inside, size, value);
        break;
      case PART.DEVICE:
        this.device.writeConfig(inside, size, value);
        break;
      case PART.NOTIFY:
        this.device.notify(Math.floor(inside / NOTIFY_STRIDE));
        break;
      default:
        this.#guestError(`write to its ISR status`);
    }
  }

  #readCommon(offset: number, size: AccessSize): number {
    let value = 0;
    for (let at = offset + size - 1; at >= offset; at--) {
      const name = COMMON_AT[at];
      const field = name === undefined ? 0 : this.#common[name].read() >>> (8 * (at - COMMON[name].at));
      value = value * 256 + (field & 0xff);
    }
    return value;
  }

  /** 4.1.3.1: drivers write each field by itself. An access that covers several whole ones writes these. */
  #writeCommon(offset: number, size: AccessSize, value: number): void {
    let at = offset;
    while (at < offset + size) {
      const name = COMMON_AT[at];
      const field = name === undefined ? undefined : COMMON[name];
      if (name === undefined || field?.at !== at || at + field.bytes > offset + size) {
        this.#guestError(`write of ${size} bytes to offset ${hex(offset)} of its common configuration`);
        return;
      }
      const { write } = this.#common[name];
      if (write) write(Math.floor(value / 2 ** (8 * (at - offset))) % 2 ** (8 * field.bytes));
      else this.#guestError(`write to ${name}, which is read-only`);
      at += field.bytes;
    }
  }

  #trigger(vector: number): void {
    if (vector !== NO_VECTOR) this.#msix.trigger(vector);
  }

  #setCause(cause: number): void {
    this.#registers.isr |= cause;
    this.#updateInterrupt();
  }

  #updateInterrupt(): void {
    this.setInterrupt(this.#registers.isr !== 0 && !this.#msix.isEnabled);
  }

  #resetRegisters(): void {
    this.#registers = this.#initialRegisters();
    this.#msix.forgetPending();
    this.#updateInterrupt();
  }

  #initialRegisters(): TransportRegisters {
    return {
      deviceFeatureSelect: 0,
      driverFeatureSelect: 0,
      queueSelect: 0,
      isr: 0,
      configVector: NO_VECTOR,
      queueVectors: this.device.queues.map(() => NO_VECTOR),
    };
  }

  #guestError(text: string): void {
    if (this.trace.on('guest-errors')) this.trace.event('guest-errors', `${this.name}: ${text}`);
  }
}

/** virtio_pci_cap (4.1.4): where a part of the interface is. Nothing in it can be written. */
class PartCapability implements PciCapability {
  readonly id = CAPABILITY_VENDOR_SPECIFIC;
  readonly sizeBytes: number;
  readonly #words: readonly number[];

  constructor(cfgType: number, part: number, more: readonly number[] = []) {
    this.sizeBytes = 16 + 4 * more.length;
    this.#words = [
      this.sizeBytes * 2 ** 16 + cfgType * 2 ** 24,
      VIRTIO_BAR,
      part * PART_BYTES,
      PART_BYTES,
      ...more,
    ];
  }

  read(offset: number, size: AccessSize): number {
    return Math.floor(this.#words[offset >>> 2]! / 2 ** (8 * (offset % 4))) % 2 ** (8 * size);
  }

  write(): void {
    // Read-only.
  }

  reset(): void {
    // Holds nothing.
  }

  saveState(): undefined {
    return undefined;
  }

  restoreState(): void {
    // Holds nothing.
  }
}

/** virtio_pci_cfg_cap (4.1.4.9): a window to the BARs for who cannot reach memory space. */
const WINDOW = registers({
  HEAD: {
    at: 0x00,
    width: 32,
    access: 'id',
    reset: (20 << 16) | (CFG_TYPE.PCI << 24),
    spec: 'VIRTIO 1.2 4.1.4',
  },
  BAR: { at: 0x04, width: 8, access: 'rw', spec: 'VIRTIO 1.2 4.1.4.9' },
  OFFSET: { at: 0x08, width: 32, access: 'rw', spec: 'VIRTIO 1.2 4.1.4.9' },
  LENGTH: { at: 0x0c, width: 32, access: 'rw', spec: 'VIRTIO 1.2 4.1.4.9' },
  DATA: { at: 0x10, width: 32, access: 'rw', computed: true, spec: 'VIRTIO 1.2 4.1.4.9' },
});

function configurationAccess(
  name: string,
  barRegion: (index: number) => BarRegion | undefined,
  { trace }: Pick<PciEndpointPorts, 'trace'>,
): PciCapability {
  return new RegisterCapability<typeof WINDOW>(name, {
    id: CAPABILITY_VENDOR_SPECIFIC,
    sizeBytes: 20,
    table: WINDOW,
    behaviour: (registers) => {
      /** Nothing unless it is an aligned access of 1, 2 or 4 bytes inside the BAR. */
      const target = (): { region: BarRegion; offset: number; size: AccessSize } | undefined => {
        const { BAR, OFFSET: offset, LENGTH } = registers();
        const region = barRegion(BAR);
        const size = ([1, 2, 4] as const).find((length) => length === Number(LENGTH));
        if (!region || size === undefined) return undefined;
        if (offset % size !== 0 || offset + size > region.sizeBytes) return undefined;
        return { region, offset, size };
      };
      return {
        read: {
          DATA: () => {
            const at = target();
            return at ? at.region.read(at.offset, at.size) : 0;
          },
        },
        write: {
          DATA: (value) => {
            const at = target();
            at?.region.write(at.offset, at.size, value % 2 ** (8 * at.size));
          },
        },
      };
    },
    trace,
  });
}
