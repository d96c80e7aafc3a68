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
  type AcpiData,
  type AcpiDevice,
  type AcpiExpression,
  type AcpiPlace,
  type DtCell,
  type DtNode,
  type MmioDevice,
  type Snapshottable,
} from '../bus/index.js';
import { gsiOfSpi, spiInterrupt } from './interrupt-spec.js';
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
const DEVICES_PER_BUS = 32;

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
    invariant(
      device >= 0 && device < DEVICES_PER_BUS && functionNumber >= 0 && functionNumber < 8,
      'no such PCI slot',
    );
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
export interface PcieHostPlacement {
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
  /** The shared peripheral interrupts that the functions' pins are wired to. */
  readonly spis: readonly number[];
  /** Label of the controller that takes MSIs from every function. */
  readonly msiController?: string;
}

/** Codes of PCI address spaces in `ranges` (IEEE 1275 PCI bus binding, 2.2.1.1). */
const SPACE = { IO: 0x0100_0000, MEMORY32: 0x0200_0000, MEMORY64: 0x0300_0000 } as const;
/** Device number in the first cell of a PCI unit address. */
const UNIT_DEVICE_SHIFT = 11;
const PINS = [1, 2, 3, 4];

/** Which interrupt of the host a pin (1 is INTA) of a device on bus 0 is wired to: neighbours start at different ones. */
function interruptOf(device: number, pin: number, interruptCount: number): number {
  return (device + pin - 1) % interruptCount;
}

/** Node of the host with its windows and interrupt routing. */
export function describePcieHost(placement: PcieHostPlacement): DtNode {
  const { ecam, io, memory32, memory64, interruptController, spis, msiController } = placement;
  const range = (space: number, busAddress: number, { base, sizeBytes }: AddressRange): DtCell[] => [
    space,
    ...cells64(busAddress),
    ...cells64(base),
    ...cells64(sizeBytes),
  ];
  // Four devices show all there is.
  const interruptMap = [0, 1, 2, 3].flatMap((device) =>
    PINS.flatMap((pin): DtCell[] => [
      device << UNIT_DEVICE_SHIFT,
      0,
      0,
      pin,
      { phandle: interruptController.label },
      ...Array<DtCell>(interruptController.addressCells).fill(0),
      ...spiInterrupt(spis[interruptOf(device, pin, spis.length)]!, 'level-high'),
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

/** _OSC for a PCI host (PCI Firmware Specification 3.3, 4.5): status bits, and what the system may control. */
const OSC = {
  uuid: '33db4d5b-1ff7-401c-9657-7441c03dd766',
  revision: 1,
  UNRECOGNIZED_UUID: 1 << 2,
  UNRECOGNIZED_REVISION: 1 << 3,
  CAPABILITIES_MASKED: 1 << 4,
  /** Hot plug (native, SHPC), PME, AER, the PCI Express capability. */
  controls: 0x1f,
} as const;

/** The host in the namespace: PCI Firmware Specification 3.3, chapter 4. */
export function describePcieHostAcpi(placement: PcieHostPlacement): AcpiDevice {
  const { ecam, io, memory32, memory64, spis } = placement;
  const linkOf = (index: number): string => `GSI${index}`;
  const status: AcpiPlace = { object: 'CDW1' };
  const control: AcpiPlace = { object: 'CDW3' };
  const granted: AcpiPlace = { local: 0 };
  const capabilities: AcpiPlace = { argument: 3 };
  const setStatus = (bit: number) => ['Store', ['Or', status, bit] as AcpiExpression, status] as const;
  return {
    name: 'PCI0',
    objects: {
      _HID: { eisaId: 'PNP0A08' },
      _CID: { eisaId: 'PNP0A03' },
      _SEG: 0,
      _BBN: 0,
      _UID: 0,
      _STR: { unicode: 'PCIe 0 Device' },
      _CCA: 1,
      // ACPI 6.4, 6.2.13: any function of a device, pin from 0, the link device.
      _PRT: {
        package: Array.from({ length: DEVICES_PER_BUS }, (_, device) =>
          PINS.map((pin): AcpiData => ({
            package: [
              device * 0x1_0000 + 0xffff,
              pin - 1,
              { object: linkOf(interruptOf(device, pin, spis.length)) },
              0,
            ],
          })),
        ).flat(),
      },
      _CBA: { arguments: 0, body: [['Return', ecam.base]] },
      _CRS: {
        resources: [
          { kind: 'bus-numbers', first: 0, count: BUSES },
          { kind: 'memory32', ...memory32 },
          { kind: 'io', base: 0, sizeBytes: io.sizeBytes, offset: io.base },
          { kind: 'memory64', ...memory64 },
        ],
      },
      _OSC: {
        arguments: 4,
        isSerialized: true,
        body: [
          ['CreateDWordField', capabilities, 0, 'CDW1'],
          [
            'If',
            ['LEqual', { argument: 0 }, { uuid: OSC.uuid }],
            [
              ['CreateDWordField', capabilities, 8, 'CDW3'],
              ['Store', ['And', control, OSC.controls], granted],
              ['If', ['LNotEqual', { argument: 1 }, OSC.revision], [setStatus(OSC.UNRECOGNIZED_REVISION)]],
              ['If', ['LNotEqual', control, granted], [setStatus(OSC.CAPABILITIES_MASKED)]],
              ['Store', granted, control],
              ['Return', capabilities],
            ],
          ],
          setStatus(OSC.UNRECOGNIZED_UUID),
          ['Return', capabilities],
        ],
      },
    },
    children: [
      ...spis.map((spi, index): AcpiDevice => {
        const resources: AcpiData = {
          resources: [{ kind: 'interrupt', gsi: gsiOfSpi(spi), trigger: 'level-high' }],
        };
        return {
          name: linkOf(index),
          objects: {
            _HID: { eisaId: 'PNP0C0F' },
            _UID: index,
            _PRS: resources,
            _CRS: resources,
            // It is wired: there is nothing to choose.
            _SRS: { arguments: 1, body: [] },
          },
        };
      }),
      // Configuration space is nobody else's (PCI Firmware Specification 3.3, 4.1.2, note 2).
      {
        name: 'RES0',
        objects: {
          _HID: { eisaId: 'PNP0C02' },
          _CRS: { resources: [{ kind: 'memory64', ...ecam, isConsumed: true }] },
        },
      },
    ],
  };
}
