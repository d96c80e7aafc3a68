import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ShareError } from '../../bus/index.js';
import type { FileShare } from '../../bus/index.js';
import { TestDriver } from './driver-suite.js';
import { Virtio9p } from './virtio-9p.js';

/** A share with nothing in it: what it is asked for isn't there. */
const EMPTY = new Proxy({} as FileShare, {
  get: () => () => {
    throw new ShareError('ENOENT');
  },
});

const VERSION = Buffer.from('\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\x009P2000.L', 'latin1');
const VERSION_REPLY = Buffer.from(VERSION);
VERSION_REPLY[4] = 0x65;

const start = () =>
  new TestDriver((ports) => new Virtio9p('virtio-9p0', 'tag-1', { ...ports, share: EMPTY })).start();

describe('9P device (VIRTIO 1.2 5, type 9)', () => {
  test('has one queue and a configuration with the length of the tag and the tag', () => {
    const driver = start();
    assert.equal(driver.get('DeviceID'), 9);
    assert.equal(driver.offered() & 1n, 1n);
    const config = Array.from({ length: 8 }, (_, at) => driver.mmio.read(0x100 + at, 1));
    assert.deepEqual(config, [5, 0, ...Buffer.from('tag-1'), 0]);
    driver.set('QueueSel', 1);
    assert.equal(driver.get('QueueNumMax'), 0);
  });

  for (const indirect of [false, true])
    test(`answers a request that is in pieces, into pieces${indirect ? ', by an indirect table' : ''}`, () => {
      const driver = start();
      const request = [VERSION.subarray(0, 3), VERSION.subarray(3, 8), VERSION.subarray(8)];
      const reply = [driver.writable(1), driver.writable(10), driver.writable(100)];
      const id = driver
        .queue()
        .add([...request.map((part) => driver.readable(part)), ...reply], { indirect });
      driver.notify();
      assert.deepEqual(driver.queue().used(), [{ id, length: VERSION_REPLY.length }]);
      const bytes = Buffer.concat(reply.map((buffer) => driver.bytesOf(buffer)));
      assert.deepEqual(bytes.subarray(0, VERSION_REPLY.length), VERSION_REPLY);
      assert.equal(driver.takeInterrupts(), 1);
    });

  test('a chain without room for an answer comes back empty, one without a request with an error', () => {
    const driver = start();
    const empty = driver.queue().add([driver.readable(VERSION), driver.writable(10)]);
    const into = driver.writable(20);
    const error = driver.queue().add([into]);
    driver.notify();
    assert.deepEqual(driver.queue().used(), [
      { id: empty, length: 0 },
      { id: error, length: 11 },
    ]);
    assert.equal(driver.bytesOf(into)[4], 7);
  });

  test('a reset of the device ends the session', () => {
    const driver = start();
    const exchange = (request: Uint8Array): Uint8Array => {
      const reply = driver.writable(100);
      driver.queue().add([driver.readable(request), reply]);
      driver.notify();
      driver.queue().used();
      return driver.bytesOf(reply);
    };
    const clunk = Uint8Array.of(11, 0, 0, 0, 120, 1, 0, 0, 0, 0, 0);
    const errnoOf = (reply: Uint8Array): number => reply[7]!;
    exchange(VERSION);
    assert.equal(errnoOf(exchange(clunk)), 9, 'EBADF: there is no fid');
    driver.start();
    assert.equal(errnoOf(exchange(clunk)), 71, 'EPROTO: there is no session');
  });
});
