import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NO_TRACE } from '../../base/index.js';
import type { AccessSize, LendingDmaPort, MmioDevice, Snapshottable } from '../../bus/index.js';
import { deviceSuite } from '../device-suite.js';
import { Msix } from './msix.js';
import { pciExpressCapability } from './pci-express-capability.js';
import { PciEndpoint } from './pci-function.js';
import type { Bar, PciEndpointPorts } from './pci-function.js';

const memory = (sizeBytes: number) => ({ sizeBytes, read: () => 0, write: () => undefined });

/** A function with a BAR of each kind, the PCI Express capability, and MSI-X with 70 vectors. */
class TestFunction extends PciEndpoint<number> {
  readonly msix: Msix;
  resets = 0;
  readonly dma: LendingDmaPort;
  enables = 0;

  constructor(ports: PciEndpointPorts) {
    super(
      {
        name: 'test',
        vendorId: 0x1234,
        deviceId: 0xabcd,
        revision: 0x56,
        classCode: 0xff_0102,
        subsystemVendorId: 0x4321,
        subsystemId: 0xdcba,
        pin: 2,
      },
      ports,
    );
    this.msix = new Msix('test', 70, 5, {
      send: (address, data) => this.sendMessage(address, data),
      enableChanged: () => void this.enables++,
      trace: NO_TRACE,
    });
    const bars: Bar[] = [
      { index: 0, kind: 'memory32', region: memory(0x1_0000) },
      { index: 1, kind: 'io', region: memory(0x20) },
      { index: 2, kind: 'memory64', isPrefetchable: true, region: memory(0x4000) },
      { index: 5, kind: 'memory32', region: this.msix.region },
    ];
    for (const bar of bars) this.addBar(bar);
    this.addCapability(
      pciExpressCapability('test', {
        resetFunction: () => {
          this.reset();
        },
        trace: NO_TRACE,
      }),
    );
    this.addCapability(this.msix);
    this.dma = this.asBusMaster({ read: () => true, write: () => true, lend: () => new Uint8Array(1) });
  }

  interrupt(level: boolean): void {
    this.setInterrupt(level);
  }

  protected override resetOwn(): void {
    this.resets++;
  }

  protected override saveOwn(): number {
    return 1;
  }

  protected override restoreOwn(): void {
    // Holds nothing.
  }
}

function make() {
  const seen = { pin: false, messages: [] as (readonly [number, number])[], changes: 0 };
  const fn = new TestFunction({
    slot: {
      setPin: (pin, level) => {
        assert.equal(pin, 2);
        seen.pin = level;
      },
      message: (address, data) => void seen.messages.push([address, data]),
      decodingChanged: () => void seen.changes++,
    },
    trace: NO_TRACE,
  });
  const read = (at: number, size: AccessSize = 4): number => fn.readConfig(at, size);
  const write = (at: number, value: number, size: AccessSize = 4): void => {
    fn.writeConfig(at, size, value);
  };
  /** Where the function answers, as text. */
  const decoded = (): string[] =>
    fn.decoded.map(
      ({ space, base, region }) => `${space} ${base.toString(16)} ${region.sizeBytes.toString(16)}`,
    );
  return { fn, seen, read, write, decoded };
}

/** Configuration space, and behind it the MSI-X table and pending bits, as one device. */
function asDevice({ fn }: ReturnType<typeof make>): MmioDevice & Snapshottable<unknown> {
  return {
    name: 'test',
    sizeBytes: 0x2000,
    maxAccess: 4,
    read: (offset, size) =>
      offset < 0x1000 ? fn.readConfig(offset, size) : fn.msix.region.read(offset - 0x1000, size),
    write: (offset, size, value) => {
      if (offset < 0x1000) fn.writeConfig(offset, size, value);
      else fn.msix.region.write(offset - 0x1000, size, value);
    },
    reset: () => {
      fn.reset();
    },
    saveState: () => fn.saveState(),
    restoreState: (state) => {
      fn.restoreState(state as ReturnType<typeof fn.saveState>);
    },
  };
}

