/** What a board takes from the machine around it, and what it gives back. Every board fits these. */
import type { Trace } from '../base/index.js';
import type {
  ByteReceiver,
  ByteSink,
  Clock,
  CpuActivity,
  DirectMap,
  LendingDmaPort,
  DtNode,
  FlashStorage,
  IrqLine,
  MmioDevice,
  Snapshottable,
  SystemRegisterPort,
} from '../bus/index.js';
import type { CpuModel } from '../cpu/models.js';
import type { CfiFlash } from '../devices/cfi-flash/cfi-flash.js';
import type { FlashCommit } from '../devices/cfi-flash/commit.js';
import type { LoadedImage } from '../firmware/direct-boot.js';
import type { CpuPowerPort, PowerPort, Psci, PsciConduit } from '../firmware/psci.js';
import type { VirtioEquipment } from './virtio.js';

/** A kernel, unpacked, with its initial RAM disk and command line; borrowed. */
export interface BoardKernel {
  readonly image: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine: string;
}

/** What every board can be told. */
export interface BoardConfig {
  readonly ramBytes: number;
  /** 1 to 8. */
  readonly cpuCount: number;
  readonly cpu: CpuModel;
  readonly kernel?: BoardKernel;
  /** What a kernel moves itself by, 64 bits, in its device tree; there is none unless it is given. */
  readonly kaslrSeed?: bigint;
  /** How drivers reach virtio devices: `mmio-legacy` is the interface of before VIRTIO 1.0. */
  readonly virtioTransport: 'mmio' | 'mmio-legacy' | 'pci';
  /** QEMU's PCI test devices, which go into the slots behind those of virtio devices. */
  readonly pciTestdevCount: number;
}

export interface BoardPorts {
  readonly clock: Clock;
  readonly trace: Trace;
  /** Index of the CPU that makes the access being handled. */
  currentCpu(): number;
  /** The interrupt inputs of a CPU. */
  cpuLines(cpu: number): { readonly irq: IrqLine; readonly fiq: IrqLine };
  /** What a CPU does, for its performance monitors. */
  cpuActivity(cpu: number): CpuActivity;
  readonly cpuPower: CpuPowerPort;
  readonly dma: LendingDmaPort;
  /** Memory that the CPU sees at `base` as long as the device there maps it. All ones, as erased flash is. */
  directMap(base: number, sizeBytes: number): DirectMap;
  /** What the guest writes to its console. */
  readonly serialOutput: ByteSink;
  /** Seconds since 1970 (UTC) when guest time is 0. */
  readonly epochSeconds: number;
  readonly powerPort: PowerPort;
  /** Where each flash bank is kept; a bank without storage lasts as long as the machine. */
  readonly flashStorage: readonly (FlashStorage | undefined)[];
  readonly virtio: VirtioEquipment;
  /** Storing failed: the machine has to stop, its guest believes in changes that are not kept. */
  onStorageError(error: unknown): void;
}

/** One range of the physical address map. */
export interface MapEntry {
  readonly base: number;
  readonly device: MmioDevice;
}

/** A part of the machine that is reset and saved as a whole. It may have several ranges in the map, or none. */
export type BoardDevice = Snapshottable<unknown> & { reset(): void };

/** A flash device with its memory and, where it is kept, what keeps it. */
export interface FlashBank {
  readonly device: CfiFlash;
  /** The array is all ones at first: whoever has the image puts it there before the guest runs. */
  readonly load: DirectMap['load'];
  /** To be flushed whenever the guest stops running. */
  readonly commit: FlashCommit | undefined;
}

export interface Board {
  readonly name: string;
  readonly ram: { readonly base: number; readonly sizeBytes: number };
  /** What answers where, RAM apart. Ranges do not overlap. */
  readonly map: readonly MapEntry[];
  /** By name, as in statistics and snapshots. */
  readonly devices: ReadonlyMap<string, BoardDevice>;
  /** System registers that devices implement, by the Arm ARM's names. Others of theirs do not exist on this board. */
  readonly systemRegisters: ReadonlyMap<string, SystemRegisterPort>;
  /** Aff3 to Aff0 of each CPU's MPIDR_EL1, in the register's places. */
  readonly cpuAffinities: readonly bigint[];
  /** Answers the guest's firmware calls by the conduit; there is nobody to take the other kind. */
  readonly psci: Psci;
  readonly psciConduit: PsciConduit;
  /** What the user types reaches the guest's console here. */
  readonly serialInput: ByteReceiver;
  readonly flash: readonly FlashBank[];
  readonly deviceTree: DtNode;
  /** Where the guest expects the device tree in RAM, and what the first CPU starts with. */
  readonly deviceTreeBase: number;
  readonly resetState: { readonly pc: number; readonly x0: number };
  /** What is in RAM when the machine starts, but for the device tree. */
  readonly images: readonly LoadedImage[];
  /** RAM is zero after a reset but for `images` and the device tree; otherwise it keeps. */
  readonly isRamClearedByReset: boolean;
  /** What a short press of the power button does: asks the guest to shut down. Left out: there is none. */
  readonly pressPowerKey?: () => void;
  /** Resets every device. Flash arrays keep their contents. */
  reset(): void;
}
