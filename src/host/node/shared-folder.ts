/**
 * A folder of the host for guests. Nothing outside is reached, whatever the guest puts into the folder and whatever
 * changes there meanwhile: a path is walked name by name, each directory is opened without following a symbolic link,
 * and the next name is looked up in what was opened (on Linux through /proc/self/fd, for want of openat(2) in Node).
 * Only regular files are opened, so nothing waits for the other end of a pipe or wakes a device.
 *
 * Elsewhere than on Linux, or without /proc, each directory on the way is looked at first and then named by its path:
 * that is as good unless another process of the host replaces directories by links at the same moment.
 *
 * @deviation Times of files are set to about a microsecond, which is what Node's interface can express.
 */
import * as fs from 'node:fs';
import { ERRNO, ShareError } from '../../bus/index.js';
import type {
  AttributeChanges, ByteString, ErrorName, FileAttributes, FileShare, FileSystemStatistics, ShareFile, ShareOpenOptions,
  SharePath,
} from '../../bus/index.js'; // prettier-ignore
import { UserError } from '../../base/index.js';
import { reasonOf } from './image-file.js';

const {
  O_RDONLY,
  O_WRONLY,
  O_RDWR,
  O_CREAT,
  O_EXCL,
  O_APPEND,
  O_SYNC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_NOCTTY,
} = fs.constants;
/** Linux on all of Node's architectures: an open file that is a place and nothing else. */
const O_PATH = 0o10000000;

const ACCESS = { read: O_RDONLY, write: O_WRONLY, 'read-write': O_RDWR } as const;
const NS_PER_S = 1e9;

export interface SharedFolderOptions {
  readonly directory: string;
  readonly isReadOnly: boolean;
  /** For tests: `path` walks as elsewhere than on Linux. Left out: as the host can. */
  readonly walk?: 'descriptor' | 'path';
}

/** What a walk has come to: a directory, by a name that no link leads away from, and what is open for that. */
interface Place {
  readonly directory: ByteString;
  close(): void;
}

export class SharedFolder implements FileShare {
  readonly #isReadOnly: boolean;
  readonly #byDescriptor: boolean;
  readonly #rootFd: number | undefined;
  readonly #root: ByteString;
  /** Ids of files by device and inode, in the order in which they were met: the same in every run. */
  readonly #ids = new Map<string, number>();
  #lastId = 0;

  /** @throws {UserError} `share-missing`, `share-not-a-directory`, `share-unreadable` */
  constructor({ directory, isReadOnly, walk }: SharedFolderOptions) {
    const fail = (what: string, text: string, cause?: unknown): never => {
      throw new UserError(`share-${what}`, `shared folder ${directory}: ${text}; accepted: a directory`, {
        cause,
      });
    };
    let realPath = '';
    try {
      realPath = fs.realpathSync(directory);
      if (!fs.statSync(realPath).isDirectory()) fail('not-a-directory', 'is no directory');
      fs.accessSync(realPath, fs.constants.X_OK);
    } catch (error) {
      if (error instanceof UserError) throw error;
      const isMissing = codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';
      if (isMissing) fail('missing', 'does not exist', error);
      fail('unreadable', `cannot be used: ${reasonOf(error)}`, error);
    }
    this.#isReadOnly = isReadOnly;
    this.#byDescriptor =
      walk === undefined
        ? process.platform === 'linux' && fs.existsSync('/proc/self/fd')
        : walk === 'descriptor';
    this.#rootFd = this.#byDescriptor ? fs.openSync(realPath, O_PATH | O_DIRECTORY) : undefined;
    this.#root =
      this.#rootFd === undefined ? Buffer.from(realPath).toString('latin1') : placeOf(this.#rootFd);
  }

