/**
 * Image files of flash devices.
 *
 * A `--flash` image is the flash array, byte for byte: other emulators read and write the same file. It is claimed
 * for one process (file-claim.ts), never grows, never shrinks, and nothing outside the part in use is written.
 *
 * A commit is all or nothing across `kill -9`: the changed sectors go to a journal beside the image
 * (`<image>.v8a-journal`), then into the image, then the journal is removed. A journal found at the next open is
 * replayed if it is complete and thrown away if it is not. With `fsyncEachCommit` the same holds across a crash of
 * the host; without, the host may write in any order, and only what was last synced, at the latest by `close`, is
 * certain.
 */
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { GIB, KIB, MIB, UserError } from '../../base/index.js';
import type { FlashRange, FlashStorage } from '../../bus/index.js';
import { claimFile, ClaimedError, type ClaimMode } from './file-claim.js';
import { decodeJournal, encodeJournal, type Journal, type JournalRange } from './flash-journal.js';
import {
  loadImage,
  openImage,
  readFully,
  reasonOf,
  writeFully,
  type HostFiles,
  type ImageKind,
  type ImageSink,
} from './image-file.js';

/** What is compared and written at least: disks write no less. */
const SECTOR_BYTES = 512;

const FLASH: ImageKind = {
  code: 'flash',
  noun: 'flash image',
  advice: 'copy a variable store template to it (on Debian /usr/share/AAVMF/AAVMF_VARS.fd)',
};

/** Where the file's size is the flash's, any file will do: firmware makes a variable store of it. */
const TRIMMED_FLASH: ImageKind = { ...FLASH, advice: 'make one, for instance with truncate -s 2M' };

const FIRMWARE: ImageKind = {
  code: 'firmware',
  noun: 'firmware image',
  advice: 'give the file of a UEFI build (on Debian /usr/share/AAVMF/AAVMF_CODE.fd)',
};

export interface FlashFileOptions {
  readonly path: string;
  /** The most that the board has room for; a power of two. */
  readonly bankBytes: number;
  /** Erase block of the device; a power of two. */
  readonly blockBytes: number;
  /**
   * What of the file becomes flash. `blocks` (virt): all of it, which must be whole blocks and fit the bank. The
   * device stays as large as the bank; what the file does not back reads as erased, and its blocks must be given to
   * the device as not writable (`writableBytes: sizeBytes`), so that no write is taken that would be lost.
   * `power-of-two` (kvmtool): the device is as large as the greatest power of two in the file, at most the bank;
   * a notice tells what is left out.
   */
  readonly sizing: 'blocks' | 'power-of-two';
  /** Default: false, the host's caches are flushed only by `sync` and `close`. */
  readonly fsyncEachCommit?: boolean;
  /** For tests. */
  readonly files?: HostFiles;
}

/** An open image. Its methods throw `UserError` with code `flash-io` where the host fails. */
export interface FlashFile extends FlashStorage {
  /** As given. */
  readonly path: string;
  /** Bytes from the start of the file that are the flash's. */
  readonly sizeBytes: number;
  /** What the user should know, one line each. */
  readonly notices: readonly string[];
  /** Hands over the image, from its start to its end. */
  load(into: ImageSink): void;
  /** Syncs, closes and gives the file free. Calling it again does nothing. */
  close(): void;
}

/**
 * Opens a `--flash` image for one machine, finishing or dropping what a killed machine left in its journal.
 *
 * @throws UserError: `flash-missing`, `-directory`, `-not-a-file`, `-unreadable`, `-read-only`, `-empty`,
 * `-too-small`, `-too-large`, `-size`, `-locked`, `-io`. The image has not changed then.
 */
export function openFlashFile(options: FlashFileOptions): FlashFile {
  const { path, files = fs } = options;
  const {
    fd,
    realPath,
    sizeBytes: fileBytes,
  } = openImage(files, options.sizing === 'blocks' ? FLASH : TRIMMED_FLASH, path, true);
  let release: (() => void) | undefined;
  try {
    const { sizeBytes, notices } = sizeOf(options, fileBytes);
    release = claim(path, realPath);
    return new NodeFlashFile({ options, files, fd, realPath, fileBytes, sizeBytes, notices, release });
  } catch (error) {
    files.closeSync(fd);
    release?.();
    throw error;
  }
}

/** The greatest image that is read or made as a whole. */
export const MAX_IMAGE_BYTES = GIB;

/** An image of any size for one who changes it, such as `v8a vars`. */
export function openWholeFlashFile(path: string): FlashFile {
  return openFlashFile({
    path,
    bankBytes: MAX_IMAGE_BYTES,
    blockBytes: 1,
    sizing: 'blocks',
    fsyncEachCommit: true,
  });
}

