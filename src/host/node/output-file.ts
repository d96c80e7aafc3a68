import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  realpathSync,
  rmSync,
  writeSync,
} from 'node:fs';
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

/** A file for what a run gives out. It is as it was before until `begin`. */
export class OutputFile {
  readonly #fd: number;
  readonly #path: string;
  readonly #name: string;
  readonly #isNew: boolean;
  #hasBegun = false;

  /**
   * Opens the file, or creates it. `option` names in messages where the path was given.
   *
   * @throws {UserError} `file-unwritable`
   */
  constructor(option: string, path: string) {
    this.#path = path;
    this.#name = `${option} ${path}`;
    const existing = tryOpen(path, constants.O_WRONLY);
    this.#isNew = existing instanceof Error && 'code' in existing && existing.code === 'ENOENT';
    const opened = this.#isNew
      ? tryOpen(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL)
      : existing;
    if (opened instanceof Error) {
      throw new UserError(
        'file-unwritable',
        `${this.#name}: ${reasonOf(opened)}; accepted: a file that can be created or written`,
        { cause: opened },
      );
    }
    this.#fd = opened;
  }

  /** Empties the file. */
  begin(): void {
    this.#hasBegun = true;
    if (fstatSync(this.#fd).isFile()) ftruncateSync(this.#fd);
  }

  /**
   * Appends `data`; it is with the operating system when this returns.
   *
   * @throws {UserError} `host-io` when the disk is full or fails.
   */
  write(data: Uint8Array | string): void {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    try {
      for (let length = 0; length < bytes.length;) length += writeSync(this.#fd, bytes, length);
    } catch (error) {
      throw new UserError('host-io', `${this.#name}: ${reasonOf(error)}`, { cause: error });
    }
  }

  /** A file that was created and never begun goes away. */
  close(): void {
    closeSync(this.#fd);
    if (this.#isNew && !this.#hasBegun) rmSync(this.#path, { force: true });
  }
}

function tryOpen(path: string, flags: number): number | Error {
  try {
    return openSync(path, flags, 0o666);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
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
