/**
 * Generic PCI Express host: bus 0 with configuration space through ECAM, windows for I/O and memory, wired interrupts,
 * and the host bridge function that QEMU's `virt` machine has at 00:00.0 (1b36:0008).
 *
 * "PCIe" is PCI Express Base Specification 3.0, "PCI" is PCI Local Bus Specification 3.0; node as in Linux
 * Documentation/devicetree/bindings/pci/host-generic-pci.yaml.
 *
 * Functions are plugged into bus 0 by the board. What they decode follows what the guest writes to their configuration
 * space: an address that none decodes reads as all ones and writes to it go nowhere, as after a master abort (PCI 6.1);
 * where several decode one, the one in the lowest slot answers.
 *
 * @deviation The host bridge's device-specific registers (0x40 to 0xff) read as zero; QEMU lets the guest store there.
 */
import { hex, invariant, type Trace } from '../../base/index.js';
import {
  cells64,
  type AccessSize,
  type AcpiData,
  type AcpiDevice,
  type AcpiExpression,
  type AcpiPlace,
  type DtCell,
  type DtNode,
  type IrqLine,
  type MessagePort,
  type MmioDevice,
  type Snapshottable,
} from '../../bus/index.js';
import { gsiOfSpi, spiInterrupt } from '../interrupt-spec.js';
import { PciEndpoint } from './pci-function.js';
import type { DecodedRange, PciFunction, PciSlot, PciSpace } from './pci-function.js';

/** ECAM address bits (PCIe 7.2.2, table 7-1): bus 27:20, device 19:15, function 14:12, register 11:0. */
const BUS_SHIFT = 20;
const FUNCTION_SHIFT = 12;
const CONFIG_BYTES = 1 << FUNCTION_SHIFT;
const BUSES = 256;
const DEVICES_PER_BUS = 32;
const FUNCTIONS_PER_DEVICE = 8;

export interface PcieHostPorts {
  /** What the functions' pins are wired to. */
  readonly interrupts: readonly IrqLine[];
  readonly messages: MessagePort;
  readonly trace: Trace;
}

/** The host. As a device on the bus it is the configuration space of all functions. */
export class PcieHost implements MmioDevice, Snapshottable<Record<string, unknown>> {
  readonly name = 'pcie-ecam';
  readonly sizeBytes = BUSES << BUS_SHIFT;
  readonly maxAccess = 4;
  readonly #ports: PcieHostPorts;
  /** By routing ID: ECAM offset / 4 KiB. */
  readonly #functions = new Map<number, PciFunction>();
  /** What drives each interrupt high: routing ID and pin, as one number. */
  readonly #driving: readonly Set<number>[];
  /** What the functions decode, lowest slot first; undefined where it has to be asked again. */
  #decoded: readonly DecodedRange[] | undefined;

  constructor(ports: PcieHostPorts) {
    this.#ports = ports;
    this.#driving = ports.interrupts.map(() => new Set<number>());
    this.plug(0, 0, new PcieHostBridge({ slot: this.slot(0, 0), trace: ports.trace }));
  }

  /** A place on bus 0, for the function that will be plugged into it. */
  slot(device: number, functionNumber: number): PciSlot {
    const routingId = routingIdOf(device, functionNumber);
    const { interrupts, messages } = this.#ports;
    return {
      setPin: (pin, level) => {
        const index = interruptOf(device, pin, interrupts.length);
        const driving = this.#driving[index]!;
        const driver = routingId * PINS.length + pin - 1;
        if (level) driving.add(driver);
        else driving.delete(driver);
        interrupts[index]!.set(driving.size > 0);
      },
      message: (address, data) => {
        messages.send(address, data, routingId);
      },
      decodingChanged: () => {
        this.#decoded = undefined;
      },
    };
  }

