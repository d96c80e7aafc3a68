/**
 * A driver for tests, written from the driver's side of VIRTIO 1.2: memory, both formats of queues, and the
 * initialization of a device behind virtio-mmio or virtio-pci.
 */
import assert from 'node:assert/strict';
import { hex, NO_TRACE } from '../../base/index.js';
import type { Trace } from '../../base/index.js';
import { ManualClock } from '../../bus/index.js';
import type { AccessSize, LendingDmaPort } from '../../bus/index.js';
import { PcieHost } from '../pcie/pcie-host.js';
import type { VirtioDevice, VirtioPorts } from './virtio-device.js';
import { VirtioMmio } from './virtio-mmio.js';
import type { VirtioMmioInterface } from './virtio-mmio.js';
import { VirtioPci } from './virtio-pci.js';

export const RAM_BASE = 0x4000_0000;
const RAM_BYTES = 1024 * 1024;

/** RAM from `RAM_BASE`. Accesses outside are refused, as the port promises; none may throw. */
export class TestMemory implements LendingDmaPort {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  #next = RAM_BASE;

  constructor(sizeBytes = RAM_BYTES) {
    this.bytes = new Uint8Array(sizeBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  read(address: number, into: Uint8Array): boolean {
    if (!this.#contains(address, into.length)) return false;
    into.set(this.bytes.subarray(address - RAM_BASE, address - RAM_BASE + into.length));
    return true;
  }

  write(address: number, from: Uint8Array): boolean {
    if (!this.#contains(address, from.length)) return false;
    this.bytes.set(from, address - RAM_BASE);
    return true;
  }

  lend(address: number, length: number): Uint8Array | undefined {
    if (!this.#contains(address, length)) return undefined;
    return this.bytes.subarray(address - RAM_BASE, address - RAM_BASE + length);
  }

  /** Room that nobody else has, zero at first. */
  allocate(sizeBytes: number, align = 16): number {
    const at = Math.ceil(this.#next / align) * align;
    assert.ok(at + sizeBytes <= RAM_BASE + this.bytes.length, 'test memory is full');
    this.#next = at + sizeBytes;
    return at;
  }

  place(data: Uint8Array): number {
    const at = this.allocate(data.length);
    assert.ok(this.write(at, data));
    return at;
  }

  get(address: number, length: number): Uint8Array {
    const into = new Uint8Array(length);
    assert.ok(this.read(address, into), `${hex(address)} is in memory`);
    return into;
  }

  u16(address: number): number {
    return this.view.getUint16(address - RAM_BASE, true);
  }

  setU16(address: number, value: number): void {
    this.view.setUint16(address - RAM_BASE, value, true);
  }

  u32(address: number): number {
    return this.view.getUint32(address - RAM_BASE, true);
  }

  setU32(address: number, value: number): void {
    this.view.setUint32(address - RAM_BASE, value, true);
  }

  setU64(address: number, value: number): void {
    this.setU32(address, value % 2 ** 32);
    this.setU32(address + 4, Math.floor(value / 2 ** 32));
  }

  #contains(address: number, length: number): boolean {
    return address >= RAM_BASE && address + length <= RAM_BASE + this.bytes.length;
  }
}

/** Registers of virtio-mmio (4.2.2, 4.2.4). */
export const REG = {
  MagicValue: 0x000, Version: 0x004, DeviceID: 0x008, VendorID: 0x00c, DeviceFeatures: 0x010, DeviceFeaturesSel: 0x014,
  DriverFeatures: 0x020, DriverFeaturesSel: 0x024, GuestPageSize: 0x028, QueueSel: 0x030, QueueNumMax: 0x034,
  QueueNum: 0x038, QueueAlign: 0x03c, QueuePFN: 0x040, QueueReady: 0x044, QueueNotify: 0x050, InterruptStatus: 0x060,
  InterruptACK: 0x064, Status: 0x070, QueueDescLow: 0x080, QueueDescHigh: 0x084, QueueDriverLow: 0x090,
  QueueDriverHigh: 0x094, QueueDeviceLow: 0x0a0, QueueDeviceHigh: 0x0a4, SHMSel: 0x0ac, SHMLenLow: 0x0b0,
  SHMLenHigh: 0x0b4, SHMBaseLow: 0x0b8, SHMBaseHigh: 0x0bc, QueueReset: 0x0c0, ConfigGeneration: 0x0fc, Config: 0x100,
} as const; // prettier-ignore

/** Feature bits, as the document numbers them. */
export const BIT = {
  CONSOLE_MULTIPORT: 1, NET_MRG_RXBUF: 15,
  ANY_LAYOUT: 27, INDIRECT: 28, EVENT_IDX: 29, VERSION_1: 32, ACCESS_PLATFORM: 33, PACKED: 34, RING_RESET: 40,
} as const; // prettier-ignore

export const FLAG = { NEXT: 1, WRITE: 2, INDIRECT: 4, AVAIL: 1 << 7, USED: 1 << 15 } as const;

export interface Buffer {
  readonly address: number;
  readonly length: number;
  readonly isWritable: boolean;
}

/** What the driver gets back. */
export interface Used {
  readonly id: number;
  readonly length: number;
}

/** The driver's side of one queue. */
export interface DriverQueue {
  readonly index: number;
  readonly size: number;
  readonly areas: { readonly descriptor: number; readonly driver: number; readonly device: number };
  /** Makes a chain available, through an indirect table where asked for. Returns its id. */
  add(buffers: readonly Buffer[], options?: { readonly indirect?: boolean }): number;
  /** What the device has used since the last call, in its order. */
  used(): Used[];
  /** What the driver wants to hear of: every use, none, or (event index) the use of the `n`th chain from now. */
  wantInterrupts(wish: 'all' | 'none' | { readonly after: number }): void;
  /** Whether the device wants a notification for the last `added` chains. */
  wantsNotification(added: number): boolean;
}

class SplitDriverQueue implements DriverQueue {
  readonly index: number;
  readonly size: number;
  readonly areas;
  readonly #memory: TestMemory;
  readonly #hasEventIdx: boolean;
  readonly #free: number[];
  readonly #chains = new Map<number, number[]>();
  #availIdx = 0;
  #usedIdx = 0;

  constructor(
    memory: TestMemory,
    index: number,
    size: number,
    hasEventIdx: boolean,
    areas = {
      descriptor: memory.allocate(16 * size),
      driver: memory.allocate(6 + 2 * size, 2),
      device: memory.allocate(6 + 8 * size, 4),
    },
  ) {
    this.#memory = memory;
    this.index = index;
    this.size = size;
    this.areas = areas;
    this.#hasEventIdx = hasEventIdx;
    this.#free = Array.from({ length: size }, (_, i) => i);
  }

  add(buffers: readonly Buffer[], { indirect = false } = {}): number {
    const memory = this.#memory;
    const put = (at: number, { address, length, isWritable }: Buffer, flags: number, next: number): void => {
      memory.setU64(at, address);
      memory.setU32(at + 8, length);
      memory.setU16(at + 12, flags | (isWritable ? FLAG.WRITE : 0));
      memory.setU16(at + 14, next);
    };
    const write = (table: number, indices: readonly number[]): void => {
      buffers.forEach((buffer, i) => {
        const next = indices[i + 1];
        put(table + 16 * indices[i]!, buffer, next === undefined ? 0 : FLAG.NEXT, next ?? 0);
      });
    };
    let indices: number[];
    if (indirect) {
      const table = memory.allocate(16 * buffers.length);
      // Any order within the table will do.
      const order = buffers.map((_, i) => (i === 0 ? 0 : buffers.length - i));
      write(table, order);
      indices = [this.#free.shift()!];
      const whole = { address: table, length: 16 * buffers.length, isWritable: false };
      put(this.areas.descriptor + 16 * indices[0]!, whole, FLAG.INDIRECT, 0);
    } else {
      indices = buffers.map(() => this.#free.shift()!);
      write(this.areas.descriptor, indices);
    }
    const head = indices[0]!;
    this.#chains.set(head, indices);
    memory.setU16(this.areas.driver + 4 + 2 * (this.#availIdx % this.size), head);
    this.#availIdx = (this.#availIdx + 1) & 0xffff;
    memory.setU16(this.areas.driver + 2, this.#availIdx);
    return head;
  }

  used(): Used[] {
    const memory = this.#memory;
    const found: Used[] = [];
    while (memory.u16(this.areas.device + 2) !== this.#usedIdx) {
      const at = this.areas.device + 4 + 8 * (this.#usedIdx % this.size);
      const id = memory.u32(at);
      found.push({ id, length: memory.u32(at + 4) });
      const indices = this.#chains.get(id);
      assert.ok(indices, `used id ${id} is one that was made available`);
      this.#chains.delete(id);
      this.#free.push(...indices);
      this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
    }
    return found;
  }

  wantInterrupts(wish: 'all' | 'none' | { readonly after: number }): void {
    if (typeof wish === 'object' || this.#hasEventIdx) {
      // 2.7.7: an event index just passed never comes again for 2^16 uses.
      const after = wish === 'all' ? 1 : wish === 'none' ? 0 : wish.after;
      this.#memory.setU16(this.areas.driver + 4 + 2 * this.size, (this.#usedIdx + after - 1) & 0xffff);
    } else {
      this.#memory.setU16(this.areas.driver, wish === 'none' ? 1 : 0);
    }
  }

  wantsNotification(added: number): boolean {
    if (!this.#hasEventIdx) return this.#memory.u16(this.areas.device) === 0;
    const event = this.#memory.u16(this.areas.device + 4 + 8 * this.size);
    return ((this.#availIdx - event - 1) & 0xffff) < added;
  }
}

class PackedDriverQueue implements DriverQueue {
  readonly index: number;
  readonly size: number;
  readonly areas;
  readonly #memory: TestMemory;
  readonly #hasEventIdx: boolean;
  readonly #slots = new Map<number, number>();
  #nextAvail = 0;
  #availWrap = 1;
  #nextUsed = 0;
  #usedWrap = 1;
  #nextId = 0;

  constructor(memory: TestMemory, index: number, size: number, hasEventIdx: boolean) {
    this.#memory = memory;
    this.index = index;
    this.size = size;
    this.areas = {
      descriptor: memory.allocate(16 * size),
      driver: memory.allocate(4, 4),
      device: memory.allocate(4, 4),
    };
    this.#hasEventIdx = hasEventIdx;
  }

  add(buffers: readonly Buffer[], { indirect = false } = {}): number {
    const memory = this.#memory;
    const put = (at: number, { address, length }: Buffer, id: number): void => {
      memory.setU64(at, address);
      memory.setU32(at + 8, length);
      memory.setU16(at + 12, id);
    };
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) % this.size;
    const flagsOf = ({ isWritable }: Buffer): number => (isWritable ? FLAG.WRITE : 0);
    let elements: { readonly buffer: Buffer; readonly flags: number }[];
    if (indirect) {
      const table = memory.allocate(16 * buffers.length);
      buffers.forEach((buffer, i) => {
        put(table + 16 * i, buffer, 0);
        memory.setU16(table + 16 * i + 14, flagsOf(buffer));
      });
      const whole = { address: table, length: 16 * buffers.length, isWritable: false };
      elements = [{ buffer: whole, flags: FLAG.INDIRECT }];
    } else {
      elements = buffers.map((buffer, i) => ({
        buffer,
        flags: flagsOf(buffer) | (i + 1 < buffers.length ? FLAG.NEXT : 0),
      }));
    }
    let first: (() => void) | undefined;
    for (const { buffer, flags } of elements) {
      const at = this.areas.descriptor + 16 * this.#nextAvail;
      put(at, buffer, id);
      const turn = this.#availWrap === 1 ? FLAG.AVAIL : FLAG.USED;
      const publish = (): void => memory.setU16(at + 14, flags | turn);
      // 2.8.6: the first one last.
      if (first) publish();
      else first = publish;
      if (++this.#nextAvail === this.size) [this.#nextAvail, this.#availWrap] = [0, 1 - this.#availWrap];
    }
    first?.();
    this.#slots.set(id, elements.length);
    return id;
  }

  used(): Used[] {
    const memory = this.#memory;
    const found: Used[] = [];
    for (;;) {
      const at = this.areas.descriptor + 16 * this.#nextUsed;
      const flags = memory.u16(at + 14);
      const isAvail = (flags & FLAG.AVAIL) !== 0 ? 1 : 0;
      const isUsed = (flags & FLAG.USED) !== 0 ? 1 : 0;
      if (isAvail !== isUsed || isUsed !== this.#usedWrap) return found;
      const id = memory.u16(at + 12);
      const slots = this.#slots.get(id);
      assert.ok(slots !== undefined, `used id ${id} is one that was made available`);
      this.#slots.delete(id);
      found.push({ id, length: memory.u32(at + 8) });
      this.#nextUsed += slots;
      if (this.#nextUsed >= this.size)
        [this.#nextUsed, this.#usedWrap] = [this.#nextUsed - this.size, 1 - this.#usedWrap];
    }
  }

  wantInterrupts(wish: 'all' | 'none' | { readonly after: number }): void {
    const { driver } = this.areas;
    if (typeof wish === 'string') {
      this.#memory.setU32(driver, (wish === 'none' ? 1 : 0) << 16);
      return;
    }
    // Counts elements: the callers' chains have one each.
    let offset = this.#nextUsed + wish.after - 1;
    let wrap = this.#usedWrap;
    if (offset >= this.size) [offset, wrap] = [offset - this.size, 1 - wrap];
    this.#memory.setU32(driver, offset | (wrap << 15) | (2 << 16));
  }

  wantsNotification(added: number): boolean {
    const event = this.#memory.u32(this.areas.device);
    const flags = event >>> 16;
    if (!this.#hasEventIdx || flags !== 2) return flags === 0;
    const isThisRound = (event >>> 15) % 2 === this.#availWrap;
    const offset = (event & 0x7fff) - (isThisRound ? 0 : this.size);
    return ((this.#nextAvail - offset - 1) & 0xffff) < added;
  }
}

/** What a driver does with a transport, by virtio-mmio's names of registers. */
interface TransportFace {
  get(register: keyof typeof REG): number;
  set(register: keyof typeof REG, value: number): void;
  readConfig(offset: number, size: AccessSize): number;
  writeConfig(offset: number, size: AccessSize, value: number): void;
  reset(): void;
  saveState(): unknown;
  restoreState(state: unknown): void;
}

class MmioFace implements TransportFace {
  readonly mmio: VirtioMmio;

  constructor(mmio: VirtioMmio) {
    this.mmio = mmio;
  }

  get(register: keyof typeof REG): number {
    return this.mmio.read(REG[register], 4);
  }

  set(register: keyof typeof REG, value: number): void {
    this.mmio.write(REG[register], 4, value);
  }

  readConfig(offset: number, size: AccessSize): number {
    return this.mmio.read(REG.Config + offset, size);
  }

  writeConfig(offset: number, size: AccessSize, value: number): void {
    this.mmio.write(REG.Config + offset, size, value);
  }

  reset(): void {
    this.mmio.reset();
  }

  saveState(): unknown {
    return this.mmio.saveState();
  }

  restoreState(state: unknown): void {
    this.mmio.restoreState(state as ReturnType<VirtioMmio['saveState']>);
  }
}

/** Common configuration (4.1.4.3): offset and size of what virtio-mmio has a register for, too. */
const PCI_COMMON: Partial<Record<keyof typeof REG, readonly [at: number, size: 1 | 2 | 4]>> = {
  DeviceFeaturesSel: [0x00, 4], DeviceFeatures: [0x04, 4], DriverFeaturesSel: [0x08, 4], DriverFeatures: [0x0c, 4],
  Status: [0x14, 1], ConfigGeneration: [0x15, 1], QueueSel: [0x16, 2], QueueNum: [0x18, 2], QueueNumMax: [0x18, 2],
  QueueReady: [0x1c, 2], QueueDescLow: [0x20, 4], QueueDescHigh: [0x24, 4], QueueDriverLow: [0x28, 4],
  QueueDriverHigh: [0x2c, 4], QueueDeviceLow: [0x30, 4], QueueDeviceHigh: [0x34, 4], QueueReset: [0x3a, 2],
}; // prettier-ignore

/** Where the driver of the PCI device puts BAR 4, and BAR 1. */
const PCI_WINDOW = 0x1000_0000;
const PCI_MSIX = PCI_WINDOW + 0x10_0000;
const PCI_CONFIG = 1 << 15;

/** The device in slot 1 of a PCI bus, its BARs placed, a bus master; interrupts by its pin. */
class PciFace implements TransportFace {
  readonly host: PcieHost;
  readonly #window;

  constructor(host: PcieHost) {
    this.host = host;
    this.#window = host.window('memory', 'memory', PCI_WINDOW, 2 ** 24);
    this.place();
  }

  place(): void {
    this.host.write(PCI_CONFIG + 0x14, 4, PCI_MSIX);
    this.host.write(PCI_CONFIG + 0x20, 4, PCI_WINDOW);
    this.host.write(PCI_CONFIG + 0x04, 2, 6);
  }

  get(register: keyof typeof REG): number {
    // Reading it acknowledges (4.1.4.5.1).
    if (register === 'InterruptStatus') return this.#window.read(0x1000, 1);
    if (register === 'DeviceID') return this.host.read(PCI_CONFIG + 2, 2) - 0x1040;
    const field = PCI_COMMON[register];
    assert.ok(field, `virtio-pci has nothing like ${register}`);
    return this.#window.read(...field);
  }

  set(register: keyof typeof REG, value: number): void {
    if (register === 'InterruptACK') return;
    if (register === 'QueueNotify') {
      // 4.1.5.2: of a queue that the driver has set up; the multiplier is 4.
      this.#window.write(0x3000 + ((4 * value) % 0x1000), 2, value % 2 ** 16);
      return;
    }
    const field = PCI_COMMON[register];
    assert.ok(field, `virtio-pci has nothing like ${register}`);
    this.#window.write(...field, value % 2 ** (8 * field[1]));
  }

  readConfig(offset: number, size: AccessSize): number {
    return this.#window.read(0x2000 + offset, size);
  }

  writeConfig(offset: number, size: AccessSize, value: number): void {
    this.#window.write(0x2000 + offset, size, value);
  }

  reset(): void {
    this.host.reset();
    this.place();
  }

  saveState(): unknown {
    return this.host.saveState();
  }

  restoreState(state: unknown): void {
    this.host.restoreState(state as Record<string, unknown>);
  }
}

export interface DriverOptions {
  readonly kind?: VirtioMmioInterface | 'pci';
  /** Numbers of the feature bits to leave out although the device offers them. */
  readonly without?: readonly number[];
  readonly queueSize?: number;
  readonly trace?: Trace;
}

/** A device behind its transport with its driver. */
export class TestDriver<Device extends VirtioDevice = VirtioDevice> {
  readonly memory: TestMemory;
  readonly clock: ManualClock;
  readonly device: Device;
  readonly #face: TransportFace;
  readonly #options: DriverOptions;
  queues: DriverQueue[] = [];
  features = 0n;
  /** Level of the interrupt line, and how often it went up. */
  irq = { level: false, edges: 0 };
  /** Message-signalled interrupts, oldest first. */
  readonly messages: { readonly address: number; readonly data: number; readonly requester: number }[] = [];

  constructor(
    make: (ports: VirtioPorts) => Device,
    options: DriverOptions = {},
    memory: TestMemory = new TestMemory(),
    clock = new ManualClock(),
  ) {
    this.memory = memory;
    this.clock = clock;
    this.#options = options;
    const trace = options.trace ?? NO_TRACE;
    this.device = make({ dma: this.memory, clock: this.clock, trace });
    const irq = {
      set: (level: boolean) => {
        if (level && !this.irq.level) this.irq.edges++;
        this.irq.level = level;
      },
    };
    const { kind = 'modern' } = options;
    if (kind === 'pci') {
      const messages = {
        send: (address: number, data: number, requester: number) =>
          void this.messages.push({ address, data, requester }),
      };
      const host = new PcieHost({ interrupts: [irq], messages, trace });
      host.plug(1, 0, new VirtioPci('virtio-pci1', this.device, { slot: host.slot(1, 0), trace }));
      this.#face = new PciFace(host);
    } else {
      this.#face = new MmioFace(new VirtioMmio('virtio-mmio0', this.device, kind, { irq, trace }));
    }
  }

  get mmio(): VirtioMmio {
    assert.ok(this.#face instanceof MmioFace);
    return this.#face.mmio;
  }

  /** The PCI bus, with the device in slot 1. */
  get pcie(): PcieHost {
    assert.ok(this.#face instanceof PciFace);
    return this.#face.host;
  }

  get(register: keyof typeof REG): number {
    return this.#face.get(register);
  }

  set(register: keyof typeof REG, value: number): void {
    this.#face.set(register, value);
  }

  readConfig(offset: number, size: AccessSize): number {
    return this.#face.readConfig(offset, size);
  }

  writeConfig(offset: number, size: AccessSize, value: number): void {
    this.#face.writeConfig(offset, size, value);
  }

  /** Reset of the machine. */
  reset(): void {
    this.#face.reset();
  }

  /** State of the transport, the device's included. */
  saveState(): unknown {
    return this.#face.saveState();
  }

  restoreState(state: unknown): void {
    this.#face.restoreState(state);
  }

  offered(): bigint {
    let offered = 0n;
    for (const half of [0, 1]) {
      this.set('DeviceFeaturesSel', half);
      offered |= BigInt(this.get('DeviceFeatures')) << BigInt(32 * half);
    }
    return offered;
  }

  accept(features: bigint): void {
    for (const half of [0, 1]) {
      this.set('DriverFeaturesSel', half);
      this.set('DriverFeatures', Number((features >> BigInt(32 * half)) & 0xffff_ffffn));
    }
  }

  /** 3.1.1, up to DRIVER_OK, with everything that the device offers but what the options leave out. */
  start(): this {
    const isLegacy = this.#options.kind === 'legacy';
    this.set('Status', 0);
    this.set('Status', 1);
    this.set('Status', 3);
    this.features = this.offered();
    for (const bit of this.#options.without ?? []) this.features &= ~(1n << BigInt(bit));
    this.accept(this.features);
    if (!isLegacy) {
      this.set('Status', 0xb);
      assert.equal(this.get('Status'), 0xb, 'the device takes the features');
    }
    this.queues = this.device.queues.map((_, index) => this.setUpQueue(index));
    this.set('Status', isLegacy ? 0x7 : 0xf);
    return this;
  }

  setUpQueue(index: number): DriverQueue {
    this.set('QueueSel', index);
    const size = Math.min(this.get('QueueNumMax'), this.#options.queueSize ?? Infinity);
    const hasEventIdx = (this.features & (1n << BigInt(BIT.EVENT_IDX))) !== 0n;
    this.set('QueueNum', size);
    if (this.#options.kind === 'legacy') {
      this.set('GuestPageSize', 4096);
      this.set('QueueAlign', 4096);
      const usedAt = Math.ceil((18 * size + 6) / 4096) * 4096;
      const base = this.memory.allocate(usedAt + 6 + 8 * size, 4096);
      const areas = { descriptor: base, driver: base + 16 * size, device: base + usedAt };
      const queue = new SplitDriverQueue(this.memory, index, size, hasEventIdx, areas);
      this.set('QueuePFN', base / 4096);
      return queue;
    }
    const isPacked = (this.features & (1n << BigInt(BIT.PACKED))) !== 0n;
    const Queue = isPacked ? PackedDriverQueue : SplitDriverQueue;
    const queue = new Queue(this.memory, index, size, hasEventIdx);
    this.set('QueueDescLow', queue.areas.descriptor);
    this.set('QueueDescHigh', 0);
    this.set('QueueDriverLow', queue.areas.driver);
    this.set('QueueDriverHigh', 0);
    this.set('QueueDeviceLow', queue.areas.device);
    this.set('QueueDeviceHigh', 0);
    this.set('QueueReady', 1);
    return queue;
  }

  queue(index = 0): DriverQueue {
    const queue = this.queues[index];
    assert.ok(queue, `queue ${index}`);
    return queue;
  }

  readable(data: Uint8Array): Buffer {
    return { address: this.memory.place(data), length: data.length, isWritable: false };
  }

  writable(length: number): Buffer {
    return { address: this.memory.allocate(length), length, isWritable: true };
  }

  bytesOf({ address, length }: Buffer): Uint8Array {
    return this.memory.get(address, length);
  }

  notify(index = 0): void {
    this.set('QueueNotify', index);
  }

  /** Reads and acknowledges the interrupt status. */
  takeInterrupts(): number {
    const status = this.get('InterruptStatus');
    this.set('InterruptACK', status);
    return status;
  }

  get needsReset(): boolean {
    return (this.get('Status') & 64) !== 0;
  }
}
