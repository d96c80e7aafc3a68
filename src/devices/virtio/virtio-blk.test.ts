import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { BlockDone, BlockStorage, BlockTarget } from '../../bus/index.js';
import { BIT, TestDriver, TestMemory } from './driver-suite.js';
import type { Buffer, DriverOptions } from './driver-suite.js';
import { VirtioBlk } from './virtio-blk.js';

const SECTOR = 512;
const SECTORS = 8192;

/** Bits of 5.2.3. */
const F = {
  SIZE_MAX: 1,
  SEG_MAX: 2,
  RO: 5,
  BLK_SIZE: 6,
  FLUSH: 9,
  TOPOLOGY: 10,
  CONFIG_WCE: 11,
  DISCARD: 13,
  WRITE_ZEROES: 14,
};
/** 5.2.6 */
const T = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8, DISCARD: 11, WRITE_ZEROES: 13, SECURE_ERASE: 14 };
const OK = 0;
const IOERR = 1;
const UNSUPP = 2;
/** What the status is before the device writes it. */
const NO_STATUS = 0xaa;

/** A disk in memory that answers at once, or when told to. */
class FakeStorage implements BlockStorage {
  readonly bytes = new Uint8Array(SECTORS * SECTOR);
  readonly sizeBytes = this.bytes.length;
  readonly isReadOnly: boolean;
  readonly log: string[] = [];
  isHolding = false;
  held: (() => void)[] = [];
  fails = false;

  constructor(isReadOnly = false) {
    this.isReadOnly = isReadOnly;
    for (let sector = 0; sector < SECTORS; sector++)
      this.bytes.fill(sector % 251, sector * SECTOR, (sector + 1) * SECTOR);
  }

  read(offset: number, into: BlockTarget, done: BlockDone): void {
    this.#do(`read ${offset} ${into.length}`, done, () => {
      let from = offset;
      for (const part of into.lend() ?? []) part.set(this.bytes.subarray(from, (from += part.length)));
    });
  }

  write(offset: number, from: Uint8Array, done: BlockDone): void {
    this.#do(`write ${offset} ${from.length}`, done, () => this.bytes.set(from, offset));
  }

  writeZeros(offset: number, length: number, done: BlockDone): void {
    this.#do(`zero ${offset} ${length}`, done, () => this.bytes.fill(0, offset, offset + length));
  }

  discard(offset: number, length: number, done: BlockDone): void {
    this.#do(`discard ${offset} ${length}`, done, () => undefined);
  }

  flush(done: BlockDone): void {
    this.#do('flush', done, () => undefined);
  }

  #do(what: string, done: BlockDone, action: () => void): void {
    this.log.push(what);
    const finish = (): void => {
      assert.ok(
        !this.isReadOnly || !/write|zero|discard/.test(what),
        'nothing is written to a read-only disk',
      );
      if (!this.fails) action();
      done(!this.fails);
    };
    if (this.isHolding) this.held.push(finish);
    else finish();
  }
}

function header(type: number, sector: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(16));
  bytes.setUint32(0, type, true);
  bytes.setBigUint64(8, BigInt(sector), true);
  return new Uint8Array(bytes.buffer);
}

function range(sector: number, sectors: number, flags = 0): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(16));
  bytes.setBigUint64(0, BigInt(sector), true);
  bytes.setUint32(8, sectors, true);
  bytes.setUint32(12, flags, true);
  return new Uint8Array(bytes.buffer);
}

class Rig {
  readonly storage: FakeStorage;
  readonly driver: TestDriver<VirtioBlk>;

  constructor(options: DriverOptions & { isReadOnly?: boolean; serial?: string } = {}) {
    this.storage = new FakeStorage(options.isReadOnly);
    const { serial } = options;
    this.driver = new TestDriver(
      (ports) =>
        new VirtioBlk(
          'virtio-blk0',
          { ...ports, storage: this.storage },
          serial === undefined ? {} : { serial },
        ),
      options,
      new TestMemory(8 * 1024 * 1024),
    ).start();
  }

  /** Makes a request available: header, `out` to the device, `length` bytes from it, status. */
  submit(type: number, sector: number, out: readonly Uint8Array[] = [], lengths: readonly number[] = []) {
    const { driver } = this;
    const into = lengths.map((length) => driver.writable(length));
    const status = driver.writable(1);
    driver.memory.write(status.address, Uint8Array.of(NO_STATUS));
    const parts: Buffer[] = [header(type, sector), ...out].map((bytes) => driver.readable(bytes));
    const id = driver.queue().add([...parts, ...into, status]);
    return {
      id,
      data: () => Uint8Array.from(into.flatMap((buffer) => [...driver.bytesOf(buffer)])),
      status: () => driver.bytesOf(status)[0],
    };
  }