  /** Puts a function on bus 0, before the guest runs. */
  plug(device: number, functionNumber: number, pciFunction: PciFunction): void {
    const routingId = routingIdOf(device, functionNumber);
    invariant(!this.#functions.has(routingId), `PCI slot of ${pciFunction.name} is taken`);
    this.#functions.set(routingId, pciFunction);
    this.#decoded = undefined;
  }

  /** A range of the system's addresses that shows the bus's from `busBase`. */
  window(name: string, space: PciSpace, busBase: number, sizeBytes: number): MmioDevice {
    const { trace } = this.#ports;
    const report = (verb: 'read' | 'write', offset: number): void => {
      if (!trace.on('guest-errors')) return;
      trace.event('guest-errors', `${name}: ${verb} at ${hex(offset)}, which no function decodes`);
    };
    return {
      name,
      sizeBytes,
      maxAccess: 4,
      read: (offset, size) => {
        const range = this.#find(space, busBase + offset, size);
        if (range) return range.region.read(busBase + offset - range.base, size);
        report('read', offset);
        return allOnes(size);
      },
      write: (offset, size, value) => {
        const range = this.#find(space, busBase + offset, size);
        if (range) range.region.write(busBase + offset - range.base, size, value);
        else report('write', offset);
      },
      // The functions are reset with the host.
      reset: () => undefined,
    };
  }

  read(offset: number, size: AccessSize): number {
    const target = this.#target(offset);
    return target ? target.readConfig(offset % CONFIG_BYTES, size) : allOnes(size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    const target = this.#target(offset);
    const { trace } = this.#ports;
    if (target) {
      target.writeConfig(offset % CONFIG_BYTES, size, value);
    } else if (trace.on('guest-errors')) {
      trace.event('guest-errors', `${this.name}: write to ${hex(offset)}, where no function is`);
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

  #find(space: PciSpace, address: number, size: AccessSize): DecodedRange | undefined {
    this.#decoded ??= [...this.#functions]
      .sort(([a], [b]) => a - b)
      .flatMap(([, pciFunction]) => pciFunction.decoded);
    return this.#decoded.find(
      (range) =>
        range.space === space &&
        address >= range.base &&
        address + size <= range.base + range.region.sizeBytes,
    );
  }
}

function routingIdOf(device: number, functionNumber: number): number {
  invariant(
    device >= 0 && device < DEVICES_PER_BUS && functionNumber >= 0 && functionNumber < FUNCTIONS_PER_DEVICE,
    'no such PCI slot',
  );
  return device * FUNCTIONS_PER_DEVICE + functionNumber;
}

function allOnes(size: AccessSize): number {
  return 2 ** (8 * size) - 1;
}

/** The host's own function. It does nothing but say that the bus is there. */
class PcieHostBridge extends PciEndpoint {
  constructor(ports: { readonly slot: PciSlot; readonly trace: Trace }) {
    super(
      {
        name: 'pcie-host-bridge',
        vendorId: 0x1b36,
        deviceId: 0x0008,
        revision: 0,
        classCode: 0x06_0000,
        subsystemVendorId: 0x1af4,
        subsystemId: 0x1100,
      },
      ports,
    );
  }

  protected override resetOwn(): void {
    // Holds nothing.
  }

  protected override saveOwn(): undefined {
    return undefined;
  }

  protected override restoreOwn(): void {
    // Holds nothing.
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
  /** Below and, where there is room, above 4 GiB; bus addresses equal CPU addresses. */
  readonly memory32: AddressRange;
  readonly memory64?: AddressRange;
  readonly interruptController: {
    readonly label: string;
    /** Its `#address-cells`, which an `interrupt-map` entry has to follow. */
    readonly addressCells: number;
  };
  /** The shared peripheral interrupts that the functions' pins are wired to. */
  readonly spis: readonly number[];
  /** The controller that takes MSIs from every function, and its `#msi-cells`. */
  readonly msiController?: { readonly label: string; readonly cells: 0 | 1 };
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

/** Node of the host with its windows and interrupt routing, as QEMU's `virt` board has it. */
export function describePcieHost(placement: PcieHostPlacement): DtNode {
  const { memory32, msiController } = placement;
  return {
    name: `pcie@${memory32.base.toString(16)}`,
    properties: {
      ...hostProperties(placement),
      'linux,pci-domain': { cells: [0] },
      'bus-range': { cells: [0, BUSES - 1] },
      ...(msiController === undefined
        ? {}
        : { 'msi-map': { cells: [0, { phandle: msiController.label }, 0, 0x1_0000] } }),
      // Four devices show all there is: device bits 1:0 and the pin.
      'interrupt-map': { cells: interruptMap(placement, 4) },
      'interrupt-map-mask': { cells: [0x1800, 0, 0, 7] },
    },
  };
}

/**
 * Node of a host whose only bus is number 0, as kvmtool describes its own: with the interrupts of each of the
 * `slotCount` slots in use, which is what EDK2 makes ACPI tables from.
 */
export function describePciBus(placement: PcieHostPlacement, slotCount: number): DtNode {
  const { ecam, msiController } = placement;
  return {
    name: `pci@${ecam.base.toString(16)}`,
    properties: {
      ...hostProperties(placement),
      'bus-range': { cells: [0, 0] },
      ...(msiController === undefined
        ? {}
        : {
            'msi-parent': {
              cells: [{ phandle: msiController.label }, ...Array<DtCell>(msiController.cells).fill(0)],
            },
          }),
      'interrupt-map': { cells: interruptMap(placement, slotCount) },
      'interrupt-map-mask': { cells: [0xf800, 0, 0, 7] },
    },
  };
}

function hostProperties({ ecam, io, memory32, memory64 }: PcieHostPlacement): DtNode['properties'] {
  const range = (space: number, busAddress: number, { base, sizeBytes }: AddressRange): DtCell[] => [
    space,
    ...cells64(busAddress),
    ...cells64(base),
    ...cells64(sizeBytes),
  ];
  return {
    compatible: 'pci-host-ecam-generic',
    device_type: 'pci',
    '#address-cells': { cells: [3] },
    '#size-cells': { cells: [2] },
    'dma-coherent': true,
    reg: { cells: [...cells64(ecam.base), ...cells64(ecam.sizeBytes)] },
    ranges: {
      cells: [
        ...range(SPACE.IO, 0, io),
        ...range(SPACE.MEMORY32, memory32.base, memory32),
        ...(memory64 ? range(SPACE.MEMORY64, memory64.base, memory64) : []),
      ],
    },
    '#interrupt-cells': { cells: [1] },
  };
}

function interruptMap({ interruptController, spis }: PcieHostPlacement, deviceCount: number): DtCell[] {
  return Array.from({ length: deviceCount }, (_, device) =>
    PINS.flatMap((pin): DtCell[] => [
      device << UNIT_DEVICE_SHIFT,
      0,
      0,
      pin,
      { phandle: interruptController.label },
      ...Array<DtCell>(interruptController.addressCells).fill(0),
      ...spiInterrupt(spis[interruptOf(device, pin, spis.length)]!, 'level-high'),
    ]),
  ).flat();
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
export function describePcieHostAcpi(
  placement: PcieHostPlacement & { readonly memory64: AddressRange },
): AcpiDevice {
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
