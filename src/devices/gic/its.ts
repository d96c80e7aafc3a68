/**
 * GICv3 Interrupt Translation Service: turns the messages of devices into LPIs, by tables in guest memory.
 * Document: Arm IHI 0069H, chapters 5 and 12.
 *
 * Modelled: physical LPIs; device table and collection table, flat or of two levels; all commands for physical LPIs.
 * Everything that a guest maps is in the memory that it gave, so nothing grows here. An entry's format is ours:
 *
 *     device table      bit 0 valid, 5:1 number of EventID bits less one, 51:8 address of the interrupt translation table
 *     interrupt table   bit 0 valid, 31:16 collection, 63:32 INTID
 *     collection table  bit 0 valid, 31:16 processor number
 *
 * A command that names something that isn't there does nothing, and leaves a `guest-errors` event; a queue that isn't
 * memory stalls the ITS (5.3.2). Commands are executed while the write that makes them known lasts: at most as many as
 * the queue has room for.
 *
 * @deviation A write to GITS_TRANSLATER by a CPU, which has no DeviceID, does nothing.
 */
import { deepCopy, hex, type PhysAddr, type Trace } from '../../base/index.js';
import { cells64 } from '../../bus/index.js';
import type { AcpiInterruptController, DmaPort, DtNode, MmioDevice, Snapshottable } from '../../bus/index.js';
import { identificationRegisters } from './gic.js';
import type { LpiPort } from './lpis.js';
import { FIRST_LPI, INTID_BITS } from './lpis.js';
import { RegisterFrame, type FrameRegister, type RegisterRow } from './register-frame.js';

/** The control frame and the translation frame, 64 KiB each (12.18). */
const FRAMES_BYTES = 0x20000;

const REGISTERS = {
  GITS_CTLR: { at: 0x0000, spec: '12.19.5' },
  GITS_IIDR: { at: 0x0004, spec: '12.19.7' },
  GITS_TYPER: { at: 0x0008, words: 2, spec: '12.19.12' },
  GITS_CBASER: { at: 0x0080, words: 2, spec: '12.19.2' },
  GITS_CWRITER: { at: 0x0088, words: 2, spec: '12.19.6' },
  GITS_CREADR: { at: 0x0090, words: 2, spec: '12.19.4' },
  GITS_BASER: { at: 0x0100, words: 16, spec: '12.19.1' },
  // Of a GIC-500's ITS (DDI0516 3.2).
  ...identificationRegisters('GITS', 0xffd0, [0x44, 0x94, 0xb4, 0x3b], '12.1.2'),
  GITS_TRANSLATER: { at: 0x10040, spec: '12.19.11' },
} as const satisfies Record<string, RegisterRow>;

const CTLR = { ENABLED: 1 << 0, QUIESCENT: 2 ** 31 } as const;
const CREADR_STALLED = 1;
const CWRITER_RETRY = 1;
/** Of an offset in the queue, in GITS_CWRITER and GITS_CREADR. */
const QUEUE_OFFSET_MASK = 0xf_ffe0;

/** Number of bits of DeviceIDs, EventIDs and collections. */
const DEVICE_BITS = 16;
const EVENT_BITS = 16;
const COLLECTION_BITS = 16;
const ENTRY_BYTES = 8;
/** GITS_TYPER: physical LPIs, sizes; targets are processor numbers (PTA 0); no collections without a table (HCC 0). */
const TYPER_LOW = 1 | ((ENTRY_BYTES - 1) << 4) | ((EVENT_BITS - 1) << 8) | ((DEVICE_BITS - 1) << 13);
const TYPER_HIGH = (COLLECTION_BITS - 1) | (1 << 4);

/** Identification of a GIC-500's ITS (DDI0516 3.2). */
const IIDR = 0x0000043b;

const VALID_HIGH = 2 ** 31;
const INDIRECT_HIGH = 2 ** 30;
/** GITS_CBASER: everything but reserved bits; validity, cacheability, address, shareability, size. */
const CBASER_MASKS = [0xffff_fcff, 0xb8ef_ffff] as const;
/** GITS_BASER: what a guest can write; the type and the size of entries are fixed. */
const BASER_MASKS = [0xffff_ffff, 0xf8e0_ffff] as const;
/** The tables, by register: type, and how many entries make sense. */
const TABLES = [
  { name: 'device', type: 1, entries: 2 ** DEVICE_BITS },
  { name: 'collection', type: 4, entries: 2 ** COLLECTION_BITS },
] as const;
const TABLE = { DEVICE: 0, COLLECTION: 1 } as const;
const TABLE_PAGE_BYTES = [4096, 16384, 65536, 65536] as const;
const QUEUE_PAGE_BYTES = 4096;
const COMMAND_BYTES = 32;