  /** Submits and waits. Returns the status and the data. */
  request(...parameters: Parameters<Rig['submit']>): {
    status: number | undefined;
    data: Uint8Array;
    length: number;
  } {
    const request = this.submit(...parameters);
    this.driver.notify();
    for (let turn = 0; turn < 100 && request.status() === NO_STATUS; turn++) this.driver.clock.advance(1);
    const [used, ...more] = this.driver.queue().used();
    assert.deepEqual(more, []);
    assert.equal(used?.id, request.id);
    return { status: request.status(), data: request.data(), length: used.length };
  }
}

const filled = (value: number, sectors = 1): Uint8Array => new Uint8Array(sectors * SECTOR).fill(value);

for (const [title, options] of [
  ['packed', {}],
  ['split', { without: [BIT.PACKED] }],
  ['legacy', { kind: 'legacy' }],
  ['over PCI', { kind: 'pci' }],
] as const satisfies readonly (readonly [string, DriverOptions])[]) {
  describe(`block device, ${title} (VIRTIO 1.2 5.2.6)`, () => {
    test('reads sectors', () => {
      const { status, data, length } = new Rig(options).request(T.IN, 5, [], [SECTOR, SECTOR]);
      assert.equal(status, OK);
      assert.deepEqual(data, Uint8Array.from([...filled(5), ...filled(6)]));
      assert.equal(length, 2 * SECTOR + 1);
    });

    test('writes sectors', () => {
      const rig = new Rig(options);
      const { status, length } = rig.request(T.OUT, 9, [filled(0xee), filled(0xdd, 2)]);
      assert.deepEqual([status, length], [OK, 1]);
      assert.deepEqual(
        rig.storage.bytes.slice(9 * SECTOR, 12 * SECTOR),
        Uint8Array.from([...filled(0xee), ...filled(0xdd, 2)]),
      );
      assert.deepEqual(rig.storage.bytes.slice(12 * SECTOR, 13 * SECTOR), filled(12));
    });

    test('takes any framing: header, data and status cut anywhere (2.7.4.1)', () => {
      const { driver, storage } = new Rig(options);
      const bytes = Uint8Array.from([...header(T.OUT, 3), ...filled(0x77)]);
      const cuts = [0, 7, 16, 100, bytes.length];
      const parts = cuts.slice(1).map((end, i) => driver.readable(bytes.slice(cuts[i], end)));
      const status = driver.writable(1);
      driver.queue().add([...parts, status]);
      driver.notify();
      assert.equal(driver.queue().used().length, 1);
      assert.deepEqual(storage.bytes.slice(3 * SECTOR, 4 * SECTOR), filled(0x77));

      const whole = driver.writable(SECTOR + 1);
      driver.queue().add([driver.readable(header(T.IN, 3)), whole]);
      driver.notify();
      assert.deepEqual(driver.bytesOf(whole), Uint8Array.from([...filled(0x77), OK]));
    });

    test('several requests in one notification, one interrupt', () => {
      const rig = new Rig(options);
      const requests = [1, 2, 3].map((sector) => rig.submit(T.IN, sector, [], [SECTOR]));
      rig.driver.notify();
      assert.deepEqual(
        rig.driver
          .queue()
          .used()
          .map(({ id }) => id),
        requests.map(({ id }) => id),
      );
      requests.forEach(({ data }, index) => assert.deepEqual(data(), filled(index + 1)));
      assert.equal(rig.driver.irq.edges, 1);
    });
  });
}

