/**
 * The `kvmtool` board: the arm64 machine of kvmtool (`lkvm run`), which EDK2's ArmVirtKvmTool firmware and every arm64
 * kernel know. Addresses and interrupts are kvmtool's of 2026 (arm64/include/kvm/kvm-arch.h, arm64/gic.c), its device
 * tree is too (arm64/fdt.c and each device's own). Firmware is in RAM, and the flash is for its variables; there is
 * neither fw_cfg nor ACPI nor a power button.
 *
 * Without EL2 PSCI is by HVC; CPUs that have it start there, and PSCI is by SMC (kvmtool's `--nested`).
 *
 * @deviation Nodes of the device tree have unit addresses where kvmtool leaves them out (`memory`, `intc`, `rtc`, `flash`,
 * `pci`), so that `dtc` has nothing to say, and MSI controllers are called `v2m` and `its` instead of `msic`; guests go by
 * `compatible`.
 * @deviation The device tree has no seed for KASLR unless one is given, where kvmtool's is 0 then, nor PSCI's MIGRATE,
 * which nobody implements.
 * @deviation The pins of PCI functions share four interrupts, where each of kvmtool's functions has its own, and slot 0
 * has a host bridge.
 * @deviation The flash is one that NOR flash is: programming clears bits only, and erasing works on whole blocks.
 * @deviation There is no stolen time (pvtime).
 */
import { hex, MIB, UserError } from '../base/index.js';
import type { DtNode, DtValue, MmioDevice } from '../bus/index.js';
import { hasFeature, CORTEX_A57 } from '../cpu/models.js';
import { cfiFlashNode, type CfiFlashGeometry } from '../devices/cfi-flash/cfi-flash.js';
import { Mc146818 } from '../devices/mc146818.js';
import { describePciBus } from '../devices/pcie/pcie-host.js';
import type { PeripheralPlace } from '../devices/primecell.js';
import { Uart16550 } from '../devices/uart16550.js';
import { VirtioMmio } from '../devices/virtio/virtio-mmio.js';
import { planFirmwareInRam, planKvmtoolBoot, type DirectBoot } from '../firmware/direct-boot.js';
import { describePsci, Psci } from '../firmware/psci.js';
import {
  buildCpuDevices, checkCpuCount, describeCpus, PMU_PPI, psciConduitOf, TIMER_PPIS, type CpuDevices,
} from './cpu-devices.js'; // prettier-ignore
import { buildFlash, type FlashConfig } from './flash.js';
import { buildGicv2, buildGicv3, LABEL, type InterruptController } from './interrupt-controllers.js';
import { affinityOf, describeKaslrSeed, describeRam, place, type BoardRow } from './layout.js';
import { buildPcie, type BoardPcie } from './pcie.js';
import type { Board, BoardConfig, BoardDevice, BoardPorts } from './ports.js';
import { buildVirtioDevices } from './virtio.js';

/** Everything that the board decides, but for the interrupt controller, which is below 1 GiB. */
export const KVMTOOL = {
  pcieIo: { base: 0x0000_0000, sizeBytes: 0x1_0000, device: 'PCI I/O window' },
  uart: {
    base: 0x0100_0000,
    sizeBytes: 0x1000,
    count: 4,
    spi: 0,
    spiCount: 4,
    device: '16550A, the first is the console',
  },
  rtc: { base: 0x0101_0000, sizeBytes: 2, device: 'MC146818A' },
  flash: { base: 0x0200_0000, sizeBytes: 16 * MIB, device: 'CFI flash, UEFI variables' },
  virtioMmio: {
    base: 0x0300_0000,
    sizeBytes: 0x200,
    count: 32,
    spi: 4,
    spiCount: 32,
    device: 'virtio-mmio, as many as there are devices',
  },
  pcieEcam: { base: 0x4000_0000, sizeBytes: 256 * MIB, spi: 36, spiCount: 4, device: 'PCI configuration' },
  pcieMemory32: { base: 0x5000_0000, sizeBytes: 768 * MIB, device: 'PCI memory window' },
  ram: { base: 0x8000_0000, sizeBytes: 2 ** 40 - 0x8000_0000, device: 'RAM' },
} as const satisfies Record<string, BoardRow>;

export type KvmtoolIrqchip = 'gicv2' | 'gicv2m' | 'gicv3' | 'gicv3-its';

/** The parts of the interrupt controller, from the distributor down; where they are depends on the number of CPUs. */
export function kvmtoolGic(irqchip: KvmtoolIrqchip, cpuCount: number) {
  const gicd = { base: 0x3fff_0000, sizeBytes: 0x1_0000, device: 'GIC distributor' };
  const below = (row: BoardRow, sizeBytes: number, device: string) => ({
    base: row.base - sizeBytes,
    sizeBytes,
    device,
  });
  if (irqchip === 'gicv2' || irqchip === 'gicv2m') {
    const gicc = below(gicd, 0x2_0000, 'GICv2 CPU interface');
    const gicv2m = { ...below(gicc, 0x1000, 'GICv2m'), spi: 64, spiCount: 64 };
    return { version: 2, rows: { gicd, gicc, ...(irqchip === 'gicv2m' ? { gicv2m } : {}) } } as const;
  }
  const gicr = below(gicd, cpuCount * 0x2_0000, 'GICv3 redistributors');
  const its = below(gicr, 0x2_0000, 'GICv3 ITS');
  return { version: 3, rows: { gicd, gicr, ...(irqchip === 'gicv3-its' ? { its } : {}) } } as const;
}

