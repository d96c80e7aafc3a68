/** What is fuzzed: each type of device with what is behind it, requests that make sense, and a question with an answer. */
import { strict as assert } from 'node:assert';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { BlockDone, BlockStorage, BlockTarget, NetworkFrame, NetworkPort } from '#v8a/bus/index.js';
import { ETHERNET_FRAME_BYTES, LARGE_FRAME_BYTES } from '#v8a/bus/index.js';
import { MessageWriter, REQUEST } from '#v8a/devices/9p/message.js';
import type { Buffer as Segment, TestDriver } from '#v8a/devices/virtio/driver-suite.js';
import { BIT } from '#v8a/devices/virtio/driver-suite.js';
import { Virtio9p } from '#v8a/devices/virtio/virtio-9p.js';
import { VirtioBlk } from '#v8a/devices/virtio/virtio-blk.js';
import { VirtioConsole } from '#v8a/devices/virtio/virtio-console.js';
import type { VirtioDevice, VirtioPorts } from '#v8a/devices/virtio/virtio-device.js';
import { VirtioNet } from '#v8a/devices/virtio/virtio-net.js';
import { VirtioRng } from '#v8a/devices/virtio/virtio-rng.js';
import { SharedFolder } from '#v8a/host/node/shared-folder.js';

import type { Random } from './random.js';

export interface Chain {
  readonly queue: number;
  readonly segments: readonly Segment[];
}

/** What a subject can do when everything that was given back has been looked at. */
export interface Scene {
  /** The device does what it has put off. */
  readonly turn: () => void;
  /** Chains of a queue that the device has. */
  readonly waiting: (queue: number) => number;
  /** One more chain that the device gets; false where there is no room for it. */
  readonly add: (chain: Chain) => boolean;
}

/** One device and what is behind it. */
export interface Subject {
  readonly device: VirtioDevice;
  /** A chain that a driver could make. */
  request(driver: TestDriver, random: Random): Chain;
  /** Queues whose chains the device gives back without anything else happening. */
  readonly answering: readonly number[];
  /** Something happens outside: input, a disk that answers. */
  stimulate?(random: Random): void;
  /** Something happens outside until no chain waits for that any more. Returns the queues of those chains. */
  settle?(driver: TestDriver, scene: Scene): readonly number[];
  /** Asks a device that was just started something, and looks at the answer. */
  probe(driver: TestDriver): void;
  /** Looks at what is in the guest's memory. */
  inspect?(memory: Uint8Array): void;
  close?(): void;
}

/** Adding a device to the fuzzer is a line here. */
export const SUBJECTS: Readonly<Record<string, (ports: VirtioPorts, random: Random) => Subject>> = {
  blk: (ports, random) => new BlkSubject(ports, random),
  rng: (ports) => new RngSubject(ports),
  console: (ports) => new ConsoleSubject(ports),
  '9p': (ports, random) => new NinePSubject(ports, random),
  net: (ports, random) => new NetSubject(ports, random),
};

/** A piece of data in one segment or in several. */
function inPieces(driver: TestDriver, random: Random, data: Uint8Array): Segment[] {
  const cut = random.oneIn(3) ? random.below(data.length + 1) : data.length;
  const parts = [data.subarray(0, cut), data.subarray(cut)].filter(({ length }) => length > 0);
  return parts.map((part) => driver.readable(part));
}

/** One chain, and what the device has written of it at the end. */
function ask(driver: TestDriver, queue: number, request: readonly Uint8Array[], room: number): Uint8Array {
  const reply = driver.writable(room);
  const id = driver
    .queue(queue)
    .add([...request.map((part) => driver.readable(part)), ...(room > 0 ? [reply] : [])]);
  driver.notify(queue);
  const [used] = driver.queue(queue).used();
  assert.equal(used?.id, id, 'the device answers after a reset');
  return driver.bytesOf(reply).subarray(0, used.length);
}

const SECTOR = 512;

class MemoryDisk implements BlockStorage {
  readonly #bytes = new Uint8Array(64 * SECTOR);
  readonly sizeBytes = this.#bytes.length;
  readonly isReadOnly: boolean;
  isHolding = false;
  #held: (() => void)[] = [];

  constructor(isReadOnly: boolean) {
    this.isReadOnly = isReadOnly;
  }