describe('block device: what is in its configuration (5.2.3, 5.2.4)', () => {
  const bit = (number: number): bigint => 1n << BigInt(number);
  const config = (rig: Rig, offset: number, size: 1 | 2 | 4): number => rig.driver.readConfig(offset, size);
  const own = (rig: Rig): bigint => rig.driver.offered() & ((1n << 27n) - 1n);
  const always = bit(F.SIZE_MAX) | bit(F.SEG_MAX) | bit(F.BLK_SIZE) | bit(F.TOPOLOGY) | bit(F.FLUSH);

  test('a writable disk', () => {
    const rig = new Rig();
    assert.equal(own(rig), always | bit(F.CONFIG_WCE) | bit(F.DISCARD) | bit(F.WRITE_ZEROES));
    assert.equal(rig.driver.get('DeviceID'), 2);
    assert.equal(config(rig, 0, 4), SECTORS, 'capacity');
    assert.equal(config(rig, 4, 4), 0);
    assert.ok(config(rig, 8, 4) >= 4096, 'size_max');
    assert.equal(config(rig, 12, 4), 254, 'seg_max leaves room for header and status');
    assert.equal(config(rig, 20, 4), 512, 'blk_size');
    assert.equal(2 ** config(rig, 24, 1) * 512, 4096, 'physical_block_exp');
    assert.equal(config(rig, 32, 1), 1, 'writeback');
    assert.equal(config(rig, 34, 2), 1, 'num_queues');
  });

  test('a read-only disk', () => {
    const rig = new Rig({ isReadOnly: true });
    assert.equal(own(rig), always | bit(F.RO));
  });
});

describe('block device: what is refused (5.2.6)', () => {
  test('sectors beyond the end, or partly beyond', () => {
    const rig = new Rig();
    for (const sector of [SECTORS, SECTORS - 1, 2 ** 40, 2 ** 54]) {
      assert.equal(rig.request(T.IN, sector, [], [2 * SECTOR]).status, IOERR, `read of ${sector}`);
      assert.equal(rig.request(T.OUT, sector, [filled(1, 2)]).status, IOERR, `write of ${sector}`);
    }
    assert.deepEqual(rig.storage.log, []);
    assert.equal(rig.request(T.IN, SECTORS - 2, [], [2 * SECTOR]).status, OK);
  });

  test('parts of sectors', () => {
    const rig = new Rig();
    assert.equal(rig.request(T.IN, 0, [], [100]).status, IOERR);
    assert.equal(rig.request(T.OUT, 0, [new Uint8Array(513)]).status, IOERR);
    assert.deepEqual(rig.storage.log, []);
  });

  test('writes of every kind to a read-only disk', () => {
    const rig = new Rig({ isReadOnly: true });
    assert.equal(rig.request(T.OUT, 0, [filled(1)]).status, IOERR);
    assert.equal(rig.request(T.DISCARD, 0, [range(0, 8)]).status, UNSUPP);
    assert.equal(rig.request(T.WRITE_ZEROES, 0, [range(0, 8)]).status, UNSUPP);
    assert.equal(rig.request(T.IN, 0, [], [SECTOR]).status, OK);
    assert.equal(rig.request(T.FLUSH, 0).status, OK);
  });

  test('types of requests that do not exist or were not offered', () => {
    const rig = new Rig({ without: [F.DISCARD, F.WRITE_ZEROES] });
    for (const type of [2, 3, T.DISCARD, T.WRITE_ZEROES, T.SECURE_ERASE, 0x8000_0000, 0xffff_ffff]) {
      assert.equal(rig.request(type, 0, [range(0, 8)]).status, UNSUPP, `type ${type}`);
    }
  });

  test('a request without header or status makes the device need a reset', () => {
    for (const lengths of [
      [15, 1],
      [16, 0],
    ] as const) {
      const { driver } = new Rig();
      const buffers = [driver.readable(new Uint8Array(lengths[0])), driver.writable(lengths[1])];
      driver.queue().add(buffers);
      driver.notify();
      assert.ok(driver.needsReset);
    }
  });

  test('a failure of the storage is an I/O error', () => {
    const rig = new Rig();
    rig.storage.fails = true;
    assert.equal(rig.request(T.IN, 0, [], [SECTOR]).status, IOERR);
    assert.equal(rig.request(T.OUT, 0, [filled(1)]).status, IOERR);
    assert.equal(rig.request(T.FLUSH, 0).status, IOERR);
    rig.storage.fails = false;
    assert.equal(rig.request(T.IN, 0, [], [SECTOR]).status, OK);
    assert.ok(!rig.driver.needsReset);
  });

  test('a buffer that is no memory makes the device need a reset; nothing is written to the disk', () => {
    const rig = new Rig();
    const { driver } = rig;
    driver
      .queue()
      .add([
        driver.readable(header(T.OUT, 0)),
        { address: 0x1000, length: SECTOR, isWritable: false },
        driver.writable(1),
      ]);
    driver.notify();
    assert.ok(driver.needsReset);
    assert.deepEqual(rig.storage.log, []);
    driver.start();
    assert.equal(rig.request(T.IN, 0, [], [SECTOR]).status, OK);
  });
});

