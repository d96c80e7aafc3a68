import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DriverOptions } from './driver-suite.js';
import { RAM_BASE, TestDriver } from './driver-suite.js';
import type { VirtioConsoleOptions } from './virtio-console.js';
import { VirtioConsole } from './virtio-console.js';

const MULTIPORT = 1;
const EVENT = { READY: 0, ADD: 1, PORT_READY: 3, CONSOLE: 4, RESIZE: 5, OPEN: 6, NAME: 7 } as const;
const BUFFER_BYTES = 64;
const text = (bytes: Iterable<number>): string => String.fromCharCode(...bytes);
const bytes = (from: string): Uint8Array => Uint8Array.from(from, (character) => character.charCodeAt(0));

/** A console and the ports `one` and `two`, with a driver. */
function start(driverOptions: DriverOptions = {}, options: VirtioConsoleOptions = {}) {
  const outputs: number[][] = [[], [], []];
  const output = (port: number) => ({ write: (byte: number) => void outputs[port]!.push(byte) });
  const driver = new TestDriver(
    (ports) =>
      new VirtioConsole(
        'virtio-console0',
        [{ output: output(0) }, { name: 'one', output: output(1) }, { name: 'two', output: output(2) }],
        ports,
        options,
      ),
    driverOptions,
  ).start();
  const sent = new Map<string, { address: number; length: number; isWritable: boolean }>();
  /** Gives the device `count` buffers to write to. */
  const offer = (queue: number, count = 1, length = BUFFER_BYTES): void => {
    for (let i = 0; i < count; i++) {
      const buffer = driver.writable(length);
      sent.set(`${queue} ${driver.queue(queue).add([buffer])}`, buffer);
    }
    driver.notify(queue);
  };
  /** What came in those. */
  const taken = (queue: number): Uint8Array[] =>
    driver
      .queue(queue)
      .used()
      .map(({ id, length }) => driver.bytesOf({ ...sent.get(`${queue} ${id}`)!, length }));
  const control = (id: number, event: number, value: number): void => {
    const message = new DataView(new ArrayBuffer(8));
    message.setUint32(0, id, true);
    message.setUint16(4, event, true);
    message.setUint16(6, value, true);
    driver.queue(3).add([driver.readable(new Uint8Array(message.buffer))]);
    driver.notify(3);
    driver.queue(3).used();
  };
  const messages = (): (readonly [port: number, event: number, value: number, more: string])[] =>
    taken(2).map((message) => {
      const view = new DataView(message.buffer, message.byteOffset, 8);
      return [
        view.getUint32(0, true),
        view.getUint16(4, true),
        view.getUint16(6, true),
        text(message.subarray(8)),
      ];
    });
  const send = (queue: number, data: string): void => {
    driver.queue(queue).add([driver.readable(bytes(data))]);
    driver.notify(queue);
  };
  const printed = (port: number): string => text(outputs[port]!);
  return { driver, offer, taken, control, messages, send, printed, device: driver.device };
}

const RECEIVE = [0, 4, 6] as const;