  /** Nothing is to be called afterwards. */
  close(): void {
    if (this.#rootFd !== undefined) fs.closeSync(this.#rootFd);
  }

  attributes(path: SharePath): FileAttributes {
    return this.#at(path, (entry) => this.#attributesOf(fs.lstatSync(entry, { bigint: true })));
  }

  open(path: SharePath, options: ShareOpenOptions): ShareFile {
    if (options.access !== 'read' || options.isTruncated) this.#refuseChanges();
    return this.#at(path, (entry) => {
      refuseSpecial(fs.lstatSync(entry));
      return this.#openFile(entry, options, 0);
    });
  }

  create(path: SharePath, mode: number, options: ShareOpenOptions): ShareFile {
    this.#refuseChanges();
    return this.#at(path, (entry) => this.#openFile(entry, options, O_CREAT | O_EXCL, mode));
  }

  list(path: SharePath): ByteString[] {
    return this.#inDirectory(path, (directory) =>
      fs
        .readdirSync(bytesOf(`${directory}/.`), { encoding: 'buffer' })
        .map((name) => name.toString('latin1'))
        .sort(),
    );
  }

  readLink(path: SharePath): ByteString {
    return this.#at(path, (entry) => fs.readlinkSync(entry, 'buffer').toString('latin1'));
  }

  makeDirectory(path: SharePath, mode: number): void {
    this.#change(path, (entry) => fs.mkdirSync(entry, mode));
  }

  makeSymlink(path: SharePath, target: ByteString): void {
    this.#change(path, (entry) => {
      fs.symlinkSync(bytesOf(target), entry);
    });
  }

  makeLink(existing: SharePath, path: SharePath): void {
    this.#change(path, (entry) => {
      this.#at(existing, (old) => {
        // link(2) follows symbolic links on some systems.
        if (fs.lstatSync(old).isSymbolicLink()) throw new ShareError('EPERM');
        fs.linkSync(old, entry);
      });
    });
  }

  rename(from: SharePath, to: SharePath): void {
    this.#change(to, (entry) => {
      this.#at(from, (old) => {
        const replaced = fs.lstatSync(entry, { bigint: true, throwIfNoEntry: false });
        const moved = fs.lstatSync(old, { bigint: true });
        fs.renameSync(old, entry);
        if (replaced && replaced.ino !== moved.ino) this.#removed(replaced);
      });
    });
  }

  unlink(path: SharePath): void {
    this.#change(path, (entry) => {
      const stat = fs.lstatSync(entry, { bigint: true });
      fs.unlinkSync(entry);
      this.#removed(stat);
    });
  }

  removeDirectory(path: SharePath): void {
    this.#change(path, (entry) => {
      const stat = fs.lstatSync(entry, { bigint: true });
      fs.rmdirSync(entry);
      this.#removed(stat);
    });
  }

  setAttributes(path: SharePath, changes: AttributeChanges): void {
    const { mode, uid, gid, sizeBytes, accessNs, modificationNs } = changes;
    this.#refuseChanges();
    this.#at(path, (entry) => {
      const stat = fs.lstatSync(entry);
      if (sizeBytes !== undefined) {
        refuseSpecial(stat);
        const file = this.#openFile(
          entry,
          { access: 'write', isTruncated: false, isAppending: false, isSynchronous: false },
          0,
        );
        try {
          file.truncate(sizeBytes);
        } finally {
          file.close();
        }
      }
      // Set-ID bits go with a change of owner: it comes first.
      if (uid !== undefined || gid !== undefined) fs.lchownSync(entry, uid ?? stat.uid, gid ?? stat.gid);
      if (mode !== undefined) this.#changeMode(entry, mode);
      if (accessNs !== undefined || modificationNs !== undefined) {
        fs.lutimesSync(entry, secondsOf(accessNs, stat.atimeMs), secondsOf(modificationNs, stat.mtimeMs));
      }
    });
  }

  statistics(path: SharePath): FileSystemStatistics {
    return this.#inDirectory(path.slice(0, -1), (directory) => {
      const { bsize, blocks, bfree, bavail, files, ffree } = fs.statfsSync(bytesOf(`${directory}/.`));
      return {
        blockBytes: bsize,
        blocks,
        freeBlocks: bfree,
        availableBlocks: bavail,
        files,
        freeFiles: ffree,
      };
    });
  }

  /** One name of a file is gone, or a directory. Its inode may become another file's. */
  #removed(stat: fs.BigIntStats): void {
    if (stat.isDirectory() || stat.nlink === 1n) this.#ids.delete(keyOf(stat));
  }

  #refuseChanges(): void {
    if (this.#isReadOnly) throw new ShareError('EROFS');
  }

  #change(path: SharePath, change: (entry: Buffer) => void): void {
    this.#refuseChanges();
    // The root is neither made nor removed.
    if (path.length === 0) throw new ShareError('EBUSY');
    this.#at(path, change);
  }

  /** Opens what must be a regular file by the time it is open. */
  #openFile(
    entry: Buffer,
    { access, isTruncated, isAppending, isSynchronous }: ShareOpenOptions,
    flags: number,
    mode = 0,
  ): ShareFile {
    const all =
      flags |
      ACCESS[access] |
      O_NOFOLLOW |
      O_NONBLOCK |
      O_NOCTTY |
      (isAppending ? O_APPEND : 0) |
      (isSynchronous ? O_SYNC : 0);
    const fd = fs.openSync(entry, all, mode);
    try {
      refuseSpecial(fs.fstatSync(fd));
      if (isTruncated) fs.ftruncateSync(fd, 0);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
    return new OpenSharedFile(fd, (stat) => this.#attributesOf(stat));
  }

  #changeMode(entry: Buffer, mode: number): void {
    if (!this.#byDescriptor) {
      // chmod(2) would follow it.
      if (fs.lstatSync(entry).isSymbolicLink()) throw new ShareError('EOPNOTSUPP');
      fs.chmodSync(entry, mode);
      return;
    }
    const fd = fs.openSync(entry, O_PATH | O_NOFOLLOW);
    try {
      // The file itself, be it a link: Linux refuses that.
      fs.chmodSync(placeOf(fd), mode);
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Calls `use` with a name for the file by which it can be used as long as no final link is followed. */
  #at<Result>(path: SharePath, use: (entry: Buffer) => Result): Result {
    // The directory itself, not the link to it in /proc.
    const name = path.at(-1) ?? '.';
    return this.#inDirectory(path.slice(0, -1), (directory) => use(bytesOf(`${directory}/${name}`)));
  }

  /** Calls `use` with a name for a directory, and passes on what goes wrong as the guest will see it. */
  #inDirectory<Result>(path: SharePath, use: (directory: ByteString) => Result): Result {
    return asShareErrors(() => {
      let place: Place = { directory: this.#root, close: () => undefined };
      try {
        for (const name of path) {
          const next = this.#enter(`${place.directory}/${name}`);
          place.close();
          place = next;
        }
        return use(place.directory);
      } finally {
        place.close();
      }
    });
  }

  #enter(directory: ByteString): Place {
    if (this.#byDescriptor) {
      const fd = fs.openSync(bytesOf(directory), O_PATH | O_DIRECTORY | O_NOFOLLOW);
      return {
        directory: placeOf(fd),
        close: () => {
          fs.closeSync(fd);
        },
      };
    }
    if (!fs.lstatSync(bytesOf(directory)).isDirectory()) throw new ShareError('ENOTDIR');
    return { directory, close: () => undefined };
  }

  #attributesOf(stat: fs.BigIntStats): FileAttributes {
    const key = keyOf(stat);
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = ++this.#lastId;
      this.#ids.set(key, id);
    }
    return {
      id,
      mode: Number(stat.mode),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      links: Number(stat.nlink),
      device: Number(stat.rdev),
      sizeBytes: Number(stat.size),
      blockBytes: Number(stat.blksize),
      blocks: Number(stat.blocks),
      accessNs: stat.atimeNs,
      modificationNs: stat.mtimeNs,
      changeNs: stat.ctimeNs,
    };
  }
}

