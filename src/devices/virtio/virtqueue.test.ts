import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BIT, FLAG, RAM_BASE, TestDriver } from './driver-suite.js';
import type { Buffer, DriverOptions } from './driver-suite.js';
import { ECHO_SHARE, EchoDevice } from './echo-suite.js';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function start(options: DriverOptions = {}): TestDriver<EchoDevice> {
  return new TestDriver((ports) => new EchoDevice(ports), options).start();
}

/** Sends one message and checks that it comes back. */
function echo(driver: TestDriver<EchoDevice>, message: string, options?: { indirect: boolean }): void {
  const data = text(message);
  const into = driver.writable(data.length);
  const id = driver.queue().add([driver.readable(data), into], options);
  driver.notify();
  assert.deepEqual(driver.queue().used(), [{ id, length: data.length }]);
  assert.deepEqual(driver.bytesOf(into), data);
}

const FORMATS: readonly (readonly [string, DriverOptions])[] = [
  ['split (2.7)', { without: [BIT.PACKED] }],
  ['split without event index', { without: [BIT.PACKED, BIT.EVENT_IDX] }],
  ['packed (2.8)', {}],
  ['packed without event index', { without: [BIT.EVENT_IDX] }],
  ['legacy (2.7.2)', { kind: 'legacy' }],
  ['split, over PCI', { kind: 'pci', without: [BIT.PACKED] }],
  ['packed, over PCI', { kind: 'pci' }],
];

