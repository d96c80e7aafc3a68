/**
 * The journal of one commit: what is about to be written over an image, complete in itself or worthless.
 *
 * Layout: magic, length of the header (u32, little-endian), header (JSON), for each range its new bytes and the
 * bytes they replace, SHA-256 of everything before it. A journal that was cut off anywhere fails its checksum, so
 * it needs no further care while it is written.
 *
 * The replaced bytes are there for one question: whether the image is still as a killed commit can have left it.
 * A complete journal must not be replayed over what another program has written since.
 */
import process from 'node:process';
import type { FlashRange } from '../../bus/index.js';

const MAGIC = Buffer.from('v8a flash journal 1\n', 'latin1');
const CHECKSUM_BYTES = 32;

export interface JournalRange extends FlashRange {
  /** What `bytes` replaces; as long. */
  readonly before: Uint8Array;
}

export interface Journal {
  /** Size of the image file that it belongs to. */
  readonly imageBytes: number;
  readonly ranges: readonly JournalRange[];
}

interface Header {
  readonly imageBytes: number;
  readonly ranges: readonly { readonly offset: number; readonly length: number }[];
}

export function encodeJournal({ imageBytes, ranges }: Journal): Uint8Array {
  const header: Header = {
    imageBytes,
    ranges: ranges.map(({ offset, bytes }) => ({ offset, length: bytes.length })),
  };
  const headerBytes = Buffer.from(JSON.stringify(header), 'latin1');
  const headerLength = Buffer.alloc(4);
  headerLength.writeUInt32LE(headerBytes.length);
  const body = Buffer.concat([
    MAGIC,
    headerLength,
    headerBytes,
    ...ranges.flatMap(({ bytes, before }) => [bytes, before]),
  ]);
  return Buffer.concat([body, checksumOf(body)]);
}

/** SHA-256. */
function checksumOf(body: Buffer): Buffer {
  // Loading it takes milliseconds, and most runs start without a journal.
  const { createHash } = process.getBuiltinModule('node:crypto');
  return createHash('sha256').update(body).digest();
}

/** The journal in `file`, whose ranges borrow from it; undefined for one that is cut off or is none. */
export function decodeJournal(file: Buffer): Journal | undefined {
  const headerAt = MAGIC.length + 4;
  if (file.length < headerAt + CHECKSUM_BYTES) return undefined;
  const body = file.subarray(0, file.length - CHECKSUM_BYTES);
  const checksum = checksumOf(body);
  if (!checksum.equals(file.subarray(body.length)) || !body.subarray(0, MAGIC.length).equals(MAGIC)) {
    return undefined;
  }
  const dataAt = headerAt + body.readUInt32LE(MAGIC.length);
  const header = JSON.parse(body.toString('latin1', headerAt, dataAt)) as Header;
  let at = dataAt;
  const take = (length: number): Uint8Array => body.subarray(at, (at += length));
  const ranges = header.ranges.map(({ offset, length }) => ({
    offset,
    bytes: take(length),
    before: take(length),
  }));
  return { imageBytes: header.imageBytes, ranges };
}
