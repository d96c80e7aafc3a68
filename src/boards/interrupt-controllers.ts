/** The interrupt controllers that a board may have, at the addresses that its table gives them. */
import { physAddr, type Trace } from '../base/index.js';
import type {
  AcpiInterruptController,
  AcpiProcessor,
  DtNode,
  IrqLine,
  SystemRegisterPort,
} from '../bus/index.js';
import { Gicv2 } from '../devices/gic/gicv2.js';
import { Gicv2m } from '../devices/gic/gicv2m.js';
import { Gicv3, ICC_REGISTERS } from '../devices/gic/gicv3.js';
import { Its } from '../devices/gic/its.js';
import { intidOfPpi, PMU_PPI } from './cpu-devices.js';
import { affinityOf, place, type BoardRow } from './layout.js';
import type { BoardDevice, BoardPorts, MapEntry } from './ports.js';

const SPI_COUNT = 256;

/** Labels of the controllers in the device tree, which are the devices' own. */
export const LABEL = { intc: 'intc', v2m: 'v2m', its: 'its' } as const;

/** What the two generations of GIC have in common for the board. */
export interface InterruptController {
  readonly gic: BoardDevice;
  readonly its?: BoardDevice;
  readonly entries: readonly MapEntry[];
  readonly systemRegisters: readonly (readonly [string, SystemRegisterPort])[];
  readonly node: DtNode;
  readonly acpi: readonly AcpiInterruptController[];
  /** Cells that a PPI specifier has above its trigger: a GICv2 wants to know the CPUs (arm,gic.yaml). */
  readonly ppiCpuMask: number;
  /** What takes messages of PCI functions; without, they have their pins only. */
  readonly msi: MsiController | undefined;
  spi(spi: number): IrqLine;
  ppi(cpu: number, ppi: number): IrqLine;
}

/** A register that message-signalled interrupts are written to. */
export interface MsiController {
  /** In the device tree. */
  readonly label: string;
  /** `#msi-cells`: whether it is told who sends. */
  readonly cells: 0 | 1;
  readonly address: number;
  /** `requester` is the bus master's: bus, device and function. */
  write(data: number, requester: number): void;
}

/** A GICv2m frame, which has interrupts to raise. */
type MessageFrameRow = BoardRow & { readonly spi: number; readonly spiCount: number };

/** `rows.gicv2m` is left out where there is no frame for messages. */
export function buildGicv2(
  rows: { readonly gicd: BoardRow; readonly gicc: BoardRow; readonly gicv2m?: MessageFrameRow },
  cpuCount: number,
  ports: BoardPorts,
): InterruptController {
  const cpus = Array.from({ length: cpuCount }, (_, cpu) => cpu);
  const { trace } = ports;
  const gic = new Gicv2(SPI_COUNT, {
    cpus: cpus.map((cpu) => ports.cpuLines(cpu)),
    currentCpu: () => ports.currentCpu(),
    trace,
  });
  const at = { distributor: physAddr(rows.gicd.base), cpuInterface: physAddr(rows.gicc.base) };
  const v2m = rows.gicv2m && buildGicv2m(rows.gicv2m, gic, trace);
  return {
    gic,
    entries: [
      place(rows.gicd, gic.distributor),
      place(rows.gicc, gic.cpuInterface),
      ...(v2m ? [v2m.entry] : []),
    ],
    systemRegisters: [],
    node: gic.describe(at, v2m ? [v2m.node] : []),
    acpi: [...gic.describeAcpi(at, processorsOf(cpus)), ...(v2m ? [v2m.acpi] : [])],
    ppiCpuMask: 2 ** cpus.length - 1,
    msi: v2m?.msi,
    spi: (spi) => gic.spi(spi),
    ppi: (cpu, ppi) => gic.ppi(cpu, ppi),
  };
}

function buildGicv2m(row: MessageFrameRow, gic: Gicv2, trace: Trace) {
  const v2m = new Gicv2m(32 + row.spi, {
    spis: Array.from({ length: row.spiCount }, (_, index) => gic.spi(row.spi + index)),
    trace,
  });
  const at = physAddr(row.base);
  const msi: MsiController = {
    label: LABEL.v2m,
    cells: 0,
    address: at + Gicv2m.doorbellAt,
    write: (data) => {
      v2m.write(Gicv2m.doorbellAt, 4, data);
    },
  };
  return { entry: place(row, v2m), node: v2m.describe(at), acpi: v2m.describeAcpi(at), msi };
}

/** `rows.its` is left out where there is no ITS, and so no LPIs. */
export function buildGicv3(
  rows: { readonly gicd: BoardRow; readonly gicr: BoardRow; readonly its?: BoardRow },
  cpuCount: number,
  ports: BoardPorts,
): InterruptController {
  const cpus = Array.from({ length: cpuCount }, (_, cpu) => cpu);
  const { trace, dma } = ports;
  const gic = new Gicv3(SPI_COUNT, {
    cpus: cpus.map((cpu) => ({ ...ports.cpuLines(cpu), affinity: Number(affinityOf(cpu)) })),
    ...(rows.its ? { lpiTables: dma } : {}),
    trace,
  });
  const its = rows.its && buildIts(rows.its, gic, ports);
  const at = { distributor: physAddr(rows.gicd.base), redistributors: physAddr(rows.gicr.base) };
  return {
    gic,
    ...(its ? { its: its.device } : {}),
    entries: [
      place(rows.gicd, gic.distributor),
      ...(its ? [its.entry] : []),
      place(rows.gicr, gic.redistributors),
    ],
    systemRegisters: ICC_REGISTERS.map((name) => [name, gic]),
    node: gic.describe(at, its ? [its.node] : []),
    acpi: [...gic.describeAcpi(at, processorsOf(cpus)), ...(its ? [its.acpi] : [])],
    ppiCpuMask: 0,
    msi: its?.msi,
    spi: (spi) => gic.spi(spi),
    ppi: (cpu, ppi) => gic.ppi(cpu, ppi),
  };
}

function buildIts(row: BoardRow, gic: Gicv3, { dma, trace }: BoardPorts) {
  const device = new Its({ dma, lpis: gic.lpiPort, trace });
  const at = physAddr(row.base);
  const msi: MsiController = {
    label: LABEL.its,
    cells: 1,
    address: at + Its.doorbellAt,
    write: (data, requester) => {
      device.translate(requester, data);
    },
  };
  return {
    device,
    entry: place(row, device.frames),
    node: device.describe(at),
    acpi: device.describeAcpi(at),
    msi,
  };
}

function processorsOf(cpus: readonly number[]): AcpiProcessor[] {
  return cpus.map((cpu) => ({
    uid: cpu,
    mpidr: affinityOf(cpu),
    performanceInterrupt: intidOfPpi(PMU_PPI),
  }));
}
