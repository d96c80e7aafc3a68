import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AccessSize, MmioDevice, Snapshottable } from '../../bus/index.js';
import { deviceSuite } from '../device-suite.js';
import { BIT, RAM_BASE, TestDriver, TestMemory } from './driver-suite.js';
import { ECHO_CONFIG, ECHO_FEATURE, ECHO_ID, EchoDevice } from './echo-suite.js';

type Driver = TestDriver<EchoDevice>;

const CONFIG = 1 << 15;
/** Where the suite's driver puts BAR 4 and BAR 1. */
const WINDOW = 0x1000_0000;
const MSIX_TABLE = WINDOW + 0x10_0000;
const NO_VECTOR = 0xffff;

const driverOf = (): Driver =>
  new TestDriver((ports) => new EchoDevice(ports), { kind: 'pci' }, new TestMemory(64 * 1024));

const config = (driver: Driver, at: number, size: AccessSize = 4): number =>
  driver.pcie.read(CONFIG + at, size);
const setConfig = (driver: Driver, at: number, size: AccessSize, value: number): void => {
  driver.pcie.write(CONFIG + at, size, value);
};

interface Capability {
  readonly at: number;
  readonly id: number;
}

function capabilities(driver: Driver): Capability[] {
  const found: Capability[] = [];
  for (let at = config(driver, 0x34, 1); at !== 0; at = config(driver, at + 1, 1)) {
    found.push({ at, id: config(driver, at, 1) });
  }
  return found;
}

const msixAt = (driver: Driver): number =>
  capabilities(driver).find(({ id }) => id === 0x11)?.at ?? assert.fail('no MSI-X');

/** A BAR's registers, at the address that the suite's driver has given it. */
const barOf = (driver: Driver, base: number) => driver.pcie.window('bar', 'memory', base, 0x4000);

/** Enables MSI-X, with vector n sending n to 0x1000. */
function enableMsix(driver: Driver, control = 0x8000): void {
  const table = barOf(driver, MSIX_TABLE);
  for (let vector = 0; vector < 3; vector++) {
    [0x1000, 0, vector, 0].forEach((word, index) => {
      table.write(16 * vector + 4 * index, 4, word);
    });
  }
  setConfig(driver, msixAt(driver) + 2, 2, control);
}

function echo(driver: Driver, queue = 0): void {
  driver.queue(queue).add([driver.readable(Uint8Array.of(1, 2, 3)), driver.writable(3)]);
  driver.notify(queue);
}

const make = () => {
  const driver = driverOf();
  const common = barOf(driver, WINDOW);
  const device: MmioDevice & Snapshottable<{ pcie: unknown; memory: Uint8Array }> = {
    name: 'virtio-pci',
    sizeBytes: 0x8000,
    maxAccess: 4,
    // BAR 4, MSI-X table, configuration space.
    read: (offset, size) => {
      if (offset < 0x4000) return common.read(offset, size);
      if (offset < 0x5000) return barOf(driver, MSIX_TABLE).read(offset - 0x4000, size);
      return driver.pcie.read(CONFIG + ((offset - 0x5000) % 0x1000), size);
    },
    write: (offset, size, value) => {
      if (offset < 0x4000) common.write(offset, size, value);
      else if (offset < 0x5000) barOf(driver, MSIX_TABLE).write(offset - 0x4000, size, value);
      else driver.pcie.write(CONFIG + ((offset - 0x5000) % 0x1000), size, value);
    },
    reset: () => {
      driver.reset();
    },
    saveState: () => ({ pcie: driver.saveState(), memory: driver.memory.bytes.slice() }),
    restoreState: ({ pcie, memory }) => {
      driver.memory.bytes.set(memory);
      driver.restoreState(pcie);
    },
  };
  return {
    driver,
    device,
    clock: driver.clock,
    observe: () => ({
      level: driver.irq.level,
      messages: driver.messages.splice(0),
      memory: driver.memory.bytes.slice(),
    }),
  };
};

