import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NetworkFrame, NetworkPort } from '../../bus/index.js';
import { BIT, TestDriver, TestMemory } from './driver-suite.js';
import type { Buffer, DriverOptions } from './driver-suite.js';
import { VirtioNet } from './virtio-net.js';

/** Bits of 5.1.3. */
const F = {
  CSUM: 0,
  GUEST_CSUM: 1,
  GUEST_OFFLOADS: 2,
  MTU: 3,
  MAC: 5,
  GUEST_TSO4: 7,
  HOST_TSO4: 11,
  MRG_RXBUF: 15,
  STATUS: 16,
  CTRL_VQ: 17,
  CTRL_RX: 18,
  MQ: 22,
  CTRL_MAC_ADDR: 23,
};
const RX = 0;
const TX = 1;
const CTRL = 2;
const MAC = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

class FakeNetwork implements NetworkPort {
  readonly sent: NetworkFrame[] = [];
  waiting: NetworkFrame[] = [];
  asked: number[] = [];
  onFrame: () => void = () => undefined;
  /** Lets the guest's time reach the next timers. */
  settle: () => void = () => undefined;
  /** What is sent is answered at once. */
  isEcho = false;

  send(frame: NetworkFrame): void {
    this.sent.push(frame);
    if (this.isEcho) this.arrive(frame);
  }

  receive(maxBytes: number): NetworkFrame | undefined {
    this.asked.push(maxBytes);
    return this.waiting.shift();
  }

  connect(onFrame: () => void): void {
    this.onFrame = () => {
      onFrame();
      this.settle();
    };
  }

  arrive(...frames: readonly NetworkFrame[]): void {
    this.waiting.push(...frames);
    this.onFrame();
  }
}

/** A frame for `to` with `length` bytes of data. */
function frame(length: number, to: readonly number[] = MAC, seed = 0): Uint8Array {
  return Uint8Array.of(...to, ...MAC, 8, 0, ...Array.from({ length }, (_, i) => (i + seed) & 0xff));
}

class Rig {
  readonly network = new FakeNetwork();
  readonly driver: TestDriver<VirtioNet>;
  readonly headerBytes: number;
  #received = new Map<number, Buffer>();

  constructor(options: DriverOptions = {}) {
    this.driver = new TestDriver(
      (ports) => new VirtioNet('virtio-net0', Uint8Array.from(MAC), { ...ports, network: this.network }),
      options,
      new TestMemory(16 * 1024 * 1024),
    ).start();
    this.network.settle = () => {
      this.driver.clock.advance(0);
    };
    const isMerged = options.without?.includes(F.MRG_RXBUF) !== true;
    this.headerBytes = options.kind === 'legacy' && !isMerged ? 10 : 12;
  }

  header(
    fields: { flags?: number; gsoType?: number; gsoSize?: number; start?: number; offset?: number } = {},
  ): Uint8Array {
    const view = new DataView(new ArrayBuffer(this.headerBytes));
    view.setUint8(0, fields.flags ?? 0);
    view.setUint8(1, fields.gsoType ?? 0);
    view.setUint16(4, fields.gsoSize ?? 0, true);
    view.setUint16(6, fields.start ?? 0, true);
    view.setUint16(8, fields.offset ?? 0, true);
    return new Uint8Array(view.buffer);
  }

  transmit(...parts: readonly Uint8Array[]): void {
    this.driver.queue(TX).add(parts.map((part) => this.driver.readable(part)));
    this.driver.notify(TX);
  }

  offer(...lengths: readonly number[]): void {
    for (const length of lengths) {
      const buffer = this.driver.writable(length);
      this.#received.set(this.driver.queue(RX).add([buffer]), buffer);
    }
    this.driver.notify(RX);
  }

