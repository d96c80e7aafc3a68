/**
 * Bytes in several places, one part after the other: the guest's pages, which a disk fills without a copy of its own and
 * with one call to the host, however many there are.
 */
import type * as fs from 'node:fs';

export type Parts = readonly Uint8Array[];

export function totalBytes(parts: Parts): number {
  let bytes = 0;
  for (const { length } of parts) bytes += length;
  return bytes;
}

/** `length` bytes from `start`, in the same memory. */
export function slice(parts: Parts, start: number, length: number): Parts {
  const found: Uint8Array[] = [];
  let at = -start;
  for (const part of parts) {
    const from = Math.max(0, -at);
    const to = Math.min(part.length, length - at);
    if (from < to) found.push(to - from === part.length ? part : part.subarray(from, to));
    at += part.length;
    if (at >= length) break;
  }
  return found;
}

export function fillZeros(parts: Parts): void {
  for (const part of parts) part.fill(0);
}

/** Fills `into` from `offset` of a file, and with zeros what is behind its end. */
export function readOrZeros(
  files: Pick<typeof fs, 'readvSync'>,
  fd: number,
  into: Parts,
  offset: number,
): void {
  const length = totalBytes(into);
  let rest = into;
  for (let done = 0; done < length;) {
    // The host may take fewer parts at once, and a signal or the end of the file cut a read short.
    const count = files.readvSync(fd, rest, offset + done);
    if (count === 0) break;
    done += count;
    rest = slice(into, done, length - done);
  }
  fillZeros(rest);
}