/** 5.3, in the low byte of a command. */
const COMMAND = {
  MOVI: 0x01,
  INT: 0x03,
  CLEAR: 0x04,
  SYNC: 0x05,
  MAPD: 0x08,
  MAPC: 0x09,
  MAPTI: 0x0a,
  MAPI: 0x0b,
  INV: 0x0c,
  INVALL: 0x0d,
  MOVALL: 0x0e,
  DISCARD: 0x0f,
} as const;
const COMMAND_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(COMMAND).map(([name, code]) => [code, name]),
);

type ItsRegister = FrameRegister<keyof typeof REGISTERS>;

/** A 64-bit register, low word first. */
type Pair = [low: number, high: number];

interface ItsState {
  isEnabled: boolean;
  commandBase: Pair;
  /** Offsets in the queue. */
  writeOffset: number;
  readOffset: number;
  isStalled: boolean;
  /** GITS_BASER0, GITS_BASER1. */
  tableBases: Pair[];
}

interface ItsPorts {
  readonly dma: DmaPort;
  readonly lpis: LpiPort;
  readonly trace: Trace;
}

/** Where the interrupts of a device are. */
interface DeviceEntry {
  readonly tableAddress: number;
  readonly eventBits: number;
}

/** What an event of a device is. */
interface Translation {
  /** Of its entry. */
  readonly address: number;
  readonly intid: number;
  readonly collection: number;
}

export class Its implements Snapshottable<ItsState> {
  /** Offset of the register that takes messages. */
  static readonly doorbellAt = REGISTERS.GITS_TRANSLATER.at;
  /** Its two frames: control, and translation, where messages go. */
  readonly frames: MmioDevice;
  readonly #ports: ItsPorts;
  #state = initialState();

  constructor(ports: ItsPorts) {
    this.#ports = ports;
    this.frames = new RegisterFrame(
      'its',
      FRAMES_BYTES,
      1,
      REGISTERS,
      {
        read: (register, index) => this.#read(register, index),
        write: (register, at, _size, value) => {
          this.#write(register, at, value);
        },
        reset: () => {
          this.reset();
        },
      },
      ports.trace,
    );
  }

