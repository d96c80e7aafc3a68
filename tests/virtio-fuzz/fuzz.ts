/**
 * Drivers that do anything to virtio devices: chains that make sense, the same too short for what is to go there or with
 * fields of rings, descriptors and requests changed, registers written with anything. Nothing may throw; each access of
 * the driver's costs the device a bounded number of accesses to memory; where rings and descriptors are right, only what
 * they grant is written, and no chain gets lost; and after a reset the device answers as ever.
 */
import { strict as assert } from 'node:assert';

import type { Timer } from '#v8a/bus/index.js';
import { ManualClock } from '#v8a/bus/index.js';
import type { AccessSize } from '#v8a/bus/index.js';
import type { DriverOptions } from '#v8a/devices/virtio/driver-suite.js';
import { BIT, RAM_BASE, TestDriver, TestMemory } from '#v8a/devices/virtio/driver-suite.js';

import { Random } from './random.js';
import type { Chain, Scene, Subject } from './subjects.js';
import { SUBJECTS } from './subjects.js';

export const TRANSPORTS = ['modern', 'legacy', 'pci'] as const;
export type Transport = (typeof TRANSPORTS)[number];

const RAM_BYTES = 512 * 1024;
/** One access of the driver may cost as many accesses of the device, and as many bytes. */
const MAX_CALLS = 500_000;
const MAX_BYTES = 64 * 1024 * 1024;
/** Turns between guest instructions in which chains that are right must be done. */
const MAX_TURNS = 1000;
/** Chains that a device and what is behind it live for, and those between two resets. */
const MACHINE_CHAINS = 500;
const EPISODE_CHAINS = 12;
/** Queues without a size of their own are this long at most. */
const QUEUE_SIZE = 32;
const PCI_CONFIG = 1 << 15;
const PCI_WINDOW = 0x1000_0000;

interface Range {
  readonly address: number;
  readonly length: number;
}

/** Memory that counts what is done to it, and knows what may be written. */
class GuardedMemory extends TestMemory {
  #used = 0;
  calls = 0;
  transferred = 0;
  /** Undefined: anything may be written. */
  grants: Range[] | undefined;

  constructor() {
    super(RAM_BYTES);
  }

  /** Everything is free again, and zero. */
  rewind(): void {
    this.bytes.fill(0, 0, this.#used);
    this.#used = 0;
    this.grants = undefined;
  }

  get room(): number {
    return RAM_BYTES - this.#used;
  }

  /** From the start, so much was ever allocated. */
  get used(): number {
    return this.#used;
  }

  override allocate(sizeBytes: number, align = 16): number {
    const at = Math.ceil(this.#used / align) * align;
    assert.ok(at + sizeBytes <= RAM_BYTES, 'test memory is full');
    this.#used = at + sizeBytes;
    return RAM_BASE + at;
  }

  override read(address: number, into: Uint8Array): boolean {
    this.#account(address, into.length);
    return super.read(address, into);
  }

  override write(address: number, from: Uint8Array): boolean {
    this.#account(address, from.length);
    const isDone = super.write(address, from);
    if (isDone) this.#checkGranted(address, from.length);
    return isDone;
  }

  /** What is lent is written. */
  override lend(address: number, length: number): Uint8Array | undefined {
    this.#account(address, length);
    const lent = super.lend(address, length);
    if (lent) this.#checkGranted(address, length);
    return lent;
  }

  #checkGranted(address: number, length: number): void {
    if (length === 0 || !this.grants) return;
    const isGranted = this.grants.some(
      (range) => address >= range.address && address + length <= range.address + range.length,
    );
    assert.ok(isGranted, `0x${address.toString(16)}+${length} is written, which nothing granted`);
  }

  #account(address: number, length: number): void {
    assert.ok(address >= 0 && Number.isInteger(address), `${address} is no address`);
    this.calls++;
    this.transferred += length;
    assert.ok(
      this.calls <= MAX_CALLS && this.transferred <= MAX_BYTES,
      'one access costs more than is bearable',
    );
  }
}

/** Time stands still; timers that are armed fire once in a turn. */
class TurnClock extends ManualClock {
  readonly #timers: { isArmed: boolean; callback: () => void }[] = [];

  override timer(_name: string, callback: () => void): Timer {
    const entry = { isArmed: false, callback };
    this.#timers.push(entry);
    return {
      arm: () => {
        entry.isArmed = true;
      },
      cancel: () => {
        entry.isArmed = false;
      },
    };
  }