/** All of `file`. */
export function contentsOf(file: FlashFile): Uint8Array {
  const contents = new Uint8Array(file.sizeBytes);
  file.load((offset, bytes) => contents.set(bytes, offset));
  return contents;
}

/**
 * Reads an image that no machine has open; it need not be writable. What a killed machine left in its journal is put
 * into it first.
 *
 * @throws UserError as `openFlashFile`.
 */
export function readFlashFile(path: string): Uint8Array {
  const { fd, realPath, sizeBytes } = openImage(fs, FLASH, path, false);
  let release: (() => void) | undefined;
  try {
    release = claim(path, realPath, 'shared');
    if (!fs.existsSync(journalOf(realPath))) {
      sizeOf({ path, bankBytes: MAX_IMAGE_BYTES, blockBytes: 1, sizing: 'blocks' }, sizeBytes);
      const contents = new Uint8Array(sizeBytes);
      try {
        loadImage(fs, fd, sizeBytes, (offset, bytes) => contents.set(bytes, offset));
      } catch (error) {
        throw new UserError('flash-io', `flash image ${path}: cannot be read: ${reasonOf(error)}`);
      }
      return contents;
    }
  } finally {
    fs.closeSync(fd);
    release?.();
  }
  const file = openWholeFlashFile(path);
  try {
    return contentsOf(file);
  } finally {
    file.close();
  }
}

/**
 * Makes an erased image.
 *
 * @throws UserError `flash-exists`, `flash-io`. What was begun is gone then.
 */
export function createFlashFile(path: string, sizeBytes: number): void {
  let fd: number;
  try {
    fd = fs.openSync(path, 'wx', 0o666);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'EEXIST') {
      throw new UserError('flash-exists', `flash image ${path}: exists; accepted: the name of a new file`);
    }
    const reason = code === 'ENOENT' || code === 'ENOTDIR' ? 'its directory does not exist' : reasonOf(error);
    throw new UserError('flash-uncreatable', `flash image ${path}: cannot be created: ${reason}`);
  }
  let isWhole = false;
  try {
    const chunk = new Uint8Array(Math.min(sizeBytes, MIB)).fill(0xff);
    for (let at = 0; at < sizeBytes; at += chunk.length) {
      writeFully(fs, fd, chunk.subarray(0, Math.min(chunk.length, sizeBytes - at)), at);
    }
    fs.fsyncSync(fd);
    isWhole = true;
  } catch (error) {
    throw new UserError('flash-io', `flash image ${path}: cannot be written: ${reasonOf(error)}`);
  } finally {
    fs.closeSync(fd);
    if (!isWhole) fs.rmSync(path, { force: true });
  }
}

/** A firmware image: only ever read. */
export interface FirmwareFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Hands over the image, from its start to its end. */
  load(into: ImageSink): void;
  close(): void;
}

/**
 * Opens a `--firmware` image for a bank of `bankBytes`; smaller ones are fine.
 *
 * @throws UserError: `firmware-missing`, `-directory`, `-not-a-file`, `-unreadable`, `-empty`, `-too-large`.
 */
export function openFirmwareFile(path: string, bankBytes: number, files: HostFiles = fs): FirmwareFile {
  const { fd, sizeBytes } = openImage(files, FIRMWARE, path, false);
  if (sizeBytes > bankBytes) {
    files.closeSync(fd);
    throw new UserError(
      'firmware-too-large',
      `firmware image ${path}: ${sizeText(sizeBytes)} do not fit the flash bank of ${sizeText(bankBytes)}`,
    );
  }
  let isOpen = true;
  return {
    path,
    sizeBytes,
    load: (into) => {
      try {
        loadImage(files, fd, sizeBytes, into);
      } catch (error) {
        throw new UserError('firmware-io', `firmware image ${path}: cannot be read: ${reasonOf(error)}`);
      }
    },
    close: () => {
      if (isOpen) files.closeSync(fd);
      isOpen = false;
    },
  };
}

function sizeOf(options: FlashFileOptions, fileBytes: number): { sizeBytes: number; notices: string[] } {
  const { path, bankBytes, blockBytes, sizing } = options;
  const fail = (what: string, text: string): never => {
    throw new UserError(`flash-${what}`, `flash image ${path}: ${text}`);
  };
  if (sizing === 'power-of-two') return trimFlash(`flash image ${path}`, fileBytes, bankBytes, blockBytes);
  if (fileBytes < blockBytes) fail('too-small', tooSmall(fileBytes, blockBytes));
  if (fileBytes > bankBytes) {
    fail('too-large', `${sizeText(fileBytes)} do not fit the flash bank of ${sizeText(bankBytes)}`);
  }
  if (fileBytes % blockBytes !== 0) {
    fail(
      'size',
      `its size of ${fileBytes} bytes is not a multiple of the erase block of ${sizeText(blockBytes)}`,
    );
  }
  return { sizeBytes: fileBytes, notices: [] };
}

