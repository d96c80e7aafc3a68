/**
 * The `virt` board: the machine that QEMU calls `virt`, which Debian's AAVMF, U-Boot's `qemu_arm64` and every arm64
 * kernel know. Addresses and interrupts are QEMU 7.2's (hw/arm/virt.c, `info mtree`, `dumpdtb`).
 *
 * As with QEMU's defaults there is one security state: no secure UART. Without EL2 PSCI is by HVC; CPUs that have it
 * start there, and PSCI is by SMC (QEMU's `virtualization=on`).
 *
 * @deviation With a GICv3 there is an ITS, and so MSI, on request only; QEMU's board has one.
 * @deviation There is no platform bus, which is empty in QEMU unless asked for.
 * @deviation The device tree has no seeds for random numbers, so that runs can be repeated, nor PSCI's MIGRATE, which
 * QEMU names and does not implement.
 */
import { GIB, hex, invariant, MIB, physAddr, UserError } from '../base/index.js';
import {
  cells64,
  type AcpiInterruptController,
  type AcpiProcessor,
  type DtNode,
  type IrqLine,
  type MessagePort,
  type MmioDevice,
  type SystemRegisterPort,
} from '../bus/index.js';
import { MAX_CPUS } from '../cpu/layout.js';
import type { CpuModel } from '../cpu/models.js';
import { hasFeature } from '../cpu/models.js';
import { AcpiGed } from '../devices/acpi-ged.js';
import {
  CfiFlash,
  cfiFlashNode,
  type CfiFlashGeometry,
  type CfiFlashQuirks,
} from '../devices/cfi-flash/cfi-flash.js';
import { FlashCommit, type FlashCommitPolicy } from '../devices/cfi-flash/commit.js';
import { FwCfg } from '../devices/fw-cfg.js';
import { GenericTimers, TIMER_REGISTERS } from '../devices/generic-timer.js';
import { Gicv2 } from '../devices/gic/gicv2.js';
import { Gicv2m } from '../devices/gic/gicv2m.js';
import { Gicv3, ICC_REGISTERS } from '../devices/gic/gicv3.js';
import { Its } from '../devices/gic/its.js';
import {
  describePcieHost,
  describePcieHostAcpi,
  PcieHost,
  type PcieHostPlacement,
} from '../devices/pcie/pcie-host.js';
import { PciTestdev } from '../devices/pcie/pci-testdev.js';
import { PerformanceMonitors } from '../devices/performance-monitors.js';
import { Pl011 } from '../devices/pl011.js';
import { Pl031 } from '../devices/pl031.js';
import { gpioPowerKeyNode, Pl061 } from '../devices/pl061.js';
import { apbClockNode, type PeripheralPlace } from '../devices/primecell.js';
import { planDirectBoot, type DirectBoot } from '../firmware/direct-boot.js';
import { describePsci, Psci, type PsciConduit } from '../firmware/psci.js';
import { encodeAcpi, type AcpiDescription } from '../tables/acpi/index.js';
import { encodeSmbios, type SmbiosDescription } from '../tables/smbios.js';
import type { VirtioMmio } from '../devices/virtio/virtio-mmio.js';
import type { VirtioMmioEmpty } from '../devices/virtio/virtio-mmio-empty.js';
import type { Board, BoardDevice, BoardPorts, FlashBank, MapEntry } from './ports.js';
import { buildVirtioDevices, buildVirtioSlots, plugVirtioDevices } from './virtio.js';

interface BoardRow {
  readonly base: number;
  /** Room for one device; it may decode less. */
  readonly sizeBytes: number;
  /** That many devices one after the other. Default 1. */
  readonly count?: number;
  /** The first shared peripheral interrupt of that many; 0 is INTID 32. */
  readonly spi?: number;
  readonly spiCount?: number;
  readonly device: string;
}

