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
import { GIB, MIB, UserError } from '../base/index.js';
import type { DtNode } from '../bus/index.js';
import { hasFeature } from '../cpu/models.js';
import { AcpiGed } from '../devices/acpi-ged.js';
import { cfiFlashNode, type CfiFlashGeometry } from '../devices/cfi-flash/cfi-flash.js';
import { FwCfg } from '../devices/fw-cfg.js';
import type { GenericTimers } from '../devices/generic-timer.js';
import { describePcieHost, describePcieHostAcpi, type PcieHost } from '../devices/pcie/pcie-host.js';
import type { PerformanceMonitors } from '../devices/performance-monitors.js';
import { Pl011 } from '../devices/pl011.js';
import { Pl031 } from '../devices/pl031.js';
import { gpioPowerKeyNode, Pl061 } from '../devices/pl061.js';
import { apbClockNode, type PeripheralPlace } from '../devices/primecell.js';
import { planDirectBoot, type DirectBoot } from '../firmware/direct-boot.js';
import { describePsci, Psci } from '../firmware/psci.js';
import { encodeAcpi, type AcpiDescription } from '../tables/acpi/index.js';
import { encodeSmbios, type SmbiosDescription } from '../tables/smbios.js';
import type { VirtioMmio } from '../devices/virtio/virtio-mmio.js';
import type { VirtioMmioEmpty } from '../devices/virtio/virtio-mmio-empty.js';
import {
  buildCpuDevices, checkCpuCount, cpuLabel, describeCpus, intidOfPpi, PMU_PPI, psciConduitOf, TIMER_PPIS,
} from './cpu-devices.js'; // prettier-ignore
import { buildFlash, type FlashConfig } from './flash.js';
import { buildGicv2, buildGicv3, LABEL, type InterruptController } from './interrupt-controllers.js';
import { affinityOf, describeKaslrSeed, describeRam, place, type BoardRow } from './layout.js';
import { buildPcie, type BoardPcie } from './pcie.js';
import type { Board, BoardConfig, BoardDevice, BoardPorts } from './ports.js';
import { buildVirtioDevices, buildVirtioSlots } from './virtio.js';

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

/** Pin of the PL061, and how long a press lasts: what QEMU's `gpio-key` does. */
const POWER_KEY_PIN = 3;
const POWER_KEY_PRESS_NS = 100_000_000;

const GPIO_LABEL = 'gpio';

export interface VirtConfig extends BoardConfig {
  readonly gicVersion: 2 | 3;
  /** Whether a GICv3 has an ITS, and so LPIs. */
  readonly hasIts: boolean;
  /** Whether firmware gets ACPI tables, and the board the event device that they need. */
  readonly hasAcpi: boolean;
  /** Whether there is firmware to start. Without, the kernel is what starts. */
  readonly hasFirmware: boolean;
  /** Firmware bank, variables bank. */
  readonly flash: readonly [FlashConfig, FlashConfig];
}

export interface VirtBoard extends Board {
  readonly pressPowerKey: () => void;
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
  readonly pcie: BoardPcie;
}

/** User errors: `ram-size`, `cpu-count`. */
export function buildVirt(config: VirtConfig, ports: BoardPorts): VirtBoard {
  checkConfig(config);
  const { clock, trace, dma } = ports;
  const { cpu, cpuCount } = config;
  const cpuAffinities = Array.from({ length: cpuCount }, (_, index) => affinityOf(index));

  const { gicv2m, gicr, gicd, gicc, its } = VIRT;
  const intc =
    config.gicVersion === 2
      ? buildGicv2({ gicd, gicc, gicv2m }, cpuCount, ports)
      : buildGicv3({ gicd, gicr, ...(config.hasIts ? { its } : {}) }, cpuCount, ports);
  const { timers, pmu, systemRegisters } = buildCpuDevices(cpu, cpuCount, intc, ports);

  const flash = [
    buildFlash(
      'flash0',
      VIRT.flash0.base,
      VIRT_FLASH_GEOMETRY,
      config.flash[0],
      ports,
      ports.flashStorage[0],
    ),
    buildFlash(
      'flash1',
      VIRT.flash1.base,
      VIRT_FLASH_GEOMETRY,
      config.flash[1],
      ports,
      ports.flashStorage[1],
    ),
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
  const pcie = buildPcie(VIRT, intc, isVirtioPci ? virtioDevices : [], config.pciTestdevCount, ports);
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
    ['pcie', pcie.host],
  ]);

  const { kernel } = config;
  if (kernel && config.hasFirmware) fwCfg.setKernel(kernel.image, kernel.initrd, kernel.commandLine);
  const ram = { base: VIRT.ram.base, sizeBytes: config.ramBytes };
  const directBoot =
    kernel && !config.hasFirmware ? planDirectBoot(kernel.image, kernel.initrd, ram) : undefined;

  const parts: VirtDevices = { intc, timers, pmu, uart0, rtc, gpio, ged, fwCfg, virtioMmio, pcie };
  fwCfg.addFilesWhenAsked(() => encodeSmbios(smbiosDescription(config)));
  if (config.hasAcpi) fwCfg.addFilesWhenAsked(() => encodeAcpi(acpiDescription(config, parts)));

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
      ...pcie.map,
    ],
    devices,
    systemRegisters,
    cpuAffinities,
    psci,
    psciConduit: psciConduitOf(cpu),
    serialInput: uart0,
    flash,
    deviceTree: virtDeviceTree(config, parts, directBoot),
    // Firmware in flash starts at the bottom of the map and looks for the tree at the bottom of RAM.
    deviceTreeBase: directBoot?.deviceTreeAddress ?? VIRT.ram.base,
    resetState: directBoot?.entry ?? { pc: VIRT.flash0.base, x0: 0 },
    images: directBoot?.images ?? [],
    isRamClearedByReset: false,
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
    pcie: pcie.host,
  };
}

