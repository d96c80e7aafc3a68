/**
 * A PCI Express function with a type 0 header: configuration space, base address registers and the ranges that they
 * decode, INTx, bus mastering. "PCI" is PCI Local Bus Specification 3.0, "PCIe" is PCI Express Base Specification 3.0.
 *
 * A function states its identity, its BARs and its capabilities, each with a table of registers of its own; dispatch,
 * masks and state follow from these. What behaves otherwise than a register that holds a value is in this file, and in
 * the file of the capability.
 *
 * Which bits of the command register a guest can write is as QEMU 7.2 has it.
 *
 * @deviation No error is ever recorded in the status register, and there is no power management capability.
 */
import { deepCopy, hex, invariant, isPowerOfTwo, type Trace } from '../../base/index.js';
import type { AccessSize, LendingDmaPort, Snapshottable } from '../../bus/index.js';
import { RegisterBlock, registers, resetValues, type RegisterValues } from '../registers.js';

/** One function on the bus, as its configuration space. The offset is a multiple of the size, which is 1, 2 or 4. */
export interface PciFunction extends Snapshottable<unknown> {
  readonly name: string;
  /** 256, or 4,096 with PCI Express extended configuration space; what lies above reads as all ones. */
  readonly configBytes: 256 | 4096;
  readConfig(offset: number, size: AccessSize): number;
  writeConfig(offset: number, size: AccessSize, value: number): void;
  /** What it answers at present, in the bus's addresses. */
  readonly decoded: readonly DecodedRange[];
  reset(): void;
}

export type PciSpace = 'memory' | 'io';

/** A range of bus addresses that a function answers. */
export interface DecodedRange {
  readonly space: PciSpace;
  readonly base: number;
  readonly region: BarRegion;
}

/** What is behind a base address register. The offset is a multiple of the size, which is 1, 2 or 4. */
export interface BarRegion {
  /** A power of two. */
  readonly sizeBytes: number;
  read(offset: number, size: AccessSize): number;
  write(offset: number, size: AccessSize, value: number): void;
}

export interface Bar {
  /** 0 to 5; a `memory64` takes the next one, too. */
  readonly index: number;
  readonly kind: 'memory32' | 'memory64' | 'io';
  readonly isPrefetchable?: true;
  readonly region: BarRegion;
}

/** The place that a function is plugged into. */
export interface PciSlot {
  /** Drives a pin, 1 for INTA#: level-sensitive. */
  setPin(pin: number, level: boolean): void;
  /** Writes 32 bits to an address of the system: a message-signalled interrupt, as the slot's requester ID. */
  message(address: number, data: number): void;
  /** What the function decodes has changed. */
  decodingChanged(): void;
}

export interface PciEndpointPorts {
  readonly slot: PciSlot;
  readonly trace: Trace;
}

/** The fixed part of the header. */
export interface PciIdentity {
  readonly name: string;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision: number;
  /** Base class, subclass and interface, from the top byte down (PCI D). */
  readonly classCode: number;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  /** The interrupt pin, 1 for INTA#; left out where there is none. */
  readonly pin?: 1 | 2 | 3 | 4;
}

/** An entry of the list of capabilities, behind its identifier and link. */
export interface PciCapability extends Snapshottable<unknown> {
  /** PCI H. */
  readonly id: number;
  /** A multiple of four. */
  readonly sizeBytes: number;
  /** Offsets count from the identifier. Its two bytes and the link are the function's; they read as zero here. */
  read(offset: number, size: AccessSize): number;
  write(offset: number, size: AccessSize, value: number): void;
  /** The function has become a bus master, or ceased to be one. */
  busMasterChanged?(): void;
  reset(): void;
}