  read(offset: number, into: BlockTarget, done: BlockDone): void {
    this.#do(offset, into.length, done, () => {
      let from = offset;
      for (const part of into.lend() ?? []) part.set(this.#bytes.subarray(from, (from += part.length)));
    });
  }

  write(offset: number, from: Uint8Array, done: BlockDone): void {
    this.#change(offset, from.length, done, () => this.#bytes.set(from, offset));
  }

  writeZeros(offset: number, length: number, done: BlockDone): void {
    this.#change(offset, length, done, () => this.#bytes.fill(0, offset, offset + length));
  }

  discard(offset: number, length: number, done: BlockDone): void {
    this.#change(offset, length, done, () => undefined);
  }

  flush(done: BlockDone): void {
    this.#do(0, 0, done, () => undefined);
  }

  /** What was held back is done. */
  settle(): void {
    for (const done of this.#held.splice(0)) done();
  }

  #change(offset: number, length: number, done: BlockDone, change: () => unknown): void {
    assert.ok(!this.isReadOnly, 'a disk that is only read is not written');
    this.#do(offset, length, done, change);
  }

  #do(offset: number, length: number, done: BlockDone, action: () => unknown): void {
    const isInside = Number.isSafeInteger(offset) && offset >= 0 && offset + length <= this.sizeBytes;
    assert.ok(isInside && offset % SECTOR === 0, `the disk has no ${offset}+${length}`);
    const act = (): void => {
      action();
      done(true);
    };
    if (this.isHolding) this.#held.push(act);
    else act();
  }
}

class BlkSubject implements Subject {
  readonly device: VirtioBlk;
  readonly answering = [0];
  readonly #disk: MemoryDisk;