describe('block device: the device id (5.2.6.1)', () => {
  test('is the serial number, filled up with zeros to 20 bytes', () => {
    const { status, data, length } = new Rig({ serial: 'disk-7' }).request(T.GET_ID, 0, [], [20]);
    assert.deepEqual([status, length], [OK, 21]);
    assert.equal(Buffer.from(data).toString('latin1'), 'disk-7'.padEnd(20, '\0'));
  });

  test('is empty without one, and no longer than the buffer', () => {
    assert.deepEqual(new Rig().request(T.GET_ID, 0, [], [20]).data, new Uint8Array(20));
    assert.equal(
      Buffer.from(new Rig({ serial: 'abcdef' }).request(T.GET_ID, 0, [], [3]).data).toString(),
      'abc',
    );
  });
});

describe('block device: discard and write zeroes (5.2.6)', () => {
  test('ranges, several in a request', () => {
    const rig = new Rig();
    const { status } = rig.request(T.WRITE_ZEROES, 0, [range(8, 2), range(100, 1, 1)]);
    assert.equal(status, OK);
    assert.deepEqual(rig.storage.log, [`zero ${8 * SECTOR} ${2 * SECTOR}`, `zero ${100 * SECTOR} ${SECTOR}`]);
    assert.equal(rig.request(T.DISCARD, 0, [range(16, 8)]).status, OK);
    assert.equal(rig.storage.log[2], `discard ${16 * SECTOR} ${8 * SECTOR}`);
  });

  test('unknown flags, and unmap in a discard, are not supported (5.2.6.2)', () => {
    const rig = new Rig();
    assert.equal(rig.request(T.DISCARD, 0, [range(0, 8, 1)]).status, UNSUPP);
    assert.equal(rig.request(T.WRITE_ZEROES, 0, [range(0, 8, 2)]).status, UNSUPP);
    assert.deepEqual(rig.storage.log, []);
  });

  test('one bad range refuses the request as a whole', () => {
    const rig = new Rig();
    assert.equal(rig.request(T.WRITE_ZEROES, 0, [range(0, 8), range(SECTORS, 1)]).status, IOERR);
    assert.equal(rig.request(T.WRITE_ZEROES, 0, [range(0, 0xffff_ffff)]).status, IOERR);
    assert.equal(rig.request(T.WRITE_ZEROES, 0, [new Uint8Array(15)]).status, IOERR);
    assert.equal(rig.request(T.WRITE_ZEROES, 0, []).status, IOERR);
    assert.equal(
      rig.request(
        T.WRITE_ZEROES,
        0,
        Array.from({ length: 17 }, () => range(0, 8)),
      ).status,
      IOERR,
    );
    assert.deepEqual(rig.storage.log, []);
  });
});

describe('block device: the cache (5.2.5, 5.2.6.2)', () => {
  test('a flush is done when the storage has flushed', () => {
    const rig = new Rig();
    rig.storage.isHolding = true;
    const flush = rig.submit(T.FLUSH, 0);
    rig.driver.notify();
    assert.deepEqual(rig.storage.log, ['flush']);
    assert.equal(flush.status(), NO_STATUS);
    assert.deepEqual(rig.driver.queue().used(), []);
    rig.storage.held[0]?.();
    assert.equal(flush.status(), OK);
    assert.equal(rig.driver.queue().used().length, 1);
    assert.equal(rig.driver.irq.edges, 1);
  });

  test('writes are not flushed by themselves', () => {
    const rig = new Rig();
    rig.request(T.OUT, 0, [filled(1)]);
    assert.deepEqual(rig.storage.log, ['write 0 512']);
  });

  test('a driver that knows no flush gets one with each write', () => {
    const rig = new Rig({ without: [F.FLUSH, F.CONFIG_WCE] });
    assert.equal(rig.request(T.OUT, 0, [filled(1)]).status, OK);
    assert.deepEqual(rig.storage.log, ['write 0 512', 'flush']);
    assert.equal(rig.request(T.IN, 0, [], [SECTOR]).status, OK);
    assert.deepEqual(rig.storage.log.slice(2), ['read 0 512']);
  });

  test('a driver can switch the cache off and on; a reset switches it on', () => {
    const rig = new Rig();
    rig.driver.writeConfig(0x20, 1, 0);
    assert.equal(rig.driver.readConfig(0x20, 1), 0);
    rig.request(T.OUT, 0, [filled(1)]);
    assert.deepEqual(rig.storage.log, ['write 0 512', 'flush']);
    rig.driver.writeConfig(0x20, 1, 1);
    rig.request(T.OUT, 0, [filled(1)]);
    assert.equal(rig.storage.log.length, 3);
    rig.driver.writeConfig(0x20, 1, 0);
    rig.driver.set('Status', 0);
    assert.equal(rig.driver.readConfig(0x20, 1), 1);
  });

  test('without the feature the cache cannot be switched, nor anything else be written', () => {
    const rig = new Rig({ without: [F.CONFIG_WCE] });
    rig.driver.writeConfig(0x20, 1, 0);
    rig.driver.writeConfig(0, 4, 0);
    assert.equal(rig.driver.readConfig(0x20, 1), 1);
    assert.equal(rig.driver.readConfig(0, 4), SECTORS);
  });
});