/** Type 0 header (PCI 6.1, figure 6-1), by 32-bit words. */
const HEADER = registers({
  ID: { at: 0x00, width: 32, access: 'ro', computed: true, spec: 'PCI 6.2.1' },
  COMMAND_STATUS: {
    at: 0x04,
    width: 32,
    access: 'rw',
    spec: 'PCI 6.2.2, 6.2.3',
    fields: {
      IO_SPACE: [0, 1],
      MEMORY_SPACE: [1, 1],
      BUS_MASTER: [2, 1],
      SERR_ENABLE: [8, 1],
      INTERRUPT_DISABLE: [10, 1],
      INTERRUPT_STATUS: [19, 1, 'ro'],
      CAPABILITIES_LIST: [20, 1, 'ro'],
    },
  },
  CLASS_REVISION: { at: 0x08, width: 32, access: 'ro', computed: true, spec: 'PCI 6.2.1, D' },
  BIST_HEADER_LATENCY_CACHE: {
    at: 0x0c,
    width: 32,
    access: 'rw',
    spec: 'PCI 6.2.4',
    fields: { CACHE_LINE_SIZE: [0, 8] },
  },
  // Stored is the address; what a bit is for is added when it is read.
  BAR: { at: 0x10, width: 32, access: 'rw', count: 6, spec: 'PCI 6.2.5' },
  CARDBUS_CIS: { at: 0x28, width: 32, access: 'id', spec: 'PCI 6.2.4' },
  SUBSYSTEM: { at: 0x2c, width: 32, access: 'ro', computed: true, spec: 'PCI 6.2.4' },
  // Not implemented: reads as zero whatever is written, which is how a guest sizes it.
  EXPANSION_ROM: { at: 0x30, width: 32, access: 'rw', spec: 'PCI 6.2.5.2', fields: { NONE: [0, 32, 'ro'] } },
  CAPABILITIES: { at: 0x34, width: 8, access: 'ro', computed: true, spec: 'PCI 6.7' },
  RESERVED: { at: 0x38, width: 32, access: 'id', spec: 'PCI 6.1' },
  INTERRUPT: {
    at: 0x3c,
    width: 32,
    access: 'rw',
    spec: 'PCI 6.2.4',
    fields: { LINE: [0, 8], PIN: [8, 8, 'ro'] },
  },
});
/** The first offset behind it: where the capabilities are. */
const HEADER_BYTES = 0x40;
/** Configuration space of conventional PCI, which the list of capabilities is in. */
const CONVENTIONAL_BYTES = 0x100;
const EXTENDED_BYTES = 0x1000;
const BAR_COUNT = 6;
/** Bits of a BAR that are no address (PCI 6.2.5.1). */
const BAR_BITS = { IO: 1 << 0, MEMORY64: 2 << 1, PREFETCHABLE: 1 << 3 } as const;
const BAR_MEMORY_MASK = 0xffff_fff0;
const BAR_IO_MASK = 0xffff_fffc;

const CAPABILITY_PCI_EXPRESS = 0x10;

export interface PciEndpointState<Own> {
  readonly header: RegisterValues<typeof HEADER>;
  /** The function wants an interrupt by its pin. */
  readonly isInterrupting: boolean;
  readonly capabilities: readonly unknown[];
  readonly own: Own;
}

interface PlacedCapability {
  readonly at: number;
  readonly capability: PciCapability;
}

/** What all functions are; each type adds its BARs and capabilities in its constructor. */
export abstract class PciEndpoint<Own = unknown> implements PciFunction {
  readonly name: string;
  protected readonly trace: Trace;
  readonly #slot: PciSlot;
  readonly #identity: PciIdentity;
  readonly #registers: RegisterBlock<typeof HEADER>;
  readonly #bars: Bar[] = [];
  /** What a write of ones leaves in each register, and what is added to it. */
  readonly #barMasks = Array.from({ length: BAR_COUNT }, () => ({ address: 0, flags: 0 }));
  readonly #capabilities: PlacedCapability[] = [];
  #capabilitiesEnd = HEADER_BYTES;
  #header = resetValues(HEADER);
  #isInterrupting = false;
  #decoded: readonly DecodedRange[] | undefined;

