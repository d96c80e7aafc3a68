/**
 * Starting what is loaded into RAM, a kernel or firmware: where it, its initial RAM disk and the device tree are, and
 * what the CPU begins with. Placement is QEMU 7.2's (hw/arm/boot.c) or kvmtool's (arm64/kvm.c); the state of the CPU is
 * that of Linux Documentation/arm64/booting.rst.
 */
import { hex, KIB, MIB, UserError } from '../base/index.js';
import type { DtValue } from '../bus/index.js';
import { cells64 } from '../bus/index.js';
import { parseKernelImage, type KernelImage } from './kernel-image.js';

interface Ram {
  readonly base: number;
  readonly sizeBytes: number;
}

/** Bytes, borrowed, that belong at a physical address. */
export interface LoadedImage {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Taken in memory; what is behind `bytes` is zero. */
  readonly sizeBytes: number;
}

export interface DirectBoot {
  /** To be put into RAM whenever the machine starts. */
  readonly images: readonly LoadedImage[];
  readonly deviceTreeAddress: number;
  /** The first instruction, and the first register: an ELF executable is told nothing. */
  readonly entry: { readonly pc: number; readonly x0: number };
  /** What the device tree's `chosen` node says about the initial RAM disk. */
  readonly chosen: Readonly<Record<string, DtValue>>;
}

/** Where the initial RAM disk goes: behind half of RAM, but not further than this. */
const INITRD_OFFSET = 128 * MIB;
const PAGE_BYTES = 4096;
/** Room for the device tree of any board; as much as kvmtool takes. */
const DEVICE_TREE_BYTES = 64 * KIB;
/** The device tree must not cross a 2 MiB boundary more than its size makes it (booting.rst, "Setup the device tree"). */
const DEVICE_TREE_ALIGNMENT = 2 * MIB;

/** kvmtool: the kernel and what belongs to it are in that much from the start of RAM. */
const KVMTOOL_PAYLOAD_BYTES = 512 * MIB;
const KVMTOOL_INITRD_ALIGNMENT = 4;
const KVMTOOL_FIRMWARE_ALIGNMENT = 4096;

const alignUp = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;

/** QEMU's. User errors: `kernel-format`, and `kernel-size` for what doesn't fit into RAM. */
export function planDirectBoot(kernel: Uint8Array, initrd: Uint8Array | undefined, ram: Ram): DirectBoot {
  const image = parseKernelImage(kernel);
  const { images, base, first, end } = loadSegments(image, ram);
  const takeRam = (what: string, address: number, sizeBytes: number): void => {
    checkRoom(what, address, sizeBytes, ram.base, ram.base + ram.sizeBytes);
  };
  const pc = base + image.entry;
  if (image.kind === 'elf') {
    // The device tree is where firmware in flash finds it, if the program leaves room.
    const hasRoom = first >= ram.base + DEVICE_TREE_BYTES;
    const deviceTreeAddress = hasRoom ? ram.base : alignUp(end, DEVICE_TREE_ALIGNMENT);
    takeRam('device tree', deviceTreeAddress, DEVICE_TREE_BYTES);
    return { images, deviceTreeAddress, entry: { pc, x0: 0 }, chosen: {} };
  }

  const initrdAddress = alignUp(
    Math.max(ram.base + Math.min(ram.sizeBytes / 2, INITRD_OFFSET), end),
    PAGE_BYTES,
  );
  let chosen: Record<string, DtValue> = {};
  if (initrd) {
    takeRam('initial RAM disk', initrdAddress, initrd.length);
    images.push({ address: initrdAddress, bytes: initrd, sizeBytes: initrd.length });
    chosen = describeInitrd(initrdAddress, initrd);
  }
  const deviceTreeAddress = alignUp(initrdAddress + (initrd?.length ?? 0), DEVICE_TREE_ALIGNMENT);
  takeRam('device tree', deviceTreeAddress, DEVICE_TREE_BYTES);
  return { images, deviceTreeAddress, entry: { pc, x0: deviceTreeAddress }, chosen };
}

