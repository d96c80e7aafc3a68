/**
 * Virtio over MMIO: the registers of one device, modern (version 2) or legacy (version 1).
 *
 * OASIS Virtual I/O Device (VIRTIO) Version 1.2, 4.2. A device of this transport has one of the two interfaces;
 * `virtio-device.ts` is what is behind both. Vendor and device tree are those of QEMU's `virt` board unless the board says otherwise.
 *
 * @deviation There are no shared memory regions: their lengths read as all ones, which means that (4.2.2.1).
 */
import { deepCopy } from '../../base/index.js';
import type { Trace } from '../../base/index.js';
import { cells64 } from '../../bus/index.js';
import type { AccessSize, AcpiDevice, DtNode, IrqLine, MmioDevice, Snapshottable } from '../../bus/index.js';
import { registerResources } from '../acpi-resources.js';
import { spiInterrupt } from '../interrupt-spec.js';
import type { PeripheralPlace } from '../primecell.js';
import type { RegisterBehaviour } from '../registers.js';
import { RegisterBlock, registers } from '../registers.js';
import { FEATURE, featureHalf } from './features.js';
import type { VirtioDevice, VirtioDeviceState } from './virtio-device.js';
import type { QueueRegisters, Virtqueue } from './virtqueue.js';

/** 'QEMU' */
const VENDOR_QEMU = 0x554d_4551;