  constructor(identity: PciIdentity, { slot, trace }: PciEndpointPorts) {
    this.name = identity.name;
    this.trace = trace;
    this.#slot = slot;
    this.#identity = identity;
    const { vendorId, deviceId, revision, classCode, subsystemVendorId, subsystemId, pin = 0 } = identity;
    this.#registers = new RegisterBlock<typeof HEADER>(
      identity.name,
      HEADER,
      () => this.#header,
      {
        read: {
          ID: () => vendorId + deviceId * 2 ** 16,
          COMMAND_STATUS: () => {
            const { COMMAND_STATUS } = HEADER;
            const withInterrupt = COMMAND_STATUS.with(
              this.#header.COMMAND_STATUS,
              'INTERRUPT_STATUS',
              this.#isInterrupting,
            );
            return COMMAND_STATUS.with(withInterrupt, 'CAPABILITIES_LIST', this.#capabilities.length > 0);
          },
          CLASS_REVISION: () => revision + classCode * 2 ** 8,
          BAR: (index) => this.#header.BAR[index]! + this.#barMasks[index]!.flags,
          SUBSYSTEM: () => subsystemVendorId + subsystemId * 2 ** 16,
          CAPABILITIES: () => this.#capabilities[0]?.at ?? 0,
          INTERRUPT: () => HEADER.INTERRUPT.with(this.#header.INTERRUPT, 'PIN', pin),
        },
        write: {
          COMMAND_STATUS: (value) => {
            const wasBusMaster = this.isBusMaster;
            this.#header.COMMAND_STATUS = value;
            this.#decodingChanged();
            this.#driveInterrupt();
            if (this.isBusMaster === wasBusMaster) return;
            for (const { capability } of this.#capabilities) capability.busMasterChanged?.();
          },
          BAR: (value, index) => {
            this.#header.BAR[index] = HEADER.BAR.value(value & this.#barMasks[index]!.address);
            this.#decodingChanged();
          },
        },
      },
      trace,
    );
  }

  get configBytes(): 256 | 4096 {
    const isExpress = this.#capabilities.some(({ capability }) => capability.id === CAPABILITY_PCI_EXPRESS);
    return isExpress ? EXTENDED_BYTES : CONVENTIONAL_BYTES;
  }

  readConfig(offset: number, size: AccessSize): number {
    if (offset < HEADER_BYTES) return this.#registers.read(offset, size);
    const index = this.#capabilityIndex(offset);
    // PCIe 7.9.1: no extended capabilities, in extended space.
    if (index === undefined) return 0;
    const { at, capability } = this.#capabilities[index]!;
    const inside = offset - at;
    if (inside >= 4) return capability.read(inside, size);
    const next = this.#capabilities[index + 1]?.at ?? 0;
    const word = capability.read(0, 4) + capability.id + next * 2 ** 8;
    return Math.floor(word / 2 ** (8 * inside)) % 2 ** (8 * size);
  }

  writeConfig(offset: number, size: AccessSize, value: number): void {
    if (offset < HEADER_BYTES) {
      this.#registers.write(offset, size, value);
      return;
    }
    const index = this.#capabilityIndex(offset);
    if (index !== undefined) {
      const { at, capability } = this.#capabilities[index]!;
      capability.write(offset - at, size, value);
    } else if (this.trace.on('guest-errors')) {
      this.trace.event('guest-errors', `${this.name}: write of offset ${hex(offset)}, where no register is`);
    }
  }

  get decoded(): readonly DecodedRange[] {
    this.#decoded ??= this.#decode();
    return this.#decoded;
  }

  reset(): void {
    this.#header = resetValues(HEADER);
    this.#isInterrupting = false;
    for (const { capability } of this.#capabilities) capability.reset();
    this.resetOwn();
    this.#decodingChanged();
    this.#driveInterrupt();
  }

  saveState(): PciEndpointState<Own> {
    return deepCopy({
      header: this.#header,
      isInterrupting: this.#isInterrupting,
      capabilities: this.#capabilities.map(({ capability }) => capability.saveState()),
      own: this.saveOwn(),
    });
  }

  restoreState(state: PciEndpointState<Own>): void {
    const { header, isInterrupting, capabilities, own } = deepCopy(state);
    this.#header = header;
    this.#isInterrupting = isInterrupting;
    capabilities.forEach((saved, index) => this.#capabilities[index]!.capability.restoreState(saved));
    this.restoreOwn(own);
    this.#decodingChanged();
    this.#driveInterrupt();
  }

  // For types of functions.

  /** What the type adds to the reset of the function. */
  protected abstract resetOwn(): void;

  /** The type's own state. */
  protected abstract saveOwn(): Own;

  protected abstract restoreOwn(own: Own): void;

  protected addBar(bar: Bar): void {
    const { index, kind, region } = bar;
    const smallest = kind === 'io' ? 4 : 16;
    invariant(
      isPowerOfTwo(region.sizeBytes) && region.sizeBytes >= smallest,
      `${this.name}: BAR ${index} of ${region.sizeBytes} bytes`,
    );
    const low = this.#barMasks[index]!;
    // The low half of a size of 4 GiB and more leaves no bit of the address.
    const addressBits = region.sizeBytes < 2 ** 32 ? -region.sizeBytes : 0;
    low.address = (addressBits & (kind === 'io' ? BAR_IO_MASK : BAR_MEMORY_MASK)) >>> 0;
    low.flags =
      kind === 'io'
        ? BAR_BITS.IO
        : (kind === 'memory64' ? BAR_BITS.MEMORY64 : 0) | (bar.isPrefetchable ? BAR_BITS.PREFETCHABLE : 0);
    if (kind === 'memory64') {
      this.#barMasks[index + 1]!.address = 2 ** 32 - Math.max(1, region.sizeBytes / 2 ** 32);
    }
    this.#bars.push(bar);
  }

  protected addCapability(capability: PciCapability): void {
    this.#capabilities.push({ at: this.#capabilitiesEnd, capability });
    this.#capabilitiesEnd += capability.sizeBytes;
    invariant(this.#capabilitiesEnd <= CONVENTIONAL_BYTES, `${this.name}: too many capabilities`);
  }

  /** What is behind a BAR, wherever that is, and whether decoded or not. */
  protected barRegion(index: number): BarRegion | undefined {
    return this.#bars.find((bar) => bar.index === index)?.region;
  }

  /** Command register: the function may access memory and send messages (PCI 6.2.2). */
  protected get isBusMaster(): boolean {
    return HEADER.COMMAND_STATUS.has(this.#header.COMMAND_STATUS, 'BUS_MASTER');
  }

  /** Memory as the function may use it: not at all, unless it is a bus master. */
  protected asBusMaster(memory: LendingDmaPort): LendingDmaPort {
    return {
      read: (address, into) => this.isBusMaster && memory.read(address, into),
      write: (address, from) => this.isBusMaster && memory.write(address, from),
      lend: (address, length) => (this.isBusMaster ? memory.lend(address, length) : undefined),
    };
  }

  /** Sends a message-signalled interrupt. False, with nothing sent, unless the function is a bus master. */
  protected sendMessage(address: number, data: number): boolean {
    if (!this.isBusMaster) return false;
    this.#slot.message(address, data);
    return true;
  }

  /** Whether the function wants an interrupt by its pin (PCI 6.2.3, 2.2.6). */
  protected setInterrupt(isInterrupting: boolean): void {
    this.#isInterrupting = isInterrupting;
    this.#driveInterrupt();
  }

  #driveInterrupt(): void {
    const { pin } = this.#identity;
    if (pin === undefined) return;
    const isDisabled = HEADER.COMMAND_STATUS.has(this.#header.COMMAND_STATUS, 'INTERRUPT_DISABLE');
    this.#slot.setPin(pin, this.#isInterrupting && !isDisabled);
  }

  #capabilityIndex(offset: number): number | undefined {
    const index = this.#capabilities.findIndex(
      ({ at, capability }) => offset >= at && offset < at + capability.sizeBytes,
    );
    return index < 0 ? undefined : index;
  }

  #decodingChanged(): void {
    this.#decoded = undefined;
    this.#slot.decodingChanged();
  }

  #decode(): DecodedRange[] {
    const { BAR, COMMAND_STATUS } = this.#header;
    const enabled = {
      io: HEADER.COMMAND_STATUS.has(COMMAND_STATUS, 'IO_SPACE'),
      memory: HEADER.COMMAND_STATUS.has(COMMAND_STATUS, 'MEMORY_SPACE'),
    };
    return this.#bars.flatMap(({ index, kind, region }) => {
      const space: PciSpace = kind === 'io' ? 'io' : 'memory';
      const high = kind === 'memory64' ? BAR[index + 1]! : 0;
      return enabled[space] ? [{ space, base: high * 2 ** 32 + BAR[index]!, region }] : [];
    });
  }
}
