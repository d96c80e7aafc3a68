/**
 * Generic PCI Express host: configuration space through ECAM, windows for I/O and memory, and the host bridge
 * function that QEMU's `virt` machine has at 00:00.0 (1b36:0008).
 *
 * "PCIe" is PCI Express Base Specification 3.0, "PCI" is PCI Local Bus Specification 3.0; node as in Linux
 * Documentation/devicetree/bindings/pci/host-generic-pci.yaml. Values and write masks of the host bridge were read
 * off QEMU 7.2.
 *
 * Functions are plugged into bus 0 by the board. Nothing decodes the windows yet: reads give all ones and writes
 * go nowhere, as after a master abort (PCI 6.1).
 *
 * @deviation The host bridge's device-specific registers (0x40 to 0xff) read as zero; QEMU lets the guest store there.
 */
import { deepCopy, hex, invariant, type Trace } from '../base/index.js';
import {
  cells64,
  type AccessSize,
  type DtCell,
  type DtNode,
  type MmioDevice,
  type Snapshottable,
} from '../bus/index.js';
import { RegisterBlock, registers, resetValues, type RegisterValues } from './registers.js';

/** One function on the bus, as its configuration space. The offset is a multiple of the size, which is 1, 2 or 4. */
export interface PciFunction extends Snapshottable<unknown> {
  readonly name: string;
  /** 256, or 4,096 with PCI Express extended configuration space; what lies above reads as all ones. */
  readonly configBytes: 256 | 4096;
  readConfig(offset: number, size: AccessSize): number;
  writeConfig(offset: number, size: AccessSize, value: number): void;
  reset(): void;
}

/** ECAM address bits (PCIe 7.2.2, table 7-1): bus 27:20, device 19:15, function 14:12, register 11:0. */
const BUS_SHIFT = 20;
const DEVICE_SHIFT = 15;
const FUNCTION_SHIFT = 12;
const CONFIG_BYTES = 1 << FUNCTION_SHIFT;
const BUSES = 256;

export class PcieEcam implements MmioDevice, Snapshottable<Record<string, unknown>> {
  readonly name = 'pcie-ecam';
  readonly sizeBytes = BUSES << BUS_SHIFT;
  readonly maxAccess = 4;
  readonly #trace: Trace;
  /** By ECAM offset / 4 KiB: the routing ID. */
  readonly #functions = new Map<number, PciFunction>();

  constructor({ trace }: { readonly trace: Trace }) {
    this.#trace = trace;
  }

