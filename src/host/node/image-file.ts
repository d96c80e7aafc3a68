/** What opening any image file has in common: the mistakes people make, each as one line, and loading. */
import type * as fs from 'node:fs';
import { UserError } from '../../base/index.js';

/** The file system, so that tests can let it fail at any call. */
export type HostFiles = Pick<
  typeof fs,
  | 'closeSync'
  | 'fstatSync'
  | 'fsyncSync'
  | 'lstatSync'
  | 'openSync'
  | 'readFileSync'
  | 'readSync'
  | 'realpathSync'
  | 'statSync'
  | 'unlinkSync'
  | 'writeSync'
>;

/** How an image is called in messages and error codes, and where a newcomer gets one. */
export interface ImageKind {
  /** Prefix of error codes: `flash`. */
  readonly code: string;
  /** `flash image`. */
  readonly noun: string;
  /** What to do about a missing or empty one. */
  readonly advice: string;
  readonly allowsBlockDevice?: boolean;
}

export interface OpenImage {
  readonly fd: number;
  /** With symbolic links resolved. */
  readonly realPath: string;
  readonly sizeBytes: number;
}

/** The host's reason, in words where the code is one that users meet. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    case 'EROFS':
      return 'the file system is read-only';
    case 'ENOSPC':
      return 'no space left on the disk';
    case 'EDQUOT':
      return 'the disk quota is used up';
    case 'EIO':
      return 'I/O error';
    case '':
      return error instanceof Error ? error.message : String(error);
    default:
      return code;
  }
}

/**
 * Opens a regular file with at least one byte in it, or a block device where the kind of image allows one, or throws
 * the `UserError` that says what is wrong.
 */
export function openImage(files: HostFiles, kind: ImageKind, path: string, isWritable: boolean): OpenImage {
  const fail = (what: string, text: string, cause?: unknown): never => {
    throw new UserError(`${kind.code}-${what}`, `${kind.noun} ${path}: ${text}`, { cause });
  };
  let realPath = '';
  let stat: fs.Stats | undefined;
  try {
    realPath = files.realpathSync(path);
    stat = files.statSync(realPath);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'ENOENT' || code === 'ENOTDIR')
      return fail('missing', `does not exist; ${kind.advice}`, error);
    return fail('unreadable', `cannot be opened: ${reasonOf(error)}`, error);
  }
  if (stat.isDirectory()) return fail('directory', 'is a directory, not a file');
  const isBlockDevice = kind.allowsBlockDevice === true && stat.isBlockDevice();
  if (!stat.isFile() && !isBlockDevice) return fail('not-a-file', 'is not a regular file');
  const sizeBytes = isBlockDevice ? blockDeviceBytes(files, stat.rdev) : stat.size;
  if (sizeBytes === 0) return fail('empty', `is empty; ${kind.advice}`);
  let fd: number;
  try {
    fd = files.openSync(realPath, isWritable ? 'r+' : 'r');
  } catch (error) {
    if (isWritable && canRead(files, realPath)) {
      return fail(
        'read-only',
        `cannot be written: ${reasonOf(error)}; make it writable or give a copy of it`,
      );
    }
    return fail('unreadable', `cannot be opened: ${reasonOf(error)}`, error);
  }
  return { fd, realPath, sizeBytes: isBlockDevice ? sizeBytes : files.fstatSync(fd).size };
}

/** `/sys/dev/block/<major>:<minor>/size` counts units of 512 bytes (Linux). 0 where it cannot be told. */
function blockDeviceBytes(files: HostFiles, rdev: number): number {
  // makedev(3) of glibc: major in bits 19:8 and 63:32, minor in bits 7:0 and 31:20.
  const [low, high] = [rdev % 2 ** 32, Math.floor(rdev / 2 ** 32)];
  const major = ((low >>> 8) & 0xfff) + (high & ~0xfff);
  const minor = (low & 0xff) + ((low >>> 12) & 0xfff00);
  try {
    return 512 * Number(files.readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'utf8'));
  } catch {
    return 0;
  }
}

function canRead(files: HostFiles, path: string): boolean {
  try {
    files.closeSync(files.openSync(path, 'r'));
    return true;
  } catch {
    return false;
  }
}

/** Reads `into.length` bytes from `offset`, or as many as there are. Returns how many. */
export function readUpTo(files: HostFiles, fd: number, into: Uint8Array, offset: number): number {
  let done = 0;
  while (done < into.length) {
    const count = files.readSync(fd, into, done, into.length - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Reads exactly `into.length` bytes from `offset`. */
export function readFully(files: HostFiles, fd: number, into: Uint8Array, offset: number): void {
  if (readUpTo(files, fd, into, offset) < into.length) throw new Error('the file has become shorter');
}

/** Writes all of `bytes` at `offset`. */
export function writeFully(files: HostFiles, fd: number, bytes: Uint8Array, offset: number): void {
  let done = 0;
  while (done < bytes.length) done += files.writeSync(fd, bytes, done, bytes.length - done, offset + done);
}

const CHUNK_BYTES = 1024 * 1024;

/** Takes a part of an image: `bytes`, borrowed, belong at `offset`. */
export type ImageSink = (offset: number, bytes: Uint8Array) => void;

/** Reads the first `sizeBytes` of a file, from the start to the end. */
export function loadImage(files: HostFiles, fd: number, sizeBytes: number, into: ImageSink): void {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, sizeBytes));
  for (let at = 0; at < sizeBytes; at += chunk.length) {
    const bytes = chunk.subarray(0, Math.min(chunk.length, sizeBytes - at));
    readFully(files, fd, bytes, at);
    into(at, bytes);
  }
}