  /** A message with an EventID by a device. */
  translate(deviceId: number, eventId: number): void {
    if (!this.#state.isEnabled) return;
    const where = this.#find('a message', deviceId, eventId);
    const cpu = where && this.#targetOf('a message', where.collection);
    if (cpu === undefined) return;
    this.#ports.lpis.setPending(cpu, where!.intid, true);
    this.#ports.lpis.update();
  }

  reset(): void {
    this.#state = initialState();
  }

  saveState(): ItsState {
    return deepCopy(this.#state);
  }

  restoreState(state: ItsState): void {
    this.#state = deepCopy(state);
  }

  /** The device-tree node, labelled `its`, a child of the GIC's. Binding: arm,gic-v3.yaml. */
  describe(base: PhysAddr): DtNode {
    return {
      name: `its@${base.toString(16)}`,
      label: 'its',
      properties: {
        compatible: 'arm,gic-v3-its',
        'msi-controller': true,
        '#msi-cells': { cells: [1] },
        reg: { cells: [...cells64(base), ...cells64(FRAMES_BYTES)] },
      },
    };
  }

  describeAcpi(base: PhysAddr): AcpiInterruptController {
    return { kind: 'its', id: 0, base };
  }

  // Registers

  #read(register: ItsRegister, index: number): number {
    const state = this.#state;
    switch (register.name) {
      case 'GITS_CTLR':
        // Nothing is ever under way between two accesses.
        return state.isEnabled ? CTLR.ENABLED : CTLR.QUIESCENT;
      case 'GITS_IIDR':
        return IIDR;
      case 'GITS_TYPER':
        return index === 0 ? TYPER_LOW : TYPER_HIGH;
      case 'GITS_CBASER':
        return state.commandBase[index]!;
      case 'GITS_CWRITER':
        return index === 0 ? state.writeOffset : 0;
      case 'GITS_CREADR':
        return index === 0 ? state.readOffset + (state.isStalled ? CREADR_STALLED : 0) : 0;
      case 'GITS_BASER': {
        const table = TABLES[index >>> 1];
        if (table === undefined) return 0;
        const fixedHigh = table.type * 2 ** 24 + (ENTRY_BYTES - 1) * 2 ** 16;
        return state.tableBases[index >>> 1]![index & 1]! + ((index & 1) === 1 ? fixedHigh : 0);
      }
      default: // GITS_TRANSLATER is write-only.
        return 0;
    }
  }

  #write(register: ItsRegister, at: number, value: number): void {
    const state = this.#state;
    const index = at >>> 2;
    switch (register.name) {
      case 'GITS_CTLR':
        state.isEnabled = (value & CTLR.ENABLED) !== 0;
        this.#execute();
        break;
      case 'GITS_CBASER':
        if (this.#refuseWhileEnabled(register.name)) break;
        state.commandBase[index] = (value & CBASER_MASKS[index]!) >>> 0;
        state.readOffset = 0;
        state.isStalled = false;
        break;
      case 'GITS_CWRITER':
        if (index !== 0) break;
        state.writeOffset = value & QUEUE_OFFSET_MASK;
        if ((value & CWRITER_RETRY) !== 0) state.isStalled = false;
        this.#execute();
        break;
      case 'GITS_BASER':
        if (TABLES[index >>> 1] === undefined || this.#refuseWhileEnabled(register.name)) break;
        state.tableBases[index >>> 1]![index & 1] = (value & BASER_MASKS[index & 1]!) >>> 0;
        break;
      case 'GITS_TRANSLATER':
        this.#guestError('a message of a CPU, which is no device');
        break;
      default: // The others are read-only.
    }
  }

  /** Such writes are UNPREDICTABLE (12.19.1, 12.19.2). */
  #refuseWhileEnabled(name: string): boolean {
    if (this.#state.isEnabled) this.#guestError(`write to ${name} while enabled`);
    return this.#state.isEnabled;
  }

  // Commands

  /** Executes what is in the queue. */
  #execute(): void {
    const state = this.#state;
    const [low, high] = state.commandBase;
    if (!state.isEnabled || state.isStalled || high < VALID_HIGH) return;
    const queueBytes = ((low & 0xff) + 1) * QUEUE_PAGE_BYTES;
    if (state.writeOffset >= queueBytes) {
      this.#guestError(`GITS_CWRITER ${hex(state.writeOffset)} is beyond the command queue`);
      return;
    }
    const base = addressOf(state.commandBase);
    const command = new DataView(new ArrayBuffer(COMMAND_BYTES));
    const bytes = new Uint8Array(command.buffer);
    // Never more than once round.
    while (state.readOffset !== state.writeOffset) {
      if (!this.#ports.dma.read(base + state.readOffset, bytes)) {
        this.#guestError('the command queue is no memory');
        state.isStalled = true;
        break;
      }
      this.#executeOne(command);
      state.readOffset = (state.readOffset + COMMAND_BYTES) % queueBytes;
    }
    this.#ports.lpis.update();
  }

  #executeOne(command: DataView): void {
    const word = (index: number): number => command.getUint32(4 * index, true);
    const code = word(0) & 0xff;
    const name = COMMAND_NAMES.get(code) ?? `command ${hex(code)}`;
    const deviceId = word(1);
    const eventId = word(2);
    const collection = word(4) & 0xffff;
    const isValid = word(5) >= VALID_HIGH;
    const { lpis, trace } = this.#ports;
    if (trace.on('irq')) {
      const words = [0, 8, 16, 24].map((at) => hex(command.getBigUint64(at, true)));
      trace.event('irq', `its: ${name} ${words.join(' ')}`);
    }
    switch (code) {
      case COMMAND.MAPD:
        this.#mapDevice(name, deviceId, (eventId & 0x1f) + 1, [word(4), word(5)], isValid);
        break;
      case COMMAND.MAPC: {
        const cpu = processorOf(word(4), word(5));
        if (isValid && cpu >= lpis.cpuCount) this.#guestError(`${name}: no processor ${cpu}`);
        else this.#writeEntry(name, TABLE.COLLECTION, collection, isValid ? 1 + cpu * 2 ** 16 : 0, 0);
        break;
      }
      case COMMAND.MAPTI:
      case COMMAND.MAPI:
        this.#mapEvent(name, deviceId, eventId, code === COMMAND.MAPI ? eventId : word(3), collection);
        break;
      case COMMAND.MOVI: {
        const where = this.#find(name, deviceId, eventId);
        if (!where) break;
        const [from, to] = [this.#targetOf(name, where.collection), this.#targetOf(name, collection)];
        if (from === undefined || to === undefined) break;
        if (this.#store(name, where.address, 1 + collection * 2 ** 16, where.intid)) {
          lpis.move(from, to, where.intid);
        }
        break;
      }
      case COMMAND.INT:
      case COMMAND.CLEAR:
      case COMMAND.DISCARD:
      case COMMAND.INV: {
        const where = this.#find(name, deviceId, eventId);
        if (!where) break;
        const cpu = this.#targetOf(name, where.collection);
        if (code === COMMAND.DISCARD) this.#store(name, where.address, 0, 0);
        if (cpu === undefined) break;
        if (code === COMMAND.INV) lpis.invalidate(cpu, where.intid);
        else lpis.setPending(cpu, where.intid, code === COMMAND.INT);
        break;
      }
      case COMMAND.INVALL: {
        const cpu = this.#targetOf(name, collection);
        if (cpu !== undefined) lpis.invalidateAll(cpu);
        break;
      }
      case COMMAND.MOVALL: {
        const [from, to] = [processorOf(word(4), word(5)), processorOf(word(6), word(7))];
        if (from < lpis.cpuCount && to < lpis.cpuCount) lpis.moveAll(from, to);
        else this.#guestError(`${name}: no processor ${from} or ${to}`);
        break;
      }
      case COMMAND.SYNC:
        // Everything has its effect before the next command.
        break;
      default:
        this.#guestError(`${name} does not exist`);
    }
  }

  #mapDevice(name: string, deviceId: number, eventBits: number, address: Pair, isValid: boolean): void {
    if (isValid && eventBits > EVENT_BITS) {
      this.#guestError(`${name}: ${eventBits} bits of EventID`);
      return;
    }
    const [low, high] = address;
    const entryLow = isValid ? ((low & 0xffff_ff00) | ((eventBits - 1) << 1) | 1) >>> 0 : 0;
    this.#writeEntry(name, TABLE.DEVICE, deviceId, entryLow, isValid ? high & 0xf_ffff : 0);
  }

