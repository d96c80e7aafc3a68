/**
 * A writable disk over one that stays as it is. Blocks of 4 KiB that were written are in a file of their own, at their
 * place in the disk, with holes where nothing was written; the others are the base's.
 *
 * A temporary overlay's file has no name any more once it is open, so that nothing is left of it, however the process
 * ends. A named one has a header and a map of the blocks in front of the data:
 *
 *     0         header: magic, version, block size, size of the disk, size of the map, name of the base
 *     4 KiB     map: a bit for each block, lowest bit first
 *     …         data, from a multiple of 4 KiB
 *
 * A flush makes the data durable, then the map. What was not flushed may be lost, which is what a disk with a cache
 * does, and nothing else is: the blocks in the map are always on disk.
 */
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../../base/index.js';
import { readUpTo, writeFully } from '../image-file.js';
import { roundUp, type DiskImage, type WritableDiskImage } from './disk-image.js';
import { readOrZeros, slice, totalBytes, type Parts } from './parts.js';
import type { DiskFiles } from './raw-file.js';

const BLOCK_BYTES = 4096;
const MAP_AT = 4096;
const MAGIC = 'v8a-overlay\n';
const VERSION = 1;
/** Offsets in the header, all numbers little-endian. */
const HEADER = { magic: 0, version: 16, blockBytes: 20, diskBytes: 24, baseName: 64 } as const;
const HEADER_BYTES = 4096;

/** Where the written blocks are. */
interface OverlayFile {
  readonly fd: number;
  /** Where the disk's first byte would be. */
  readonly dataAt: number;
  /** The map's blocks of 4 KiB that differ from the file; undefined for a temporary overlay, whose map is nowhere. */
  readonly changedMap: Set<number> | undefined;
}

export class Overlay implements WritableDiskImage {
  readonly sizeBytes: number;
  readonly #base: DiskImage;
  readonly #files: DiskFiles;
  readonly #file: OverlayFile;
  /** A bit for each block that is in the overlay. */
  readonly #map: Uint8Array;
  #isDirty = false;

  private constructor(base: DiskImage, files: DiskFiles, file: OverlayFile, map: Uint8Array) {
    this.sizeBytes = base.sizeBytes;
    this.#base = base;
    this.#files = files;
    this.#file = file;
    this.#map = map;
  }

  /** An overlay that ends with the process. */
  static temporary(base: DiskImage, files: DiskFiles): Overlay {
    const path = join(tmpdir(), `v8a-overlay-${randomBytes(8).toString('hex')}`);
    const fd = files.openSync(path, 'wx+', 0o600);
    files.unlinkSync(path);
    const file = { fd, dataAt: 0, changedMap: undefined };
    return new Overlay(base, files, file, new Uint8Array(mapBytes(base.sizeBytes)));
  }

  /**
   * An overlay in a file, which is new (empty) or was made for a base of this size. Takes the descriptor over.
   *
   * @throws UserError: `overlay-format`, `overlay-base`
   */
  static named(base: DiskImage, baseName: string, files: DiskFiles, fd: number, path: string): Overlay {
    const fail = (what: string, text: string): never => {
      throw new UserError(`overlay-${what}`, `overlay ${path}: ${text}`);
    };
    const header = new Uint8Array(HEADER_BYTES);
    const map = new Uint8Array(mapBytes(base.sizeBytes));
    const count = readUpTo(files, fd, header, 0);
    if (count === 0) {
      writeHeader(header, base.sizeBytes, baseName);
      writeFully(files, fd, header, 0);
    } else {
      const view = new DataView(header.buffer);
      const magic = new TextDecoder().decode(header.subarray(0, MAGIC.length));
      if (count < HEADER_BYTES || magic !== MAGIC)
        return fail('format', 'is no overlay of v8a; give a new file');
      if (
        view.getUint32(HEADER.version, true) !== VERSION ||
        view.getUint32(HEADER.blockBytes, true) !== BLOCK_BYTES
      )
        return fail('format', 'was made by another version of v8a');
      const diskBytes = Number(view.getBigUint64(HEADER.diskBytes, true));
      if (diskBytes !== base.sizeBytes) {
        const made = new TextDecoder().decode(header.subarray(HEADER.baseName)).replace(/\0.*$/s, '');
        return fail('base', `was made over ${made} of ${diskBytes} bytes; this base has ${base.sizeBytes}`);
      }
      // Behind the end nothing was written yet.
      readUpTo(files, fd, map, MAP_AT);
    }
    return new Overlay(base, files, { fd, dataAt: MAP_AT + map.length, changedMap: new Set() }, map);
  }