/**
 * How much of an image of `bytes` is flash where flash is as large as a power of two, at most `mostBytes`.
 *
 * @throws UserError: `flash-too-small`, where that is less than a block.
 */
export function trimFlash(
  name: string,
  bytes: number,
  mostBytes: number,
  blockBytes: number,
): { sizeBytes: number; notices: string[] } {
  if (bytes < blockBytes) throw new UserError('flash-too-small', `${name}: ${tooSmall(bytes, blockBytes)}`);
  const sizeBytes = Math.min(2 ** Math.floor(Math.log2(bytes)), mostBytes);
  const notices = [`${name} is ${bytes} bytes, only ${sizeBytes} of it are used; the rest is left as it is`];
  return { sizeBytes, notices: sizeBytes === bytes ? [] : notices };
}

function tooSmall(bytes: number, blockBytes: number): string {
  return `${sizeText(bytes)} are less than one erase block of ${sizeText(blockBytes)}`;
}

function journalOf(realPath: string): string {
  return `${realPath}.v8a-journal`;
}

function sizeText(bytes: number): string {
  if (bytes >= 1024 * KIB && bytes % (1024 * KIB) === 0) return `${bytes / 1024 / KIB} MiB`;
  return bytes >= KIB && bytes % KIB === 0 ? `${bytes / KIB} KiB` : `${bytes} bytes`;
}

function claim(path: string, realPath: string, mode?: ClaimMode): () => void {
  try {
    return claimFile(realPath, mode);
  } catch (error) {
    if (!(error instanceof ClaimedError)) {
      throw new UserError(
        'flash-io',
        `flash image ${path}: its directory must be writable, for a lock and a journal: ${reasonOf(error)}`,
      );
    }
    throw new UserError(
      'flash-locked',
      `flash image ${path}: in use by process ${error.pid}` +
        (error.doubtfulClaim === undefined
          ? '; stop it first, or use a copy of the image'
          : ` of another container or host; if that is gone, delete ${error.doubtfulClaim}`),
    );
  }
}

interface OpenFlashFile {
  readonly options: FlashFileOptions;
  readonly files: HostFiles;
  readonly fd: number;
  readonly realPath: string;
  readonly fileBytes: number;
  readonly sizeBytes: number;
  readonly notices: string[];
  readonly release: () => void;
}

