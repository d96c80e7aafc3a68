/** A raw image: the disk, byte for byte. Regular files and block devices. */
import type * as fs from 'node:fs';
import { writeFully, type HostFiles } from '../image-file.js';
import { roundUp, SECTOR_BYTES, type WritableDiskImage } from './disk-image.js';
import { readOrZeros, type Parts } from './parts.js';

export type DiskFiles = HostFiles & Pick<typeof fs, 'fdatasync' | 'fdatasyncSync' | 'readvSync'>;

/** Zeros are written in pieces of this size. */
const ZEROS = new Uint8Array(256 * 1024);

/**
 * The last sector may lie partly behind the end of the file: what isn't there reads as zeros, and writing it makes the
 * file a whole number of sectors.
 *
 * Discard does nothing: Node has no way to give up a part of a file.
 */
export class RawFile implements WritableDiskImage {
  readonly sizeBytes: number;
  readonly #files: DiskFiles;
  readonly #fd: number;
  /** Something was written since the last flush began. */
  #isDirty = false;
  /** Who waits for the flush in the background that began last, while it is under way. */
  #waiting: ((error: Error | undefined) => void)[] | undefined;

  /** Takes the descriptor over. */
  constructor(files: DiskFiles, fd: number, fileBytes: number) {
    this.#files = files;
    this.#fd = fd;
    this.sizeBytes = roundUp(fileBytes, SECTOR_BYTES);
  }

  read(offset: number, into: Parts): void {
    readOrZeros(this.#files, this.#fd, into, offset);
  }

  write(offset: number, from: Uint8Array): void {
    this.#isDirty = true;
    writeFully(this.#files, this.#fd, from, offset);
  }

  writeZeros(offset: number, length: number): void {
    // A hole stays a hole.
    const there = new Uint8Array(Math.min(length, ZEROS.length));
    for (let done = 0; done < length; done += ZEROS.length) {
      const part = there.subarray(0, Math.min(ZEROS.length, length - done));
      this.read(offset + done, [part]);
      const zeros = ZEROS.subarray(0, part.length);
      if (Buffer.compare(part, zeros) !== 0) this.write(offset + done, zeros);
    }
  }

  discard(): void {
    // See above.
  }

  flush(): void {
    if (!this.#isDirty && !this.#waiting) return;
    this.#files.fdatasyncSync(this.#fd);
    this.#isDirty = false;
  }

  flushLater(done: (error: Error | undefined) => void): void {
    if (!this.#isDirty) {
      // What was written may be on its way still.
      if (this.#waiting) this.#waiting.push(done);
      else done(undefined);
      return;
    }
    const waiting = [done];
    this.#waiting = waiting;
    this.#isDirty = false;
    this.#files.fdatasync(this.#fd, (error) => {
      if (this.#waiting === waiting) this.#waiting = undefined;
      if (error) this.#isDirty = true;
      for (const tell of waiting) tell(error ?? undefined);
    });
  }

  close(): void {
    this.#files.closeSync(this.#fd);
  }
}