const MSIX_AT = 0x40 + 0x3c;

deviceSuite({
  title: 'PCI Express function (PCI 6.1, PCIe 7.8)',
  make: () => {
    const rig = make();
    return {
      rig,
      device: asDevice(rig),
      observe: () => {
        const { messages } = rig.seen;
        rig.seen.messages = [];
        return { pin: rig.seen.pin, messages, decoded: rig.decoded() };
      },
    };
  },
  registers: [
    { name: 'vendor and device', at: 0x00, size: 4, reset: 0xabcd_1234, writable: 0 },
    { name: 'command', at: 0x04, size: 2, reset: 0, writable: 0x507 },
    { name: 'status', at: 0x06, size: 2, reset: 0x10, writable: 0 },
    { name: 'class and revision', at: 0x08, size: 4, reset: 0xff01_0256, writable: 0 },
    { name: 'cache line size', at: 0x0c, size: 1, reset: 0, writable: 0xff },
    { name: 'header type', at: 0x0e, size: 1, reset: 0, writable: 0 },
    { name: 'BAR 0, memory', at: 0x10, size: 4, reset: 0, writable: 0xffff_0000 },
    { name: 'BAR 1, I/O', at: 0x14, size: 4, reset: 1, writable: 0xffff_ffe0 },
    { name: 'BAR 2, 64-bit prefetchable', at: 0x18, size: 4, reset: 0xc, writable: 0xffff_c000 },
    { name: 'BAR 3, its upper half', at: 0x1c, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'BAR 4, not there', at: 0x20, size: 4, reset: 0, writable: 0 },
    { name: 'BAR 5, memory', at: 0x24, size: 4, reset: 0, writable: 0xffff_f000 },
    { name: 'subsystem', at: 0x2c, size: 4, reset: 0xdcba_4321, writable: 0 },
    { name: 'expansion ROM', at: 0x30, size: 4, reset: 0, writable: 0 },
    { name: 'capabilities pointer', at: 0x34, size: 1, reset: 0x40, writable: 0 },
    { name: 'interrupt line and pin', at: 0x3c, size: 2, reset: 0x200, writable: 0xff },
    { name: 'PCI Express capability', at: 0x40, size: 4, reset: 0x0092_7c10, writable: 0 },
    { name: 'device capabilities', at: 0x44, size: 4, reset: 0x1000_8000, writable: 0 },
    { name: 'device control', at: 0x48, size: 1, reset: 0, writable: 0x0f },
    { name: 'device control 2', at: 0x68, size: 4, reset: 0, writable: 0 },
    { name: 'MSI-X', at: MSIX_AT, size: 2, reset: 0x11, writable: 0 },
    { name: 'MSI-X message control', at: MSIX_AT + 2, size: 2, reset: 69, writable: 0xc000 },
    { name: 'MSI-X table', at: MSIX_AT + 4, size: 4, reset: 5, writable: 0 },
    { name: 'MSI-X pending bits', at: MSIX_AT + 8, size: 4, reset: 0x805, writable: 0 },
    { name: 'extended capabilities', at: 0x100, size: 4, reset: 0, writable: 0 },
    { name: 'address of vector 0', at: 0x1000, size: 4, reset: 0, writable: 0xffff_fffc },
    { name: 'upper address of vector 0', at: 0x1004, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'data of vector 69', at: 0x1458, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'control of vector 69', at: 0x145c, size: 4, reset: 1, writable: 1 },
    { name: 'behind the table', at: 0x1460, size: 4, reset: 0, writable: 0 },
    { name: 'pending bits', at: 0x1800, size: 4, reset: 0, writable: 0 },
  ],
  activity: ({ rig: { fn, write } }) => {
    write(0x04, 7, 2);
    write(0x10, 0x1234_0000);
    fn.interrupt(true);
    write(MSIX_AT + 2, 0x8000, 2);
    for (const [at, value] of [
      [0, 0x1000],
      [8, 5],
      [12, 0],
      [0x10, 0x2000],
    ] as const) {
      fn.msix.region.write(at, 4, value);
    }
    fn.msix.trigger(0);
    fn.msix.trigger(1);
    fn.msix.trigger(69);
  },
  stimulate: ({ rig: { fn } }, seed) => {
    if (seed % 2 === 0) fn.interrupt(seed % 4 === 0);
    else fn.msix.trigger(seed % 70);
  },
});

