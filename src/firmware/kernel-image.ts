/**
 * Images of kernels, and of anything else that is started without firmware, as QEMU 7.2 loads them
 * (hw/arm/boot.c): AArch64 Linux images, ELF executables, and raw binaries.
 *
 * "Booting" is Linux Documentation/arm64/booting.rst, "gABI" the System V ABI, chapter 4 and 5.
 */
import { hex, MIB, UserError } from '../base/index.js';

/** What of an image goes where. */
interface Segment {
  /** From the start of RAM, or an address for an ELF executable. */
  readonly at: number;
  /** Borrowed from the image. */
  readonly bytes: Uint8Array;
  /** Taken in memory; what is behind `bytes` is zero. */
  readonly sizeBytes: number;
}

export interface KernelImage {
  readonly kind: 'linux' | 'elf' | 'raw';
  /** One from the start of RAM, or several at addresses of their own. */
  readonly segments: readonly Segment[];
  /** Of the first instruction, as segments are. */
  readonly entry: number;
}

/** Booting, "Call the kernel image": the header. */
const HEADER = { textOffsetAt: 8, imageSizeAt: 16, magicAt: 56, magic: 0x644d_5241, bytes: 64 } as const;
/** Where an image without a usable header goes. */
const RAW_OFFSET = 0x8_0000;
/** Kernels that don't mind where they are leave room for QEMU's boot code, which comes first in RAM. */
const BOOT_CODE_BYTES = 4096;
const BASE_ALIGNMENT = 2 * MIB;

/** ELF header and program header of 64-bit executables (gABI 4, 5). */
const ELF = {
  magic: 0x464c_457f,
  class64: 2,
  littleEndian: 1,
  machineAt: 18,
  machineAArch64: 183,
  entryAt: 24,
  programHeadersAt: 32,
  programHeaderBytesAt: 54,
  programHeaderCountAt: 56,
  headerBytes: 64,
  load: 1,
} as const;

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * `bootCodeBytes` is what a loader needs at the start of RAM; kernels that want to be there are moved. User errors:
 * `kernel-format` for an executable of another machine, or one that is cut off.
 */
export function parseKernelImage(image: Uint8Array, { bootCodeBytes = BOOT_CODE_BYTES } = {}): KernelImage {
  const view = viewOf(image);
  if (image.length >= 4 && view.getUint32(0, true) === ELF.magic) return parseElf(image);
  if (image.length >= HEADER.bytes && view.getUint32(HEADER.magicAt, true) === HEADER.magic) {
    const imageSize = Number(view.getBigUint64(HEADER.imageSizeAt, true));
    // Before Linux 3.17 the header had no size, and its text_offset no certain byte order.
    const textOffset = imageSize === 0 ? RAW_OFFSET : Number(view.getBigUint64(HEADER.textOffsetAt, true));
    const at = textOffset < bootCodeBytes ? textOffset + BASE_ALIGNMENT : textOffset;
    return {
      kind: 'linux',
      segments: [{ at, bytes: image, sizeBytes: Math.max(image.length, imageSize) }],
      entry: at,
    };
  }
  return {
    kind: 'raw',
    segments: [{ at: RAW_OFFSET, bytes: image, sizeBytes: image.length }],
    entry: RAW_OFFSET,
  };
}

function parseElf(image: Uint8Array): KernelImage {
  const view = viewOf(image);
  const refuse = (what: string): never => {
    throw new UserError('kernel-format', `${what}: accepted: a 64-bit little-endian AArch64 executable`);
  };
  if (image.length < ELF.headerBytes) refuse('an ELF file that is cut off');
  if (view.getUint8(4) !== ELF.class64 || view.getUint8(5) !== ELF.littleEndian) {
    refuse('an ELF file of another class or byte order');
  }
  const machine = view.getUint16(ELF.machineAt, true);
  if (machine !== ELF.machineAArch64) refuse(`an ELF file for machine ${machine}`);

  const count = view.getUint16(ELF.programHeaderCountAt, true);
  const stride = view.getUint16(ELF.programHeaderBytesAt, true);
  const tableAt = Number(view.getBigUint64(ELF.programHeadersAt, true));
  if (count > 0 && (stride < 56 || tableAt + count * stride > image.length))
    refuse('an ELF file that is cut off');
  let entry = Number(view.getBigUint64(ELF.entryAt, true));
  const segments: Segment[] = [];
  for (let index = 0; index < count; index++) {
    const at = tableAt + index * stride;
    if (view.getUint32(at, true) !== ELF.load) continue;
    const [offset, virtual, physical, fileBytes, memoryBytes] = [8, 16, 24, 32, 40].map((field) =>
      Number(view.getBigUint64(at + field, true)),
    ) as [number, number, number, number, number];
    if (offset + fileBytes > image.length || fileBytes > memoryBytes) refuse('an ELF file that is cut off');
    segments.push({
      at: physical,
      bytes: image.subarray(offset, offset + fileBytes),
      sizeBytes: memoryBytes,
    });
    // The entry is a virtual address; the MMU is off.
    if (virtual !== physical && entry >= virtual && entry < virtual + memoryBytes)
      entry += physical - virtual;
  }
  if (segments.length === 0) refuse('an ELF file without anything to load');
  if (!Number.isSafeInteger(entry))
    refuse(`an ELF file with entry ${hex(view.getBigUint64(ELF.entryAt, true))}`);
  return { kind: 'elf', segments, entry };
}
