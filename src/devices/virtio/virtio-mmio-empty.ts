/**
 * A virtio-mmio slot that nothing is plugged into.
 *
 * OASIS Virtual I/O Device (VIRTIO) Version 1.2, 4.2: a device with DeviceID 0 is a placeholder, and drivers look
 * no further. It shows the legacy interface (version 1) and the vendor of QEMU's `virt` board, whose firmware and
 * kernels are used to it. Everything else reads as zero and ignores writes.
 */
import type { Trace } from '../../base/index.js';
import type { AccessSize, AcpiDevice, DtNode, MmioDevice, Snapshottable } from '../../bus/index.js';
import type { PeripheralPlace } from '../primecell.js';
import { RegisterBlock, registers, resetValues } from '../registers.js';
import type { RegisterValues } from '../registers.js';
import { VIRTIO_MMIO_SIZE_BYTES, virtioMmioAcpi, virtioMmioNode } from './virtio-mmio.js';

const R = registers({
  /** 'virt' */
  MagicValue: { at: 0x000, width: 32, access: 'id', reset: 0x7472_6976, spec: 'VIRTIO 1.2 4.2.2' },
  Version: { at: 0x004, width: 32, access: 'id', reset: 1, spec: 'VIRTIO 1.2 4.2.4' },
  DeviceID: { at: 0x008, width: 32, access: 'id', reset: 0, spec: 'VIRTIO 1.2 4.2.2' },
  /** 'QEMU' */
  VendorID: { at: 0x00c, width: 32, access: 'id', reset: 0x554d_4551, spec: 'VIRTIO 1.2 4.2.2' },
});

/** There is none. */
export type VirtioMmioEmptyState = RegisterValues<typeof R>;

export interface VirtioMmioEmptyPorts {
  readonly trace: Trace;
}

export class VirtioMmioEmpty implements MmioDevice, Snapshottable<VirtioMmioEmptyState> {
  readonly name: string;
  readonly sizeBytes = VIRTIO_MMIO_SIZE_BYTES;
  readonly maxAccess = 4;
  readonly #block: RegisterBlock<typeof R>;

  constructor(name: string, { trace }: VirtioMmioEmptyPorts) {
    this.name = name;
    this.#block = new RegisterBlock<typeof R>(name, R, () => resetValues(R), { read: {}, write: {} }, trace);
  }

  read(offset: number, size: AccessSize): number {
    return this.#block.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.#block.write(offset, size, value);
  }

  reset(): void {
    // Nothing ever changes.
  }

  saveState(): VirtioMmioEmptyState {
    return resetValues(R);
  }

  restoreState(): void {
    // Nothing to restore.
  }

  describe(place: PeripheralPlace): readonly DtNode[] {
    return [virtioMmioNode(place)];
  }

  describeAcpi(place: PeripheralPlace, slot: number): AcpiDevice {
    return virtioMmioAcpi(place, slot);
  }
}