  /** What was received, buffer by buffer. */
  taken(): Uint8Array[] {
    return this.driver
      .queue(RX)
      .used()
      .map(({ id, length }) => this.driver.bytesOf(this.#received.get(id)!).subarray(0, length));
  }

  control(...bytes: readonly number[]): number | undefined {
    const ack = this.driver.writable(1);
    this.driver.memory.write(ack.address, Uint8Array.of(0xaa));
    this.driver.queue(CTRL).add([this.driver.readable(Uint8Array.from(bytes)), ack]);
    this.driver.notify(CTRL);
    assert.equal(this.driver.queue(CTRL).used().length, 1);
    return this.driver.bytesOf(ack)[0];
  }
}

function headerOf(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    flags: view.getUint8(0),
    gsoType: view.getUint8(1),
    gsoSize: view.getUint16(4, true),
    start: view.getUint16(6, true),
    offset: view.getUint16(8, true),
    buffers: view.getUint16(10, true),
  };
}

describe('network device (VIRTIO 1.2 5.1)', () => {
  test('is device 1 with three queues, its address and a link that is up (5.1.2, 5.1.4)', () => {
    const { driver } = new Rig();
    assert.equal(driver.get('DeviceID'), 1);
    assert.equal(driver.queues.length, 3);
    const config = Array.from({ length: 8 }, (_, i) => driver.mmio.read(0x100 + i, 1));
    assert.deepEqual(config, [...MAC, 1, 0]);
  });

  test('offers what needs no promise of the network (5.1.3)', () => {
    const { driver } = new Rig();
    const offered = driver.offered();
    for (const bit of [
      F.CSUM,
      F.GUEST_CSUM,
      F.MAC,
      F.GUEST_TSO4,
      F.HOST_TSO4,
      F.MRG_RXBUF,
      F.STATUS,
      F.CTRL_VQ,
    ]) {
      assert.equal((offered >> BigInt(bit)) & 1n, 1n, `bit ${bit}`);
    }
    for (const bit of [F.MTU, F.MQ, 8, 12, 19]) assert.equal((offered >> BigInt(bit)) & 1n, 0n, `bit ${bit}`);
  });

  for (const [kind, without, what] of [
    ['modern', [BIT.PACKED], 'split queues'],
    ['modern', [], 'packed queues'],
    ['modern', [F.MRG_RXBUF, BIT.INDIRECT, BIT.EVENT_IDX], 'as few features as there were once'],
    ['legacy', [], 'legacy'],
    ['legacy', [F.MRG_RXBUF], 'legacy with the short header'],
  ] as const) {
    test(`frames go both ways: ${what}`, () => {
      const rig = new Rig({ kind, without });
      rig.transmit(rig.header(), frame(100).subarray(0, 40), frame(100).subarray(40));
      assert.deepEqual(rig.network.sent, [{ bytes: frame(100) }]);
      assert.equal(rig.driver.queue(TX).used()[0]?.length, 0);
      rig.offer(2000, 2000);
      rig.network.arrive({ bytes: frame(60) }, { bytes: frame(1500, MAC, 7) });
      const [first, second, ...more] = rig.taken();
      assert.deepEqual(more, []);
      assert.deepEqual(first?.subarray(rig.headerBytes), frame(60));
      assert.deepEqual(second?.subarray(rig.headerBytes), frame(1500, MAC, 7));
      if (rig.headerBytes === 12) assert.equal(headerOf(first).buffers, 1);
    });
  }
});

describe('transmission (5.1.6.2)', () => {
  test('a checksum that is left to the device, and a large frame, reach the network as such', () => {
    const rig = new Rig();
    rig.transmit(rig.header({ flags: 1, start: 34, offset: 16, gsoType: 1, gsoSize: 1448 }), frame(30_000));
    assert.deepEqual(rig.network.sent, [
      { bytes: frame(30_000), checksum: { start: 34, offset: 16 }, segmentBytes: 1448 },
    ]);
  });

  test('frames that make no sense are dropped', () => {
    const rig = new Rig();
    rig.transmit(rig.header(), frame(1501));
    rig.transmit(rig.header({ flags: 1, start: 100, offset: 50 }), frame(100));
    rig.transmit(rig.header({ flags: 1, start: 0xffff, offset: 0xffff }), frame(100));
    rig.transmit(rig.header({ gsoType: 3, gsoSize: 1000 }), frame(100));
    rig.transmit(rig.header({ gsoType: 1, gsoSize: 0 }), frame(100));
    rig.transmit(rig.header({ gsoType: 1, gsoSize: 1000 }), frame(65_536));
    assert.deepEqual(rig.network.sent, []);
    assert.equal(rig.driver.queue(TX).used().length, 6);
    assert.ok(!rig.driver.needsReset);
    rig.transmit(rig.header());
    assert.deepEqual(rig.network.sent, [{ bytes: new Uint8Array() }], 'the network can judge that');
  });

  test('nor are offloads that were not agreed on', () => {
    const rig = new Rig({ without: [F.CSUM, F.HOST_TSO4] });
    rig.transmit(rig.header({ flags: 1, start: 34, offset: 16 }), frame(100));
    rig.transmit(rig.header({ gsoType: 1, gsoSize: 1000 }), frame(100));
    assert.deepEqual(rig.network.sent, []);
  });

  test('a chain without a whole header breaks the rules: the device needs a reset', () => {
    const rig = new Rig();
    rig.transmit(new Uint8Array(11));
    assert.ok(rig.driver.needsReset);
    rig.driver.start();
    rig.transmit(rig.header(), frame(1));
    assert.equal(rig.network.sent.length, 1);
  });

  test('one interrupt for a burst, and the answers of a burst together', () => {
    const rig = new Rig({ without: [BIT.PACKED, BIT.EVENT_IDX] });
    rig.network.isEcho = true;
    rig.offer(...Array.from({ length: 20 }, () => 200));
    const before = rig.driver.irq.edges;
    for (let i = 0; i < 20; i++) {
      rig.driver.queue(TX).add([rig.driver.readable(rig.header()), rig.driver.readable(frame(50, MAC, i))]);
    }
    rig.driver.notify(TX);
    assert.deepEqual(
      rig.taken().map((bytes) => bytes.subarray(12)),
      Array.from({ length: 20 }, (_, i) => frame(50, MAC, i)),
    );
    assert.equal(rig.driver.irq.edges, before + 1);
  });

  test('a long queue is served in turns', () => {
    const rig = new Rig({ queueSize: 256 });
    for (let i = 0; i < 200; i++)
      rig.driver.queue(TX).add([rig.driver.readable(Uint8Array.of(...rig.header(), ...frame(1)))]);
    rig.driver.notify(TX);
    assert.ok(rig.network.sent.length > 0 && rig.network.sent.length < 200);
    rig.driver.clock.advance(0);
    assert.equal(rig.network.sent.length, 200);
  });
});

describe('reception (5.1.6.3, 5.1.6.4)', () => {
  test('a frame that comes before there is a buffer waits with the network', () => {
    const rig = new Rig();
    rig.network.arrive({ bytes: frame(10) });
    assert.equal(rig.network.waiting.length, 1);
    rig.offer(100);
    assert.deepEqual(
      rig.taken().map((bytes) => bytes.subarray(12)),
      [frame(10)],
    );
  });

  test('merged buffers: as many as it takes, all with their lengths, the number in the first', () => {
    const rig = new Rig();
    rig.offer(1000, 1000, 1000, 1000);
    rig.network.arrive({ bytes: frame(2500) });
    const taken = rig.taken();
    assert.deepEqual(
      taken.map((bytes) => bytes.length),
      [1000, 1000, 12 + 14 + 2500 - 2000],
    );
    assert.equal(headerOf(taken[0]!).buffers, 3);
    const whole = taken.flatMap((bytes) => [...bytes]);
    assert.deepEqual(Uint8Array.from(whole.slice(12)), frame(2500));
    // One buffer is left, the next frame waits for more.
    rig.network.arrive({ bytes: frame(1500, MAC, 3) });
    assert.deepEqual(rig.taken(), []);
    rig.offer(1000);
    assert.equal(rig.taken().length, 2);
  });

  test('large frames are asked for where the driver takes them', () => {
    for (const [without, large] of [
      [[], true],
      [[F.GUEST_TSO4], false],
      [[F.GUEST_CSUM], false],
    ] as const) {
      const rig = new Rig({ without });
      rig.offer(1000);
      rig.network.onFrame();
      assert.equal(rig.network.asked.at(-1)! > 60_000, large);
    }
  });

  test('a large frame with its checksum left out', () => {
    const rig = new Rig();
    rig.offer(...Array.from({ length: 20 }, () => 4096));
    rig.network.arrive({ bytes: frame(60_000), checksum: { start: 34, offset: 16 }, segmentBytes: 1460 });
    const [first] = rig.taken();
    assert.deepEqual(headerOf(first!), {
      flags: 1,
      gsoType: 1,
      gsoSize: 1460,
      start: 34,
      offset: 16,
      buffers: 15,
    });
  });

  test('a checksum is computed for a driver that wants it', () => {
    const rig = new Rig({ without: [F.GUEST_CSUM, F.GUEST_TSO4] });
    rig.offer(2000);
    const bytes = frame(101);
    rig.network.arrive({ bytes, checksum: { start: 20, offset: 6 } });
    const [taken] = rig.taken();
    assert.equal(headerOf(taken!).flags, 0);
    const got = taken!.subarray(12);
    // RFC 1071: with the sum of the pseudo header that was there, all adds up.
    const view = new DataView(frame(101).buffer);
    let sum = view.getUint16(26);
    for (let at = 20; at < got.length; at += 2) sum += got[at]! * 256 + (got[at + 1] ?? 0);
    assert.equal(sum % 0xffff, 0);
  });

  test('without merged buffers a frame that does not fit breaks the rules', () => {
    const rig = new Rig({ without: [F.MRG_RXBUF] });
    rig.offer(100);
    rig.network.arrive({ bytes: frame(200) });
    assert.ok(rig.driver.needsReset);
  });

  test('a receive buffer without room for the header breaks the rules', () => {
    const rig = new Rig();
    rig.offer(8, 2000);
    rig.network.arrive({ bytes: frame(200) });
    assert.ok(rig.driver.needsReset);
  });

  test('a frame that all buffers together have no room for is lost, not the next', () => {
    const rig = new Rig({ queueSize: 4, without: [BIT.PACKED] });
    rig.offer(100, 100, 100, 100);
    rig.network.arrive({ bytes: frame(1000) }, { bytes: frame(50) });
    assert.deepEqual(
      rig.taken().map((bytes) => bytes.subarray(12)),
      [frame(50)],
    );
  });

  test("after a reset of the queue its buffers are the driver's, and the frame waits for new ones", () => {
    const rig = new Rig();
    rig.offer(20);
    rig.network.arrive({ bytes: frame(500) });
    rig.driver.set('QueueSel', RX);
    rig.driver.set('QueueReset', 1);
    rig.driver.queues[RX] = rig.driver.setUpQueue(RX);
    rig.offer(2000);
    assert.deepEqual(
      rig.taken().map((bytes) => bytes.subarray(12)),
      [frame(500)],
    );
  });

  test('a snapshot holds buffers that were taken and the frame that waits for more', () => {
    const rig = new Rig();
    rig.offer(20, 20);
    rig.network.arrive({ bytes: frame(500) });
    const state = rig.driver.mmio.saveState();
    rig.driver.mmio.restoreState(state);
    rig.offer(2000);
    assert.deepEqual(
      rig.taken().map((bytes) => bytes.length),
      [20, 20, 12 + 514 - 40],
    );
  });
});

describe('control (5.1.6.5)', () => {
  const BROADCAST = [255, 255, 255, 255, 255, 255];
  const OTHER = [0x52, 0x54, 0, 1, 1, 1];
  const GROUP = [1, 0, 0x5e, 0, 0, 0xfb];

  /** Which of four frames come through: to the card, to all, to another card, to a group. */
  const seen = (rig: Rig): string => {
    rig.offer(100, 100, 100, 100);
    rig.network.arrive(...[MAC, BROADCAST, OTHER, GROUP].map((to) => ({ bytes: frame(1, to) })));
    const names = new Map([MAC, BROADCAST, OTHER, GROUP].map((to, i) => [to.join(), 'cbog'[i]]));
    return rig
      .taken()
      .map((bytes) => names.get(bytes.subarray(12, 18).join()))
      .join('');
  };

  test('a driver that filters nothing gets everything', () => {
    assert.equal(seen(new Rig()), 'cbog');
  });

  test('receive modes and addresses', () => {
    const rig = new Rig();
    assert.equal(rig.control(0, 0, 0), 0);
    assert.equal(seen(rig), 'cb');
    assert.equal(rig.control(0, 1, 1), 0);
    assert.equal(seen(rig), 'cbg');
    rig.control(0, 1, 0);
    assert.equal(rig.control(1, 0, 1, 0, 0, 0, ...OTHER, 1, 0, 0, 0, ...GROUP), 0);
    assert.equal(seen(rig), 'cbog');
    rig.control(0, 3, 1);
    rig.control(0, 5, 1);
    assert.equal(seen(rig), 'co');
    rig.control(0, 4, 1);
    assert.equal(seen(rig), '');
    rig.control(0, 0, 1);
    assert.equal(seen(rig), 'cbog');
  });

  test('the address can be changed, until a reset', () => {
    const rig = new Rig();
    rig.control(0, 0, 0);
    assert.equal(rig.control(1, 1, ...OTHER), 0);
    assert.equal(seen(rig), 'bo');
    assert.equal(rig.driver.mmio.read(0x103, 1), OTHER[3]);
    rig.driver.start();
    assert.equal(rig.driver.mmio.read(0x103, 1), MAC[3]);
  });

  test('receive offloads can be switched off', () => {
    const rig = new Rig();
    assert.equal(rig.control(5, 0, 2, 0, 0, 0, 0, 0, 0, 0), 0);
    rig.offer(1000);
    rig.network.onFrame();
    assert.equal(rig.network.asked.at(-1), 1514);
    assert.equal(rig.control(5, 0, 0x82, 0, 0, 0, 0, 0, 0, 0), 0);
    assert.equal(rig.control(5, 0, 0x83, 0, 0, 0, 0, 0, 0, 0), 1, 'not others');
  });

  test('what is unknown or too short is refused', () => {
    const rig = new Rig();
    for (const command of [
      [0, 9, 1],
      [0, 0],
      [1, 1, 1, 2, 3],
      [1, 0, 9, 0, 0, 0],
      [1, 0, 0, 0, 0, 0],
      [1, 7],
      [4, 0, 1, 0],
      [99, 0],
      [5, 0, 1],
    ]) {
      assert.equal(rig.control(...command), 1, command.join());
    }
  });

  test('a command without a place for the answer breaks the rules', () => {
    const rig = new Rig();
    rig.driver.queue(CTRL).add([rig.driver.readable(Uint8Array.of(0, 0, 1))]);
    rig.driver.notify(CTRL);
    assert.ok(rig.driver.needsReset);
  });
});

describe('whatever a driver does', () => {
  test('20,000 random chains and headers: no exception, and the device works after a reset', () => {
    let state = 7;
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let resets = 0;
    let chains = 0;
    while (chains < 20_000) {
      // A fresh memory now and then: its allocator takes nothing back.
      const rig = new Rig({
        kind: random(4) === 0 ? 'legacy' : 'modern',
        without: [
          F.MRG_RXBUF,
          F.GUEST_TSO4,
          F.GUEST_CSUM,
          BIT.PACKED,
          BIT.INDIRECT,
          BIT.EVENT_IDX,
          F.CTRL_RX,
        ].filter(() => random(3) === 0),
        queueSize: 16,
      });
      rig.network.isEcho = true;
      const { driver } = rig;
      for (let i = 0; i < 500; i++, chains++) {
        const index = random(3);
        const count = 1 + random(3);
        const buffers: Buffer[] = [];
        for (let j = 0; j < count; j++) {
          const length = [random(16), random(100), random(3000)][random(3)]!;
          // What matters is at the front.
          const data = new Uint8Array(length).fill(length);
          for (let at = 0; at < Math.min(16, length); at++) data[at] = random(random(2) === 0 ? 4 : 256);
          const address = random(60) === 0 ? random(2 ** 31) : driver.memory.place(data);
          buffers.push({
            address,
            length: random(200) === 0 ? random(2 ** 32) : length,
            isWritable: index === RX ? random(20) > 0 : random(3) === 0,
          });
        }
        if (random(50) > 0) buffers.sort((a, b) => Number(a.isWritable) - Number(b.isWritable));
        try {
          driver.queue(index).add(buffers, { indirect: random(4) === 0 });
        } catch (error) {
          // The driver's own queue is full.
          assert.ok(error instanceof TypeError || error instanceof RangeError, String(error));
          driver.start();
          continue;
        }
        driver.notify(index);
        if (random(10) === 0)
          rig.network.arrive({
            bytes: frame(40 + random(3000)),
            ...(random(2) === 0 ? { checksum: { start: 34, offset: 16 } } : {}),
          });
        driver.clock.advance(1000);
        let isLost = false;
        try {
          for (const queue of driver.queues) queue.used();
        } catch (error) {
          // The device has done as it was told, and a buffer was where the driver has its rings.
          assert.ok(error instanceof assert.AssertionError, String(error));
          isLost = true;
        }
        if (isLost || driver.needsReset || random(100) === 0) {
          resets++;
          driver.start();
        }
      }
      rig.network.isEcho = false;
      rig.network.waiting = [];
      driver.start();
      const before = rig.network.sent.length;
      rig.transmit(rig.header(), frame(100));
      assert.deepEqual(rig.network.sent.slice(before), [{ bytes: frame(100) }]);
    }
    assert.ok(resets > 100, `${resets} resets`);
  });
});