class OpenSharedFile implements ShareFile {
  readonly #fd: number;
  readonly #attributesOf: (stat: fs.BigIntStats) => FileAttributes;

  constructor(fd: number, attributesOf: (stat: fs.BigIntStats) => FileAttributes) {
    this.#fd = fd;
    this.#attributesOf = attributesOf;
  }

  attributes(): FileAttributes {
    return asShareErrors(() => this.#attributesOf(fs.fstatSync(this.#fd, { bigint: true })));
  }

  read(offset: number, into: Uint8Array): number {
    return asShareErrors(() => fs.readSync(this.#fd, into, 0, into.length, offset));
  }

  write(offset: number, from: Uint8Array): number {
    return asShareErrors(() => fs.writeSync(this.#fd, from, 0, from.length, offset));
  }

  truncate(sizeBytes: number): void {
    asShareErrors(() => {
      fs.ftruncateSync(this.#fd, sizeBytes);
    });
  }

  sync(): void {
    asShareErrors(() => {
      fs.fsyncSync(this.#fd);
    });
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

/** A name that leads to an open file (proc(5)). */
function placeOf(fd: number): ByteString {
  return `/proc/self/fd/${fd}`;
}

function bytesOf(text: ByteString): Buffer {
  return Buffer.from(text, 'latin1');
}

function keyOf({ dev, ino }: fs.BigIntStats): string {
  return `${dev} ${ino}`;
}

/** Opening others would follow a link, or wait, or do something to a device. */
function refuseSpecial(stat: fs.Stats): void {
  if (stat.isFile()) return;
  if (stat.isDirectory()) throw new ShareError('EISDIR');
  throw new ShareError(stat.isSymbolicLink() ? 'ELOOP' : 'ENXIO');
}

function secondsOf(time: bigint | 'now' | undefined, beforeMs: number): number {
  if (time === 'now') return Date.now() / 1000;
  return time === undefined ? beforeMs / 1000 : Number(time) / NS_PER_S;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** What the host's system refuses is an error for the guest; anything else is a bug. */
function asShareErrors<Result>(action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    if (error instanceof ShareError || codeOf(error) === '') throw error;
    // Node and POSIX call two errors by one number on Linux.
    const code = codeOf(error) === 'ENOTSUP' ? 'EOPNOTSUPP' : codeOf(error);
    throw new ShareError(isErrorName(code) ? code : 'EIO');
  }
}

function isErrorName(code: string): code is ErrorName {
  return Object.hasOwn(ERRNO, code);
}
