/**
 * What EDK2's fault tolerant write leaves in flash: a working block that keeps records of updates, and a spare area
 * behind it that holds the new contents of blocks until they are in place
 * (MdeModulePkg/Include/Guid/SystemNvDataGuid.h, MdeModulePkg/Universal/FaultTolerantWriteDxe).
 *
 * Bits of state are set by being cleared. An update writes its record, then the spare area, then sets "spare complete",
 * erases and writes the target, sets "destination complete", and "complete" in the header. Firmware that starts and
 * finds "spare complete" alone copies again; that is what `finish` does.
 */
import { uint64, viewOf } from './bytes.js';
import { crc32 } from './crc32.js';
import type { Guid } from './guid.js';
import { isGuidAt, VOLUME_ALIGNMENT } from './volume.js';

/** `gEdkiiWorkingBlockSignatureGuid`. */
const SIGNATURE: Guid = '9e58292b-7c68-497d-a0ce-6500fd9f1b95';

/** `EFI_FAULT_TOLERANT_WORKING_BLOCK_HEADER`. */
const BLOCK = { crc: 16, state: 20, queueSize: 24, bytes: 32 } as const;
/** "Valid" set and "invalid" not. */
const BLOCK_VALID = 0xfe;

/** `EFI_FAULT_TOLERANT_WRITE_HEADER`; states are in its first byte. */
const HEADER = { writes: 24, privateBytes: 32, bytes: 40, allocated: 0x01, complete: 0x04 } as const;

/** `EFI_FAULT_TOLERANT_WRITE_RECORD`; states are in its first byte. */
const RECORD = {
  block: 8,
  offset: 16,
  length: 24,
  /** From the spare area to the target. */
  relativeOffset: 32,
  bytes: 40,
  bootBlock: 0x01,
  spareComplete: 0x02,
  destinationComplete: 0x04,
} as const;

/** A working block whose header is right. Offsets are into the image. */
export interface WorkingBlock {
  readonly at: number;
  /** Behind its queue of records, where the spare area begins in the layouts of EDK2's platforms. */
  readonly endsAt: number;
}

/** An update that was under way. Offsets are into the image. */
export type Interrupted =
  /** The spare area has everything: to be copied to the target. */
  | {
      readonly kind: 'copy';
      readonly headerAt: number;
      readonly recordAt: number;
      readonly isLast: boolean;
      readonly targetAt: number;
      /** Erase block of the target, counted from the start of its volume. */
      readonly block: number;
      /** In the target's first block, up to which data belongs to it. */
      readonly lengthBytes: number;
    }
  /** Nothing has been changed yet, or everything: the header is to be closed. */
  | { readonly kind: 'close'; readonly headerAt: number; readonly hasChanged: boolean }
  /** What only firmware should finish. */
  | { readonly kind: 'unclear'; readonly headerAt: number };

export function findWorkingBlocks(image: Uint8Array): WorkingBlock[] {
  const found: WorkingBlock[] = [];
  for (let at = 0; at + BLOCK.bytes <= image.length; at += VOLUME_ALIGNMENT) {
    if (image[at] !== parseInt(SIGNATURE.slice(6, 8), 16) || !isGuidAt(image, at, SIGNATURE)) continue;
    const header = image.slice(at, at + BLOCK.bytes);
    const view = viewOf(header);
    const isValid = header[BLOCK.state] === BLOCK_VALID;
    const crc = view.getUint32(BLOCK.crc, true);
    const endsAt = at + BLOCK.bytes + uint64(view, BLOCK.queueSize);
    // Computed with both as they are in erased flash.
    view.setUint32(BLOCK.crc, 0xffff_ffff, true);
    header[BLOCK.state] = 0xff;
    if (isValid && crc32(header) === crc && endsAt <= image.length) found.push({ at, endsAt });
  }
  return found;
}

