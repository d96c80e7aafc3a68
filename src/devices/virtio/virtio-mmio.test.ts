import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MmioDevice, Snapshottable } from '../../bus/index.js';
import { deviceSuite } from '../device-suite.js';
import { BIT, REG, TestDriver, TestMemory } from './driver-suite.js';
import { ECHO_CONFIG, ECHO_FEATURE, ECHO_ID, EchoDevice } from './echo-suite.js';
import type { VirtioMmioInterface, VirtioMmioState } from './virtio-mmio.js';

const bit = (number: number): bigint => 1n << BigInt(number);

const make = (kind: VirtioMmioInterface) => () => {
  const driver = new TestDriver((ports) => new EchoDevice(ports), { kind }, new TestMemory(32 * 1024));
  return {
    driver,
    device: withMemory(driver),
    clock: driver.clock,
    observe: () => ({ level: driver.irq.level, memory: driver.memory.bytes.slice() }),
  };
};

/** A snapshot of a device is taken together with one of the memory that it works on. */
function withMemory({
  mmio,
  memory,
}: TestDriver<EchoDevice>): MmioDevice & Snapshottable<{ mmio: VirtioMmioState; memory: Uint8Array }> {
  return {
    name: mmio.name,
    sizeBytes: mmio.sizeBytes,
    maxAccess: mmio.maxAccess,
    read: mmio.read.bind(mmio),
    write: mmio.write.bind(mmio),
    reset: mmio.reset.bind(mmio),
    saveState: () => ({ mmio: mmio.saveState(), memory: memory.bytes.slice() }),
    restoreState: (state) => {
      memory.bytes.set(state.memory);
      mmio.restoreState(state.mmio);
    },
  };
}

type Rig = ReturnType<ReturnType<typeof make>>;

/** One chain used, another held by the device, its interrupt not acknowledged. */
function activity({ driver }: Rig): void {
  driver.start();
  const send = (): void => {
    driver.queue().add([driver.readable(Uint8Array.of(1, 2, 3)), driver.writable(3)]);
    driver.notify();
  };
  send();
  driver.device.isHolding = true;
  send();
}

const word = (bytes: readonly number[]): number =>
  bytes.reduce((value, byte, index) => value + byte * 256 ** index, 0);

const stated = (offsets: Readonly<Record<string, number>>) => {
  const at = new Map(Object.entries(offsets).map(([name, value]) => [REG[name as keyof typeof REG], value]));
  const names = new Map(Object.entries(REG).map(([name, offset]) => [offset as number, name]));
  return Array.from({ length: 0x200 / 4 }, (_, index) => {
    const offset = 4 * index;
    const name = names.get(offset) ?? `offset ${offset}`;
    const config = offset >= 0x100 ? word(ECHO_CONFIG.slice(offset - 0x100, offset - 0xfc)) : 0;
    return { name, at: offset, size: 4 as const, reset: at.get(offset as never) ?? config };
  });
};

const COMMON = { MagicValue: 0x7472_6976, DeviceID: ECHO_ID, VendorID: 0x554d_4551, QueueNumMax: 64 };

deviceSuite({
  title: 'virtio-mmio (VIRTIO 1.2 4.2.2)',
  make: make('modern'),
  registers: stated({
    ...COMMON,
    Version: 2,
    DeviceFeatures: Number(ECHO_FEATURE | bit(BIT.INDIRECT) | bit(BIT.EVENT_IDX)),
    SHMLenLow: 0xffff_ffff,
    SHMLenHigh: 0xffff_ffff,
    SHMBaseLow: 0xffff_ffff,
    SHMBaseHigh: 0xffff_ffff,
  }),
  activity,
});

deviceSuite({
  title: 'virtio-mmio, legacy (VIRTIO 1.2 4.2.4)',
  make: make('legacy'),
  registers: stated({
    ...COMMON,
    Version: 1,
    DeviceFeatures: Number(ECHO_FEATURE | bit(BIT.ANY_LAYOUT) | bit(BIT.INDIRECT) | bit(BIT.EVENT_IDX)),
  }),
  activity,
});

const driverOf = (kind: VirtioMmioInterface = 'modern', options = {}) =>
  new TestDriver((ports) => new EchoDevice(ports, options), { kind });