export const KVMTOOL_FLASH_GEOMETRY: Omit<CfiFlashGeometry, 'sizeBytes'> = {
  chips: 2,
  wiring: 'per-chip',
  blockBytes: 64 * 1024,
  bufferBytes: 128,
  manufacturerId: 0,
  deviceId: 0xffff,
};

/** 'LKVM' */
const VIRTIO_VENDOR = 0x4d56_4b4c;
const FLASH_LABEL = 'System-firmware';
const CONSOLE_ALIAS = 'serial0';
/** Pages of any size that guests use. */
const RAM_ALIGNMENT = 2 * MIB;

export interface KvmtoolConfig extends BoardConfig {
  readonly irqchip: KvmtoolIrqchip;
  /** Start of RAM; a multiple of 2 MiB from 2 GiB up, which it is when left out. */
  readonly ramBase?: number;
  /** What starts, instead of a kernel. Loaded at `address`, or at the start of RAM. Borrowed. */
  readonly firmware?: { readonly image: Uint8Array; readonly address?: number; readonly commandLine: string };
  /** Left out: there is no flash. `sizeBytes` is a power of two, at most 16 MiB. */
  readonly flash?: FlashConfig & { readonly sizeBytes: number };
}

/** The devices that have a node of their own. */
interface KvmtoolDevices {
  readonly intc: InterruptController;
  readonly cpuDevices: CpuDevices;
  readonly uarts: readonly Uart16550[];
  readonly rtc: Mc146818;
  readonly virtioMmio: readonly VirtioMmio[];
  readonly pcie: BoardPcie;
}

/** User errors: `ram-size`, `ram-address`, `cpu-count`, `firmware-address`, `firmware-size`, `kernel-…`. */
export function buildKvmtool(config: KvmtoolConfig, ports: BoardPorts): Board {
  const ram = ramOf(config);
  const { clock, trace } = ports;
  const { cpu, cpuCount } = config;
  checkCpuCount('kvmtool', cpuCount);
  const cpuAffinities = Array.from({ length: cpuCount }, (_, index) => affinityOf(index));

  const gic = kvmtoolGic(config.irqchip, cpuCount);
  const intc =
    gic.version === 2 ? buildGicv2(gic.rows, cpuCount, ports) : buildGicv3(gic.rows, cpuCount, ports);
  const cpuDevices = buildCpuDevices(cpu, cpuCount, intc, ports);

  const flash = config.flash
    ? [
        buildFlash(
          'flash',
          KVMTOOL.flash.base,
          { ...KVMTOOL_FLASH_GEOMETRY, sizeBytes: config.flash.sizeBytes },
          config.flash,
          ports,
          ports.flashStorage[0],
        ),
      ]
    : [];
  const uarts = Array.from(
    { length: KVMTOOL.uart.count },
    (_, index) =>
      new Uart16550(`uart${index}`, {
        irq: intc.spi(KVMTOOL.uart.spi + index),
        clock,
        // Nothing is connected to the others.
        output: index === 0 ? ports.serialOutput : { write: () => undefined },
        trace,
      }),
  );
  const rtc = new Mc146818('rtc', ports.epochSeconds, { clock, trace });
  const virtioDevices = buildVirtioDevices(ports);
  const { virtioTransport } = config;
  const isVirtioPci = virtioTransport === 'pci';
  const virtioMmio = (isVirtioPci ? [] : virtioDevices).map(
    (device, slot) =>
      new VirtioMmio(
        `virtio-mmio${slot}`,
        device,
        virtioTransport === 'mmio-legacy' ? 'legacy' : 'modern',
        { irq: intc.spi(virtioMmioPlace(slot).spi), trace },
        VIRTIO_VENDOR,
      ),
  );
  const pcie = buildPcie(KVMTOOL, intc, isVirtioPci ? virtioDevices : [], config.pciTestdevCount, ports);
  const psci = new Psci({ cpus: ports.cpuPower, power: ports.powerPort, trace }, cpuAffinities);

  const devices = new Map<string, BoardDevice>([
    ['gic', intc.gic],
    ...(intc.its ? [['its', intc.its] as const] : []),
    ['timers', cpuDevices.timers],
    ['pmu', cpuDevices.pmu],
    ...flash.map(({ device }) => [device.name, device] as const),
    ...uarts.map((uart) => [uart.name, uart] as const),
    ['rtc', rtc],
    ...virtioMmio.map((device) => [device.name, device] as const),
    ['pcie', pcie.host],
  ]);

  const { kernel, firmware } = config;
  const boot = kernel
    ? planKvmtoolBoot(kernel.image, kernel.initrd, ram)
    : planFirmwareInRam(firmware?.image ?? new Uint8Array(), firmware?.address ?? ram.base, ram);
  const places = (row: BoardRow, list: readonly MmioDevice[]) =>
    list.map((device, index) => place(row, device, index));
  return {
    name: 'kvmtool',
    ram,
    map: [
      ...intc.entries,
      ...places(KVMTOOL.uart, uarts),
      place(KVMTOOL.rtc, rtc),
      ...flash.map(({ device }) => place(KVMTOOL.flash, device)),
      ...places(KVMTOOL.virtioMmio, virtioMmio),
      ...pcie.map,
    ],
    devices,
    systemRegisters: cpuDevices.systemRegisters,
    cpuAffinities,
    psci,
    psciConduit: psciConduitOf(cpu),
    serialInput: uarts[0]!,
    flash,
    deviceTree: describe(config, ram, { intc, cpuDevices, uarts, rtc, virtioMmio, pcie }, boot),
    deviceTreeBase: boot.deviceTreeAddress,
    resetState: boot.entry,
    images: boot.images,
    isRamClearedByReset: true,
    reset() {
      for (const device of devices.values()) device.reset();
    },
  };
}