for (const [title, options] of FORMATS) {
  describe(`virtqueue, ${title}`, () => {
    test('a chain is read, written and given back with the number of bytes written (2.6)', () => {
      const driver = start(options);
      echo(driver, 'hello');
      assert.equal(driver.takeInterrupts(), 1);
      assert.ok(!driver.needsReset);
    });

    test('chains of many descriptors, cut anywhere (2.7.4.1)', () => {
      const driver = start(options);
      const pieces = ['a', 'bcd', 'ef', '', 'ghijklm'];
      const readable = pieces.map((piece) => driver.readable(text(piece)));
      const writable = [2, 1, 9, 5].map((length) => driver.writable(length));
      const id = driver.queue().add([...readable, ...writable]);
      driver.notify();
      assert.deepEqual(driver.queue().used(), [{ id, length: 13 }]);
      const back = writable.flatMap((buffer) => [...driver.bytesOf(buffer)]);
      assert.deepEqual(Uint8Array.from(back.slice(0, 13)), text(pieces.join('')));
    });

    test('indirect tables, longer than the queue too (2.7.5.3, 2.8.7)', () => {
      const driver = start(options);
      echo(driver, 'through a table', { indirect: true });
      const data = Array.from({ length: 100 }, (_, i) => driver.readable(Uint8Array.of(i)));
      const into = driver.writable(100);
      const id = driver.queue().add([...data, into], { indirect: true });
      driver.notify();
      assert.deepEqual(driver.queue().used(), [{ id, length: 100 }]);
      assert.deepEqual(
        driver.bytesOf(into),
        Uint8Array.from({ length: 100 }, (_, i) => i),
      );
    });

    test('the ring goes round, in chains of one to five elements', () => {
      const driver = start({ ...options, queueSize: 8 });
      for (let round = 0; round < 200; round++) {
        const data = Uint8Array.of(round, round + 1);
        const into = [driver.writable(1), driver.writable(1)].slice(0, 1 + (round % 2));
        const padding = Array.from({ length: round % 3 }, () => driver.readable(new Uint8Array()));
        const id = driver.queue().add([...padding, driver.readable(data), ...into]);
        driver.notify();
        assert.deepEqual(driver.queue().used(), [{ id, length: into.length }], `round ${round}`);
      }
    });

    test('chains given back in another order (2.6)', () => {
      const driver = start(options);
      driver.device.isHolding = true;
      const into = [1, 2, 3].map((length) => driver.writable(length));
      const ids = into.map((buffer) => driver.queue().add([driver.readable(text('xyz')), buffer]));
      driver.notify();
      assert.deepEqual(driver.queue().used(), []);
      const [first, second, third] = driver.device.held;
      for (const chain of [third!, first!]) driver.device.release(chain);
      assert.deepEqual(driver.queue().used(), [
        { id: ids[2], length: 3 },
        { id: ids[0], length: 1 },
      ]);
      driver.device.isHolding = false;
      echo(driver, 'overtakes');
      driver.device.release(second!);
      assert.deepEqual(driver.queue().used(), [{ id: ids[1], length: 2 }]);
      echo(driver, 'goes on');
    });

    test('one notification gets a fair share done at once and the rest soon', () => {
      const driver = start(options);
      const into = driver.writable(1);
      const data = driver.readable(text('x'));
      for (let i = 0; i < ECHO_SHARE + 5; i++) driver.queue().add([data, into], { indirect: true });
      driver.notify();
      assert.equal(driver.queue().used().length, ECHO_SHARE);
      driver.clock.advance(1);
      assert.equal(driver.queue().used().length, 5);
      driver.clock.advance(1e9);
      assert.deepEqual(driver.queue().used(), []);
    });

    test('a driver that wants no interrupts gets none (2.7.7, 2.8.10)', () => {
      const driver = start(options);
      driver.queue().wantInterrupts('none');
      for (let i = 0; i < 4; i++) echo(driver, 'quiet');
      assert.equal(driver.irq.edges, 0);
      driver.queue().wantInterrupts('all');
      echo(driver, 'loud');
      assert.equal(driver.irq.edges, 1);
      assert.equal(driver.takeInterrupts(), 1);
      assert.ok(!driver.irq.level);
    });

    test('the device asks for a notification of the next chain whenever it has none (2.7.10, 2.8.10)', () => {
      const driver = start({ ...options, queueSize: 8 });
      for (let round = 0; round < 40; round++) {
        const into = driver.writable(1);
        driver.queue().add([driver.readable(text('x')), into], { indirect: true });
        assert.ok(driver.queue().wantsNotification(1), `round ${round}`);
        driver.notify();
        driver.queue().used();
      }
    });

    test('after a reset of the device nothing is written, and the queue starts anew (2.4)', () => {
      const driver = start(options);
      driver.device.isHolding = true;
      const into = driver.writable(3);
      driver.queue().add([driver.readable(text('abc')), into]);
      driver.notify();
      const [chain] = driver.device.held;
      driver.set('Status', 0);
      assert.equal(driver.get('Status'), 0);
      driver.device.release(chain!);
      assert.deepEqual(driver.bytesOf(into), new Uint8Array(3));
      driver.device.isHolding = false;
      driver.start();
      echo(driver, 'again');
    });

    test('a snapshot with chains in flight goes on in another device', () => {
      const driver = start(options);
      echo(driver, 'before');
      driver.device.isHolding = true;
      const into = [driver.writable(2), driver.writable(4)];
      const ids = into.map((buffer) => driver.queue().add([driver.readable(text('wxyz')), buffer]));
      driver.notify();
      const snapshot = structuredClone(driver.saveState());
      const other = new TestDriver((ports) => new EchoDevice(ports), options, driver.memory);
      other.restoreState(snapshot);
      other.queues = driver.queues;
      assert.equal(other.device.held.length, 2);
      other.device.release(other.device.held[1]!);
      other.device.release(other.device.held[0]!);
      assert.deepEqual(other.queue().used(), [
        { id: ids[1], length: 4 },
        { id: ids[0], length: 2 },
      ]);
      other.device.isHolding = false;
      echo(other, 'after');
    });
  });
}

describe('the event index (VIRTIO_F_RING_EVENT_IDX)', () => {
  for (const [title, without] of [
    ['split (2.7.7.1)', [BIT.PACKED]],
    ['packed (2.8.14)', []],
  ] as const) {
    test(`${title}: an interrupt comes when the use passes it, once`, () => {
      const driver = start({ without, queueSize: 8 });
      const one = (): void => {
        driver.queue().add([driver.readable(text('x')), driver.writable(1)], { indirect: true });
        driver.notify();
        driver.queue().used();
      };
      for (let round = 0; round < 30; round++) {
        const after = 1 + (round % 5);
        driver.queue().wantInterrupts({ after });
        for (let i = 1; i <= after; i++) {
          assert.equal(driver.irq.level, false, `round ${round}, use ${i} of ${after}`);
          one();
        }
        assert.ok(driver.irq.level, `round ${round}`);
        driver.takeInterrupts();
      }
    });

    test(`${title}: several uses together that pass it make an interrupt`, () => {
      const driver = start({ without, queueSize: 16 });
      driver.queue().wantInterrupts({ after: 3 });
      const into = driver.writable(1);
      for (let i = 0; i < 5; i++) driver.queue().add([driver.readable(text('x')), into], { indirect: true });
      driver.notify();
      assert.equal(driver.irq.edges, 1);
    });
  }
});