describe('feature negotiation (2.2, 3.1.1)', () => {
  test('a modern device offers VERSION_1, both formats of queues and their options, and no more', () => {
    const common = ECHO_FEATURE | bit(BIT.INDIRECT) | bit(BIT.EVENT_IDX) | bit(BIT.VERSION_1);
    assert.equal(driverOf().offered(), common | bit(BIT.PACKED) | bit(BIT.RING_RESET));
    assert.equal(driverOf('modern', { packed: false }).offered(), common | bit(BIT.RING_RESET));
  });

  test('a legacy device offers nothing beyond bit 31 (6.3)', () => {
    assert.equal(
      driverOf('legacy').offered(),
      ECHO_FEATURE | bit(BIT.ANY_LAYOUT) | bit(BIT.INDIRECT) | bit(BIT.EVENT_IDX),
    );
  });

  test('selectors beyond 1 show no features', () => {
    const driver = driverOf();
    driver.set('DeviceFeaturesSel', 2);
    assert.equal(driver.get('DeviceFeatures'), 0);
  });

  const accepts = (driver: TestDriver, features: bigint): boolean => {
    driver.set('Status', 0);
    driver.set('Status', 3);
    driver.accept(features);
    driver.set('Status', 0xb);
    return driver.get('Status') === 0xb;
  };

  test('FEATURES_OK stays clear without VERSION_1 (6.1)', () => {
    const driver = driverOf();
    assert.ok(!accepts(driver, driver.offered() & ~bit(BIT.VERSION_1)));
    assert.ok(accepts(driver, bit(BIT.VERSION_1)));
  });

  test('FEATURES_OK stays clear with a feature that was not offered (2.2.2)', () => {
    assert.ok(!accepts(driverOf(), bit(BIT.VERSION_1) | bit(0)));
    assert.ok(!accepts(driverOf(), bit(BIT.VERSION_1) | bit(63)));
  });

  test('ACCESS_PLATFORM is offered on request, and then it must be accepted (6.2)', () => {
    const driver = driverOf('modern', { accessPlatform: true });
    assert.ok((driver.offered() & bit(BIT.ACCESS_PLATFORM)) !== 0n);
    assert.ok(!accepts(driver, driver.offered() & ~bit(BIT.ACCESS_PLATFORM)));
    assert.ok(accepts(driver, driver.offered()));
  });

  test('after FEATURES_OK features do not change (3.1.1)', () => {
    const driver = driverOf();
    assert.ok(accepts(driver, bit(BIT.VERSION_1)));
    driver.accept(driver.offered());
    assert.equal(driver.device.driverFeatures, bit(BIT.VERSION_1));
  });
});

describe('status (2.1)', () => {
  test('bits are added, never taken away, until 0 resets', () => {
    const driver = driverOf().start();
    driver.set('Status', 1);
    assert.equal(driver.get('Status'), 0xf);
    driver.set('Status', 0x80);
    assert.equal(driver.get('Status'), 0x8f);
    driver.set('Status', 0);
    assert.equal(driver.get('Status'), 0);
  });

  test('a driver cannot set DEVICE_NEEDS_RESET', () => {
    const driver = driverOf();
    driver.set('Status', 0x41);
    assert.equal(driver.get('Status'), 1);
  });

  test('notifications before DRIVER_OK are for later (3.1.1); a legacy driver may be early (3.1.2)', () => {
    for (const kind of ['modern', 'legacy'] as const) {
      const driver = driverOf(kind);
      driver.set('Status', 3);
      driver.features = kind === 'modern' ? bit(BIT.VERSION_1) : 0n;
      driver.accept(driver.features);
      if (kind === 'modern') driver.set('Status', 0xb);
      driver.queues = [driver.setUpQueue(0)];
      driver.queue().add([driver.readable(Uint8Array.of(7)), driver.writable(1)]);
      driver.notify();
      assert.equal(driver.queue().used().length, kind === 'modern' ? 0 : 1);
      driver.set('Status', 0xf);
      assert.equal(driver.queue().used().length, kind === 'modern' ? 1 : 0);
    }
  });

  test('reset of the device takes queues and interrupts away', () => {
    const driver = driverOf().start();
    driver.queue().add([driver.readable(Uint8Array.of(7)), driver.writable(1)]);
    driver.notify();
    assert.ok(driver.irq.level);
    driver.set('Status', 0);
    assert.ok(!driver.irq.level);
    assert.equal(driver.get('InterruptStatus'), 0);
    assert.equal(driver.get('QueueReady'), 0);
    driver.notify();
    assert.equal(driver.queue().used().length, 1, 'the one from before');
  });
});

