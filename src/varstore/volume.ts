/**
 * Firmware volumes in a flash image: EFI_FIRMWARE_VOLUME_HEADER (PI specification 1.8, volume 3, 3.2.1).
 */
import { viewOf, uint64 } from './bytes.js';
import { GUID_BYTES, readGuid, type Guid } from './guid.js';

/** `gEfiSystemNvDataFvGuid`: the volume is one for variables. */
export const NV_DATA_VOLUME: Guid = 'fff12b8d-7696-4c8b-a985-2747075b4f50';

/** File systems of volumes with firmware, for those who look at an image. */
const FILE_SYSTEMS: ReadonlyMap<Guid, string> = new Map([
  ['8c8ce578-8a3d-4f1c-9935-896185c32dd3', 'FFS version 2'],
  ['5473c07a-3dcb-4dca-bd6f-1e9689e7349a', 'FFS version 3'],
  [NV_DATA_VOLUME, 'non-volatile data'],
]);

export function fileSystemName(guid: Guid): string {
  return FILE_SYSTEMS.get(guid) ?? guid;
}

const FIELD = {
  fileSystem: 16,
  length: 0x20,
  signature: 0x28,
  attributes: 0x2c,
  headerLength: 0x30,
  checksum: 0x32,
  revision: 0x37,
  blockMap: 0x38,
} as const;

/** `_FVH`, little-endian. */
const SIGNATURE = 0x4856_465f;
const REVISION = 2;
/** `EFI_FVB2_ERASE_POLARITY`: erased bits are ones. */
const ERASED_IS_ONE = 0x800;
/** With one entry in the block map and its end. */
const MIN_HEADER_BYTES = FIELD.blockMap + 16;
const MAX_HEADER_BYTES = 4096;

/** Where volumes start in practice; an erase block is never smaller. */
export const VOLUME_ALIGNMENT = 4096;

export interface Volume {
  readonly fileSystem: Guid;
  readonly lengthBytes: number;
  readonly headerBytes: number;
  /** Of its first blocks. */
  readonly blockBytes: number;
  readonly isChecksumRight: boolean;
  /** What else makes firmware refuse it. */
  readonly faults: readonly string[];
}

/** The header at `at`; undefined where there is none whose lengths make sense. */
export function readVolume(image: Uint8Array, at: number): Volume | undefined {
  if (at + MIN_HEADER_BYTES > image.length) return undefined;
  const view = viewOf(image.subarray(at));
  if (view.getUint32(FIELD.signature, true) !== SIGNATURE) return undefined;
  const headerBytes = view.getUint16(FIELD.headerLength, true);
  const lengthBytes = uint64(view, FIELD.length);
  if (headerBytes < MIN_HEADER_BYTES || headerBytes > MAX_HEADER_BYTES || headerBytes % 8 !== 0)
    return undefined;
  if (lengthBytes <= headerBytes || at + headerBytes > image.length) return undefined;

  const faults: string[] = [];
  if (view.getUint8(FIELD.revision) !== REVISION) faults.push(`its revision is not ${REVISION}`);
  if ((view.getUint32(FIELD.attributes, true) & ERASED_IS_ONE) === 0)
    faults.push('it says that erased bits are zeros');
  const mapEntries = Array.from(
    { length: (headerBytes - FIELD.blockMap) >> 3 },
    (_, index) => FIELD.blockMap + 8 * index,
  );
  // How many blocks it says is not looked at: AAVMF's has fewer than the volume.
  if (!mapEntries.some((entry) => view.getBigUint64(entry, true) === 0n))
    faults.push('its block map has no end');
  const blockBytes = view.getUint32(FIELD.blockMap + 4, true);
  if (blockBytes === 0) faults.push('its blocks have no size');
  return {
    fileSystem: readGuid(image, at + FIELD.fileSystem),
    lengthBytes,
    headerBytes,
    blockBytes,
    isChecksumRight: sum16(view, headerBytes) === 0,
    faults,
  };
}

/** Volumes whose checksum is right, or, of variables, those that look like one. */
export function findVolumes(image: Uint8Array): { readonly at: number; readonly volume: Volume }[] {
  const found: { at: number; volume: Volume }[] = [];
  for (let at = 0; at + MIN_HEADER_BYTES <= image.length; at += VOLUME_ALIGNMENT) {
    // `_` of `_FVH`, as a cheap first look.
    if (image[at + FIELD.signature] !== (SIGNATURE & 0xff)) continue;
    const volume = readVolume(image, at);
    if (volume && (volume.isChecksumRight || volume.fileSystem === NV_DATA_VOLUME))
      found.push({ at, volume });
  }
  return found;
}

/** Sets the checksum in the header at the start of `volume` right. */
export function fixChecksum(volume: Uint8Array, headerBytes: number): void {
  const view = viewOf(volume);
  view.setUint16(FIELD.checksum, 0, true);
  view.setUint16(FIELD.checksum, -sum16(view, headerBytes) & 0xffff, true);
}

function sum16(view: DataView, bytes: number): number {
  let sum = 0;
  for (let at = 0; at < bytes; at += 2) sum += view.getUint16(at, true);
  return sum & 0xffff;
}

/** For whoever searches for a GUID at the start of something. */
export function isGuidAt(image: Uint8Array, at: number, guid: Guid): boolean {
  return at + GUID_BYTES <= image.length && readGuid(image, at) === guid;
}
