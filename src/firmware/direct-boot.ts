/**
 * Starting a kernel without firmware: where it, its initial RAM disk and the device tree are in RAM, and what the CPU
 * begins with. Placement is QEMU 7.2's (hw/arm/boot.c); the state of the CPU is that of Linux
 * Documentation/arm64/booting.rst.
 */
import { hex, KIB, MIB, UserError } from '../base/index.js';
import type { DtValue } from '../bus/index.js';
import { cells64 } from '../bus/index.js';
import { parseKernelImage } from './kernel-image.js';

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
/** Room for the device tree of any board. */
const DEVICE_TREE_BYTES = 64 * KIB;
/** The device tree must not cross a 2 MiB boundary more than its size makes it (booting.rst, "Setup the device tree"). */
const DEVICE_TREE_ALIGNMENT = 2 * MIB;

const alignUp = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;

/** User errors: `kernel-format`, and `kernel-size` for what doesn't fit into RAM. */
export function planDirectBoot(kernel: Uint8Array, initrd: Uint8Array | undefined, ram: Ram): DirectBoot {
  const image = parseKernelImage(kernel);
  const base = image.kind === 'elf' ? 0 : ram.base;
  const ramEnd = ram.base + ram.sizeBytes;
  const images: LoadedImage[] = [];
  const takeRam = (what: string, address: number, sizeBytes: number): void => {
    if (address >= ram.base && address + sizeBytes <= ramEnd) return;
    throw new UserError(
      'kernel-size',
      `${what} of ${sizeBytes} bytes at ${hex(address)}: accepted: what fits between ${hex(ram.base)} and ` +
        `${hex(ramEnd)}, where RAM is`,
    );
  };
  let first = Infinity;
  let end = ram.base;
  for (const { at, bytes, sizeBytes } of image.segments) {
    const address = base + at;
    takeRam('kernel', address, sizeBytes);
    images.push({ address, bytes, sizeBytes });
    first = Math.min(first, address);
    end = Math.max(end, address + sizeBytes);
  }
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
    chosen = {
      'linux,initrd-start': { cells: cells64(initrdAddress) },
      'linux,initrd-end': { cells: cells64(initrdAddress + initrd.length) },
    };
  }
  const deviceTreeAddress = alignUp(initrdAddress + (initrd?.length ?? 0), DEVICE_TREE_ALIGNMENT);
  takeRam('device tree', deviceTreeAddress, DEVICE_TREE_BYTES);
  return { images, deviceTreeAddress, entry: { pc, x0: deviceTreeAddress }, chosen };
}