  /** False when nothing was due. */
  turn(): boolean {
    const due = this.#timers.filter(({ isArmed }) => isArmed);
    for (const timer of due) {
      timer.isArmed = false;
      timer.callback();
    }
    return due.length > 0;
  }
}

const writableBytesOf = ({ segments }: Chain): number =>
  segments.reduce((sum, { isWritable, length }) => sum + (isWritable ? length : 0), 0);

/** What was done, to see that the fuzzer gets anywhere. */
export interface FuzzCounts {
  chains: number;
  /** Given back, of those whose rings and descriptors were right. */
  completed: number;
  /** Episodes at whose end the device needed a reset. */
  needingReset: number;
  episodes: number;
}

/** One device with its driver, from a seed. */
class FuzzedMachine {
  readonly #random: Random;
  readonly #memory = new GuardedMemory();
  readonly #clock = new TurnClock();
  readonly #subject: Subject;
  readonly #driver: TestDriver;
  readonly #transport: Transport;
  readonly #counts: FuzzCounts;
  /** Descriptors of each queue that are free as far as the driver knows. */
  #free: number[] = [];

  constructor(device: string, transport: Transport, seed: number, counts: FuzzCounts) {
    this.#random = new Random(seed);
    this.#transport = transport;
    this.#counts = counts;
    const random = this.#random;
    const make = SUBJECTS[device];
    assert.ok(make, `no device ${device}`);
    // 1 is a type's own: limits of disks, ports of consoles, checksums of network cards.
    const without = [BIT.PACKED, BIT.EVENT_IDX, BIT.INDIRECT, 1, BIT.NET_MRG_RXBUF].filter(() =>
      random.oneIn(3),
    );
    const options: DriverOptions = { kind: transport, without, queueSize: QUEUE_SIZE };
    const made: Subject[] = [];
    this.#driver = new TestDriver(
      (ports) => {
        const subject = make(ports, random);
        made.push(subject);
        return subject.device;
      },
      options,
      this.#memory,
      this.#clock,
    );
    this.#subject = made[0]!;
  }

  /** So many chains, in episodes between resets. */
  run(chains: number): void {
    const end = this.#counts.chains + chains;
    while (this.#counts.chains < end) {
      this.#restart();
      this.#at(() => this.#subject.probe(this.#driver));
      this.#counts.episodes++;
      const episode = this.#random.below(5);
      if (episode <= 1) this.#keepRules(episode === 1);
      else this.#misbehave(episode === 2);
      this.#subject.inspect?.(this.#memory.bytes.subarray(0, this.#memory.used));
      if ((this.#driver.device.status & 64) !== 0) this.#counts.needingReset++;
    }
    this.#restart();
    this.#at(() => this.#subject.probe(this.#driver));
  }

  close(): void {
    this.#subject.close?.();
  }

  /** Something that the driver does: as much work as it may cost begins anew. */
  #at<Result>(action: () => Result): Result {
    this.#memory.calls = 0;
    this.#memory.transferred = 0;
    return action();
  }

  #restart(): void {
    const driver = this.#driver;
    driver.messages.length = 0;
    this.#memory.grants = undefined;
    // The bus may not find a PCI device any more, but a reset does.
    if (this.#transport === 'pci' || this.#random.oneIn(4)) this.#at(() => driver.reset());
    this.#at(() => driver.set('Status', 0));
    this.#memory.rewind();
    this.#at(() => driver.start());
    this.#free = driver.queues.map(({ size }) => size);
  }

  /** Makes a chain available where there is room for it. */
  #add({ queue, segments }: Chain): number | undefined {
    const hasIndirect = (this.#driver.features & (1n << BigInt(BIT.INDIRECT))) !== 0n;
    const indirect = hasIndirect && this.#random.oneIn(3);
    const descriptors = indirect ? 1 : segments.length;
    if (segments.length === 0 || this.#free[queue]! < descriptors) return undefined;
    this.#free[queue]! -= descriptors;
    this.#counts.chains++;
    return this.#driver.queue(queue).add(segments, { indirect });
  }

  #hasRoom(): boolean {
    return this.#memory.room > 64 * 1024;
  }

  /**
   * Rings and descriptors are right, and so nothing but what they grant is written, no more than there is room for is said
   * to be, and chains that wait for something from outside are given back when it comes. What is in the chains is right
   * too, and then the device needs no reset, unless the driver is careless: buffers are too short for what is to go there.
   */
  #keepRules(isCareless: boolean): void {
    const [driver, random] = [this.#driver, this.#random];
    const grants = driver.queues.flatMap(({ areas, size }): Range[] => [
      { address: areas.descriptor, length: 16 * size },
      { address: areas.device, length: 6 + 8 * size },
    ]);
    /** Chains of each queue that the device has, with how much may be written of each. */
    const waiting = driver.queues.map(() => new Map<number, number>());
    for (let count = 0; count < EPISODE_CHAINS && this.#hasRoom(); count++) {
      this.#memory.grants = undefined;
      const right = this.#subject.request(driver, random);
      const chain = isCareless ? { ...right, segments: right.segments.map((one) => this.#cut(one)) } : right;
      const id = this.#add(chain);
      if (id === undefined) continue;
      waiting[chain.queue]!.set(id, writableBytesOf(chain));
      grants.push(...chain.segments.filter(({ isWritable }) => isWritable));
      this.#memory.grants = grants;
      if (!random.oneIn(3)) this.#at(() => driver.notify(chain.queue));
      if (random.oneIn(4)) this.#at(() => this.#clock.turn());
      if (random.oneIn(4)) this.#at(() => this.#subject.stimulate?.(random));
      if (random.oneIn(20)) this.#at(() => driver.restoreState(structuredClone(driver.saveState())));
    }
    this.#memory.grants = grants;
    for (const queue of driver.queues) this.#at(() => driver.notify(queue.index));
    for (let turns = 0; ; turns++) {
      this.#at(() => this.#subject.stimulate?.(random));
      if (!this.#at(() => this.#clock.turn()) && turns > 4) break;
      assert.ok(turns < MAX_TURNS, 'the device is at rest after some turns');
    }
    this.#takeBack(waiting, this.#subject.answering, isCareless);
    this.#memory.grants = undefined;
    if ((driver.device.status & 64) !== 0) return;
    const scene: Scene = {
      turn: () => {
        for (let turns = 0; this.#at(() => this.#clock.turn()); turns++)
          assert.ok(turns < MAX_TURNS, 'the device is at rest after some turns');
      },
      waiting: (queue) => waiting[queue]!.size,
      add: (chain) => {
        const id = this.#add(chain);
        if (id === undefined) return false;
        waiting[chain.queue]!.set(id, writableBytesOf(chain));
        this.#at(() => driver.notify(chain.queue));
        return true;
      },
    };
    this.#takeBack(waiting, this.#subject.settle?.(driver, scene) ?? [], isCareless);
  }

  /** The segment, or what a driver that miscounts leaves of it. */
  #cut(segment: Chain['segments'][number]): Chain['segments'][number] {
    return this.#random.oneIn(3) ? { ...segment, length: this.#random.below(segment.length + 1) } : segment;
  }

  /** Looks at what is given back. Of the queues in `whole` that is everything, if the device needs no reset. */
  #takeBack(waiting: readonly Map<number, number>[], whole: readonly number[], mayNeedReset: boolean): void {
    const driver = this.#driver;
    const needsReset = (driver.device.status & 64) !== 0;
    assert.ok(mayNeedReset || !needsReset, 'a driver that makes no mistake needs no reset');
    for (const { index } of driver.queues) {
      const chains = waiting[index]!;
      for (const { id, length } of driver.queue(index).used()) {
        const room = chains.get(id);
        assert.ok(room !== undefined, 'what is given back was made available, and not given back before');
        assert.ok(length <= room, `${length} bytes are said to be written, where there is room for ${room}`);
        chains.delete(id);
        this.#counts.completed++;
      }
      if (whole.includes(index) && !needsReset) assert.equal(chains.size, 0, 'every chain is given back');
    }
  }

  #misbehave(withRegisters: boolean): void {
    const [driver, random] = [this.#driver, this.#random];
    for (let count = 0; count < EPISODE_CHAINS && this.#hasRoom(); count++) {
      const chain = this.#subject.request(driver, random);
      const isMade = this.#add(chain) !== undefined;
      if (!isMade && random.oneIn(2)) this.#counts.chains++;
      for (let pokes = random.below(isMade ? 4 : 8); pokes > 0; pokes--) this.#poke(chain.queue);
      if (withRegisters)
        for (let accesses = random.below(6); accesses > 0; accesses--) this.#at(() => this.#access());
      this.#at(() => driver.notify(random.oneIn(16) ? random.number(16) : chain.queue));
      if (random.oneIn(3)) this.#at(() => this.#clock.turn());
      if (random.oneIn(4)) this.#at(() => this.#subject.stimulate?.(random));
      if (random.oneIn(50)) this.#at(() => driver.restoreState(structuredClone(driver.saveState())));
    }
    for (let turns = 0; turns < 3; turns++) this.#at(() => this.#clock.turn());
  }

  /** Changes something in memory: a descriptor, a ring, or anything else that was ever placed. */
  #poke(index: number): void {
    const [memory, random] = [this.#memory, this.#random];
    const { areas, size } = this.#driver.queue(index);
    const descriptor = areas.descriptor + 16 * random.below(random.oneIn(4) ? size : 8);
    switch (random.below(8)) {
      case 0:
        memory.setU32(descriptor, this.#address());
        memory.setU32(descriptor + 4, random.oneIn(8) ? random.number(32) : 0);
        break;
      case 1:
        memory.setU32(descriptor + 8, random.oneIn(2) ? random.number(32) : 16 * random.below(2048));
        break;
      // Flags and next of a split queue, id and flags of a packed one.
      case 2:
        memory.setU16(descriptor + 12, random.oneIn(2) ? random.below(8) : random.number(16));
        break;
      case 3:
        memory.setU16(
          descriptor + 14,
          random.oneIn(2) ? random.below(8) | random.pick([0, 0x80, 0x8000]) : random.number(16),
        );
        break;
      case 4:
        memory.setU16(areas.driver + 2, random.oneIn(2) ? random.below(2 * size) : random.number(16));
        break;
      case 5:
        memory.setU16(areas.driver + 2 * random.below(3 + size), random.number(16));
        break;
      case 6:
        memory.setU16(areas.device + 2 * random.below(2), random.number(16));
        break;
      default: {
        const at = RAM_BASE + 2 * random.below(memory.used / 2 - 2);
        if (random.oneIn(2)) memory.setU16(at, random.number(16));
        else memory.bytes[at - RAM_BASE] = random.number(8);
      }
    }
  }

  #address(): number {
    const random = this.#random;
    const edges = [0, RAM_BASE, RAM_BASE - 1, RAM_BASE + RAM_BYTES - 1, RAM_BASE + RAM_BYTES, 2 ** 32 - 1];
    const queue = random.pick(this.#driver.queues);
    if (random.oneIn(3)) return random.pick([...edges, ...Object.values(queue.areas)]);
    return random.oneIn(4) ? random.number(32) : RAM_BASE + random.below(RAM_BYTES);
  }

  /** Reads or writes a register, with any width. */
  #access(): void {
    const [driver, random] = [this.#driver, this.#random];
    const size = random.pick<AccessSize>([1, 2, 4, 4]);
    const value = (): number => (random.oneIn(4) ? this.#address() : random.number(32)) % 2 ** (8 * size);
    const aligned = (limit: number): number => size * random.below(limit / size);
    if (this.#transport === 'pci') {
      const isConfiguration = random.oneIn(4);
      const bar = driver.pcie.window('memory', 'memory', PCI_WINDOW, 2 ** 24);
      const at = isConfiguration
        ? PCI_CONFIG + aligned(random.oneIn(4) ? 4096 : 256)
        : random.oneIn(4)
          ? 0x10_0000 + aligned(0x1000)
          : 0x1000 * random.below(4) + aligned(random.oneIn(4) ? 0x1000 : 0x40);
      const target = isConfiguration ? driver.pcie : bar;
      if (random.oneIn(2)) target.read(at, size);
      else target.write(at, size, value());
      return;
    }
    const at = random.oneIn(8) ? 0x100 + aligned(0x100) : aligned(0x100);
    if (random.oneIn(3)) driver.mmio.read(at, size);
    else driver.mmio.write(at, size, value());
  }
}

/**
 * Fuzzes a device with at least so many chains. A failure names what repeats it.
 */
export function fuzz(device: string, transport: Transport, chains: number, seed: number): FuzzCounts {
  const counts: FuzzCounts = { chains: 0, completed: 0, needingReset: 0, episodes: 0 };
  for (let machineSeed = seed; counts.chains < chains; machineSeed++) {
    const machine = new FuzzedMachine(device, transport, machineSeed, counts);
    try {
      machine.run(MACHINE_CHAINS);
    } catch (error) {
      const repeat = `npm run test:fuzz-virtio -- --device ${device} --transport ${transport} --chains 1 --seed ${machineSeed}`;
      throw new Error(`virtio-${device} over ${transport}: ${String(error)}; repeat with: ${repeat}`, {
        cause: error,
      });
    } finally {
      machine.close();
    }
  }
  return counts;
}