/** Everything that the board decides: what is where and which interrupt it has. */
export const VIRT = {
  flash0: { base: 0x0000_0000, sizeBytes: 64 * MIB, device: 'CFI flash, firmware' },
  flash1: { base: 0x0400_0000, sizeBytes: 64 * MIB, device: 'CFI flash, UEFI variables' },
  gicd: { base: 0x0800_0000, sizeBytes: 0x1_0000, device: 'GIC distributor' },
  gicc: { base: 0x0801_0000, sizeBytes: 0x1_0000, device: 'GICv2 CPU interface' },
  gicv2m: { base: 0x0802_0000, sizeBytes: 0x1000, spi: 48, spiCount: 64, device: 'GICv2m' },
  its: { base: 0x0808_0000, sizeBytes: 0x2_0000, device: 'GICv3 ITS' },
  gicr: { base: 0x080a_0000, sizeBytes: 0xf6_0000, device: 'GICv3 redistributors' },
  uart0: { base: 0x0900_0000, sizeBytes: 0x1000, spi: 1, device: 'PL011, console' },
  rtc: { base: 0x0901_0000, sizeBytes: 0x1000, spi: 2, device: 'PL031' },
  fwCfg: { base: 0x0902_0000, sizeBytes: 0x18, device: 'fw_cfg' },
  gpio: { base: 0x0903_0000, sizeBytes: 0x1000, spi: 7, device: 'PL061, power key' },
  ged: { base: 0x0908_0000, sizeBytes: 0x1000, spi: 9, device: 'ACPI generic event device' },
  virtioMmio: {
    base: 0x0a00_0000,
    sizeBytes: 0x200,
    count: 32,
    spi: 16,
    spiCount: 32,
    device: 'virtio-mmio',
  },
  pcieMemory32: { base: 0x1000_0000, sizeBytes: 0x2eff_0000, device: 'PCIe memory window' },
  pcieIo: { base: 0x3eff_0000, sizeBytes: 0x1_0000, device: 'PCIe I/O window' },
  ram: { base: 0x4000_0000, sizeBytes: 255 * GIB, device: 'RAM' },
  pcieEcam: { base: 0x40_1000_0000, sizeBytes: 256 * MIB, spi: 3, spiCount: 4, device: 'PCIe configuration' },
  pcieMemory64: { base: 0x80_0000_0000, sizeBytes: 512 * GIB, device: 'PCIe memory window' },
} as const satisfies Record<string, BoardRow>;

const SPI_COUNT = 256;
/** Private peripheral interrupts (INTID - 16) of the generic timers. */
const TIMER_PPIS = {
  securePhysical: 13,
  physical: 14,
  virtual: 11,
  hypervisor: 10,
  hypervisorVirtual: 12,
} as const;
/** Of the performance monitors. */
const PMU_PPI = 7;
const SYSTEM_COUNTER_HZ = 62_500_000;
export const VIRT_FLASH_GEOMETRY: CfiFlashGeometry = {
  chips: 2,
  // QEMU's bank, which U-Boot's driver fits and no other wiring.
  wiring: 'lock-step',
  sizeBytes: VIRT.flash0.sizeBytes,
  blockBytes: 256 * 1024,
  bufferBytes: 4096,
  manufacturerId: 0x89,
  deviceId: 0x18,
};

/** Names of the PCIe windows in traces. */
const WINDOW_NAMES = {
  pcieMemory32: 'pcie-memory32',
  pcieMemory64: 'pcie-memory64',
  pcieIo: 'pcie-io',
} as const;
/** The host bridge has slot 0. */
const FIRST_PCIE_SLOT = 1;

/** Pin of the PL061, and how long a press lasts: what QEMU's `gpio-key` does. */
const POWER_KEY_PIN = 3;
const POWER_KEY_PRESS_NS = 100_000_000;

/** Labels in the device tree that the board itself refers to. `intc`, `v2m` and `its` are the devices' own. */
const LABEL = { intc: 'intc', v2m: 'v2m', its: 'its', gpio: 'gpio' } as const;

interface VirtFlashConfig {
  /** The guest can change blocks that lie wholly below this offset; 0 for none. */
  readonly writableBytes: number;
  readonly commitPolicy: FlashCommitPolicy;
  readonly quirks?: CfiFlashQuirks;
}

/** A kernel, unpacked, with its initial RAM disk and command line; borrowed. */
export interface VirtKernel {
  readonly image: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
}