describe('configuration (2.5)', () => {
  test('is read in any width, and reads as zero beyond its end', () => {
    const { mmio } = driverOf();
    ECHO_CONFIG.forEach((byte, index) => assert.equal(mmio.read(0x100 + index, 1), byte));
    assert.equal(mmio.read(0x102, 2), 0x6745);
    assert.equal(mmio.read(0x104, 4), 0xab89);
    assert.equal(mmio.read(0x1fc, 4), 0);
  });

  test('a change has a new generation, and an interrupt where the driver runs (2.5.1, 4.2.2)', () => {
    const driver = driverOf();
    driver.device.setFirst(9);
    assert.ok(!driver.irq.level);
    driver.start();
    const before = driver.get('ConfigGeneration');
    driver.device.setFirst(10);
    assert.notEqual(driver.get('ConfigGeneration'), before);
    assert.equal(driver.takeInterrupts(), 2);
    assert.equal(driver.mmio.read(0x100, 1), 10);
  });
});

describe('queues (4.2.2, 2.6.1)', () => {
  test('a queue that does not exist has no elements and takes nothing', () => {
    const driver = driverOf().start();
    driver.set('QueueSel', 2);
    assert.equal(driver.get('QueueNumMax'), 0);
    driver.set('QueueNum', 4);
    driver.set('QueueReady', 1);
    assert.equal(driver.get('QueueReady'), 0);
    driver.notify(2);
    driver.notify(0xffff_ffff);
    assert.ok(!driver.needsReset);
  });

  test('QueueReset takes one queue out of use, which can be set up again', () => {
    const driver = driverOf().start();
    driver.device.isHolding = true;
    const into = driver.writable(1);
    driver.queue().add([driver.readable(Uint8Array.of(7)), into]);
    driver.notify();
    const [chain] = driver.device.held;
    driver.set('QueueSel', 0);
    driver.set('QueueReset', 1);
    assert.equal(driver.get('QueueReset'), 0);
    assert.equal(driver.get('QueueReady'), 0);
    driver.device.release(chain!);
    assert.deepEqual(driver.bytesOf(into), Uint8Array.of(0));
    driver.device.isHolding = false;
    driver.queues[0] = driver.setUpQueue(0);
    driver.queue().add([driver.readable(Uint8Array.of(7)), into]);
    driver.notify();
    assert.deepEqual(driver.bytesOf(into), Uint8Array.of(7));
    assert.equal(driver.get('Status'), 0xf);
  });

  test('a legacy queue is where its page number says (4.2.4), and gone with page number 0', () => {
    const driver = driverOf('legacy').start();
    driver.set('QueueSel', 0);
    const pfn = driver.get('QueuePFN');
    assert.equal(pfn * 4096, driver.queue().areas.descriptor);
    driver.set('QueuePFN', 0);
    assert.equal(driver.get('QueuePFN'), 0);
    driver.queue().add([driver.readable(Uint8Array.of(7)), driver.writable(1)]);
    driver.notify();
    assert.deepEqual(driver.queue().used(), []);
  });
});

test("a legacy driver's page size outlives its reset of the device, but not a reset of the machine (4.2.4)", () => {
  const place = (driver: TestDriver<EchoDevice>): boolean => {
    const [queue] = driver.queues;
    driver.set('QueueSel', 0);
    driver.set('QueueNum', queue!.size);
    driver.set('QueuePFN', queue!.areas.descriptor / 4096);
    driver.queue().add([driver.readable(Uint8Array.of(7)), driver.writable(1)]);
    driver.notify();
    return driver.queue().used().length === 1;
  };
  const driver = driverOf('legacy').start();
  driver.set('Status', 0);
  assert.ok(place(driver));
  const other = driverOf('legacy').start();
  other.mmio.reset();
  assert.ok(!place(other));
});

test('describe() is the node that QEMU gives its virt board', () => {
  assert.deepEqual(driverOf().mmio.describe({ base: 0xa00_3e00, spi: 47 }), [
    {
      name: 'virtio_mmio@a003e00',
      properties: {
        compatible: 'virtio,mmio',
        reg: { cells: [0, 0xa00_3e00, 0, 0x200] },
        interrupts: { cells: [0, 47, 1] },
        'dma-coherent': true,
      },
    },
  ]);
});