describe('console device (VIRTIO 1.2 5.3)', () => {
  test('is device 3 with two queues for each port and two for control messages (5.3.1, 5.3.2)', () => {
    const { driver } = start();
    assert.equal(driver.get('DeviceID'), 3);
    assert.equal(driver.offered() & 7n, 6n, 'MULTIPORT, EMERG_WRITE; SIZE only where there is one');
    assert.equal(driver.device.queues.length, 8);
    assert.equal(driver.mmio.read(0x104, 4), 3, 'max_nr_ports (5.3.4)');
  });

  test('tells its ports to a driver that is ready, and each port’s properties (5.3.6.2)', () => {
    const { offer, control, messages } = start();
    offer(2, 16);
    control(0xffff_ffff, EVENT.READY, 1);
    assert.deepEqual(
      messages(),
      [0, 1, 2].map((port) => [port, EVENT.ADD, 0, '']),
    );
    control(0, EVENT.PORT_READY, 1);
    assert.deepEqual(messages(), [
      [0, EVENT.CONSOLE, 1, ''],
      [0, EVENT.OPEN, 1, ''],
    ]);
    control(2, EVENT.PORT_READY, 1);
    assert.deepEqual(messages(), [
      [2, EVENT.NAME, 0, 'two'],
      [2, EVENT.OPEN, 1, ''],
    ]);
    control(3, EVENT.PORT_READY, 1);
    control(1, EVENT.PORT_READY, 0);
    control(0, EVENT.READY, 0);
    control(0, 99, 1);
    assert.deepEqual(messages(), []);
  });

  for (const port of [0, 1, 2])
    test(`port ${port}: what the driver sends comes out`, () => {
      const { send, printed, driver } = start();
      send(RECEIVE[port]! + 1, 'hello, ');
      const parts = ['host', '!'].map((part) => driver.readable(bytes(part)));
      driver.queue(RECEIVE[port]! + 1).add(parts, { indirect: true });
      driver.notify(RECEIVE[port]! + 1);
      assert.equal(printed(port), 'hello, host!');
      assert.equal(driver.queue(RECEIVE[port]! + 1).used().length, 2);
    });

  for (const port of [0, 1])
    test(`port ${port}: input waits for the port to be open and for buffers`, () => {
      const { device, offer, control, taken } = start();
      const queue = RECEIVE[port]!;
      const input = device.inputs[port]!;
      let room = 0;
      input.onReceiveRoom = () => void room++;
      assert.equal(input.receive(bytes('early')), 0);
      offer(queue, 1, 4);
      assert.equal(input.receive(bytes('early')), 0, 'not open');
      control(port, EVENT.OPEN, 1);
      assert.ok(room > 0);
      assert.equal(input.receive(bytes('hello')), 4);
      assert.deepEqual(taken(queue).map(text), ['hell']);
      assert.equal(input.receive(bytes('o')), 0);
      room = 0;
      offer(queue, 2, 4);
      assert.equal(room, 1);
      assert.equal(input.receive(bytes('o, you')), 6);
      assert.deepEqual(taken(queue).map(text), ['o, y', 'ou']);
      control(port, EVENT.OPEN, 0);
      offer(queue);
      assert.equal(input.receive(bytes('late')), 0);
    });

  test('a driver that knows no ports has a console and needs to open nothing', () => {
    const { device, offer, taken, send, printed } = start({ without: [MULTIPORT] });
    offer(0);
    assert.equal(device.inputs[0]!.receive(bytes('ls\r')), 3);
    assert.deepEqual(taken(0).map(text), ['ls\r']);
    send(1, 'README');
    assert.equal(printed(0), 'README');
  });

  test('legacy drivers use it too', () => {
    const { device, offer, taken } = start({ kind: 'legacy', without: [MULTIPORT] });
    offer(0);
    assert.equal(device.inputs[0]!.receive(bytes('x')), 1);
    assert.deepEqual(taken(0).map(text), ['x']);
  });

  test('the size of the terminal: configuration (5.3.4), message to a driver with ports, changes', () => {
    const { device, driver, offer, control, messages } = start({}, { size: { columns: 80, rows: 24 } });
    assert.deepEqual([driver.mmio.read(0x100, 2), driver.mmio.read(0x102, 2)], [80, 24]);
    offer(2, 8);
    control(0, EVENT.PORT_READY, 1);
    assert.deepEqual(messages()[1], [0, EVENT.RESIZE, 0, '\x50\0\x18\0']);
    driver.takeInterrupts();
    const generation = driver.get('ConfigGeneration');
    device.resize({ columns: 132, rows: 50 });
    assert.deepEqual([driver.mmio.read(0x100, 2), driver.mmio.read(0x102, 2)], [132, 50]);
    assert.notEqual(driver.get('ConfigGeneration'), generation);
    assert.equal(driver.takeInterrupts(), 3);
    assert.deepEqual(messages(), [[0, EVENT.RESIZE, 0, '\x84\0\x32\0']]);
    for (let columns = 1; columns < 100; columns++) device.resize({ columns, rows: 1 });
    offer(2, 32);
    assert.ok(messages().length <= 8, 'sizes that nobody took are forgotten');
  });

  test('an emergency write comes out before any queue is there (5.3.4)', () => {
    const { driver, printed } = start();
    driver.set('Status', 0);
    for (const character of bytes('ouch')) driver.mmio.write(0x108, 4, character);
    assert.equal(printed(0), 'ouch');
    driver.mmio.write(0x104, 4, 9);
    assert.equal(driver.mmio.read(0x104, 4), 3);
  });

  test('a driver that asks without listening is not listened to either', () => {
    const { driver, offer, control, messages } = start();
    // Eleven are answered by 33 messages that wait; the rest fill the queue.
    const asked = 11 + 32;
    for (let i = 0; i < asked; i++) control(0, EVENT.READY, 1);
    assert.equal(driver.device.saveState().own.messages.length, 33);
    let count = 0;
    for (let round = 0; round < 6; round++) {
      offer(2, 32);
      driver.clock.advance(1e6);
      count += messages().length;
    }
    assert.equal(count, 3 * asked, 'and nothing is lost');
    assert.ok(!driver.needsReset);
  });

  test('much to print takes many turns, and is complete only then', () => {
    const { driver, printed } = start({ without: [34] });
    const length = 300_000;
    const memory = driver.memory.allocate(length);
    driver.queue(1).add([{ address: memory, length, isWritable: false }]);
    driver.notify(1);
    assert.ok(printed(0).length < length / 2);
    assert.deepEqual(driver.queue(1).used(), []);
    driver.clock.advance(1e9);
    assert.equal(driver.queue(1).used().length, 1);
  });

  test('a snapshot in the middle of all that goes on elsewhere', () => {
    const first = start();
    const memory = first.driver.memory.allocate(200_000);
    first.control(1, EVENT.OPEN, 1);
    first.control(0, EVENT.PORT_READY, 1);
    first.driver.queue(1).add([{ address: memory, length: 200_000, isWritable: false }]);
    first.driver.notify(1);
    const before = first.printed(0).length;
    assert.ok(before > 0 && before < 200_000);
    const state = structuredClone(first.driver.mmio.saveState());

    const output: number[] = [];
    const sink = { write: (byte: number) => void output.push(byte) };
    const second = new TestDriver(
      (ports) =>
        new VirtioConsole(
          'virtio-console0',
          [{ output: sink }, { name: 'one', output: sink }, { name: 'two', output: sink }],
          ports,
        ),
      {},
      first.driver.memory,
    );
    second.mmio.restoreState(state);
    second.clock.advance(1e9);
    assert.equal(output.length, 200_000 - before);
    assert.deepEqual(second.device.saveState().own.messages.length, 2);
    assert.equal(second.device.saveState().own.ports[1]?.isOpen, true);
  });

  test('a buffer outside memory makes the device need a reset', () => {
    const { driver } = start();
    driver.queue(1).add([{ address: RAM_BASE - 4096, length: 10, isWritable: false }]);
    driver.notify(1);
    assert.ok(driver.needsReset);
    driver.start();
    assert.ok(!driver.needsReset);
  });
});
