/**
 * Disks on the host: opens what `--disk` names, keeps it from a second writer, and serves it to a device.
 *
 * Reads and writes go through the host's page cache and are done when the call returns, which is quicker than any
 * hand-over to another thread. A flush waits for the host's device; where the guest's time passes by itself it does so
 * in the background, so that the guest goes on. With a virtual clock everything is done at once: nothing that the guest
 * can observe depends on the host's speed.
 */
import * as fs from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UserError } from '../../../base/index.js';
import type { BlockDone, BlockStorage, BlockTarget } from '../../../bus/index.js';
import { claimFile, ClaimedError, type ClaimMode } from '../file-claim.js';
import { openImage, readUpTo, reasonOf, type ImageKind } from '../image-file.js';
import { SECTOR_BYTES, type DiskImage, type WritableDiskImage } from './disk-image.js';
import { Overlay } from './overlay.js';
import { isQcow2, Qcow2File } from './qcow2.js';
import { RawFile, type DiskFiles } from './raw-file.js';

const DISK: ImageKind = {
  code: 'disk',
  noun: 'disk image',
  advice: 'make one with truncate -s 8G FILE, or give an existing one',
  allowsBlockDevice: true,
};
const OVERLAY: ImageKind = { code: 'overlay', noun: 'overlay', advice: 'it is made when it is not there' };

/** Images behind images: more is a loop, or as bad. */
const MAX_BACKING_DEPTH = 16;

export type DiskFormat = 'raw' | 'qcow2';

export interface DiskFileOptions {
  readonly path: string;
  readonly isReadOnly: boolean;
  /** Where writes go instead of the image: a file to keep them in, or `true` for nowhere once the machine is gone. */
  readonly overlay: boolean | string;
  /** Left out: told by the file's first bytes. */
  readonly format?: DiskFormat;
}

/** What a disk is opened for. */
export interface DiskEnvironment {
  /** Flushes are waited for in the background. */
  readonly flushesLater: boolean;
  /** The host failed; the guest has been told of an I/O error. One line for the user. */
  onFailure(line: string): void;
  /** Something was done in the background: the guest may have work. */
  onDone(): void;
  /** For tests. */
  readonly files?: DiskFiles;
}

export interface DiskFile extends BlockStorage {
  /** What the user should know, one line each. */
  readonly notices: readonly string[];
  /** Flushes that are under way. */
  readonly pending: number;
  /** What was written survives a crash of the host. Throws `UserError` `disk-io`. */
  sync(): void;
  /** Syncs, closes and gives the files free. Calling it again does nothing. */
  close(): void;
}

/**
 * Opens a disk for one machine.
 *
 * @throws UserError: `disk-missing`, `-directory`, `-not-a-file`, `-unreadable`, `-read-only`, `-empty`, `-format`,
 * `-locked`, `-io`; `overlay-…`. Nothing on disk has changed then.
 */
export function openDiskFile(options: DiskFileOptions, environment: DiskEnvironment): DiskFile {
  const opening = new Opening(environment.files ?? fs);
  try {
    const image = opening.disk(options);
    return new OpenDisk(options, environment, image, opening);
  } catch (error) {
    opening.abandon();
    throw error;
  }
}

/** Collects what has been opened and claimed, to be given back together. */
class Opening {
  readonly notices: string[] = [];
  readonly files: DiskFiles;
  readonly #releases: (() => void)[] = [];

  constructor(files: DiskFiles) {
    this.files = files;
  }

  disk({ path, isReadOnly, overlay, format }: DiskFileOptions): DiskImage | WritableDiskImage {
    const writesImage = !isReadOnly && overlay === false;
    const image = this.#image(path, format, writesImage, 0);
    if (writesImage || isReadOnly) return image;
    return overlay === true
      ? this.#temporaryOverlay(path, image)
      : this.#namedOverlay(path, image, String(overlay));
  }