export interface VirtConfig {
  readonly ramBytes: number;
  readonly gicVersion: 2 | 3;
  /** Whether a GICv3 has an ITS, and so LPIs. */
  readonly hasIts: boolean;
  /** 1 to 8. */
  readonly cpuCount: number;
  readonly cpu: CpuModel;
  /** Whether firmware gets ACPI tables, and the board the event device that they need. */
  readonly hasAcpi: boolean;
  /** Whether there is firmware to start. Without, the kernel is what starts. */
  readonly hasFirmware: boolean;
  readonly kernel?: VirtKernel;
  /** Firmware bank, variables bank. */
  readonly flash: readonly [VirtFlashConfig, VirtFlashConfig];
  /** How drivers reach virtio devices: `mmio-legacy` is the interface of before VIRTIO 1.0. */
  readonly virtioTransport: 'mmio' | 'mmio-legacy' | 'pci';
  /** QEMU's PCI test devices, which go into the slots behind those of virtio devices. */
  readonly pciTestdevCount: number;
}

export interface VirtBoard extends Board {
  readonly fwCfg: FwCfg;
  readonly uart0: Pl011;
  readonly pcie: PcieHost;
}

/** The devices that have a node of their own. */
interface VirtDevices {
  readonly intc: InterruptController;
  readonly timers: GenericTimers;
  readonly pmu: PerformanceMonitors;
  readonly uart0: Pl011;
  readonly rtc: Pl031;
  readonly gpio: Pl061;
  readonly ged: AcpiGed | undefined;
  readonly fwCfg: FwCfg;
  readonly virtioMmio: readonly (VirtioMmio | VirtioMmioEmpty)[];
}

/** Calls INTID 16 + n what the device tree calls PPI n. */
const intidOfPpi = (ppi: number): number => 16 + ppi;