class NodeFlashFile implements FlashFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly notices: string[];
  readonly #open: OpenFlashFile;
  readonly #files: HostFiles;
  readonly #journalPath: string;
  /** Complete on disk, but not known to be wholly in the image: it goes in before anything else does. */
  #pending: Journal | undefined;
  /** A journal that could not be completed lies on disk. */
  #hasDebris = false;
  #isClosed = false;

  constructor(open: OpenFlashFile) {
    this.path = open.options.path;
    this.sizeBytes = open.sizeBytes;
    this.notices = open.notices;
    this.#open = open;
    this.#files = open.files;
    this.#journalPath = journalOf(open.realPath);
    this.#guard('cannot be recovered', '', () => this.#recover());
  }

  load(into: ImageSink): void {
    this.#guard('cannot be read', '', () => loadImage(this.#files, this.#open.fd, this.sizeBytes, into));
  }

  commit(ranges: readonly FlashRange[]): void {
    const otherwise = '; the image is as the last commit left it';
    this.#guard('cannot be written', otherwise, () => {
      this.#finishPending();
      const changed = ranges.flatMap((range) => this.#changedSectors(range));
      if (changed.length === 0) return;
      const journal = { imageBytes: this.#open.fileBytes, ranges: changed };
      this.#writeJournal(encodeJournal(journal));
      this.#pending = journal;
      this.#finishPending();
    });
  }

  write({ offset, bytes }: FlashRange): void {
    this.#guard('cannot be written', '', () => {
      this.#finishPending();
      this.#checkRange(offset, bytes.length);
      writeFully(this.#files, this.#open.fd, bytes, offset);
      if (this.#fsyncs) this.#files.fsyncSync(this.#open.fd);
    });
  }

  sync(): void {
    this.#guard('cannot be synced', '', () => {
      this.#finishPending();
      this.#files.fsyncSync(this.#open.fd);
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.sync();
    } finally {
      this.#files.closeSync(this.#open.fd);
      this.#open.release();
    }
  }

  get #fsyncs(): boolean {
    return this.#open.options.fsyncEachCommit === true;
  }

  /** Runs `action` and turns what the host throws into one line that also says where the data is. */
  #guard(what: string, otherwise: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof UserError) throw error;
      const isJournal = error instanceof Error && 'path' in error && error.path === this.#journalPath;
      const at = isJournal ? ` (${this.#journalPath})` : '';
      const kept =
        this.#pending === undefined
          ? otherwise
          : `; the last changes are kept in ${this.#journalPath} and go in when the image is next opened`;
      throw new UserError('flash-io', `flash image ${this.path}: ${what}: ${reasonOf(error)}${at}${kept}`, {
        cause: error,
      });
    }
  }

  /** The sectors of `range` that differ from the file, as few ranges as possible. */
  #changedSectors({ offset, bytes }: FlashRange): JournalRange[] {
    // Whole sectors: the array's neighbours of a range are what the file has, or belong to another range.
    this.#checkRange(offset, bytes.length);
    const stored = new Uint8Array(bytes.length);
    readFully(this.#files, this.#open.fd, stored, offset);
    const changed: JournalRange[] = [];
    let start = -1;
    for (let at = 0; at <= bytes.length; at += SECTOR_BYTES) {
      const end = at + SECTOR_BYTES;
      const differs =
        at < bytes.length && Buffer.compare(bytes.subarray(at, end), stored.subarray(at, end)) !== 0;
      if (differs && start < 0) start = at;
      if (!differs && start >= 0) {
        changed.push({
          offset: offset + start,
          // A copy: the guest goes on writing while a failed commit waits to be finished.
          bytes: bytes.slice(start, at),
          before: stored.subarray(start, at),
        });
        start = -1;
      }
    }
    return changed;
  }

  #checkRange(offset: number, length: number): void {
    const { fd, fileBytes } = this.#open;
    if (offset < 0 || offset + length > this.sizeBytes) {
      throw new RangeError(`${offset}+${length} is outside the image`);
    }
    if (this.#files.fstatSync(fd).size < fileBytes) throw new Error('the file has become shorter');
  }

  #writeJournal(bytes: Uint8Array): void {
    this.#removeDebris();
    let fd: number | undefined;
    try {
      // "wx": nothing may be there, and no symbolic link is followed.
      fd = this.#files.openSync(this.#journalPath, 'wx', 0o600);
      this.#hasDebris = true;
      writeFully(this.#files, fd, bytes, 0);
      if (this.#fsyncs) this.#files.fsyncSync(fd);
      this.#files.closeSync(fd);
      fd = undefined;
      if (this.#fsyncs) this.#syncDirectory();
      this.#hasDebris = false;
    } catch (error) {
      // A journal that failed is worth nothing, and on a full disk its room is.
      try {
        if (fd !== undefined) this.#files.closeSync(fd);
        this.#removeDebris();
      } catch {
        // The error being handled says more. What is left goes at the next commit or open.
      }
      throw error;
    }
  }

  #removeDebris(): void {
    if (!this.#hasDebris) return;
    this.#files.unlinkSync(this.#journalPath);
    this.#hasDebris = false;
  }

  #finishPending(isDurable = this.#fsyncs): void {
    if (!this.#pending) return;
    const { fd } = this.#open;
    for (const { offset, bytes } of this.#pending.ranges) {
      this.#checkRange(offset, bytes.length);
      writeFully(this.#files, fd, bytes, offset);
    }
    if (isDurable) this.#files.fsyncSync(fd);
    this.#files.unlinkSync(this.#journalPath);
    this.#pending = undefined;
  }

  #syncDirectory(): void {
    const fd = this.#files.openSync(dirname(this.#journalPath), 'r');
    try {
      this.#files.fsyncSync(fd);
    } finally {
      this.#files.closeSync(fd);
    }
  }

  #recover(): void {
    let file: Buffer;
    try {
      if (!this.#files.lstatSync(this.#journalPath).isFile()) {
        throw new Error(`${this.#journalPath} is not a regular file`);
      }
      file = this.#files.readFileSync(this.#journalPath);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
      throw error;
    }
    const journal = decodeJournal(file);
    if (journal && this.#belongs(journal)) {
      this.#pending = journal;
      this.#finishPending(true);
      return;
    }
    if (journal) {
      this.notices.push(
        `flash image ${this.path}: changed by another program since v8a was killed; the changes that v8a had not finished writing are dropped`,
      );
    }
    this.#files.unlinkSync(this.#journalPath);
  }

  /** True where each byte of the image is as it was before the commit or as it was to be after it. */
  #belongs({ imageBytes, ranges }: Journal): boolean {
    if (imageBytes !== this.#open.fileBytes) return false;
    return ranges.every(({ offset, bytes, before }) => {
      if (offset < 0 || offset + bytes.length > this.sizeBytes) return false;
      const stored = new Uint8Array(bytes.length);
      readFully(this.#files, this.#open.fd, stored, offset);
      return stored.every((byte, index) => byte === bytes[index] || byte === before[index]);
    });
  }
}