  /** Puts a function on bus 0, before the guest runs. */
  plug(device: number, functionNumber: number, pciFunction: PciFunction): void {
    invariant(device >= 0 && device < 32 && functionNumber >= 0 && functionNumber < 8, 'no such PCI slot');
    const routingId = ((device << DEVICE_SHIFT) | (functionNumber << FUNCTION_SHIFT)) / CONFIG_BYTES;
    invariant(!this.#functions.has(routingId), `PCI slot of ${pciFunction.name} is taken`);
    this.#functions.set(routingId, pciFunction);
  }

  read(offset: number, size: AccessSize): number {
    const register = offset % CONFIG_BYTES;
    const target = this.#target(offset);
    return target ? target.readConfig(register, size) : allOnes(size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    const target = this.#target(offset);
    if (target) {
      target.writeConfig(offset % CONFIG_BYTES, size, value);
    } else if (this.#trace.on('guest-errors')) {
      this.#trace.event('guest-errors', `${this.name}: write to ${hex(offset)}, where no function is`);
    }
  }

  reset(): void {
    for (const pciFunction of this.#functions.values()) pciFunction.reset();
  }

  /** The functions' states by name. */
  saveState(): Record<string, unknown> {
    return Object.fromEntries(Array.from(this.#functions.values(), (fn) => [fn.name, fn.saveState()]));
  }

  restoreState(state: Record<string, unknown>): void {
    for (const pciFunction of this.#functions.values()) pciFunction.restoreState(state[pciFunction.name]);
  }

  #target(offset: number): PciFunction | undefined {
    const pciFunction = this.#functions.get(Math.floor(offset / CONFIG_BYTES));
    return pciFunction && offset % CONFIG_BYTES < pciFunction.configBytes ? pciFunction : undefined;
  }
}

/** An address range that the host forwards to the bus and no function decodes. */
export class PcieWindow implements MmioDevice {
  readonly name: string;
  readonly sizeBytes: number;
  readonly maxAccess = 4;
  readonly #trace: Trace;

  constructor(name: string, sizeBytes: number, { trace }: { readonly trace: Trace }) {
    this.name = name;
    this.sizeBytes = sizeBytes;
    this.#trace = trace;
  }

  read(offset: number, size: AccessSize): number {
    this.#report('read', offset);
    return allOnes(size);
  }

  write(offset: number): void {
    this.#report('write', offset);
  }

  reset(): void {
    // Holds nothing.
  }

  #report(verb: 'read' | 'write', offset: number): void {
    if (!this.#trace.on('guest-errors')) return;
    this.#trace.event('guest-errors', `${this.name}: ${verb} at ${hex(offset)}, which no function decodes`);
  }
}

function allOnes(size: AccessSize): number {
  return 2 ** (8 * size) - 1;
}

/** Type 0 header of the host bridge (PCI 6.1, figure 6-1), by 32-bit words. */
const R = registers({
  ID: { at: 0x00, width: 32, access: 'id', reset: 0x0008_1b36, spec: 'PCI 6.2.1' },
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
    },
  },
  CLASS_REVISION: { at: 0x08, width: 32, access: 'id', reset: 0x0600_0000, spec: 'PCI 6.2.1, D.7' },
  BIST_HEADER_LATENCY_CACHE: {
    at: 0x0c,
    width: 32,
    access: 'rw',
    spec: 'PCI 6.2.4',
    fields: { CACHE_LINE_SIZE: [0, 8] },
  },
  // Not implemented: reads as zero whatever is written, which is how a guest sizes it (PCI 6.2.5.1).
  BAR: { at: 0x10, width: 32, access: 'rw', count: 6, spec: 'PCI 6.2.5', fields: { NONE: [0, 32, 'ro'] } },
  CARDBUS_CIS: { at: 0x28, width: 32, access: 'id', spec: 'PCI 6.2.4' },
  SUBSYSTEM: { at: 0x2c, width: 32, access: 'id', reset: 0x1100_1af4, spec: 'PCI 6.2.4' },
  EXPANSION_ROM: { at: 0x30, width: 32, access: 'rw', spec: 'PCI 6.2.5.2', fields: { NONE: [0, 32, 'ro'] } },
  CAPABILITIES: { at: 0x34, width: 8, access: 'id', spec: 'PCI 6.7' },
  RESERVED: { at: 0x38, width: 32, access: 'id', spec: 'PCI 6.1' },
  INTERRUPT: { at: 0x3c, width: 32, access: 'rw', spec: 'PCI 6.2.4', fields: { LINE: [0, 8] } },
});

type HostBridgeState = RegisterValues<typeof R>;

/** The host's own function. It does nothing but say that the bus is there. */
export class PcieHostBridge implements PciFunction {
  readonly name = 'pcie-host-bridge';
  readonly configBytes = 256;
  #state: HostBridgeState = resetValues(R);
  readonly #registers: RegisterBlock<typeof R>;

  constructor({ trace }: { readonly trace: Trace }) {
    this.#registers = new RegisterBlock(this.name, R, () => this.#state, { read: {}, write: {} }, trace);
  }

  readConfig(offset: number, size: AccessSize): number {
    return this.#registers.read(offset, size);
  }

  writeConfig(offset: number, size: AccessSize, value: number): void {
    this.#registers.write(offset, size, value);
  }

  reset(): void {
    this.#state = resetValues(R);
  }

  saveState(): HostBridgeState {
    return deepCopy(this.#state);
  }

  restoreState(state: HostBridgeState): void {
    this.#state = deepCopy(state);
  }
}

interface AddressRange {
  readonly base: number;
  readonly sizeBytes: number;
}

/** What the board decides about a PCI Express host. */
interface PcieHostPlacement {
  readonly ecam: AddressRange;
  /** I/O space; bus address 0 is at `base`. */
  readonly io: AddressRange;
  /** Below and above 4 GiB; bus addresses equal CPU addresses. */
  readonly memory32: AddressRange;
  readonly memory64: AddressRange;
  readonly interruptController: {
    readonly label: string;
    /** Its `#address-cells`, which an `interrupt-map` entry has to follow. */
    readonly addressCells: number;
  };
  /** The controller's specifiers for the four interrupts behind INTA to INTD. */
  readonly interrupts: readonly (readonly DtCell[])[];
  /** Label of the controller that takes MSIs from every function. */
  readonly msiController?: string;
}

/** Codes of PCI address spaces in `ranges` (IEEE 1275 PCI bus binding, 2.2.1.1). */
const SPACE = { IO: 0x0100_0000, MEMORY32: 0x0200_0000, MEMORY64: 0x0300_0000 } as const;
/** Device number in the first cell of a PCI unit address. */
const UNIT_DEVICE_SHIFT = 11;
const PINS = [1, 2, 3, 4];

/** Node of the host with its windows and interrupt routing. */
export function describePcieHost(placement: PcieHostPlacement): DtNode {
  const { ecam, io, memory32, memory64, interruptController, interrupts, msiController } = placement;
  const range = (space: number, busAddress: number, { base, sizeBytes }: AddressRange): DtCell[] => [
    space,
    ...cells64(busAddress),
    ...cells64(base),
    ...cells64(sizeBytes),
  ];
  // Neighbouring devices start at different interrupts: (device + pin) modulo 4, so four devices show all there is.
  const interruptMap = [0, 1, 2, 3].flatMap((device) =>
    PINS.flatMap((pin): DtCell[] => [
      device << UNIT_DEVICE_SHIFT,
      0,
      0,
      pin,
      { phandle: interruptController.label },
      ...Array<DtCell>(interruptController.addressCells).fill(0),
      ...(interrupts[(device + pin - 1) % interrupts.length] ?? []),
    ]),
  );
  return {
    name: `pcie@${memory32.base.toString(16)}`,
    properties: {
      compatible: 'pci-host-ecam-generic',
      device_type: 'pci',
      '#address-cells': { cells: [3] },
      '#size-cells': { cells: [2] },
      'linux,pci-domain': { cells: [0] },
      'bus-range': { cells: [0, BUSES - 1] },
      'dma-coherent': true,
      ...(msiController === undefined
        ? {}
        : { 'msi-map': { cells: [0, { phandle: msiController }, 0, 0x1_0000] } }),
      reg: { cells: [...cells64(ecam.base), ...cells64(ecam.sizeBytes)] },
      ranges: {
        cells: [
          ...range(SPACE.IO, 0, io),
          ...range(SPACE.MEMORY32, memory32.base, memory32),
          ...range(SPACE.MEMORY64, memory64.base, memory64),
        ],
      },
      '#interrupt-cells': { cells: [1] },
      'interrupt-map': { cells: interruptMap },
      // Device bits 1:0 and the pin.
      'interrupt-map-mask': { cells: [0x1800, 0, 0, 7] },
    },
  };
}