deviceSuite({
  title: 'virtio-pci (VIRTIO 1.2 4.1.4)',
  make,
  registers: [
    { name: 'device_feature_select', at: 0x00, size: 4, reset: 0, writable: 0xffff_ffff },
    {
      name: 'device_feature',
      at: 0x04,
      size: 4,
      reset: Number(ECHO_FEATURE) + 2 ** BIT.INDIRECT + 2 ** BIT.EVENT_IDX,
      writable: 0,
    },
    { name: 'driver_feature_select', at: 0x08, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'driver_feature', at: 0x0c, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'config_msix_vector', at: 0x10, size: 2, reset: NO_VECTOR },
    { name: 'num_queues', at: 0x12, size: 2, reset: 2, writable: 0 },
    { name: 'device_status', at: 0x14, size: 1, reset: 0 },
    { name: 'config_generation', at: 0x15, size: 1, reset: 0, writable: 0 },
    { name: 'queue_select', at: 0x16, size: 2, reset: 0, writable: 0xffff },
    { name: 'queue_size', at: 0x18, size: 2, reset: 64, writable: 0xffff },
    { name: 'queue_msix_vector', at: 0x1a, size: 2, reset: NO_VECTOR },
    { name: 'queue_enable', at: 0x1c, size: 2, reset: 0 },
    { name: 'queue_notify_off', at: 0x1e, size: 2, reset: 0, writable: 0 },
    ...[0x20, 0x24, 0x28, 0x2c, 0x30, 0x34].map((at) => ({
      name: `queue address at ${at}`,
      at,
      size: 4 as const,
      reset: 0,
      writable: 0xffff_ffff,
    })),
    { name: 'queue_notify_data', at: 0x38, size: 2, reset: 0, writable: 0 },
    { name: 'queue_reset', at: 0x3a, size: 2, reset: 0 },
    { name: 'behind it', at: 0x3c, size: 4, reset: 0, writable: 0 },
    { name: 'ISR', at: 0x1000, size: 1, reset: 0, writable: 0 },
    { name: 'configuration', at: 0x2000, size: 1, reset: ECHO_CONFIG[0]!, writable: 0 },
    { name: 'notification', at: 0x3000, size: 2, reset: 0, writable: 0 },
    { name: 'vector control', at: 0x400c, size: 4, reset: 1, writable: 1 },
  ],
  activity: ({ driver }) => {
    driver.start();
    echo(driver);
    driver.device.isHolding = true;
    echo(driver);
  },
});

test('the function: vendor, type, revision 1, class, pin A (4.1.2)', () => {
  const driver = driverOf();
  assert.equal(config(driver, 0x00), 0x1af4 + (0x1040 + ECHO_ID) * 2 ** 16);
  assert.equal(config(driver, 0x08), 0x00ff_0001);
  assert.equal(config(driver, 0x2c), 0x1100_1af4);
  assert.equal(config(driver, 0x3d, 1), 1);
});

test('capabilities: PCI Express, MSI-X with a vector for each queue and one, the five of virtio (4.1.4)', () => {
  const driver = driverOf();
  const all = capabilities(driver);
  assert.deepEqual(
    all.map(({ id }) => id),
    [0x10, 0x11, 9, 9, 9, 9, 9],
  );
  assert.equal(config(driver, msixAt(driver) + 2, 2), 2);
  const ofVirtio = all
    .filter(({ id }) => id === 9)
    .map(({ at }) => ({
      bytes: config(driver, at + 2, 1),
      type: config(driver, at + 3, 1),
      bar: config(driver, at + 4, 1),
      offset: config(driver, at + 8),
      length: config(driver, at + 12),
      more: config(driver, at + 2, 1) > 16 ? config(driver, at + 16) : undefined,
    }));
  assert.deepEqual(ofVirtio, [
    { bytes: 16, type: 1, bar: 4, offset: 0, length: 0x1000, more: undefined },
    { bytes: 16, type: 3, bar: 4, offset: 0x1000, length: 0x1000, more: undefined },
    { bytes: 16, type: 4, bar: 4, offset: 0x2000, length: 0x1000, more: undefined },
    { bytes: 20, type: 2, bar: 4, offset: 0x3000, length: 0x1000, more: 4 },
    { bytes: 20, type: 5, bar: 0, offset: 0, length: 0, more: 0 },
  ]);
});

describe('fields of the common configuration (4.1.4.3)', () => {
  test('an access that covers several whole fields reads and writes these', () => {
    const driver = driverOf();
    const common = barOf(driver, WINDOW);
    common.write(0x14, 4, 0x0001_0003);
    assert.equal(common.read(0x14, 4), 0x0001_0003);
    assert.equal(driver.get('QueueNumMax'), 8, 'queue 1 is selected');
  });

  test('an access that covers a part of a field writes nothing', () => {
    const driver = driverOf();
    const common = barOf(driver, WINDOW);
    common.write(0x16, 1, 1);
    common.write(0x02, 2, 1);
    assert.equal(common.read(0x16, 2), 0);
    assert.equal(common.read(0x00, 4), 0);
  });

  test('writing 0 to queue_enable changes nothing (4.1.4.3.2)', () => {
    const driver = driverOf().start();
    driver.set('QueueSel', 0);
    driver.set('QueueReady', 0);
    assert.equal(driver.get('QueueReady'), 1);
  });
});