/**
 * kvmtool's: the device tree at the end of the first 512 MiB of RAM, the initial RAM disk below it. User errors:
 * `kernel-format`, and `kernel-size` for what doesn't fit there.
 */
export function planKvmtoolBoot(kernel: Uint8Array, initrd: Uint8Array | undefined, ram: Ram): DirectBoot {
  const image = parseKernelImage(kernel, { bootCodeBytes: 0 });
  const { images, base, end } = loadSegments(image, ram);
  const limit = ram.base + Math.min(ram.sizeBytes, KVMTOOL_PAYLOAD_BYTES);
  const deviceTreeAddress = alignUp(limit - DEVICE_TREE_BYTES - DEVICE_TREE_ALIGNMENT, DEVICE_TREE_ALIGNMENT);
  checkRoom('device tree', deviceTreeAddress, DEVICE_TREE_BYTES, end, limit);
  let chosen: Record<string, DtValue> = {};
  if (initrd) {
    const address = alignUp(
      deviceTreeAddress - initrd.length - KVMTOOL_INITRD_ALIGNMENT,
      KVMTOOL_INITRD_ALIGNMENT,
    );
    checkRoom('initial RAM disk', address, initrd.length, end, deviceTreeAddress);
    images.push({ address, bytes: initrd, sizeBytes: initrd.length });
    chosen = describeInitrd(address, initrd);
  }
  return {
    images,
    deviceTreeAddress,
    entry: { pc: base + image.entry, x0: deviceTreeAddress },
    chosen,
  };
}

/** kvmtool's firmware: an image that starts with its first instruction, and the device tree behind it. */
export function planFirmwareInRam(firmware: Uint8Array, address: number, ram: Ram): DirectBoot {
  const ramEnd = ram.base + ram.sizeBytes;
  if (address % KVMTOOL_FIRMWARE_ALIGNMENT !== 0 || address < ram.base || address >= ramEnd) {
    throw new UserError(
      'firmware-address',
      `firmware at ${hex(address)}: accepted: multiples of 4 KiB between ${hex(ram.base)} and ${hex(ramEnd)}, where RAM is`,
    );
  }
  checkRoom('firmware', address, firmware.length, ram.base, ramEnd, 'firmware-size');
  const deviceTreeAddress = alignUp(address + firmware.length, DEVICE_TREE_ALIGNMENT);
  checkRoom('device tree', deviceTreeAddress, DEVICE_TREE_BYTES, ram.base, ramEnd, 'firmware-size');
  return {
    images: [{ address, bytes: firmware, sizeBytes: firmware.length }],
    deviceTreeAddress,
    entry: { pc: address, x0: deviceTreeAddress },
    chosen: {},
  };
}

interface LoadedSegments {
  readonly images: LoadedImage[];
  /** What addresses of the image count from. */
  readonly base: number;
  /** Of memory taken. */
  readonly first: number;
  readonly end: number;
}

function loadSegments(image: KernelImage, ram: Ram): LoadedSegments {
  const base = image.kind === 'elf' ? 0 : ram.base;
  const images: LoadedImage[] = [];
  let first = Infinity;
  let end = ram.base;
  for (const { at, bytes, sizeBytes } of image.segments) {
    const address = base + at;
    checkRoom('kernel', address, sizeBytes, ram.base, ram.base + ram.sizeBytes);
    images.push({ address, bytes, sizeBytes });
    first = Math.min(first, address);
    end = Math.max(end, address + sizeBytes);
  }
  return { images, base, first, end };
}

function checkRoom(
  what: string,
  address: number,
  sizeBytes: number,
  from: number,
  to: number,
  code = 'kernel-size',
): void {
  if (address >= from && address + sizeBytes <= to) return;
  throw new UserError(
    code,
    `${what} of ${sizeBytes} bytes at ${hex(address)}: accepted: what fits between ${hex(from)} and ${hex(to)}, ` +
      'where there is RAM for it',
  );
}

function describeInitrd(address: number, initrd: Uint8Array): Record<string, DtValue> {
  return {
    'linux,initrd-start': { cells: cells64(address) },
    'linux,initrd-end': { cells: cells64(address + initrd.length) },
  };
}