const COMMON = {
  /** 'virt' */
  MagicValue: { at: 0x000, width: 32, access: 'id', reset: 0x7472_6976, spec: 'VIRTIO 1.2 4.2.2' },
  VendorID: { at: 0x00c, width: 32, access: 'ro', computed: true, spec: 'VIRTIO 1.2 4.2.2' },
  DeviceID: { at: 0x008, width: 32, access: 'ro', computed: true, spec: 'VIRTIO 1.2 4.2.2' },
  DeviceFeatures: { at: 0x010, width: 32, access: 'ro', computed: true, spec: 'VIRTIO 1.2 4.2.2' },
  DeviceFeaturesSel: { at: 0x014, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  DriverFeatures: { at: 0x020, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  DriverFeaturesSel: { at: 0x024, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  QueueSel: { at: 0x030, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  QueueNumMax: { at: 0x034, width: 32, access: 'ro', computed: true, spec: 'VIRTIO 1.2 4.2.2' },
  QueueNum: { at: 0x038, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  QueueNotify: { at: 0x050, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  InterruptStatus: { at: 0x060, width: 32, access: 'ro', computed: true, spec: 'VIRTIO 1.2 4.2.2' },
  InterruptACK: { at: 0x064, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  Status: { at: 0x070, width: 32, access: 'rw', computed: true, spec: 'VIRTIO 1.2 4.2.2' },
} as const;

const MODERN = registers({
  ...COMMON,
  Version: { at: 0x004, width: 32, access: 'id', reset: 2, spec: 'VIRTIO 1.2 4.2.2' },
  QueueReady: { at: 0x044, width: 32, access: 'rw', computed: true, spec: 'VIRTIO 1.2 4.2.2' },
  QueueDescLow: { at: 0x080, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  QueueDescHigh: { at: 0x084, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  QueueDriverLow: { at: 0x090, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  QueueDriverHigh: { at: 0x094, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  QueueDeviceLow: { at: 0x0a0, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  QueueDeviceHigh: { at: 0x0a4, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  SHMSel: { at: 0x0ac, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.2' },
  SHMLenLow: { at: 0x0b0, width: 32, access: 'id', reset: 0xffff_ffff, spec: 'VIRTIO 1.2 4.2.2' },
  SHMLenHigh: { at: 0x0b4, width: 32, access: 'id', reset: 0xffff_ffff, spec: 'VIRTIO 1.2 4.2.2' },
  SHMBaseLow: { at: 0x0b8, width: 32, access: 'id', reset: 0xffff_ffff, spec: 'VIRTIO 1.2 4.2.2' },
  SHMBaseHigh: { at: 0x0bc, width: 32, access: 'id', reset: 0xffff_ffff, spec: 'VIRTIO 1.2 4.2.2' },
  QueueReset: { at: 0x0c0, width: 32, access: 'rw', computed: true, spec: 'VIRTIO 1.2 4.2.2' },
  ConfigGeneration: { at: 0x0fc, width: 32, access: 'ro', computed: true, spec: 'VIRTIO 1.2 4.2.2' },
});

const LEGACY = registers({
  ...COMMON,
  Version: { at: 0x004, width: 32, access: 'id', reset: 1, spec: 'VIRTIO 1.2 4.2.4' },
  GuestPageSize: { at: 0x028, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.4' },
  QueueAlign: { at: 0x03c, width: 32, access: 'wo', spec: 'VIRTIO 1.2 4.2.4' },
  QueuePFN: { at: 0x040, width: 32, access: 'rw', computed: true, spec: 'VIRTIO 1.2 4.2.4' },
});

/** The configuration space of the type of device. */
const CONFIG = 0x100;
export const VIRTIO_MMIO_SIZE_BYTES = 0x200;

/** QueueAlign where the driver writes none, as with QEMU. */
const DEFAULT_QUEUE_ALIGN = 4096;

/** InterruptStatus */
const INTERRUPT = { USED_BUFFER: 1, CONFIGURATION: 2 } as const;

/** What the driver has written and the transport keeps. */
interface TransportRegisters {
  deviceFeaturesSel: number;
  driverFeaturesSel: number;
  queueSel: number;
  interruptStatus: number;
  /** Legacy: for all queues, and alignment and page number of each. */
  guestPageSize: number;
  queueAlign: number[];
  queuePfn: number[];
}

export interface VirtioMmioState {
  readonly registers: TransportRegisters;
  readonly device: VirtioDeviceState;
}

export interface VirtioMmioPorts {
  readonly irq: IrqLine;
  readonly trace: Trace;
}

export type VirtioMmioInterface = 'modern' | 'legacy';

export class VirtioMmio implements MmioDevice, Snapshottable<VirtioMmioState> {
  readonly name: string;
  readonly sizeBytes = VIRTIO_MMIO_SIZE_BYTES;
  readonly maxAccess = 4;
  readonly device: VirtioDevice;
  readonly #irq: IrqLine;
  readonly #vendorId: number;
  readonly #block: { read(offset: number, size: AccessSize): number; write: MmioDevice['write'] };
  #registers: TransportRegisters;

  /** `name` is that of the slot, `virtio-mmio31`; `device` has no transport yet. */
  constructor(
    name: string,
    device: VirtioDevice,
    kind: VirtioMmioInterface,
    { irq, trace }: VirtioMmioPorts,
    vendorId = VENDOR_QEMU,
  ) {
    this.name = name;
    this.#vendorId = vendorId;
    this.device = device;
    this.#irq = irq;
    this.#registers = this.#initialRegisters();
    this.#block =
      kind === 'modern'
        ? new RegisterBlock<typeof MODERN>(name, MODERN, () => ({}), this.#modernBehaviour(), trace)
        : new RegisterBlock<typeof LEGACY>(name, LEGACY, () => ({}), this.#legacyBehaviour(), trace);
    device.connect({
      isLegacy: kind === 'legacy',
      features: kind === 'legacy' ? 0n : FEATURE.RING_RESET,
      queueUsed: () => {
        this.#interrupt(INTERRUPT.USED_BUFFER);
      },
      configChanged: () => {
        this.#interrupt(INTERRUPT.CONFIGURATION);
      },
      onReset: () => {
        // 4.2.4: drivers write the page size before they reset the device, and not again.
        const { guestPageSize } = this.#registers;
        this.#resetRegisters();
        this.#registers.guestPageSize = guestPageSize;
      },
    });
  }

  read(offset: number, size: AccessSize): number {
    return offset >= CONFIG ? this.device.readConfig(offset - CONFIG, size) : this.#block.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (offset >= CONFIG) this.device.writeConfig(offset - CONFIG, size, value);
    else this.#block.write(offset, size, value);
  }

  reset(): void {
    this.device.reset();
    this.#resetRegisters();
  }

  saveState(): VirtioMmioState {
    return { registers: deepCopy(this.#registers), device: this.device.saveState() };
  }

  restoreState({ registers: saved, device }: VirtioMmioState): void {
    this.#registers = deepCopy(saved);
    this.#updateIrq();
    this.device.restoreState(device);
  }

  describe(place: PeripheralPlace): readonly DtNode[] {
    return [virtioMmioNode(place)];
  }

  /** Its node by another name. */
  describeAs(nodeName: string, place: PeripheralPlace): DtNode {
    return virtioMmioNode(place, nodeName);
  }

  describeAcpi(place: PeripheralPlace, slot: number): AcpiDevice {
    return virtioMmioAcpi(place, slot);
  }

  #commonBehaviour() {
    const { device } = this;
    return {
      read: {
        DeviceID: () => device.deviceId,
        VendorID: () => this.#vendorId,
        DeviceFeatures: () => featureHalf(device.deviceFeatures, this.#registers.deviceFeaturesSel),
        QueueNumMax: () => this.#queue?.maxSize ?? 0,
        InterruptStatus: () => this.#registers.interruptStatus,
        Status: () => device.status,
      },
      write: {
        DeviceFeaturesSel: (half: number) => {
          this.#registers.deviceFeaturesSel = half;
        },
        DriverFeatures: (bits: number) => {
          device.setDriverFeatures(this.#registers.driverFeaturesSel, bits);
        },
        DriverFeaturesSel: (half: number) => {
          this.#registers.driverFeaturesSel = half;
        },
        QueueSel: (queue: number) => {
          this.#registers.queueSel = queue;
        },
        QueueNum: this.#queueRegister('size'),
        QueueNotify: (queue: number) => {
          device.notify(queue);
        },
        InterruptACK: (bits: number) => {
          this.#registers.interruptStatus &= ~bits;
          this.#updateIrq();
        },
        Status: (value: number) => {
          device.writeStatus(value);
        },
      },
    };
  }

  #modernBehaviour(): RegisterBehaviour<typeof MODERN> {
    const { device } = this;
    const common = this.#commonBehaviour();
    return {
      read: {
        ...common.read,
        QueueReady: () => Number(this.#queue?.isReady ?? false),
        // The reset is over when the write is.
        QueueReset: () => 0,
        ConfigGeneration: () => device.configGeneration,
      },
      write: {
        ...common.write,
        QueueReady: (value) => {
          // 4.2.2.2: without RING_RESET a driver takes a queue out of use only before it resets the device.
          if (value === 1) device.enableQueue(this.#registers.queueSel);
          else if (value === 0) device.disableQueue(this.#registers.queueSel);
        },
        QueueDescLow: this.#queueRegister('descriptorLow'),
        QueueDescHigh: this.#queueRegister('descriptorHigh'),
        QueueDriverLow: this.#queueRegister('driverLow'),
        QueueDriverHigh: this.#queueRegister('driverHigh'),
        QueueDeviceLow: this.#queueRegister('deviceLow'),
        QueueDeviceHigh: this.#queueRegister('deviceHigh'),
        SHMSel: () => undefined,
        QueueReset: (value) => {
          if (value === 1 && (device.driverFeatures & FEATURE.RING_RESET) !== 0n)
            device.resetQueue(this.#registers.queueSel);
        },
      },
    };
  }

  #legacyBehaviour(): RegisterBehaviour<typeof LEGACY> {
    const common = this.#commonBehaviour();
    return {
      read: {
        ...common.read,
        QueuePFN: () => this.#registers.queuePfn[this.#registers.queueSel] ?? 0,
      },
      write: {
        ...common.write,
        GuestPageSize: (bytes) => {
          this.#registers.guestPageSize = bytes;
        },
        QueueAlign: (bytes) => {
          if (this.#queue) this.#registers.queueAlign[this.#queue.index] = bytes;
        },
        QueuePFN: (pfn) => {
          this.#placeLegacyQueue(pfn);
        },
      },
    };
  }

  get #queue(): Virtqueue | undefined {
    return this.device.queues[this.#registers.queueSel];
  }

  #queueRegister(name: keyof QueueRegisters): (value: number) => void {
    return (value) => {
      if (this.#queue) this.#queue.registers[name] = value;
    };
  }

  /** 4.2.4 and 2.7.2: one page number places the three parts of a queue; 0 takes it out of use. */
  #placeLegacyQueue(pfn: number): void {
    const queue = this.#queue;
    if (!queue) return;
    const { guestPageSize, queueAlign, queuePfn } = this.#registers;
    queuePfn[queue.index] = pfn;
    if (pfn === 0) {
      this.device.resetQueue(queue.index);
      return;
    }
    const { size } = queue.registers;
    const align = Math.max(1, queueAlign[queue.index] ?? DEFAULT_QUEUE_ALIGN);
    const descriptors = pfn * guestPageSize;
    const driver = descriptors + 16 * size;
    const device = Math.ceil((driver + 6 + 2 * size) / align) * align;
    Object.assign(queue.registers, {
      descriptorLow: descriptors % 2 ** 32,
      descriptorHigh: Math.floor(descriptors / 2 ** 32),
      driverLow: driver % 2 ** 32,
      driverHigh: Math.floor(driver / 2 ** 32),
      deviceLow: device % 2 ** 32,
      deviceHigh: Math.floor(device / 2 ** 32),
    } satisfies Omit<QueueRegisters, 'size'>);
    this.device.enableQueue(queue.index);
  }

  #interrupt(cause: number): void {
    this.#registers.interruptStatus |= cause;
    this.#updateIrq();
  }

  #updateIrq(): void {
    this.#irq.set(this.#registers.interruptStatus !== 0);
  }

  #resetRegisters(): void {
    this.#registers = this.#initialRegisters();
    this.#updateIrq();
  }

  #initialRegisters(): TransportRegisters {
    return {
      deviceFeaturesSel: 0,
      driverFeaturesSel: 0,
      queueSel: 0,
      interruptStatus: 0,
      guestPageSize: 0,
      queueAlign: this.device.queues.map(() => DEFAULT_QUEUE_ALIGN),
      queuePfn: this.device.queues.map(() => 0),
    };
  }
}

/** Linux Documentation/devicetree/bindings/virtio/mmio.yaml. */
export function virtioMmioNode({ base, spi }: PeripheralPlace, nodeName = 'virtio_mmio'): DtNode {
  return {
    name: `${nodeName}@${base.toString(16)}`,
    properties: {
      compatible: 'virtio,mmio',
      reg: { cells: [...cells64(base), ...cells64(VIRTIO_MMIO_SIZE_BYTES)] },
      interrupts: { cells: spiInterrupt(spi, 'edge-rising') },
      'dma-coherent': true,
    },
  };
}

/** The device of slot `slot` in the ACPI namespace, as QEMU's `virt` board has it. */
export function virtioMmioAcpi({ base, spi }: PeripheralPlace, slot: number): AcpiDevice {
  return {
    name: `VR${slot.toString().padStart(2, '0')}`,
    objects: {
      _HID: 'LNRO0005',
      _UID: slot,
      _CCA: 1,
      _CRS: registerResources(base, VIRTIO_MMIO_SIZE_BYTES, { spi, trigger: 'level-high' }),
    },
  };
}