describe('interrupts (4.1.4.5, 4.1.5)', () => {
  test('without MSI-X: the pin, with the cause in ISR status, which reading clears', () => {
    const driver = driverOf().start();
    echo(driver);
    assert.ok(driver.irq.level);
    assert.equal(config(driver, 0x06, 2), 0x18);
    driver.device.setFirst(4);
    assert.equal(driver.get('InterruptStatus'), 3);
    assert.ok(!driver.irq.level);
    assert.equal(config(driver, 0x06, 2), 0x10);
    assert.equal(driver.get('InterruptStatus'), 0);
    assert.deepEqual(driver.messages, []);
  });

  test('with MSI-X: the vector of the queue, of the configuration', () => {
    const driver = driverOf().start();
    const common = barOf(driver, WINDOW);
    enableMsix(driver);
    echo(driver);
    driver.device.setFirst(4);
    assert.deepEqual(driver.messages, [], 'none is given');
    common.write(0x10, 2, 0);
    for (const [queue, vector] of [
      [0, 2],
      [1, 1],
    ] as const) {
      common.write(0x16, 2, queue);
      common.write(0x1a, 2, vector);
      assert.equal(common.read(0x1a, 2), vector);
    }
    echo(driver, 0);
    echo(driver, 1);
    driver.device.setFirst(5);
    assert.deepEqual(
      driver.messages,
      [2, 1, 0].map((data) => ({ address: 0x1000, data, requester: 8 })),
    );
    assert.ok(!driver.irq.level);
    assert.equal(driver.get('InterruptStatus') & 1, 0);
  });

  test('a vector that there is not reads back as none (4.1.5.1.2.1)', () => {
    const common = barOf(driverOf(), WINDOW);
    for (const at of [0x10, 0x1a]) {
      common.write(at, 2, 2);
      assert.equal(common.read(at, 2), 2);
      common.write(at, 2, 3);
      assert.equal(common.read(at, 2), NO_VECTOR);
    }
  });

  test('MSI-X takes the pin away', () => {
    const driver = driverOf().start();
    echo(driver);
    enableMsix(driver);
    assert.ok(!driver.irq.level);
    setConfig(driver, msixAt(driver) + 2, 2, 0);
    assert.ok(driver.irq.level);
  });

  test("the driver's reset of the device takes vectors, pending messages and the pin away", () => {
    const driver = driverOf().start();
    const common = barOf(driver, WINDOW);
    echo(driver);
    enableMsix(driver, 0xc000);
    common.write(0x10, 2, 0);
    driver.device.setFirst(4);
    driver.set('Status', 0);
    assert.equal(common.read(0x10, 2), NO_VECTOR);
    setConfig(driver, msixAt(driver) + 2, 2, 0x8000);
    setConfig(driver, msixAt(driver) + 2, 2, 0);
    assert.deepEqual(driver.messages, []);
    assert.ok(!driver.irq.level);
  });
});

describe('notifications (4.1.4.4)', () => {
  test('any write to the address of a queue notifies it', () => {
    const driver = driverOf().start();
    const window = barOf(driver, WINDOW);
    for (const size of [1, 2, 4] as const) {
      driver.queue(1).add([driver.readable(Uint8Array.of(size)), driver.writable(1)]);
      window.write(0x3004, size, 0xff);
      assert.equal(driver.queue(1).used().length, 1);
    }
  });
});

test('a device that is no bus master reaches no memory, and needs a reset', () => {
  const driver = driverOf().start();
  setConfig(driver, 0x04, 2, 2);
  echo(driver);
  assert.ok(driver.needsReset);
  assert.deepEqual(driver.queue().used(), []);
});

describe('access through configuration space (4.1.4.9)', () => {
  const access = (driver: Driver, bar: number, offset: number, length: number): number => {
    const at = capabilities(driver).at(-1)!.at;
    setConfig(driver, at + 4, 1, bar);
    setConfig(driver, at + 8, 4, offset);
    setConfig(driver, at + 12, 4, length);
    return at + 16;
  };

  test('reads and writes the BARs, decoded or not', () => {
    const driver = driverOf();
    setConfig(driver, 0x04, 2, 0);
    assert.equal(config(driver, access(driver, 4, 0x12, 2), 2), 2);
    setConfig(driver, access(driver, 4, 0x14, 1), 1, 3);
    assert.equal(config(driver, access(driver, 4, 0x14, 1), 1), 3);
    assert.equal(config(driver, access(driver, 4, 0x2000, 4)), 0x6745_2301);
    assert.equal(config(driver, access(driver, 1, 12, 4)), 1);
  });

  test('nothing happens with another BAR, length, alignment or beyond the end', () => {
    const driver = driverOf();
    for (const [bar, offset, length] of [
      [0, 0, 4],
      [255, 0, 4],
      [4, 0x2000, 0],
      [4, 0x2000, 3],
      [4, 0x2000, 8],
      [4, 0x2002, 4],
      [4, 0x4000, 4],
      [4, 0xffff_fffc, 4],
    ] as const) {
      const at = access(driver, bar, offset, length);
      setConfig(driver, at, 4, 0xffff_ffff);
      assert.equal(config(driver, at), 0);
    }
  });
});

test('a reset of the machine forgets everything', () => {
  const driver = driverOf().start();
  echo(driver);
  driver.reset();
  assert.ok(!driver.irq.level);
  assert.equal(driver.get('Status'), 0);
  driver.memory.get(RAM_BASE, 1);
  driver.start();
  echo(driver);
  assert.equal(driver.queue().used().length, 1);
});
