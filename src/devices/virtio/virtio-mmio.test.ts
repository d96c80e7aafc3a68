import assert from 'node:assert/strict';
import { test } from 'node:test';
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

const driverOf = (kind: VirtioMmioInterface = 'modern') =>
  new TestDriver((ports) => new EchoDevice(ports), { kind });

test('a legacy device offers nothing beyond bit 31 (6.3)', () => {
  assert.equal(
    driverOf('legacy').offered(),
    ECHO_FEATURE | bit(BIT.ANY_LAYOUT) | bit(BIT.INDIRECT) | bit(BIT.EVENT_IDX),
  );
});

test('a legacy driver may notify before DRIVER_OK (3.1.2)', () => {
  const driver = driverOf('legacy');
  driver.set('Status', 3);
  driver.accept(0n);
  driver.queues = [driver.setUpQueue(0)];
  driver.queue().add([driver.readable(Uint8Array.of(7)), driver.writable(1)]);
  driver.notify();
  assert.equal(driver.queue().used().length, 1);
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