/** Overwrites descriptor `index` of queue 0. */
function poke(
  driver: TestDriver<EchoDevice>,
  index: number,
  fields: { address?: number; length?: number; flags?: number; next?: number },
): void {
  const at = driver.queue().areas.descriptor + 16 * index;
  const { memory } = driver;
  if (fields.address !== undefined) memory.setU64(at, fields.address);
  if (fields.length !== undefined) memory.setU32(at + 8, fields.length);
  if (fields.flags !== undefined) memory.setU16(at + 12, fields.flags);
  if (fields.next !== undefined) memory.setU16(at + 14, fields.next);
}

describe('a driver that breaks a rule makes the device need a reset (2.1.2)', () => {
  type Break = (driver: TestDriver<EchoDevice>) => void;
  const split: DriverOptions = { without: [BIT.PACKED], queueSize: 8 };
  const packed: DriverOptions = { queueSize: 8 };
  const one = (driver: TestDriver<EchoDevice>): void => {
    driver.queue().add([driver.readable(text('x')), driver.writable(1)]);
  };
  const turn = FLAG.AVAIL;
  const cases: readonly (readonly [title: string, options: DriverOptions, breakIt: Break])[] = [
    ['split: a chain that leads to itself (2.7.5.2)', split, (driver) => {
      one(driver);
      poke(driver, 1, { flags: FLAG.NEXT | FLAG.WRITE, next: 1 });
    }],
    ['split: a descriptor beyond the table', split, (driver) => {
      one(driver);
      poke(driver, 0, { next: 8 });
    }],
    ['split: a head beyond the table', split, (driver) => {
      one(driver);
      driver.memory.setU16(driver.queue().areas.driver + 4, 8);
    }],
    ['split: an index further ahead than the ring is long (2.7.6)', split, (driver) => {
      one(driver);
      driver.memory.setU16(driver.queue().areas.driver + 2, 9);
    }],
    ['split: indirect and next in one descriptor (2.7.5.3.1)', split, (driver) => {
      driver.queue().add([driver.readable(text('x')), driver.writable(1)], { indirect: true });
      poke(driver, 0, { flags: FLAG.INDIRECT | FLAG.NEXT, next: 1 });
    }],
    ['split: a readable descriptor after a writable one (2.7.4.2)', split, (driver) => {
      driver.queue().add([driver.writable(1), driver.readable(text('x'))]);
    }],
    ['split: 4 GiB and more in a chain (2.7.5.2)', split, (driver) => {
      driver.queue().add([2 ** 31, 2 ** 31].map((length) => ({ address: RAM_BASE, length, isWritable: false })));
    }],
    ['packed: a chain that goes on with nothing (2.8.6)', packed, (driver) => {
      one(driver);
      poke(driver, 1, { next: FLAG.NEXT | FLAG.WRITE | turn });
    }],
    ['packed: indirect in a chain (2.8.19)', packed, (driver) => {
      one(driver);
      poke(driver, 0, { next: FLAG.INDIRECT | FLAG.NEXT | turn });
    }],
    ['packed: a readable descriptor after a writable one', packed, (driver) => {
      driver.queue().add([driver.writable(1), driver.readable(text('x'))]);
    }],
    ...[split, packed].flatMap((options): (readonly [string, DriverOptions, Break])[] => {
      const name = options === split ? 'split' : 'packed';
      const table = (breakIt: (table: number, driver: TestDriver<EchoDevice>) => void): Break => (driver) => {
        driver.queue().add([driver.readable(text('x')), driver.writable(1)], { indirect: true });
        const at = driver.queue().areas.descriptor;
        breakIt(driver.memory.u32(at), driver);
      };
      const flagsAt = options === split ? 12 : 14;
      return [
        [`${name}: an indirect table in an indirect table`, options, table((at, { memory }) => {
          memory.setU16(at + flagsAt, FLAG.INDIRECT);
        })],
        [`${name}: an empty indirect table`, options, table((_, driver) => {
          poke(driver, 0, { length: 0 });
        })],
        [`${name}: an indirect table of a fraction of a descriptor`, options, table((_, driver) => {
          poke(driver, 0, { length: 24 });
        })],
        [`${name}: an indirect table outside memory`, options, table((_, driver) => {
          poke(driver, 0, { address: 0x1000 });
        })],
        [`${name}: an indirect table of 64 Ki descriptors`, options, table((_, driver) => {
          poke(driver, 0, { length: 16 * 65536 });
        })],
        [`${name}: a buffer to read outside memory`, options, (driver) => {
          one(driver);
          poke(driver, 0, { address: 0x1000 });
        }],
        [`${name}: a buffer to write outside memory`, options, (driver) => {
          one(driver);
          poke(driver, 1, { address: 2 ** 53 });
        }],
        [`${name}: a buffer that begins in memory and ends outside`, options, (driver) => {
          one(driver);
          poke(driver, 1, { address: RAM_BASE + driver.memory.bytes.length - 1, length: 2 });
          const long = text('xy');
          poke(driver, 0, { address: driver.memory.place(long), length: 2 });
        }],
        [`${name}: an indirect descriptor without the feature`, { ...options, without: [...(options.without ?? []), BIT.INDIRECT] },
          table(() => undefined)],
      ];
    }),
  ]; // prettier-ignore
  for (const [title, options, breakIt] of cases) {
    test(title, () => {
      const driver = start(options);
      breakIt(driver);
      driver.takeInterrupts();
      driver.notify();
      assert.ok(driver.needsReset);
      assert.equal(driver.takeInterrupts(), 2, 'a configuration change tells the driver');
      assert.deepEqual(driver.queue().used(), []);
      // Nothing works until it is reset, and everything does then.
      driver.notify();
      driver.notify(1);
      driver.clock.advance(1e9);
      assert.equal(driver.takeInterrupts(), 0);
      driver.start();
      assert.ok(!driver.needsReset);
      echo(driver, 'works');
    });
  }

  for (const [title, options, area] of [
    ['split', split, ['descriptor', 'driver', 'device']],
    ['packed', packed, ['descriptor', 'driver', 'device']],
  ] as const) {
    for (const [index, name] of area.entries()) {
      test(`${title}: the ${name} area is no memory`, () => {
        const driver = start(options);
        driver.set('QueueSel', 0);
        driver.set('QueueReady', 0);
        driver.set((['QueueDescLow', 'QueueDriverLow', 'QueueDeviceLow'] as const)[index]!, 0x1000);
        driver.set('QueueReady', 1);
        one(driver);
        driver.notify();
        driver.notify();
        assert.ok(driver.needsReset);
      });
    }
  }

  for (const [title, options, size] of [
    ['no elements', split, 0],
    ['more elements than the device has (4.2.2.2)', split, 128],
    ['a split queue whose size is no power of two (2.7)', split, 6],
    ['a packed queue of too many elements', packed, 65],
  ] as const) {
    test(`a queue of ${title}`, () => {
      const driver = start(options);
      driver.set('QueueReady', 0);
      driver.set('QueueNum', size);
      driver.set('QueueReady', 1);
      assert.equal(driver.get('QueueReady'), 0);
      assert.ok(driver.needsReset);
    });
  }

  test('a packed queue may have any size (2.8)', () => {
    const driver = start({ queueSize: 7 });
    for (let i = 0; i < 20; i++) echo(driver, 'seven');
  });

  test('a chain made available again while the device has it fills the queue at most', () => {
    const driver = start(split);
    driver.device.isHolding = true;
    const buffers: Buffer[] = [driver.readable(text('x')), driver.writable(1)];
    driver.queue().add(buffers);
    const { driver: area } = driver.queue().areas;
    for (let index = 1; index <= 3; index++) {
      driver.memory.setU16(area + 2, 8 * index);
      driver.notify();
    }
    assert.ok(driver.needsReset);
    assert.ok(driver.device.held.length <= 8);
  });
});