function checkConfig({ ramBytes, cpuCount }: VirtConfig): void {
  if (!Number.isInteger(ramBytes / MIB) || ramBytes < MIB || ramBytes > VIRT.ram.sizeBytes) {
    throw new UserError(
      'ram-size',
      `memory of ${ramBytes} bytes: the virt board takes whole MiB from 1M to ${VIRT.ram.sizeBytes / GIB}G`,
    );
  }
  checkCpuCount('virt', cpuCount);
}

/** The board's device tree: `dtc` accepts it without a warning. */
function virtDeviceTree(
  { ramBytes, cpuCount, cpu, kernel, kaslrSeed }: VirtConfig,
  { intc, timers, pmu, uart0, rtc, gpio, fwCfg, virtioMmio, pcie }: VirtDevices,
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
          ...describeKaslrSeed(kaslrSeed),
          ...directBoot?.chosen,
        },
      },
      describePsci(psciConduitOf(cpu)),
      describeRam({ base: VIRT.ram.base, sizeBytes: ramBytes }),
      describeCpus(cpuCount, { compatible: cpu.compatible, 'enable-method': 'psci' }, [cpuMap(cpuCount)]),
      timers.describe(TIMER_PPIS, intc.ppiCpuMask, hasFeature(cpu, 'VHE')),
      pmu.describe(PMU_PPI, intc.ppiCpuMask),
      apbClockNode(),
      intc.node,
      cfiFlashNode([VIRT.flash0, VIRT.flash1], 4),
      ...uartNodes,
      ...rtc.describe(VIRT.rtc),
      fwCfg.describe(VIRT.fwCfg.base),
      ...gpio.describe({ ...VIRT.gpio, label: GPIO_LABEL }),
      gpioPowerKeyNode(GPIO_LABEL, POWER_KEY_PIN),
      ...virtioMmio.flatMap((device, slot) => device.describe(virtioMmioPlace(slot))).toReversed(),
      describePcieHost(pcie.placement),
    ],
  };
}

/** What the device tree says too, for those who go by ACPI. The PL031 and the PL061 are firmware's, as in QEMU. */
function acpiDescription(
  { cpuCount, cpu }: VirtConfig,
  { intc, uart0, fwCfg, ged, virtioMmio, pcie }: VirtDevices,
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
      ...virtioMmio.map((device, slot) => device.describeAcpi(virtioMmioPlace(slot), slot)).toReversed(),
      describePcieHostAcpi({ ...pcie.placement, memory64: VIRT.pcieMemory64 }),
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

/** Linux Documentation/devicetree/bindings/cpu/cpu-topology.txt. */
function cpuMap(cpuCount: number): DtNode {
  const cores = Array.from({ length: cpuCount }, (_, cpu) => ({
    name: `core${cpu}`,
    properties: { cpu: { cells: [{ phandle: cpuLabel(cpu) }] } },
  }));
  return {
    name: 'cpu-map',
    properties: {},
    children: [
      { name: 'socket0', properties: {}, children: [{ name: 'cluster0', properties: {}, children: cores }] },
    ],
  };
}
