/** The virtio devices of a machine, apart from the transport that a board gives them. */
import type { BlockStorage, ByteSource, FileShare, IrqLine, NetworkPort } from '../bus/index.js';
import type { PcieHost } from '../devices/pcie/pcie-host.js';
import { Virtio9p } from '../devices/virtio/virtio-9p.js';
import { VirtioBlk } from '../devices/virtio/virtio-blk.js';
import type { VirtioDevice, VirtioOptions } from '../devices/virtio/virtio-device.js';
import {
  VirtioConsole,
  type ConsolePortOptions,
  type ConsoleSize,
} from '../devices/virtio/virtio-console.js';
import { VirtioMmio, type VirtioMmioInterface } from '../devices/virtio/virtio-mmio.js';
import { VirtioMmioEmpty } from '../devices/virtio/virtio-mmio-empty.js';
import { VirtioPci } from '../devices/virtio/virtio-pci.js';
import { VirtioNet } from '../devices/virtio/virtio-net.js';
import { VirtioRng } from '../devices/virtio/virtio-rng.js';
import type { BoardPorts } from './ports.js';

export interface BoardDisk {
  readonly storage: BlockStorage;
  /** Up to 20 characters of ASCII. */
  readonly serial?: string;
}

export interface BoardShare {
  readonly share: FileShare;
  /** What the guest knows it by: ASCII. */
  readonly tag: string;
}

/** What is plugged in. */
export interface VirtioEquipment {
  /** Devices insist on VIRTIO_F_ACCESS_PLATFORM. */
  readonly accessPlatform?: boolean;
  readonly disks: readonly BoardDisk[];
  /** A network card, with its address and what it is connected to. */
  readonly network?: { readonly mac: Uint8Array; readonly port: NetworkPort };
  /** Where an entropy device gets its bytes; without, there is none. */
  readonly random?: ByteSource;
  readonly shares: readonly BoardShare[];
  /** A console device. */
  readonly console?: {
    readonly ports: readonly ConsolePortOptions[];
    /** Of the terminal that the first port is shown on, if known. */
    readonly size?: ConsoleSize;
    /** Called once: the device is made, and has inputs. */
    connect(device: VirtioConsole): void;
  };
}

type VirtioDevicePorts = Pick<BoardPorts, 'clock' | 'trace' | 'dma' | 'virtio'>;

/** Disks first, in the order given, then the rest: adding something changes the place of no disk. */
export function buildVirtioDevices({ clock, trace, dma, virtio }: VirtioDevicePorts): VirtioDevice[] {
  const ports = { clock, trace, dma };
  const options: VirtioOptions = { accessPlatform: virtio.accessPlatform ?? false };
  const devices: VirtioDevice[] = virtio.disks.map(
    ({ storage, serial }, index) =>
      new VirtioBlk(
        `virtio-blk${index}`,
        { ...ports, storage },
        { ...options, ...(serial === undefined ? {} : { serial }) },
      ),
  );
  if (virtio.random) devices.push(new VirtioRng('virtio-rng0', { ...ports, random: virtio.random }, options));
  for (const [index, { share, tag }] of virtio.shares.entries()) {
    devices.push(new Virtio9p(`virtio-9p${index}`, tag, { ...ports, share }, options));
  }
  if (virtio.console) {
    const { ports: consolePorts, size } = virtio.console;
    const device = new VirtioConsole('virtio-console0', consolePorts, ports, {
      ...options,
      ...(size ? { size } : {}),
    });
    virtio.console.connect(device);
    devices.push(device);
  }
  if (virtio.network) {
    const { mac, port } = virtio.network;
    devices.push(new VirtioNet('virtio-net0', mac, { ...ports, network: port }, options));
  }
  return devices;
}

/**
 * A row of virtio-mmio slots, lowest address first. Devices fill it from the highest address down, as QEMU's `virt` board
 * does it: a boot entry that firmware has made there leads to the same disk here.
 *
 * Guests take devices in the order in which they are described, so boards describe the highest address first: the first
 * disk is Linux's `vda`. QEMU describes the lowest first, whereby its first disk comes last.
 */
export function buildVirtioSlots(
  count: number,
  devices: readonly VirtioDevice[],
  kind: VirtioMmioInterface,
  irq: (slot: number) => IrqLine,
  { trace }: Pick<BoardPorts, 'trace'>,
): (VirtioMmio | VirtioMmioEmpty)[] {
  return Array.from({ length: count }, (_, slot) => {
    const name = `virtio-mmio${slot}`;
    const device = devices[count - 1 - slot];
    return device
      ? new VirtioMmio(name, device, kind, { irq: irq(slot), trace })
      : new VirtioMmioEmpty(name, { trace });
  });
}

/** Plugs devices into neighbouring slots of the PCI bus, the first into `firstSlot`. */
export function plugVirtioDevices(
  pcie: PcieHost,
  devices: readonly VirtioDevice[],
  firstSlot: number,
  hasMsix: boolean,
  { trace }: Pick<BoardPorts, 'trace'>,
): void {
  for (const [index, device] of devices.entries()) {
    const number = firstSlot + index;
    const ports = { slot: pcie.slot(number, 0), trace };
    pcie.plug(number, 0, new VirtioPci(`virtio-pci${number}`, device, ports, hasMsix));
  }
}