  constructor(ports: VirtioPorts, random: Random) {
    this.#disk = new MemoryDisk(random.oneIn(4));
    this.#disk.isHolding = random.oneIn(4);
    this.device = new VirtioBlk('virtio-blk0', { ...ports, storage: this.#disk });
  }

  request(driver: TestDriver, random: Random): Chain {
    const type = random.pick([0, 0, 0, 1, 1, 1, 4, 8, 11, 13, 14, 99]);
    const header = header16(type, random.oneIn(8) ? random.number(32) : random.below(64));
    const length = random.oneIn(8) ? random.number(16) % 8192 : SECTOR * (1 + random.below(8));
    const segments = inPieces(driver, random, header);
    if (type === 1) segments.push(driver.readable(random.bytes(length)));
    if (type === 11 || type === 13) {
      segments.push(
        driver.readable(
          range16(random.below(64), random.below(random.oneIn(8) ? 2 ** 32 : 8), random.below(3)),
        ),
      );
    }
    if (type === 0 || type === 8) segments.push(driver.writable(length));
    segments.push(driver.writable(1));
    return { queue: 0, segments };
  }

  stimulate(): void {
    this.#disk.settle();
  }

  probe(driver: TestDriver): void {
    this.#disk.settle();
    const { isHolding } = this.#disk;
    this.#disk.isHolding = false;
    const reply = ask(driver, 0, [header16(0, 1)], SECTOR + 1);
    assert.deepEqual([reply.length, reply.at(-1)], [SECTOR + 1, 0]);
    this.#disk.isHolding = isHolding;
  }
}

function header16(type: number, sector: number): Uint8Array {
  const header = new DataView(new ArrayBuffer(16));
  header.setUint32(0, type, true);
  header.setUint32(8, sector, true);
  return new Uint8Array(header.buffer);
}

function range16(sector: number, sectors: number, flags: number): Uint8Array {
  const range = new DataView(new ArrayBuffer(16));
  range.setUint32(0, sector, true);
  range.setUint32(8, sectors, true);
  range.setUint32(12, flags, true);
  return new Uint8Array(range.buffer);
}

class RngSubject implements Subject {
  readonly device: VirtioRng;
  readonly answering = [0];

  constructor(ports: VirtioPorts) {
    this.device = new VirtioRng('virtio-rng0', { ...ports, random: { fill: (into) => into.fill(7) } });
  }

  request(driver: TestDriver, random: Random): Chain {
    return {
      queue: 0,
      segments: [driver.writable(1 + random.below(100)), driver.writable(random.below(8192))],
    };
  }

  probe(driver: TestDriver): void {
    assert.deepEqual([...ask(driver, 0, [], 3)], [7, 7, 7]);
  }
}

class ConsoleSubject implements Subject {
  readonly device: VirtioConsole;
  /** Those of the driver; what it offers for input may stay. */
  readonly answering = [1, 5, 7];
  #printed = 0;

  constructor(ports: VirtioPorts) {
    const output = { write: () => void this.#printed++ };
    this.device = new VirtioConsole(
      'virtio-console0',
      [{ output }, { name: 'one', output }, { name: 'two', output }],
      ports,
      { size: { columns: 80, rows: 24 } },
    );
  }

  request(driver: TestDriver, random: Random): Chain {
    const queue = random.below(8);
    if (queue === 3) {
      const message = new DataView(new ArrayBuffer(8));
      message.setUint32(0, random.oneIn(8) ? random.number(32) : random.below(3), true);
      message.setUint16(4, random.below(9), true);
      message.setUint16(6, random.oneIn(8) ? random.number(16) : 1, true);
      return { queue, segments: inPieces(driver, random, new Uint8Array(message.buffer)) };
    }
    const length = random.oneIn(8) ? random.below(20_000) : random.below(100);
    return {
      queue,
      segments: [queue % 2 === 0 ? driver.writable(length) : driver.readable(random.bytes(length))],
    };
  }

  stimulate(random: Random): void {
    const input = random.pick(this.device.inputs);
    const data = random.bytes(random.below(200));
    const taken = input.receive(data);
    assert.ok(taken >= 0 && taken <= data.length);
    if (random.oneIn(4)) this.device.resize({ columns: random.number(16), rows: random.number(16) });
  }

  settle(driver: TestDriver, { turn, waiting }: Scene): readonly number[] {
    const isMultiport = (driver.features & (1n << BigInt(BIT.CONSOLE_MULTIPORT))) !== 0n;
    // VIRTIO 1.2 5.3.6.2: ports are open; that the first one is ready is answered with three messages each time.
    const tell = (port: number, event: number): void => {
      ask(driver, 3, [Uint8Array.of(port, 0, 0, 0, event, 0, 1, 0)], 0);
    };
    if (isMultiport) this.device.inputs.forEach((_, port) => tell(port, 6));
    for (let messages = isMultiport ? waiting(2) : 0; messages > 0; messages -= 3) tell(0, 3);
    for (const input of this.device.inputs) {
      for (let bytes = driver.queue(0).size; bytes > 0; bytes--) input.receive(Uint8Array.of(0));
    }
    turn();
    return isMultiport ? [0, 2, 4, 6] : [0, 4, 6];
  }

  probe(driver: TestDriver): void {
    const before = this.#printed;
    ask(driver, 1, [Uint8Array.of(1, 2, 3)], 0);
    assert.equal(this.#printed - before, 3);
  }
}

const MAC = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/** Longest frame that comes from the fuzzer's network: buffers of one frame are to fit into memory. */
const MAX_ARRIVING_BYTES = 3000;

/** A network that judges what it is sent, and has frames of any kind for the card. */
class JudgingNetwork implements NetworkPort {
  readonly #random: Random;
  #onFrame: () => void = () => undefined;
  /** Frames that it has for the card, beside `next`. */
  #arriving = 0;
  next: NetworkFrame | undefined;
  last: NetworkFrame | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  connect(onFrame: () => void): void {
    this.#onFrame = onFrame;
  }

  send(frame: NetworkFrame): void {
    const { bytes, checksum, segmentBytes } = frame;
    const limit = segmentBytes === undefined ? ETHERNET_FRAME_BYTES : LARGE_FRAME_BYTES;
    assert.ok(bytes.length <= limit, `a frame of ${bytes.length} bytes`);
    if (checksum) assert.ok(checksum.start + checksum.offset + 2 <= bytes.length, 'the checksum is inside');
    if (segmentBytes !== undefined) assert.ok(segmentBytes > 0, 'segments have bytes');
    this.last = frame;
    // Answers come during the call, too.
    if (this.#random.oneIn(4)) this.arrive(1);
  }

  receive(maxBytes: number): NetworkFrame | undefined {
    assert.ok(maxBytes === ETHERNET_FRAME_BYTES || maxBytes === LARGE_FRAME_BYTES);
    const { next } = this;
    this.next = undefined;
    if (next || this.#arriving === 0) return next;
    this.#arriving--;
    const random = this.#random;
    const isLarge = maxBytes === LARGE_FRAME_BYTES && random.oneIn(3);
    const length = 14 + random.below((isLarge ? MAX_ARRIVING_BYTES : ETHERNET_FRAME_BYTES) - 13);
    const bytes = random.bytes(length);
    if (random.oneIn(2)) bytes.set(random.oneIn(2) ? MAC : [255, 255, 255, 255, 255, 255]);
    const start = random.below(length - 1);
    return {
      bytes,
      ...(isLarge || random.oneIn(2)
        ? { checksum: { start, offset: random.below(length - start - 1) } }
        : {}),
      ...(isLarge ? { segmentBytes: 1 + random.below(length) } : {}),
    };
  }

  arrive(frames: number): void {
    this.#arriving = Math.min(this.#arriving + frames, 100);
    this.#onFrame();
  }

  drop(): void {
    this.#arriving = 0;
  }
}

class NetSubject implements Subject {
  readonly device: VirtioNet;
  /** Those of the driver; buffers for what comes may stay. */
  readonly answering = [1, 2];
  readonly #network: JudgingNetwork;

  constructor(ports: VirtioPorts, random: Random) {
    this.#network = new JudgingNetwork(random);
    this.device = new VirtioNet('virtio-net0', Uint8Array.from(MAC), { ...ports, network: this.#network });
  }

  request(driver: TestDriver, random: Random): Chain {
    const headerBytes = netHeaderBytes(driver);
    switch (random.pick([0, 0, 0, 1, 1, 1, 2])) {
      case 0: {
        // Without merged buffers each has to have room for any frame (VIRTIO 1.2 5.1.6.3.1).
        const frameBytes = hasMergedBuffers(driver) ? random.below(2000) : MAX_ARRIVING_BYTES;
        const parts = [driver.writable(headerBytes), driver.writable(frameBytes)];
        return {
          queue: 0,
          segments: random.oneIn(2) ? parts : [driver.writable(headerBytes + frameBytes)],
        };
      }
      case 1: {
        const length = random.oneIn(8) ? random.below(20_000) : random.below(1600);
        const packet = new Uint8Array(headerBytes + length);
        const view = new DataView(packet.buffer);
        view.setUint8(0, random.oneIn(8) ? random.number(8) : random.below(2));
        view.setUint8(1, random.oneIn(8) ? random.number(8) : random.pick([0, 0, 1, 0x81]));
        for (const at of [2, 4, 6, 8])
          view.setUint16(at, random.oneIn(8) ? random.number(16) : random.below(length + 1), true);
        return { queue: 1, segments: inPieces(driver, random, packet) };
      }
      default:
        return {
          queue: 2,
          segments: [...inPieces(driver, random, netCommand(random)), driver.writable(1)],
        };
    }
  }

  stimulate(random: Random): void {
    if (random.oneIn(2)) this.#network.arrive(1 + random.below(4));
  }

  settle(driver: TestDriver, { turn, add }: Scene): readonly number[] {
    const network = this.#network;
    network.drop();
    // Whatever filter the driver has set: promiscuous now (VIRTIO 1.2 5.1.6.5.1).
    assert.deepEqual([...ask(driver, 2, [Uint8Array.of(0, 0, 1)], 1)], [0]);
    const feed = (): void => {
      for (let frames = driver.queue(0).size; frames > 0; frames--) {
        network.next = { bytes: Uint8Array.from([...MAC, ...MAC, 8, 0]) };
        network.arrive(0);
        turn();
      }
    };
    // Where a frame may wait for more buffers than there are: for what came before, and for what is left in the end.
    const buffer = (): Chain => ({
      queue: 0,
      segments: [driver.writable(netHeaderBytes(driver) + MAX_ARRIVING_BYTES)],
    });
    for (let buffers = 0; hasMergedBuffers(driver) && buffers < 2; buffers++) {
      if (!add(buffer())) return [];
      feed();
    }
    feed();
    network.next = undefined;
    return [0];
  }

  probe(driver: TestDriver): void {
    const network = this.#network;
    network.drop();
    const header = new Uint8Array(netHeaderBytes(driver));
    const sent = Uint8Array.from([...MAC, ...MAC, 8, 0, 1, 2, 3]);
    ask(driver, 1, [header, sent], 0);
    assert.deepEqual(network.last, { bytes: sent });
    network.drop();
    network.next = { bytes: sent.slice() };
    const received = ask(driver, 0, [], header.length + ETHERNET_FRAME_BYTES);
    assert.deepEqual(received.subarray(header.length), sent);
  }
}

function hasMergedBuffers(driver: TestDriver): boolean {
  return (driver.features & (1n << BigInt(BIT.NET_MRG_RXBUF))) !== 0n;
}

/** VIRTIO 1.2 5.1.6.1: shorter for legacy drivers without merged buffers. */
function netHeaderBytes(driver: TestDriver): number {
  const isModern = (driver.features & (1n << BigInt(BIT.VERSION_1))) !== 0n;
  return isModern || hasMergedBuffers(driver) ? 12 : 10;
}

/** VIRTIO 1.2 5.1.6.5: class and command, and what they are about, sometimes wrong. */
function netCommand(random: Random): Uint8Array {
  const [commandClass, command, bytes] = random.pick<readonly [number, number, number]>([
    [0, random.below(7), 1],
    [1, 0, 8 + 6 * random.below(6)],
    [1, 1, 6],
    [5, 0, 8],
    [random.number(8), random.number(8), random.below(20)],
  ]);
  const length = random.oneIn(8) ? random.below(200) : bytes;
  const data = Uint8Array.from({ length }, () => (random.oneIn(4) ? random.number(8) : 0));
  if (commandClass === 1 && command === 0 && length >= 4) data.set([random.below(8), 0, 0, 0]);
  return Uint8Array.of(commandClass, command, ...data);
}

const SECRET = 'not for guests';
/** Those that go together, to use what others made, more often than the rest. */
const TYPES = [
  ...Object.values(REQUEST),
  ...Array.from({ length: 8 }, () => [REQUEST.LOPEN, REQUEST.READ, REQUEST.WRITE]).flat(),
  ...[REQUEST.WALK, REQUEST.LCREATE, REQUEST.READDIR, REQUEST.SETATTR],
];
/** Few, so that requests meet each other's files. */
const NAMES = ['a', 'b', 'c', 'sub', 'link', 'out', '..', '.', '', 'x/y', 'z\0', '../escaped', 'secret'];

class NinePSubject implements Subject {
  readonly device: Virtio9p;
  readonly answering = [0];
  readonly #base: string;
  readonly #directory: string;
  readonly #share: SharedFolder;
  #hasSession = false;

  constructor(ports: VirtioPorts, random: Random) {
    this.#base = mkdtempSync(join(tmpdir(), 'v8a-fuzz-'));
    const directory = join(this.#base, 'share');
    mkdirSync(directory);
    mkdirSync(join(this.#base, 'outside'));
    writeFileSync(join(this.#base, 'outside', 'secret'), SECRET);
    this.#directory = directory;
    this.#furnish();
    this.#share = new SharedFolder({ directory, isReadOnly: random.oneIn(8) });
    this.device = new Virtio9p('virtio-9p0', 'fuzz', { ...ports, share: this.#share });
  }

  request(driver: TestDriver, random: Random): Chain {
    const type = this.#hasSession ? random.pick(TYPES) : REQUEST.VERSION;
    const message = new MessageWriter(8192).u32(0).u8(type).u16(random.below(4));
    // After a reset the first messages are refused, and sometimes there is a session without a root.
    if (type === REQUEST.VERSION) this.#hasSession = !random.oneIn(16);
    writeFields(message, type, random);
    const bytes = message.finish();
    const room = random.oneIn(8) ? random.below(64) : 256 + random.below(8192);
    return { queue: 0, segments: [...inPieces(driver, random, bytes), driver.writable(room)] };
  }

  probe(driver: TestDriver): void {
    this.#hasSession = false;
    const version = new MessageWriter(100).u32(0).u8(REQUEST.VERSION).u16(0).u32(8192).string('9P2000.L');
    assert.equal(ask(driver, 0, [version.finish()], 100)[4], REQUEST.VERSION + 1);
    const attach = new MessageWriter(100)
      .u32(0)
      .u8(REQUEST.ATTACH)
      .u16(0)
      .u32(0)
      .u32(2 ** 32 - 1);
    assert.equal(ask(driver, 0, [attach.finish()], 100)[4], REQUEST.ATTACH + 1);
    this.#furnish();
    for (const [index, name] of ['out', 'link', 'sub', 'a'].entries()) {
      const walk = new MessageWriter(100).u32(0).u8(REQUEST.WALK).u16(0);
      walk
        .u32(0)
        .u32(index + 1)
        .u16(1)
        .string(name);
      assert.equal(ask(driver, 0, [walk.finish()], 100)[4], REQUEST.WALK + 1);
    }
    this.#hasSession = true;
    // What is beside the folder is as it was.
    assert.deepEqual(readdirSync(this.#base).sort(), ['outside', 'share']);
    assert.deepEqual(readdirSync(join(this.#base, 'outside')), ['secret']);
    assert.equal(readFileSync(join(this.#base, 'outside', 'secret'), 'utf8'), SECRET);
  }

  inspect(memory: Uint8Array): void {
    assert.ok(
      !Buffer.from(memory.buffer, 0, memory.length).includes(SECRET),
      'the guest knows what is outside',
    );
  }

  /** What requests are about, whatever became of it: two links that lead out, a folder, a file. */
  #furnish(): void {
    for (const [name, make] of [
      ['out', (path: string) => symlinkSync('../outside', path)],
      ['link', (path: string) => symlinkSync('../outside/secret', path)],
      ['sub', (path: string) => mkdirSync(path)],
      ['a', (path: string) => writeFileSync(path, 'some text')],
    ] as const) {
      const path = join(this.#directory, name);
      if (lstatSync(path, { throwIfNoEntry: false }) === undefined) make(path);
    }
  }

  close(): void {
    this.device.reset();
    this.#share.close();
    rmSync(this.#base, { recursive: true, force: true });
  }
}

/** Fields as a request of the type has them, some of them wrong; the requests without strings are plain numbers. */
function writeFields(message: MessageWriter, type: number, random: Random): void {
  const fid = (): number => (random.oneIn(16) ? random.number(32) : random.below(6));
  const name = (): string => (random.oneIn(40) ? 'n'.repeat(random.below(300)) : random.pick(NAMES));
  const offset = (): bigint =>
    random.oneIn(8) ? BigInt(random.number(32)) << BigInt(random.below(33)) : BigInt(random.below(64));
  const flags = (): number =>
    random.oneIn(8) ? random.number(32) : random.below(3) | random.pick([0, 0o100, 0o300, 0o1000, 0o2000]);
  const count = (): number => (random.oneIn(8) ? random.number(32) : random.below(4096));
  switch (type) {
    case REQUEST.VERSION:
      message
        .u32(random.oneIn(8) ? random.number(32) : 4096 + random.below(8192))
        .string(random.oneIn(16) ? name() : '9P2000.L');
      return;
    case REQUEST.ATTACH:
      message
        .u32(fid())
        .u32(2 ** 32 - 1)
        .string('root')
        .string(name())
        .u32(0);
      return;
    case REQUEST.WALK: {
      const names = Array.from({ length: random.oneIn(16) ? random.below(20) : random.below(3) }, name);
      message
        .u32(random.oneIn(2) ? 0 : fid())
        .u32(fid())
        .u16(random.oneIn(32) ? random.number(16) : names.length);
      for (const each of names) message.string(each);
      return;
    }
    case REQUEST.LOPEN:
      message.u32(fid()).u32(flags());
      return;
    case REQUEST.LCREATE:
      message.u32(fid()).string(name()).u32(flags()).u32(random.number(16)).u32(0);
      return;
    case REQUEST.SYMLINK:
      message
        .u32(fid())
        .string(name())
        .string(random.pick(['a', '../outside/secret', '/etc', '..', '']))
        .u32(0);
      return;
    case REQUEST.MKDIR:
      message
        .u32(fid())
        .string(name())
        .u32(0o700 | random.number(16))
        .u32(0);
      return;
    case REQUEST.MKNOD:
      message
        .u32(fid())
        .string(name())
        .u32(random.pick([0o100644, 0o020666, 0o010600]))
        .u32(1)
        .u32(3)
        .u32(0);
      return;
    case REQUEST.RENAME:
    case REQUEST.LINK:
      message.u32(fid()).u32(fid()).string(name());
      return;
    case REQUEST.RENAMEAT:
      message.u32(fid()).string(name()).u32(fid()).string(name());
      return;
    case REQUEST.UNLINKAT:
      message
        .u32(fid())
        .string(name())
        .u32(random.pick([0, 0x200, random.number(32)]));
      return;
    case REQUEST.READ:
    case REQUEST.READDIR:
      message.u32(fid()).u64(offset()).u32(count());
      return;
    case REQUEST.WRITE: {
      const data = random.bytes(random.below(200));
      message
        .u32(fid())
        .u64(offset())
        .u32(random.oneIn(16) ? count() : data.length);
      for (const byte of data) message.u8(byte);
      return;
    }
    default:
      // Fsync asks much of disks: it is to come rarely.
      message.u32(type === REQUEST.FSYNC && !random.oneIn(50) ? 99 : fid());
      // Owners stay: nothing but its owner could remove such a folder.
      message.u32(type === REQUEST.SETATTR ? random.number(16) & ~6 : random.number(32));
      for (let i = random.below(20); i > 0; i--) message.u32(random.number(32));
  }
}
