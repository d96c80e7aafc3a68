/**
 * QEMU's PCI test device, 1b36:0005 (docs/specs/pci-testdev.rst), which kvm-unit-tests looks for: a memory BAR and an
 * I/O BAR, in which a guest chooses a test, makes the writes that the test asks for and reads how many arrived.
 *
 * The names of tests are those of QEMU, where some writes go by way of an eventfd; QEMU does not count these, nor does
 * this device. There is no BAR 2, which QEMU has on request.
 */
import type { AccessSize } from '../../bus/index.js';
import { PciEndpoint } from './pci-function.js';
import type { PciEndpointPorts } from './pci-function.js';

/** The header that describes the chosen test. */
const HEADER = { TEST: 0x0, WIDTH: 0x1, OFFSET: 0x4, DATA: 0x8, COUNT: 0xc, NAME: 0x10 } as const;

interface BarLayout {
  readonly type: string;
  readonly sizeBytes: number;
  /** Where the bytes to be written are, one for each test of both BARs. */
  readonly targets: number;
  /** Of its first test, among the tests of both BARs. */
  readonly firstTest: number;
}

const TESTS = [
  { name: 'no-eventfd', data: 0xfa, isCounted: true },
  { name: 'wildcard-eventfd', data: 0xce, isCounted: false },
  { name: 'datamatch-eventfd', data: 0xfa, isCounted: false },
] as const;
const MEMORY: BarLayout = { type: 'mmio', sizeBytes: 0x1000, targets: 0x800, firstTest: 0 };
const IO: BarLayout = { type: 'portio', sizeBytes: 0x100, targets: 0x80, firstTest: TESTS.length };

interface PciTestdevState {
  /** The chosen test, and in which BAR. */
  chosen: { readonly isIo: boolean; readonly test: number } | undefined;
  count: number;
}

export class PciTestdev extends PciEndpoint<PciTestdevState> {
  #state: PciTestdevState = { chosen: undefined, count: 0 };

  constructor(name: string, ports: PciEndpointPorts) {
    super(
      {
        name,
        vendorId: 0x1b36,
        deviceId: 0x0005,
        revision: 0,
        classCode: 0x00_ff00,
        subsystemVendorId: 0x1af4,
        subsystemId: 0x1100,
      },
      ports,
    );
    for (const layout of [MEMORY, IO]) {
      this.addBar({
        index: layout === IO ? 1 : 0,
        kind: layout === IO ? 'io' : 'memory32',
        region: {
          sizeBytes: layout.sizeBytes,
          read: (offset, size) => this.#read(offset, size),
          write: (offset, size, value) => {
            for (let i = 0; i < size; i++) this.#write(layout, offset + i, (value >>> (8 * i)) & 0xff);
          },
        },
      });
    }
  }

  /** Both BARs show the header of the chosen test; nothing without one. */
  #read(offset: number, size: AccessSize): number {
    const { chosen, count } = this.#state;
    if (!chosen) return 0;
    const layout = chosen.isIo ? IO : MEMORY;
    const { name, data } = TESTS[chosen.test]!;
    const text = `${layout.type}-${name}`;
    const header = new DataView(new ArrayBuffer(HEADER.NAME + text.length));
    header.setUint8(HEADER.TEST, layout.firstTest + chosen.test);
    header.setUint8(HEADER.WIDTH, 1);
    header.setUint32(HEADER.OFFSET, layout.targets + layout.firstTest + chosen.test, true);
    header.setUint8(HEADER.DATA, data);
    header.setUint32(HEADER.COUNT, count, true);
    for (let i = 0; i < text.length; i++) header.setUint8(HEADER.NAME + i, text.charCodeAt(i));
    let value = 0;
    for (let i = size - 1; i >= 0; i--) {
      value = value * 256 + (offset + i < header.byteLength ? header.getUint8(offset + i) : 0);
    }
    return value;
  }

  #write(layout: BarLayout, offset: number, byte: number): void {
    if (offset === HEADER.TEST) {
      const isThere = byte < TESTS.length;
      this.#state = { chosen: isThere ? { isIo: layout === IO, test: byte } : undefined, count: 0 };
      return;
    }
    const { chosen } = this.#state;
    if (!chosen) return;
    const chosenLayout = chosen.isIo ? IO : MEMORY;
    const { data, isCounted } = TESTS[chosen.test]!;
    const isTarget = offset === chosenLayout.targets + chosenLayout.firstTest + chosen.test;
    if (isTarget && isCounted && byte === data) this.#state.count = (this.#state.count + 1) >>> 0;
  }

  protected override resetOwn(): void {
    this.#state = { chosen: undefined, count: 0 };
  }

  protected override saveOwn(): PciTestdevState {
    return this.#state;
  }

  protected override restoreOwn(state: PciTestdevState): void {
    this.#state = state;
  }
}