describe('block device: many and long requests', () => {
  test('requests are given back as they are done, in any order', () => {
    const rig = new Rig();
    rig.storage.isHolding = true;
    const requests = [1, 2, 3].map((sector) => rig.submit(T.IN, sector, [], [SECTOR]));
    rig.driver.notify();
    assert.equal(rig.storage.held.length, 3, 'all are under way');
    for (const index of [2, 0, 1]) {
      rig.storage.held[index]?.();
      assert.deepEqual(
        rig.driver
          .queue()
          .used()
          .map(({ id }) => id),
        [requests[index]?.id],
      );
      assert.deepEqual(requests[index]?.data(), filled(index + 1));
    }
  });

  test('a long transfer goes in pieces, and lets the guest run in between', () => {
    const rig = new Rig();
    const length = 3.5 * 1024 * 1024;
    const request = rig.submit(T.IN, 1, [], [length]);
    rig.driver.notify();
    assert.equal(request.status(), NO_STATUS);
    for (let turn = 0; turn < 10; turn++) rig.driver.clock.advance(1);
    assert.equal(request.status(), OK);
    assert.deepEqual(request.data(), rig.storage.bytes.slice(SECTOR, SECTOR + length));
    for (const line of rig.storage.log) assert.ok(Number(line.split(' ')[2]) <= 1024 * 1024, line);
  });

  test('a notification begins a bounded number of requests; the rest follows', () => {
    const rig = new Rig();
    const requests = Array.from({ length: 80 }, (_, sector) => rig.submit(T.IN, sector, [], [SECTOR]));
    rig.driver.notify();
    const { length } = rig.storage.log;
    assert.ok(length > 0 && length < 80, `${length} at once`);
    rig.driver.clock.advance(1);
    rig.driver.clock.advance(1);
    assert.ok(requests.every(({ status }) => status() === OK));
  });

  test('after a reset nothing of what was under way reaches memory', () => {
    const rig = new Rig();
    rig.storage.isHolding = true;
    const read = rig.submit(T.IN, 1, [], [SECTOR]);
    const write = rig.submit(T.OUT, 2, [filled(9)]);
    rig.driver.notify();
    rig.driver.set('Status', 0);
    for (const finish of rig.storage.held.splice(0)) finish();
    assert.deepEqual(read.data(), new Uint8Array(SECTOR));
    assert.equal(read.status(), NO_STATUS);
    assert.equal(write.status(), NO_STATUS);
    rig.storage.isHolding = false;
    rig.driver.start();
    assert.equal(rig.request(T.IN, 1, [], [SECTOR]).status, OK);
  });

  test('a snapshot with requests under way finishes them in another device', () => {
    const rig = new Rig();
    rig.storage.isHolding = true;
    const read = rig.submit(T.IN, 1, [], [SECTOR]);
    const write = rig.submit(T.OUT, 2, [filled(9)]);
    rig.driver.notify();
    const snapshot = structuredClone(rig.driver.saveState());
    const storage = new FakeStorage();
    const other = new TestDriver(
      (ports) => new VirtioBlk('virtio-blk0', { ...ports, storage }),
      {},
      rig.driver.memory,
    );
    other.restoreState(snapshot);
    assert.deepEqual(storage.log, []);
    other.clock.advance(1);
    assert.equal(read.status(), OK);
    assert.deepEqual(read.data(), filled(1));
    assert.equal(write.status(), OK);
    assert.deepEqual(storage.bytes.slice(2 * SECTOR, 3 * SECTOR), filled(9));
    assert.equal(rig.driver.queue().used().length, 2);
    assert.ok(other.irq.level);
  });
});