  #mapEvent(name: string, deviceId: number, eventId: number, intid: number, collection: number): void {
    const at = this.#eventAddress(name, deviceId, eventId);
    if (at === undefined) return;
    if (intid < FIRST_LPI || intid >= 2 ** INTID_BITS) this.#guestError(`${name}: ${hex(intid)} is no LPI`);
    else this.#store(name, at, 1 + collection * 2 ** 16, intid);
  }

  // Tables

  /** Where the entry of an event is, whether mapped or not. */
  #eventAddress(what: string, deviceId: number, eventId: number): number | undefined {
    const device = this.#deviceOf(what, deviceId);
    if (!device) return undefined;
    if (eventId >= 2 ** device.eventBits) {
      this.#guestError(`${what}: device ${hex(deviceId)} has no event ${hex(eventId)}`);
      return undefined;
    }
    return device.tableAddress + ENTRY_BYTES * eventId;
  }

  #find(what: string, deviceId: number, eventId: number): Translation | undefined {
    const address = this.#eventAddress(what, deviceId, eventId);
    const entry = address === undefined ? undefined : this.#load(what, address);
    if (address === undefined || !entry) return undefined;
    const [low, intid] = entry;
    // What is in the table is what the guest says is there.
    if ((low & 1) === 0 || intid < FIRST_LPI || intid >= 2 ** INTID_BITS) {
      this.#guestError(`${what}: event ${hex(eventId)} of device ${hex(deviceId)} is not mapped`);
      return undefined;
    }
    return { address, intid, collection: low >>> 16 };
  }

  #deviceOf(what: string, deviceId: number): DeviceEntry | undefined {
    const address = this.#entryAddress(what, TABLE.DEVICE, deviceId);
    const entry = address === undefined ? undefined : this.#load(what, address);
    if (!entry) return undefined;
    const [low, high] = entry;
    if ((low & 1) === 0) {
      this.#guestError(`${what}: device ${hex(deviceId)} is not mapped`);
      return undefined;
    }
    const eventBits = Math.min(((low >>> 1) & 0x1f) + 1, EVENT_BITS);
    return { tableAddress: (high & 0xf_ffff) * 2 ** 32 + ((low & 0xffff_ff00) >>> 0), eventBits };
  }

  /** The CPU of a collection. */
  #targetOf(what: string, collection: number): number | undefined {
    const address = this.#entryAddress(what, TABLE.COLLECTION, collection);
    const entry = address === undefined ? undefined : this.#load(what, address);
    if (!entry) return undefined;
    const cpu = entry[0] >>> 16;
    if ((entry[0] & 1) !== 0 && cpu < this.#ports.lpis.cpuCount) return cpu;
    this.#guestError(`${what}: collection ${hex(collection)} is not mapped`);
    return undefined;
  }

  #writeEntry(what: string, table: 0 | 1, index: number, low: number, high: number): void {
    const address = this.#entryAddress(what, table, index);
    if (address !== undefined) this.#store(what, address, low, high);
  }

  /** Where entry `index` of a table is, of one or two levels (5.2.1). */
  #entryAddress(what: string, table: 0 | 1, index: number): number | undefined {
    const base = this.#state.tableBases[table]!;
    const [low, high] = base;
    const { name, entries } = TABLES[table];
    const pageBytes = TABLE_PAGE_BYTES[(low >>> 8) & 3]!;
    const tableBytes = ((low & 0xff) + 1) * pageBytes;
    const isIndirect = (high & INDIRECT_HIGH) !== 0;
    const perPage = pageBytes / ENTRY_BYTES;
    const room = isIndirect ? (tableBytes / ENTRY_BYTES) * perPage : tableBytes / ENTRY_BYTES;
    if (high < VALID_HIGH || index >= Math.min(entries, room)) {
      this.#guestError(`${what}: the ${name} table has no entry ${hex(index)}`);
      return undefined;
    }
    const start = tableAddressOf(base);
    if (!isIndirect) return start + ENTRY_BYTES * index;
    const page = this.#load(what, start + ENTRY_BYTES * Math.floor(index / perPage));
    if (!page) return undefined;
    if (page[1] < VALID_HIGH) {
      this.#guestError(`${what}: the ${name} table has no page for entry ${hex(index)}`);
      return undefined;
    }
    const pageAddress = addressOf(page);
    return pageAddress - (pageAddress % pageBytes) + ENTRY_BYTES * (index % perPage);
  }

  #load(what: string, address: number): Pair | undefined {
    const entry = new DataView(new ArrayBuffer(ENTRY_BYTES));
    if (this.#ports.dma.read(address, new Uint8Array(entry.buffer))) {
      return [entry.getUint32(0, true), entry.getUint32(4, true)];
    }
    this.#guestError(`${what}: the entry at ${hex(address)} is no memory`);
    return undefined;
  }

  #store(what: string, address: number, low: number, high: number): boolean {
    const entry = new DataView(new ArrayBuffer(ENTRY_BYTES));
    entry.setUint32(0, low, true);
    entry.setUint32(4, high, true);
    if (this.#ports.dma.write(address, new Uint8Array(entry.buffer))) return true;
    this.#guestError(`${what}: the entry at ${hex(address)} is no memory`);
    return false;
  }

  #guestError(text: string): void {
    const { trace } = this.#ports;
    if (trace.on('guest-errors')) trace.event('guest-errors', `its: ${text}`);
  }
}

/** Bits 51:12, in their place. */
function addressOf([low, high]: Pair): number {
  return (high & 0xf_ffff) * 2 ** 32 + Math.floor(low / 2 ** 12) * 2 ** 12;
}

/** GITS_BASER: bits 47:12, and with pages of 64 KiB bits 15:12 as 51:48 (12.19.1). */
function tableAddressOf([low, high]: Pair): number {
  const isLarge = ((low >>> 8) & 2) !== 0;
  const address = (high & 0xffff) * 2 ** 32;
  if (!isLarge) return address + Math.floor(low / 2 ** 12) * 2 ** 12;
  return address + ((low >>> 12) & 0xf) * 2 ** 48 + Math.floor(low / 2 ** 16) * 2 ** 16;
}

/** RDbase of a command, bits 51:16, as a processor number. */
function processorOf(low: number, high: number): number {
  return (high & 0x7ffff) * 2 ** 16 + (low >>> 16);
}

function initialState(): ItsState {
  return {
    isEnabled: false,
    commandBase: [0, 0],
    writeOffset: 0,
    readOffset: 0,
    isStalled: false,
    tableBases: TABLES.map((): Pair => [0, 0]),
  };
}
