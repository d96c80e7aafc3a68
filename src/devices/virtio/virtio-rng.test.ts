import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ByteSource } from '../../bus/index.js';
import { BIT, TestDriver } from './driver-suite.js';
import type { DriverOptions } from './driver-suite.js';
import { VirtioRng } from './virtio-rng.js';

/** 1, 2, 3 … */
function counting(): ByteSource & { given: number } {
  return {
    given: 0,
    fill(into) {
      for (let i = 0; i < into.length; i++) into[i] = ++this.given;
    },
  };
}

function start(options: DriverOptions = {}) {
  const random = counting();
  const driver = new TestDriver(
    (ports) => new VirtioRng('virtio-rng0', { ...ports, random }),
    options,
  ).start();
  return { driver, random };
}

describe('entropy device (VIRTIO 1.2 5.4)', () => {
  test('is device 4 with one queue and no features of its own (5.4.1 to 5.4.3)', () => {
    const { driver } = start();
    assert.equal(driver.get('DeviceID'), 4);
    driver.set('QueueSel', 1);
    assert.equal(driver.get('QueueNumMax'), 0);
    assert.equal(driver.offered() & ((1n << BigInt(BIT.INDIRECT)) - 1n), 0n);
  });

  for (const kind of ['modern', 'pci'] as const) {
    test(`fills buffers with random bytes (5.4.6), ${kind}`, () => {
      const { driver } = start({ kind });
      const into = [driver.writable(3), driver.writable(2)];
      const id = driver.queue().add(into);
      driver.notify();
      assert.deepEqual(driver.queue().used(), [{ id, length: 5 }]);
      assert.deepEqual(
        into.flatMap((buffer) => [...driver.bytesOf(buffer)]),
        [1, 2, 3, 4, 5],
      );
      assert.equal(driver.takeInterrupts(), 1);
    });
  }

  test('may use less than the whole of a long buffer (5.4.6.1), and takes no more from its source', () => {
    const { driver, random } = start();
    const id = driver.queue().add([driver.writable(100_000)]);
    driver.notify();
    const [used] = driver.queue().used();
    assert.equal(used?.id, id);
    assert.ok(used.length >= 1 && used.length <= 100_000);
    assert.equal(random.given, used.length);
  });

  test('a buffer that it may not write comes back empty', () => {
    const { driver } = start();
    const id = driver.queue().add([driver.readable(Uint8Array.of(9))]);
    driver.notify();
    assert.deepEqual(driver.queue().used(), [{ id, length: 0 }]);
  });
});