function ramOf({ ramBytes, ramBase = KVMTOOL.ram.base }: KvmtoolConfig): Board['ram'] {
  const { base: lowest, sizeBytes: room } = KVMTOOL.ram;
  const end = lowest + room;
  if (!Number.isInteger(ramBytes / MIB) || ramBytes < MIB || ramBytes > room) {
    throw new UserError(
      'ram-size',
      `memory of ${ramBytes} bytes: the kvmtool board takes whole MiB from 1M to ${room / MIB}M`,
    );
  }
  if (!Number.isInteger(ramBase / RAM_ALIGNMENT) || ramBase < lowest || ramBase + ramBytes > end) {
    throw new UserError(
      'ram-address',
      `memory at ${hex(ramBase)}: the kvmtool board takes multiples of 2 MiB from ${hex(lowest)} so that it ends by ${hex(end)}`,
    );
  }
  return { base: ramBase, sizeBytes: ramBytes };
}

function virtioMmioPlace(slot: number): PeripheralPlace {
  const { base, sizeBytes, spi } = KVMTOOL.virtioMmio;
  return { base: base + slot * sizeBytes, spi: spi + slot };
}

function uartPlace(index: number): PeripheralPlace {
  const { base, sizeBytes, spi } = KVMTOOL.uart;
  return { base: base + index * sizeBytes, spi: spi + index };
}

/** The board's device tree: `dtc` accepts it without a warning. */
function describe(
  { cpuCount, cpu, kernel, kaslrSeed, firmware, flash }: KvmtoolConfig,
  ram: Board['ram'],
  { intc, cpuDevices, uarts, rtc, virtioMmio, pcie }: KvmtoolDevices,
  { chosen }: DirectBoot,
): DtNode {
  const uartNodes = uarts.map((uart, index) => uart.describe(uartPlace(index)));
  const commandLine = kernel?.commandLine ?? firmware?.commandLine ?? '';
  const cpuProperties: Record<string, DtValue> = {
    compatible: cpu.name === CORTEX_A57.name ? cpu.compatible : 'arm,arm-v8',
    ...(cpuCount > 1 ? { 'enable-method': 'psci' } : {}),
  };
  return {
    name: '',
    properties: {
      'interrupt-parent': { cells: [{ phandle: LABEL.intc }] },
      compatible: 'linux,dummy-virt',
      '#address-cells': { cells: [2] },
      '#size-cells': { cells: [2] },
    },
    children: [
      {
        name: 'chosen',
        properties: {
          ...(commandLine === '' ? {} : { bootargs: commandLine }),
          ...describeKaslrSeed(kaslrSeed),
          'stdout-path': CONSOLE_ALIAS,
          ...chosen,
        },
      },
      describeRam(ram),
      describeCpus(cpuCount, cpuProperties),
      intc.node,
      cpuDevices.timers.describe(TIMER_PPIS, intc.ppiCpuMask, hasFeature(cpu, 'VHE')),
      cpuDevices.pmu.describe(PMU_PPI, intc.ppiCpuMask),
      ...virtioMmio.map((device, slot) => device.describeAs('virtio', virtioMmioPlace(slot))),
      ...uartNodes,
      rtc.describe(KVMTOOL.rtc.base),
      ...(flash
        ? [cfiFlashNode([{ base: KVMTOOL.flash.base, sizeBytes: flash.sizeBytes }], 4, FLASH_LABEL)]
        : []),
      describePciBus(pcie.placement, pcie.slotCount),
      describePsci(psciConduitOf(cpu), ['arm,psci-0.2', 'arm,psci']),
      { name: 'aliases', properties: { [CONSOLE_ALIAS]: `/${uartNodes[0]?.name ?? ''}` } },
    ],
  };
}
