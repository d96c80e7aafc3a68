/**
 * The journal of one commit: what is about to be written over an image, complete in itself or worthless.
 *
 * Layout: magic, length of the header (u32, little-endian), header (JSON), the ranges' new bytes one after the
 * other, SHA-256 of everything before it. A journal that was cut off anywhere fails its checksum, so it needs no
 * further care while it is written.
 *
 * The header also holds a CRC of each sector as it was. A complete journal whose image has since been written by
 * another program must not be replayed over it: then a sector is neither what it was nor what it was to become.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { FlashRange } from '../../bus/index.js';

/** What host storage writes whole even when the power fails. Ranges start and end on sectors. */
export const SECTOR_BYTES = 512;

const MAGIC = Buffer.from('v8a flash journal 1\n', 'latin1');
const CHECKSUM_BYTES = 32;

export interface JournalRange extends FlashRange {
  /** CRC-32 of each sector before the change. */
  readonly before: readonly number[];
}

export interface Journal {
  /** Size of the image file that it belongs to. */
  readonly imageBytes: number;
  readonly ranges: readonly JournalRange[];
}

interface Header {
  readonly imageBytes: number;
  readonly ranges: readonly { readonly offset: number; readonly length: number; readonly before: number[] }[];
}

export function sectorChecksums(bytes: Uint8Array): number[] {
  const checksums: number[] = [];
  for (let at = 0; at < bytes.length; at += SECTOR_BYTES)
    checksums.push(crc32(bytes.subarray(at, at + SECTOR_BYTES)));
  return checksums;
}

export function encodeJournal({ imageBytes, ranges }: Journal): Uint8Array {
  const header: Header = {
    imageBytes,
    ranges: ranges.map(({ offset, bytes, before }) => ({
      offset,
      length: bytes.length,
      before: [...before],
    })),
  };
  const headerBytes = Buffer.from(JSON.stringify(header), 'latin1');
  const headerLength = Buffer.alloc(4);
  headerLength.writeUInt32LE(headerBytes.length);
  const body = Buffer.concat([MAGIC, headerLength, headerBytes, ...ranges.map(({ bytes }) => bytes)]);
  return Buffer.concat([body, createHash('sha256').update(body).digest()]);
}

/** The journal in `file`, whose ranges borrow from it; undefined for one that is cut off or is none. */
export function decodeJournal(file: Buffer): Journal | undefined {
  const headerAt = MAGIC.length + 4;
  if (file.length < headerAt + CHECKSUM_BYTES) return undefined;
  const body = file.subarray(0, file.length - CHECKSUM_BYTES);
  const checksum = createHash('sha256').update(body).digest();
  if (!checksum.equals(file.subarray(body.length)) || !body.subarray(0, MAGIC.length).equals(MAGIC)) {
    return undefined;
  }
  const dataAt = headerAt + body.readUInt32LE(MAGIC.length);
  const header = JSON.parse(body.toString('latin1', headerAt, dataAt)) as Header;
  let at = dataAt;
  const ranges = header.ranges.map(({ offset, length, before }) => {
    const bytes = body.subarray(at, at + length);
    at += length;
    return { offset, bytes, before };
  });
  return { imageBytes: header.imageBytes, ranges };
}
