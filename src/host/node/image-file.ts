import { closeSync, fstatSync, openSync, readSync, realpathSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { UserError } from '../../base/index.js';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'a part of the path is no directory',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  EISDIR: 'is a directory',
  ENOSPC: 'the disk is full',
};

/** Why the system refused, in words. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? error.message.replaceAll('\n', ' ');
}

/**
 * Reads a whole image. `option` names where the path was given, for messages; `accepted` says what would do.
 *
 * @throws {UserError} `file-unreadable`, `file-not-regular`, `file-empty`, `file-too-large`: one line each.
 */
export function readImage(option: string, path: string, maxBytes: number, accepted: string): Uint8Array {
  const refuse = (code: string, reason: string, cause?: unknown) =>
    new UserError(code, `${option} ${path}: ${reason}; accepted: ${accepted}`, { cause });
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw refuse('file-unreadable', reasonOf(error), error);
  }
  try {
    const status = fstatSync(fd);
    if (status.isDirectory()) throw refuse('file-not-regular', 'is a directory');
    if (!status.isFile()) throw refuse('file-not-regular', 'is no regular file');
    if (status.size === 0) throw refuse('file-empty', 'is empty');
    if (status.size > maxBytes) {
      throw refuse('file-too-large', `has ${status.size} bytes, more than the ${maxBytes} there is room for`);
    }
    const bytes = new Uint8Array(status.size);
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(fd, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw refuse('file-unreadable', reasonOf(error), error);
  } finally {
    closeSync(fd);
  }
}

/** A file that is written from its start as the run goes on. */
export class OutputFile {
  readonly #fd: number;
  readonly #name: string;

  /**
   * Creates the file, or empties it.
   *
   * @throws {UserError} `file-unwritable`
   */
  constructor(option: string, path: string) {
    this.#name = `${option} ${path}`;
    try {
      this.#fd = openSync(path, 'w');
    } catch (error) {
      throw new UserError(
        'file-unwritable',
        `${this.#name}: ${reasonOf(error)}; accepted: a file that can be created or written`,
        { cause: error },
      );
    }
  }

  /**
   * Appends `data`; it is with the operating system when this returns.
   *
   * @throws {UserError} `host-io` when the disk is full or fails.
   */
  write(data: Uint8Array | string): void {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    try {
      for (let length = 0; length < bytes.length; ) length += writeSync(this.#fd, bytes, length);
    } catch (error) {
      throw new UserError('host-io', `${this.#name}: ${reasonOf(error)}`, { cause: error });
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** True when both paths lead to the same file, which need not exist. */
export function isSameFile(a: string, b: string): boolean {
  return canonical(a) === canonical(b);
}

function canonical(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}
