/** What every transport shows of the core of a device, by virtio-mmio's names of registers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BIT, TestDriver } from './driver-suite.js';
import { ECHO_CONFIG, ECHO_FEATURE, EchoDevice } from './echo-suite.js';
import type { VirtioOptions } from './virtio-device.js';

const bit = (number: number): bigint => 1n << BigInt(number);

for (const kind of ['modern', 'pci'] as const) {
  const driverOf = (options: VirtioOptions = {}) =>
    new TestDriver((ports) => new EchoDevice(ports, options), { kind });

  describe(`${kind}: feature negotiation (2.2, 3.1.1)`, () => {
    test('a modern device offers VERSION_1, both formats of queues and their options, and no more', () => {
      const common = ECHO_FEATURE | bit(BIT.INDIRECT) | bit(BIT.EVENT_IDX) | bit(BIT.VERSION_1);
      assert.equal(driverOf().offered(), common | bit(BIT.PACKED) | bit(BIT.RING_RESET));
      assert.equal(driverOf({ packed: false }).offered(), common | bit(BIT.RING_RESET));
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
      const driver = driverOf({ accessPlatform: true });
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

  describe(`${kind}: status (2.1)`, () => {
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

    test('notifications before DRIVER_OK are for later (3.1.1)', () => {
      const driver = driverOf();
      driver.set('Status', 3);
      driver.features = bit(BIT.VERSION_1);
      driver.accept(driver.features);
      driver.set('Status', 0xb);
      driver.queues = [driver.setUpQueue(0)];
      driver.queue().add([driver.readable(Uint8Array.of(7)), driver.writable(1)]);
      driver.notify();
      assert.equal(driver.queue().used().length, 0);
      driver.set('Status', 0xf);
      assert.equal(driver.queue().used().length, 1);
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

  describe(`${kind}: configuration (2.5)`, () => {
    test('is read in any width, and reads as zero beyond its end', () => {
      const driver = driverOf();
      ECHO_CONFIG.forEach((byte, index) => assert.equal(driver.readConfig(index, 1), byte));
      assert.equal(driver.readConfig(2, 2), 0x6745);
      assert.equal(driver.readConfig(4, 4), 0xab89);
      assert.equal(driver.readConfig(0xfc, 4), 0);
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
      assert.equal(driver.readConfig(0, 1), 10);
    });
  });

  describe(`${kind}: queues (4.2.2, 2.6.1)`, () => {
    test('a queue that does not exist has no elements and takes nothing', () => {
      const driver = driverOf().start();
      driver.set('QueueSel', 2);
      assert.equal(driver.get('QueueNumMax'), 0);
      driver.set('QueueNum', 4);
      driver.set('QueueReady', 1);
      assert.equal(driver.get('QueueReady'), 0);
      driver.notify(2);
      driver.notify(0xffff);
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
  });
}