/** True where a working block's signature is at `at`, whatever else is wrong with it. */
export function looksLikeWorkingBlock(image: Uint8Array, at: number): boolean {
  return isGuidAt(image, at, SIGNATURE);
}

/** The update that `block` says was under way, if any. */
export function findInterrupted(image: Uint8Array, block: WorkingBlock): Interrupted | undefined {
  const view = viewOf(image);
  let headerAt = block.at + BLOCK.bytes;
  const totalOf = (at: number): number =>
    HEADER.bytes + uint64(view, at + HEADER.writes) * (RECORD.bytes + uint64(view, at + HEADER.privateBytes));
  while (headerAt + HEADER.bytes <= block.endsAt && (image[headerAt]! & HEADER.complete) === 0) {
    headerAt += totalOf(headerAt);
  }
  // A full queue is no fault: firmware begins a new one.
  if (!(headerAt + HEADER.bytes <= block.endsAt)) return undefined;
  if ((image[headerAt]! & HEADER.allocated) !== 0) return undefined;
  const writes = uint64(view, headerAt + HEADER.writes);
  const privateBytes = uint64(view, headerAt + HEADER.privateBytes);
  const unclear = { kind: 'unclear', headerAt } as const;
  if (!(headerAt + totalOf(headerAt) <= block.endsAt) || writes === 0) return unclear;

  const recordBytes = RECORD.bytes + privateBytes;
  const recordsAt = headerAt + HEADER.bytes;
  let index = 0;
  const isSet = (bit: number): boolean => (image[recordsAt + index * recordBytes]! & bit) === 0;
  while (index < writes && isSet(RECORD.destinationComplete)) index++;
  if (index === writes) return { kind: 'close', headerAt, hasChanged: true };
  if (!isSet(RECORD.spareComplete)) {
    return index === 0 ? { kind: 'close', headerAt, hasChanged: false } : unclear;
  }
  const recordAt = recordsAt + index * recordBytes;
  const targetAt = block.endsAt + Number(view.getBigInt64(recordAt + RECORD.relativeOffset, true));
  const lengthBytes = uint64(view, recordAt + RECORD.offset) + uint64(view, recordAt + RECORD.length);
  const lba = uint64(view, recordAt + RECORD.block);
  const isSane =
    Number.isSafeInteger(targetAt) &&
    Number.isSafeInteger(lengthBytes) &&
    Number.isSafeInteger(lba) &&
    targetAt >= 0;
  if (!isSane || isSet(RECORD.bootBlock)) return unclear;
  return {
    kind: 'copy',
    headerAt,
    recordAt,
    isLast: index === writes - 1,
    targetAt,
    block: lba,
    lengthBytes,
  };
}

/**
 * Carries an update to its end in `image`, as firmware would when it starts: copies what the spare area has, if it comes
 * to that, erases the spare area, which reaches to `spareEndsAt`, and notes what was done.
 *
 * @returns false where that cannot be done, and nothing was changed then.
 */
export function finish(
  image: Uint8Array,
  block: WorkingBlock,
  interrupted: Interrupted,
  blockBytes: number,
  spareEndsAt: number,
): boolean {
  if (interrupted.kind === 'unclear') return false;
  if (interrupted.kind === 'close') {
    image[interrupted.headerAt]! &= ~HEADER.complete;
    return true;
  }
  const { targetAt, lengthBytes, headerAt, recordAt, isLast } = interrupted;
  const bytes = Math.ceil(lengthBytes / blockBytes) * blockBytes;
  // The target is neither the working block nor the spare area.
  if (!(bytes > 0 && block.endsAt + bytes <= spareEndsAt && targetAt + bytes <= block.at) || !isLast)
    return false;
  image.copyWithin(targetAt, block.endsAt, block.endsAt + bytes);
  image.fill(0xff, block.endsAt, spareEndsAt);
  image[recordAt]! &= ~RECORD.destinationComplete;
  image[headerAt]! &= ~HEADER.complete;
  return true;
}