  read(offset: number, into: Parts): void {
    this.#runs(offset, totalBytes(into), (at, length, isHere) => {
      const part = slice(into, at - offset, length);
      if (!isHere) this.#base.read(at, part);
      else readOrZeros(this.#files, this.#file.fd, part, this.#file.dataAt + at);
    });
  }

  write(offset: number, from: Uint8Array): void {
    this.#prepare(offset, from.length);
    writeFully(this.#files, this.#file.fd, from, this.#file.dataAt + offset);
    this.#mark(offset, from.length);
  }

  /** A block that was never written is a hole in the file: it only has to be marked. */
  writeZeros(offset: number, length: number): void {
    this.#prepare(offset, length);
    const end = offset + length;
    this.#runs(offset, length, (at, runLength, isHere) => {
      const isWhole =
        at % BLOCK_BYTES === 0 && (runLength % BLOCK_BYTES === 0 || at + runLength === this.sizeBytes);
      if (isHere || !isWhole) {
        for (let piece = at; piece < at + runLength; piece += ZEROS.length) {
          const zeros = ZEROS.subarray(0, Math.min(ZEROS.length, at + runLength - piece));
          writeFully(this.#files, this.#file.fd, zeros, this.#file.dataAt + piece);
        }
      }
    });
    this.#mark(offset, end - offset);
  }

  discard(): void {
    // What the base has would come to light again, or room be taken to hide it.
  }

  flush(): void {
    const { fd, changedMap } = this.#file;
    if (!this.#isDirty || !changedMap) return;
    this.#files.fdatasyncSync(fd);
    for (const page of changedMap) {
      const at = page * BLOCK_BYTES;
      writeFully(this.#files, fd, this.#map.subarray(at, at + BLOCK_BYTES), MAP_AT + at);
    }
    this.#files.fdatasyncSync(fd);
    changedMap.clear();
    this.#isDirty = false;
  }

  close(): void {
    this.#files.closeSync(this.#file.fd);
    this.#base.close();
  }

  /** Fills up the blocks at both ends of a range that are only partly written and not here yet. */
  #prepare(offset: number, length: number): void {
    this.#isDirty = true;
    const end = offset + length;
    for (const block of new Set([Math.floor(offset / BLOCK_BYTES), Math.floor((end - 1) / BLOCK_BYTES)])) {
      const at = block * BLOCK_BYTES;
      const blockEnd = Math.min(at + BLOCK_BYTES, this.sizeBytes);
      if (this.#has(block) || (offset <= at && end >= blockEnd)) continue;
      const bytes = new Uint8Array(blockEnd - at);
      this.#base.read(at, [bytes]);
      writeFully(this.#files, this.#file.fd, bytes, this.#file.dataAt + at);
    }
  }

  #mark(offset: number, length: number): void {
    const last = Math.floor((offset + length - 1) / BLOCK_BYTES);
    for (let block = Math.floor(offset / BLOCK_BYTES); block <= last; block++) {
      if (this.#has(block)) continue;
      this.#map[block >> 3] = (this.#map[block >> 3] ?? 0) | (1 << (block & 7));
      this.#file.changedMap?.add(Math.floor((block >> 3) / BLOCK_BYTES));
    }
  }

  #has(block: number): boolean {
    return ((this.#map[block >> 3] ?? 0) & (1 << (block & 7))) !== 0;
  }

  /** The parts of a range whose blocks are alike here or in the base. */
  #runs(offset: number, length: number, visit: (at: number, length: number, isHere: boolean) => void): void {
    const end = offset + length;
    for (let at = offset; at < end;) {
      let block = Math.floor(at / BLOCK_BYTES);
      const isHere = this.#has(block);
      do block++;
      while (block * BLOCK_BYTES < end && this.#has(block) === isHere);
      const runEnd = Math.min(block * BLOCK_BYTES, end);
      visit(at, runEnd - at, isHere);
      at = runEnd;
    }
  }
}

const ZEROS = new Uint8Array(256 * 1024);

/** Whole pages of the file. */
function mapBytes(diskBytes: number): number {
  return roundUp(Math.ceil(diskBytes / BLOCK_BYTES / 8), BLOCK_BYTES);
}

function writeHeader(header: Uint8Array, diskBytes: number, baseName: string): void {
  const view = new DataView(header.buffer);
  const put = (at: number, text: string): void => {
    header.set(new TextEncoder().encode(text).subarray(0, HEADER_BYTES - at), at);
  };
  put(HEADER.magic, MAGIC);
  view.setUint32(HEADER.version, VERSION, true);
  view.setUint32(HEADER.blockBytes, BLOCK_BYTES, true);
  view.setBigUint64(HEADER.diskBytes, BigInt(diskBytes), true);
  put(HEADER.baseName, baseName);
}
