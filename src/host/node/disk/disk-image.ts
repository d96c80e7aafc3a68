/** Disks as the layers of a disk see each other: bytes at offsets, one call after the other. */

import type { Parts } from './parts.js';

/** What is under a disk: an image file, or another layer over one. Methods throw what the host throws. */
export interface DiskImage {
  /** A multiple of 512. */
  readonly sizeBytes: number;
  /** Fills `into`, one part after the other, from `offset`. The range is inside the disk, here and below. */
  read(offset: number, into: Parts): void;
  close(): void;
}

export interface WritableDiskImage extends DiskImage {
  write(offset: number, from: Uint8Array): void;
  writeZeros(offset: number, length: number): void;
  discard(offset: number, length: number): void;
  /** What was written so far survives a crash of the host. */
  flush(): void;
  /**
   * `flush` without waiting: `done` is called later, with the error if there was one. Only there where a flush is
   * nothing but a wait for the host.
   */
  flushLater?(done: (error: Error | undefined) => void): void;
}

export const SECTOR_BYTES = 512;

export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