  release(): void {
    for (const release of this.#releases.splice(0).reverse()) release();
  }

  /** Closes what an opening that failed has opened. */
  abandon(): void {
    for (const fd of this.#open.splice(0)) {
      try {
        this.files.closeSync(fd);
      } catch {
        // An image has closed it.
      }
    }
    this.release();
  }

  readonly #open: number[] = [];

  #image(path: string, format: DiskFormat | undefined, isWritable: boolean, depth: number): DiskImage {
    const { files } = this;
    if (depth > MAX_BACKING_DEPTH) {
      throw new UserError('disk-format', `disk image ${path}: more than ${MAX_BACKING_DEPTH} backing files`);
    }
    // Whether it may be written is asked after what it is: the advice depends on it.
    const probe = openImage(files, DISK, path, false);
    this.#open.push(probe.fd);
    const start = new Uint8Array(4);
    this.#reading(path, () => readUpTo(files, probe.fd, start, 0));
    const isProbed = format === undefined;
    const actual = format ?? (isQcow2(start) ? 'qcow2' : 'raw');
    if (actual === 'qcow2' && isWritable) {
      throw new UserError(
        'disk-format',
        `disk image ${path}: is a qcow2 image, which can only be read; accepted: ${path},ro or ${path},overlay` +
          (isProbed ? `, or ${path},format=raw if a guest has written that there` : ''),
      );
    }
    this.#claim(DISK, path, probe.realPath, isWritable ? 'exclusive' : 'shared');
    if (actual === 'raw') {
      const { fd, sizeBytes } = isWritable ? openImage(files, DISK, path, true) : probe;
      if (isWritable) {
        this.#open.push(fd);
        files.closeSync(probe.fd);
        this.#open.splice(this.#open.indexOf(probe.fd), 1);
      }
      if (sizeBytes % SECTOR_BYTES !== 0) {
        this.notices.push(
          `disk image ${path}: its ${sizeBytes} bytes are no whole sectors; the last one is filled up with zeros`,
        );
      }
      return new RawFile(files, fd, sizeBytes);
    }
    return this.#reading(path, () => {
      return new Qcow2File(files, probe.fd, path, (name, backingFormat) => {
        // Else a guest that writes a qcow2 header to its raw disk could read any file of the host's.
        if (isProbed) {
          throw new UserError(
            'disk-format',
            `disk image ${path}: has a backing file, ${name}; accepted: ${path},format=qcow2 if you trust it`,
          );
        }
        if (backingFormat !== undefined && backingFormat !== 'raw' && backingFormat !== 'qcow2') {
          throw new UserError(
            'disk-format',
            `disk image ${path}: has a backing file of format ${backingFormat}; accepted: raw, qcow2`,
          );
        }
        return this.#image(resolve(dirname(probe.realPath), name), backingFormat ?? 'raw', false, depth + 1);
      });
    });
  }

  #temporaryOverlay(path: string, base: DiskImage): Overlay {
    try {
      return Overlay.temporary(base, this.files);
    } catch (error) {
      throw new UserError('overlay-io', `overlay of ${path}: no temporary file: ${reasonOf(error)}`);
    }
  }

  #namedOverlay(basePath: string, base: DiskImage, path: string): Overlay {
    const { files } = this;
    let fd: number;
    try {
      // Made where it isn't there, kept as it is where it is.
      fd = files.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o666);
    } catch (error) {
      throw new UserError('overlay-unwritable', `overlay ${path}: cannot be opened: ${reasonOf(error)}`);
    }
    this.#open.push(fd);
    if (!files.fstatSync(fd).isFile())
      throw new UserError('overlay-not-a-file', `overlay ${path}: is not a regular file`);
    this.#claim(OVERLAY, path, files.realpathSync(path), 'exclusive');
    return this.#reading(path, () => Overlay.named(base, basePath, files, fd, path));
  }

  #claim({ code, noun }: ImageKind, path: string, realPath: string, mode: ClaimMode): void {
    try {
      this.#releases.push(claimFile(realPath, mode));
    } catch (error) {
      if (!(error instanceof ClaimedError)) {
        throw new UserError(
          `${code}-io`,
          `${noun} ${path}: its directory must be writable, for a lock: ${reasonOf(error)}`,
        );
      }
      const use = mode === 'exclusive' ? 'in use' : 'being written';
      throw new UserError(
        `${code}-locked`,
        `${noun} ${path}: ${use} by process ${error.pid}` +
          (error.doubtfulClaim === undefined
            ? '; stop it first, or give this machine a copy of the image'
            : ` of another container or host; if that is gone, delete ${error.doubtfulClaim}`),
      );
    }
  }

  #reading<T>(path: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw new UserError('disk-io', `disk image ${path}: cannot be read: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }
}

class OpenDisk implements DiskFile {
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  readonly notices: readonly string[];
  pending = 0;
  readonly #name: string;
  readonly #environment: DiskEnvironment;
  readonly #image: DiskImage;
  /** The same, where it may be written. */
  readonly #writable: WritableDiskImage | undefined;
  readonly #opening: Opening;
  readonly #reported = new Set<string>();
  #isClosed = false;

  constructor(options: DiskFileOptions, environment: DiskEnvironment, image: DiskImage, opening: Opening) {
    this.sizeBytes = image.sizeBytes;
    this.isReadOnly = options.isReadOnly;
    this.notices = opening.notices;
    this.#name = `disk image ${options.path}`;
    this.#environment = environment;
    this.#image = image;
    this.#writable = options.isReadOnly ? undefined : (image as WritableDiskImage);
    this.#opening = opening;
  }

  read(offset: number, into: BlockTarget, done: BlockDone): void {
    const parts = into.lend();
    done(parts !== undefined && this.#attempt('read', () => this.#image.read(offset, parts)));
  }

  write(offset: number, from: Uint8Array, done: BlockDone): void {
    done(this.#attempt('written', () => this.#writable?.write(offset, from)));
  }

  writeZeros(offset: number, length: number, done: BlockDone): void {
    done(this.#attempt('written', () => this.#writable?.writeZeros(offset, length)));
  }

  discard(offset: number, length: number, done: BlockDone): void {
    done(this.#attempt('written', () => this.#writable?.discard(offset, length)));
  }

  flush(done: BlockDone): void {
    const writable = this.#writable;
    if (!this.#environment.flushesLater || !writable?.flushLater) {
      done(this.#attempt('flushed', () => writable?.flush()));
      return;
    }
    this.pending++;
    let isNow = true;
    writable.flushLater((error) => {
      this.pending--;
      if (this.#isClosed) return;
      done(
        this.#attempt('flushed', () => {
          if (error) throw error;
        }),
      );
      if (!isNow) this.#environment.onDone();
    });
    isNow = false;
  }

  sync(): void {
    try {
      this.#writable?.flush();
    } catch (error) {
      throw new UserError('disk-io', this.#failure('flushed', error), { cause: error });
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.sync();
    } finally {
      this.#image.close();
      this.#opening.release();
    }
  }

  /** The guest hears of an I/O error, and the user why, once. */
  #attempt(what: string, action: () => void): boolean {
    try {
      action();
      return true;
    } catch (error) {
      const line = this.#failure(what, error);
      if (!this.#reported.has(line)) this.#environment.onFailure(line);
      this.#reported.add(line);
      return false;
    }
  }

  #failure(what: string, error: unknown): string {
    return `${this.#name}: cannot be ${what}: ${reasonOf(error)}`;
  }
}