describe('what a function decodes (PCI 6.2.2, 6.2.5)', () => {
  test('nothing after reset; then memory and I/O, each as enabled, where the BARs say', () => {
    const { write, decoded } = make();
    assert.deepEqual(decoded(), []);
    write(0x10, 0x1000_0000);
    write(0x14, 0x2000);
    write(0x18, 0x0000_4000);
    write(0x1c, 0x80);
    write(0x24, 0x1001_0000);
    assert.deepEqual(decoded(), []);
    write(0x04, 2, 2);
    const inMemory = ['memory 10000000 10000', 'memory 8000004000 4000', 'memory 10010000 1000'];
    assert.deepEqual(decoded(), inMemory);
    write(0x04, 1, 2);
    assert.deepEqual(decoded(), ['io 2000 20']);
    write(0x04, 3, 1);
    assert.equal(decoded().length, 4);
  });

  test('follows while enabled, also as a guest sizes a BAR, and tells the bus', () => {
    const { seen, read, write, decoded } = make();
    write(0x04, 2, 2);
    const before = seen.changes;
    write(0x10, 0xffff_ffff);
    assert.equal(read(0x10), 0xffff_0000);
    assert.equal(decoded()[0], 'memory ffff0000 10000');
    write(0x10, 0x5555_5555);
    assert.equal(read(0x10), 0x5555_0000);
    assert.ok(seen.changes >= before + 2);
  });

  test('a BAR is written in bytes, too', () => {
    const { read, write } = make();
    write(0x12, 0x3412, 2);
    write(0x10, 0xff, 1);
    assert.equal(read(0x10), 0x3412_0000);
    write(0x13, 0x56, 1);
    assert.equal(read(0x10), 0x5612_0000);
  });
});

describe('interrupts by pin (PCI 2.2.6, 6.2.2, 6.2.3)', () => {
  test('the status bit tells of the interrupt, the pin obeys Interrupt Disable', () => {
    const { fn, seen, read, write } = make();
    fn.interrupt(true);
    assert.ok(seen.pin);
    assert.equal(read(0x06, 2), 0x18);
    write(0x04, 0x400, 2);
    assert.ok(!seen.pin);
    assert.equal(read(0x06, 2), 0x18);
    fn.interrupt(false);
    assert.equal(read(0x06, 2), 0x10);
    fn.interrupt(true);
    write(0x04, 0, 2);
    assert.ok(seen.pin);
    fn.reset();
    assert.ok(!seen.pin);
  });
});

test('memory is accessible to a bus master only (PCI 6.2.2)', () => {
  const { fn, write } = make();
  assert.ok(!fn.dma.read(0, new Uint8Array(1)));
  assert.ok(!fn.dma.write(0, new Uint8Array(1)));
  assert.equal(fn.dma.lend(0, 1), undefined);
  write(0x04, 4, 2);
  assert.ok(fn.dma.read(0, new Uint8Array(1)));
  assert.ok(fn.dma.write(0, new Uint8Array(1)));
  assert.ok(fn.dma.lend(0, 1));
});

test('a function-level reset (PCIe 6.6.2) is a reset', () => {
  const { fn, read, write } = make();
  write(0x10, 0x1000_0000);
  write(0x48, 0x8000, 2);
  assert.equal(fn.resets, 1);
  assert.equal(read(0x10), 0);
  assert.equal(read(0x48), 0);
});