/** What the two generations of GIC have in common for the board. */
interface InterruptController {
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
interface MsiController {
  /** In the device tree. */
  readonly label: string;
  readonly address: number;
  /** `requester` is the bus master's: bus, device and function. */
  write(data: number, requester: number): void;
}

/** User errors: `ram-size`, `cpu-count`. */
export function buildVirt(config: VirtConfig, ports: BoardPorts): VirtBoard {
  checkConfig(config);
  const { clock, trace, dma } = ports;
  const cpus = Array.from({ length: config.cpuCount }, (_, cpu) => cpu);
  const cpuAffinities = cpus.map(affinityOf);

  const intc = config.gicVersion === 2 ? buildGicv2(cpus, ports) : buildGicv3(cpus, config.hasIts, ports);
  const timers = new GenericTimers(SYSTEM_COUNTER_HZ, {
    clock,
    cpus: cpus.map((cpu) => ({
      physical: intc.ppi(cpu, TIMER_PPIS.physical),
      virtual: intc.ppi(cpu, TIMER_PPIS.virtual),
      hypervisor: intc.ppi(cpu, TIMER_PPIS.hypervisor),
      hypervisorVirtual: intc.ppi(cpu, TIMER_PPIS.hypervisorVirtual),
    })),
  });

  const pmu = new PerformanceMonitors(
    { pmcr: config.cpu.pmcr, hasEl2: hasFeature(config.cpu, 'EL2') },
    cpus.map((cpu) => ({ activity: ports.cpuActivity(cpu), irq: intc.ppi(cpu, PMU_PPI) })),
  );

  const flash = [
    buildFlash('flash0', VIRT.flash0.base, config.flash[0], ports, ports.flashStorage[0]),
    buildFlash('flash1', VIRT.flash1.base, config.flash[1], ports, ports.flashStorage[1]),
  ];
  const uart0 = new Pl011('uart0', {
    irq: intc.spi(VIRT.uart0.spi),
    clock,
    output: ports.serialOutput,
    trace,
  });
  const rtc = new Pl031('rtc', ports.epochSeconds, { irq: intc.spi(VIRT.rtc.spi), clock, trace });
  const gpio = new Pl061('gpio', { irq: intc.spi(VIRT.gpio.spi), trace });
  const ged = config.hasAcpi ? new AcpiGed({ irq: intc.spi(VIRT.ged.spi), trace }) : undefined;
  const fwCfg = new FwCfg({ trace, dma }, { cpuCount: config.cpuCount });
  const virtioDevices = buildVirtioDevices(ports);
  const isVirtioPci = config.virtioTransport === 'pci';
  const virtioMmio = buildVirtioSlots(
    VIRT.virtioMmio.count,
    isVirtioPci ? [] : virtioDevices,
    config.virtioTransport === 'mmio-legacy' ? 'legacy' : 'modern',
    (slot) => intc.spi(VIRT.virtioMmio.spi + slot),
    { trace },
  );
  const pcie = new PcieHost({
    interrupts: pcieSpis().map((spi) => intc.spi(spi)),
    messages: messagePort(intc.msi, ports),
    trace,
  });
  if (isVirtioPci) plugVirtioDevices(pcie, virtioDevices, FIRST_PCIE_SLOT, { trace });
  for (let index = 0; index < config.pciTestdevCount; index++) {
    const slot = FIRST_PCIE_SLOT + (isVirtioPci ? virtioDevices.length : 0) + index;
    pcie.plug(slot, 0, new PciTestdev(`pci-testdev${index}`, { slot: pcie.slot(slot, 0), trace }));
  }
  const psci = new Psci({ cpus: ports.cpuPower, power: ports.powerPort, trace }, cpuAffinities);

  const releasePowerKey = clock.timer('power key', () => gpio.setInput(POWER_KEY_PIN, false));

  const devices = new Map<string, BoardDevice>([
    ['gic', intc.gic],
    ...(intc.its ? [['its', intc.its] as const] : []),
    ['timers', timers],
    ['pmu', pmu],
    ...flash.map(({ device }) => [device.name, device] as const),
    ['uart0', uart0],
    ['rtc', rtc],
    ['gpio', gpio],
    ['fw-cfg', fwCfg],
    ...(ged ? [['ged', ged] as const] : []),
    ...virtioMmio.map((device) => [device.name, device] as const),
    ['pcie', pcie],
  ]);

  const { kernel } = config;
  if (kernel && config.hasFirmware) fwCfg.setKernel(kernel.image, kernel.initrd, kernel.commandLine);
  const ram = { base: VIRT.ram.base, sizeBytes: config.ramBytes };
  const directBoot =
    kernel && !config.hasFirmware ? planDirectBoot(kernel.image, kernel.initrd, ram) : undefined;

  const parts: VirtDevices = { intc, timers, pmu, uart0, rtc, gpio, ged, fwCfg, virtioMmio };
  const files = [
    encodeSmbios(smbiosDescription(config)),
    ...(config.hasAcpi ? [encodeAcpi(acpiDescription(config, parts))] : []),
  ];
  for (const file of files) for (const [name, bytes] of file) fwCfg.addFile(name, bytes);

  return {
    name: 'virt',
    ram,
    map: [
      ...intc.entries,
      ...flash.map(({ device }, bank) => place(bank === 0 ? VIRT.flash0 : VIRT.flash1, device)),
      place(VIRT.uart0, uart0),
      place(VIRT.rtc, rtc),
      place(VIRT.fwCfg, fwCfg),
      place(VIRT.gpio, gpio),
      ...(ged ? [place(VIRT.ged, ged)] : []),
      ...virtioMmio.map((device, slot) => place(VIRT.virtioMmio, device, slot)),
      ...(['pcieMemory32', 'pcieMemory64'] as const).map((row) => {
        const { base, sizeBytes } = VIRT[row];
        return place(VIRT[row], pcie.window(WINDOW_NAMES[row], 'memory', base, sizeBytes));
      }),
      place(VIRT.pcieIo, pcie.window(WINDOW_NAMES.pcieIo, 'io', 0, VIRT.pcieIo.sizeBytes)),
      place(VIRT.pcieEcam, pcie),
    ],
    devices,
    systemRegisters: new Map([
      ...intc.systemRegisters,
      ...TIMER_REGISTERS.map((name): [string, SystemRegisterPort] => [name, timers]),
      ...pmu.registers.map((name): [string, SystemRegisterPort] => [name, pmu]),
    ]),
    cpuAffinities,
    psci,
    psciConduit: psciConduitOf(config.cpu),
    serialInput: uart0,
    flash,
    deviceTree: virtDeviceTree(config, parts, directBoot),
    // Firmware in flash starts at the bottom of the map and looks for the tree at the bottom of RAM.
    deviceTreeBase: directBoot?.deviceTreeAddress ?? VIRT.ram.base,
    resetState: directBoot?.entry ?? { pc: VIRT.flash0.base, x0: 0 },
    images: directBoot?.images ?? [],
    pressPowerKey() {
      // Which of the two the guest listens to depends on which tables it goes by.
      ged?.powerDown();
      gpio.setInput(POWER_KEY_PIN, true);
      releasePowerKey.arm(clock.nowNs() + POWER_KEY_PRESS_NS);
    },
    reset() {
      for (const device of devices.values()) device.reset();
    },
    fwCfg,
    uart0,
    pcie,
  };
}

function checkConfig({ ramBytes, cpuCount }: VirtConfig): void {
  if (!Number.isInteger(ramBytes / MIB) || ramBytes < MIB || ramBytes > VIRT.ram.sizeBytes) {
    throw new UserError(
      'ram-size',
      `memory of ${ramBytes} bytes: the virt board takes whole MiB from 1M to ${VIRT.ram.sizeBytes / GIB}G`,
    );
  }
  if (!Number.isInteger(cpuCount) || cpuCount < 1 || cpuCount > MAX_CPUS) {
    throw new UserError('cpu-count', `${cpuCount} CPUs: the virt board takes 1 to ${MAX_CPUS}`);
  }
}

/** A guest that has EL2 must be free to take HVCs itself. */
function psciConduitOf(cpu: CpuModel): PsciConduit {
  return hasFeature(cpu, 'EL2') ? 'smc' : 'hvc';
}

function processorsOf(cpus: readonly number[]): AcpiProcessor[] {
  return cpus.map((cpu) => ({
    uid: cpu,
    mpidr: affinityOf(cpu),
    performanceInterrupt: intidOfPpi(PMU_PPI),
  }));
}

/** The affinity fields of MPIDR_EL1. One cluster: Aff0 alone tells the CPUs apart. */
export function affinityOf(cpu: number): bigint {
  return BigInt(cpu);
}

/** The device in its row of the table, or in the `index`th place of it. */
function place(row: BoardRow, device: MmioDevice, index = 0): MapEntry {
  invariant(device.sizeBytes <= row.sizeBytes, `${device.name} does not fit at ${hex(row.base)}`);
  return { base: row.base + index * row.sizeBytes, device };
}

function buildGicv2(cpus: readonly number[], ports: BoardPorts): InterruptController {
  const { trace } = ports;
  const gic = new Gicv2(SPI_COUNT, {
    cpus: cpus.map((cpu) => ports.cpuLines(cpu)),
    currentCpu: () => ports.currentCpu(),
    trace,
  });
  const { spi: firstSpi, spiCount } = VIRT.gicv2m;
  const v2m = new Gicv2m(32 + firstSpi, {
    spis: Array.from({ length: spiCount }, (_, index) => gic.spi(firstSpi + index)),
    trace,
  });
  const at = { distributor: physAddr(VIRT.gicd.base), cpuInterface: physAddr(VIRT.gicc.base) };
  const v2mAt = physAddr(VIRT.gicv2m.base);
  return {
    gic,
    entries: [place(VIRT.gicd, gic.distributor), place(VIRT.gicc, gic.cpuInterface), place(VIRT.gicv2m, v2m)],
    systemRegisters: [],
    node: gic.describe(at, [v2m.describe(v2mAt)]),
    acpi: [...gic.describeAcpi(at, processorsOf(cpus)), v2m.describeAcpi(v2mAt)],
    ppiCpuMask: 2 ** cpus.length - 1,
    msi: {
      label: LABEL.v2m,
      address: v2mAt + Gicv2m.doorbellAt,
      write: (data) => {
        v2m.write(Gicv2m.doorbellAt, 4, data);
      },
    },
    spi: (spi) => gic.spi(spi),
    ppi: (cpu, ppi) => gic.ppi(cpu, ppi),
  };
}

function buildGicv3(cpus: readonly number[], hasIts: boolean, ports: BoardPorts): InterruptController {
  const { trace, dma } = ports;
  const gic = new Gicv3(SPI_COUNT, {
    cpus: cpus.map((cpu) => ({ ...ports.cpuLines(cpu), affinity: Number(affinityOf(cpu)) })),
    ...(hasIts ? { lpiTables: dma } : {}),
    trace,
  });
  const its = hasIts ? new Its({ dma, lpis: gic.lpiPort, trace }) : undefined;
  const at = { distributor: physAddr(VIRT.gicd.base), redistributors: physAddr(VIRT.gicr.base) };
  const itsAt = physAddr(VIRT.its.base);
  return {
    gic,
    ...(its ? { its } : {}),
    entries: [
      place(VIRT.gicd, gic.distributor),
      ...(its ? [place(VIRT.its, its.frames)] : []),
      place(VIRT.gicr, gic.redistributors),
    ],
    systemRegisters: ICC_REGISTERS.map((name) => [name, gic]),
    node: gic.describe(at, its ? [its.describe(itsAt)] : []),
    acpi: [...gic.describeAcpi(at, processorsOf(cpus)), ...(its ? [its.describeAcpi(itsAt)] : [])],
    ppiCpuMask: 0,
    msi: its && {
      label: LABEL.its,
      address: itsAt + Its.doorbellAt,
      write: (data, requester) => {
        its.translate(requester, data);
      },
    },
    spi: (spi) => gic.spi(spi),
    ppi: (cpu, ppi) => gic.ppi(cpu, ppi),
  };
}

function buildFlash(
  name: string,
  base: number,
  { writableBytes, commitPolicy, quirks = {} }: VirtFlashConfig,
  ports: BoardPorts,
  storage: BoardPorts['flashStorage'][number],
): FlashBank {
  const { clock, trace } = ports;
  const map = ports.directMap(base, VIRT_FLASH_GEOMETRY.sizeBytes);
  const commit =
    storage &&
    new FlashCommit({
      policy: commitPolicy,
      name,
      map,
      storage,
      clock,
      onStorageError: (error) => ports.onStorageError(error),
    });
  const device = new CfiFlash({
    name,
    geometry: VIRT_FLASH_GEOMETRY,
    map,
    writableBytes,
    quirks,
    trace,
    ...(commit ? { changes: commit } : {}),
  });
  const load: FlashBank['load'] = (offset, bytes) => {
    map.load(offset, bytes);
  };
  return { device, load, commit };
}

/** The board's device tree: `dtc` accepts it without a warning. */
function virtDeviceTree(
  { ramBytes, cpuCount, cpu, kernel }: VirtConfig,
  { intc, timers, pmu, uart0, rtc, gpio, fwCfg, virtioMmio }: VirtDevices,
  directBoot: DirectBoot | undefined,
): DtNode {
  const uartNodes = uart0.describe(VIRT.uart0);
  return {
    name: '',
    properties: {
      compatible: 'linux,dummy-virt',
      model: 'linux,dummy-virt',
      '#address-cells': { cells: [2] },
      '#size-cells': { cells: [2] },
      'interrupt-parent': { cells: [{ phandle: LABEL.intc }] },
    },
    children: [
      {
        name: 'chosen',
        properties: {
          'stdout-path': `/${uartNodes[0]?.name ?? ''}`,
          ...(kernel && kernel.commandLine !== '' ? { bootargs: kernel.commandLine } : {}),
          ...directBoot?.chosen,
        },
      },
      describePsci(psciConduitOf(cpu)),
      {
        name: `memory@${VIRT.ram.base.toString(16)}`,
        properties: {
          device_type: 'memory',
          reg: { cells: [...cells64(VIRT.ram.base), ...cells64(ramBytes)] },
        },
      },
      describeCpus(cpuCount, cpu),
      timers.describe(TIMER_PPIS, intc.ppiCpuMask, hasFeature(cpu, 'VHE')),
      pmu.describe(PMU_PPI, intc.ppiCpuMask),
      apbClockNode(),
      intc.node,
      cfiFlashNode([VIRT.flash0, VIRT.flash1], 4),
      ...uartNodes,
      ...rtc.describe(VIRT.rtc),
      fwCfg.describe(VIRT.fwCfg.base),
      ...gpio.describe({ ...VIRT.gpio, label: LABEL.gpio }),
      gpioPowerKeyNode(LABEL.gpio, POWER_KEY_PIN),
      ...virtioMmio.flatMap((device, slot) => device.describe(virtioMmioPlace(slot))),
      describePcieHost(pcieHostPlacement(intc)),
    ],
  };
}

/** What the pins of PCI functions are wired to. */
function pcieSpis(): number[] {
  const { spi, spiCount } = VIRT.pcieEcam;
  return Array.from({ length: spiCount }, (_, index) => spi + index);
}

/** Messages go to the interrupt controller, where one takes them, or to memory, where a guest may look for them. */
function messagePort(msi: MsiController | undefined, { dma, trace }: BoardPorts): MessagePort {
  return {
    send: (address, data, requester) => {
      if (trace.on('irq')) {
        trace.event('irq', `pci: ${hex(requester)} sends ${hex(data)} to ${hex(address)}`);
      }
      if (address === msi?.address) {
        msi.write(data, requester);
        return;
      }
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setUint32(0, data, true);
      if (!dma.write(address, bytes) && trace.on('guest-errors')) {
        trace.event('guest-errors', `pci: message to ${hex(address)}, where nothing takes it`);
      }
    },
  };
}

function pcieHostPlacement({ msi }: InterruptController): PcieHostPlacement {
  return {
    ecam: VIRT.pcieEcam,
    io: VIRT.pcieIo,
    memory32: VIRT.pcieMemory32,
    memory64: VIRT.pcieMemory64,
    interruptController: { label: LABEL.intc, addressCells: 2 },
    spis: pcieSpis(),
    ...(msi === undefined ? {} : { msiController: msi.label }),
  };
}

/** What the device tree says too, for those who go by ACPI. The PL031 and the PL061 are firmware's, as in QEMU. */
function acpiDescription(
  { cpuCount, cpu }: VirtConfig,
  { intc, uart0, fwCfg, ged, virtioMmio }: VirtDevices,
): AcpiDescription {
  const uids = Array.from({ length: cpuCount }, (_, cpu) => cpu);
  return {
    devices: [
      ...uids.map((uid) => ({
        name: `C${uid.toString().padStart(3, '0')}`,
        objects: { _HID: 'ACPI0007', _UID: uid },
      })),
      uart0.describeAcpi(VIRT.uart0),
      fwCfg.describeAcpi(VIRT.fwCfg.base),
      ...virtioMmio.map((device, slot) => device.describeAcpi(virtioMmioPlace(slot), slot)),
      describePcieHostAcpi(pcieHostPlacement(intc)),
      ...(ged?.describeAcpi(VIRT.ged) ?? []),
    ],
    interruptControllers: intc.acpi,
    processorUids: uids,
    psciConduit: psciConduitOf(cpu),
    timers: {
      securePhysical: intidOfPpi(TIMER_PPIS.securePhysical),
      physical: intidOfPpi(TIMER_PPIS.physical),
      virtual: intidOfPpi(TIMER_PPIS.virtual),
      hypervisor: intidOfPpi(TIMER_PPIS.hypervisor),
    },
    console: uart0.describeSerialPort(VIRT.uart0),
    pcie: { ecamBase: VIRT.pcieEcam.base, firstBus: 0, lastBus: 255 },
  };
}

function smbiosDescription({ cpu, cpuCount, ramBytes }: VirtConfig): SmbiosDescription {
  return {
    manufacturer: 'v8a',
    product: 'v8a Virtual Machine',
    version: 'virt',
    date: '01/01/2025',
    processorName: cpu.name,
    cpuCount,
    ram: { base: VIRT.ram.base, sizeBytes: ramBytes },
  };
}

function virtioMmioPlace(slot: number): PeripheralPlace {
  const { base, sizeBytes, spi } = VIRT.virtioMmio;
  return { base: base + slot * sizeBytes, spi: spi + slot };
}

/** Devicetree Specification v0.4 3.8; `cpu-map` as in Linux Documentation/devicetree/bindings/cpu/cpu-topology.txt. */
function describeCpus(cpuCount: number, { compatible }: CpuModel): DtNode {
  const labelOf = (cpu: number): string => `cpu${cpu}`;
  const cpus = Array.from({ length: cpuCount }, (_, cpu) => cpu);
  return {
    name: 'cpus',
    properties: { '#address-cells': { cells: [1] }, '#size-cells': { cells: [0] } },
    children: [
      ...cpus.map((cpu) => ({
        name: `cpu@${affinityOf(cpu).toString(16)}`,
        label: labelOf(cpu),
        properties: {
          device_type: 'cpu',
          compatible,
          reg: { cells: [Number(affinityOf(cpu))] },
          'enable-method': 'psci',
        },
      })),
      {
        name: 'cpu-map',
        properties: {},
        children: [
          {
            name: 'socket0',
            properties: {},
            children: [
              {
                name: 'cluster0',
                properties: {},
                children: cpus.map((cpu) => ({
                  name: `core${cpu}`,
                  properties: { cpu: { cells: [{ phandle: labelOf(cpu) }] } },
                })),
              },
            ],
          },
        ],
      },
    ],
  };
}