describe('MSI-X (PCI 6.8.2)', () => {
  const enabled = () => {
    const rig = make();
    const { fn, write } = rig;
    write(0x04, 4, 2);
    write(MSIX_AT + 2, 0x8000, 2);
    const entry = (vector: number, words: readonly number[]): void => {
      words.forEach((word, index) => {
        fn.msix.region.write(16 * vector + 4 * index, 4, word);
      });
    };
    entry(0, [0x1000, 0, 40, 0]);
    entry(1, [0x1004, 0x12, 41, 0]);
    entry(69, [0x1008, 0, 42, 0]);
    const pending = (): number[] =>
      [0, 4, 8].flatMap((at) => {
        const word = fn.msix.region.read(0x800 + at, 4);
        return Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (word >>> bit) % 2 === 1).map((bit) => 8 * at + bit);
      }); // prettier-ignore
    return { ...rig, entry, pending };
  };

  test('a vector is a write of its data to its address', () => {
    const { fn, seen } = enabled();
    for (const vector of [0, 1, 69, 0]) fn.msix.trigger(vector);
    assert.deepEqual(seen.messages, [
      [0x1000, 40],
      [0x12_0000_1004, 41],
      [0x1008, 42],
      [0x1000, 40],
    ]);
  });

  test('masked vectors are pending, once, and are sent when the mask goes', () => {
    const { fn, seen, entry, pending } = enabled();
    for (const vector of [0, 69]) entry(vector, [0x1000, 0, vector, 1]);
    for (const vector of [69, 0, 69, 1]) fn.msix.trigger(vector);
    assert.deepEqual(seen.messages, [[0x12_0000_1004, 41]]);
    assert.deepEqual(pending(), [0, 69]);
    fn.msix.region.write(16 * 69 + 12, 4, 0);
    assert.deepEqual(seen.messages.slice(1), [[0x1000, 69]]);
    assert.deepEqual(pending(), [0]);
    // With the address that it has by then.
    fn.msix.region.write(0, 4, 0x3000);
    fn.msix.region.write(12, 4, 0);
    assert.deepEqual(seen.messages.slice(2), [[0x3000, 0]]);
    assert.deepEqual(pending(), []);
  });

  for (const [what, stop, start] of [
    ['the function mask', [MSIX_AT + 2, 0xc000], [MSIX_AT + 2, 0x8000]],
    ['no bus mastering', [0x04, 0], [0x04, 4]],
  ] as const) {
    test(`${what} holds everything back until it goes`, () => {
      const { fn, seen, write, pending } = enabled();
      write(stop[0], stop[1], 2);
      fn.msix.trigger(0);
      assert.deepEqual([seen.messages, pending()], [[], [0]]);
      write(start[0], start[1], 2);
      assert.deepEqual([seen.messages, pending()], [[[0x1000, 40]], []]);
    });
  }

  test('what is forgotten is not sent', () => {
    const { fn, seen, write, pending } = enabled();
    write(MSIX_AT + 2, 0xc000, 2);
    fn.msix.trigger(0);
    fn.msix.forgetPending();
    write(MSIX_AT + 2, 0x8000, 2);
    assert.deepEqual([seen.messages, pending()], [[], []]);
  });

  test('the function hears when it is enabled and disabled', () => {
    const { fn, write } = enabled();
    assert.equal(fn.enables, 1);
    write(MSIX_AT + 2, 0xc000, 2);
    assert.equal(fn.enables, 1);
    write(MSIX_AT + 2, 0, 2);
    assert.equal(fn.enables, 2);
    assert.ok(!fn.msix.isEnabled);
  });

  test('parts of words and pending bits are not writable', () => {
    const { fn, pending } = enabled();
    fn.msix.region.write(12, 1, 1);
    fn.msix.region.write(0x800, 4, 1);
    assert.equal(fn.msix.region.read(12, 4), 0);
    assert.deepEqual(pending(), []);
  });
});
