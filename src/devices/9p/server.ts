/**
 * A 9P2000.L server: answers requests about a share, one at a time.
 *
 * A fid is a path from the share's root, perhaps with the file open. Names are resolved by the share each time, so a
 * directory that was replaced by a symbolic link leads nowhere. When something is renamed, the fids below it go along.
 *
 * @deviation Nobody is authenticated: all files are used as the user who runs v8a. Set-user-ID and set-group-ID bits
 * are not passed on to the host.
 * @deviation There are no extended attributes (xattrwalk, xattrcreate: EOPNOTSUPP), and of special files none can be
 * made (mknod: EPERM) or opened.
 * @deviation Locks always succeed: the guest's own kernel keeps its programs from each other, the host's programs see
 * no locks.
 */
import type {
  AttributeChanges, ByteString, FileAttributes, FileShare, ShareFile, ShareOpenOptions, SharePath,
} from '../../bus/index.js'; // prettier-ignore
import { ERRNO, FILE_TYPE, ShareError } from '../../bus/index.js';
import {
  DATA_HEADER_BYTES, HEADER_BYTES, LERROR_BYTES, LERROR_REPLY, MessageReader, MessageWriter, NO_TAG, REQUEST,
} from './message.js'; // prettier-ignore

const VERSION = '9P2000.L';
/** Longest message. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;
/** What Linux needs at least. */
const MIN_MESSAGE_BYTES = 4096;

/** What a guest may use of the host. */
const MAX_FIDS = 65536;
const MAX_OPEN_FILES = 1024;
const MAX_LISTED_NAMES = 1024 * 1024;
/** Linux: limits.h. */
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 4095;
/** 9P2000, walk(5). */
const MAX_WALK_NAMES = 16;

/** Flags of lopen and lcreate: as in Linux on x86. */
const OPEN = {
  ACCESS: 3, EXCL: 0o200, TRUNC: 0o1000, APPEND: 0o2000, DSYNC: 0o10000, DIRECTORY: 0o200000, SYNC: 0o4000000,
} as const; // prettier-ignore
const ACCESS = ['read', 'write', 'read-write'] as const;

/** `valid` of setattr. */
const SET = {
  MODE: 1,
  UID: 2,
  GID: 4,
  SIZE: 8,
  ATIME: 16,
  MTIME: 32,
  ATIME_SET: 128,
  MTIME_SET: 256,
} as const;
/** `valid` of getattr: everything that Linux calls basic. */
const GETATTR_BASIC = 0x7ff;
const QID_TYPE = { FILE: 0, SYMLINK: 0x02, DIRECTORY: 0x80 } as const;
const UNLINKAT_REMOVE_DIRECTORY = 0x200;
const LOCK_SUCCESS = 0;
const LOCK_TYPE_UNLOCKED = 2;
/** The type of file system that statfs tells (Linux include/uapi/linux/magic.h). */
const V9FS_MAGIC = 0x01021997;
/** Permissions and the sticky bit: nobody shall become another user by a file that a guest made. */
const MODE_BITS = 0o1777;
const NS_PER_S = 1_000_000_000n;

/** What is known of an open file. */
type OpenFid =
  | { readonly kind: 'directory'; names: readonly ByteString[] | undefined }
  /** Without `file`, which is opened when it is needed, after a snapshot was restored. */
  | { readonly kind: 'file'; readonly options: ShareOpenOptions; file: ShareFile | undefined };

interface Fid {
  path: SharePath;
  open: OpenFid | undefined;
}

export interface ServerState {
  readonly messageBytes: number;
  readonly fids: readonly {
    readonly fid: number;
    readonly path: SharePath;
    readonly open: 'no' | 'directory' | ShareOpenOptions;
  }[];
}

type Handler = (request: MessageReader, reply: MessageWriter) => void;

export class NinePServer {
  readonly #share: FileShare;
  readonly #fids = new Map<number, Fid>();
  /** Negotiated; 0 before. */
  #messageBytes = 0;
  #openFiles = 0;
  #listedNames = 0;

  constructor(share: FileShare) {
    this.#share = share;
  }

  /** Forgets everything and closes what is open. */
  reset(): void {
    for (const fid of this.#fids.values()) this.#close(fid);
    this.#fids.clear();
    this.#messageBytes = 0;
  }

  /**
   * Answers one request with at most `room` bytes. Whatever the request is, there is an answer; it is empty only where
   * there is no room for an error.
   */
  answer(request: Uint8Array, room: number): Uint8Array {
    if (room < LERROR_BYTES) return new Uint8Array();
    let tag: number = NO_TAG;
    try {
      const header = new MessageReader(request);
      const [length, type] = [header.u32(), header.u8()];
      tag = header.u16();
      const limit = this.#messageBytes === 0 ? MAX_MESSAGE_BYTES : this.#messageBytes;
      if (length < HEADER_BYTES || length > Math.min(request.length, limit)) throw new ShareError('EPROTO');
      const handler = this.#handlers.get(type);
      if (!handler) throw new ShareError('EOPNOTSUPP');
      if (this.#messageBytes === 0 && type !== REQUEST.VERSION) throw new ShareError('EPROTO');
      const reply = replyOf(type + 1, tag, Math.min(room, limit));
      handler(new MessageReader(request.subarray(HEADER_BYTES, length)), reply);
      return reply.finish();
    } catch (error) {
      if (!(error instanceof ShareError)) throw error;
      return replyOf(LERROR_REPLY, tag, LERROR_BYTES).u32(ERRNO[error.code]).finish();
    }
  }

  saveState(): ServerState {
    return {
      messageBytes: this.#messageBytes,
      fids: Array.from(this.#fids, ([fid, { path, open }]) => ({
        fid,
        path,
        open: open === undefined ? 'no' : open.kind === 'directory' ? 'directory' : open.options,
      })),
    };
  }

  restoreState({ messageBytes, fids }: ServerState): void {
    this.reset();
    this.#messageBytes = messageBytes;
    for (const { fid, path, open } of fids) {
      this.#fids.set(fid, { path, open: undefined });
      if (open === 'no') continue;
      const made = this.#fid(fid);
      if (open === 'directory') made.open = { kind: 'directory', names: undefined };
      else made.open = { kind: 'file', options: { ...open, isTruncated: false }, file: undefined };
      if (open !== 'directory') this.#openFiles++;
    }
  }

  readonly #handlers: ReadonlyMap<number, Handler> = new Map<number, Handler>([
    [REQUEST.VERSION, (request, reply) => this.#version(request, reply)],
    [REQUEST.ATTACH, (request, reply) => this.#attach(request, reply)],
    [REQUEST.WALK, (request, reply) => this.#walk(request, reply)],
    [REQUEST.LOPEN, (request, reply) => this.#lopen(request, reply)],
    [REQUEST.LCREATE, (request, reply) => this.#lcreate(request, reply)],
    [REQUEST.READ, (request, reply) => this.#read(request, reply)],
    [REQUEST.WRITE, (request, reply) => this.#write(request, reply)],
    [REQUEST.READDIR, (request, reply) => this.#readdir(request, reply)],
    [REQUEST.GETATTR, (request, reply) => this.#getattr(request, reply)],
    [REQUEST.SETATTR, (request) => this.#setattr(request)],
    [REQUEST.STATFS, (request, reply) => this.#statfs(request, reply)],
    [REQUEST.LOCK, (request, reply) => this.#lock(request, reply)],
    [REQUEST.GETLOCK, (request, reply) => this.#getlock(request, reply)],
    [REQUEST.RENAME, (request) => this.#rename(request)],
    [REQUEST.RENAMEAT, (request) => this.#renameat(request)],
    [REQUEST.UNLINKAT, (request) => this.#unlinkat(request)],
    [REQUEST.REMOVE, (request) => this.#remove(request)],
    [
      REQUEST.SYMLINK,
      (request, reply) => {
        const path = this.#child(request);
        const target = request.string();
        if (target === '' || target.includes('\0')) throw new ShareError('EINVAL');
        if (target.length > MAX_PATH_BYTES) throw new ShareError('ENAMETOOLONG');
        this.#share.makeSymlink(path, target);
        this.#qidOf(path, reply);
      },
    ],
    [
      REQUEST.MKNOD,
      (request, reply) => {
        const path = this.#child(request);
        const mode = request.u32();
        if ((mode & FILE_TYPE.MASK) !== FILE_TYPE.REGULAR) throw new ShareError('EPERM');
        const options = {
          access: 'write',
          isTruncated: false,
          isAppending: false,
          isSynchronous: false,
        } as const;
        this.#share.create(path, mode & MODE_BITS, options).close();
        this.#qidOf(path, reply);
      },
    ],
    [
      REQUEST.MKDIR,
      (request, reply) => {
        const path = this.#child(request);
        this.#share.makeDirectory(path, request.u32() & MODE_BITS);
        this.#qidOf(path, reply);
      },
    ],
    [
      REQUEST.LINK,
      (request) => {
        const directory = this.#fid(request.u32());
        const existing = this.#fid(request.u32());
        this.#share.makeLink(existing.path, childOf(directory.path, request.string()));
      },
    ],
    [
      REQUEST.READLINK,
      (request, reply) => {
        reply.string(this.#share.readLink(this.#fid(request.u32()).path));
      },
    ],
    [
      REQUEST.FSYNC,
      (request) => {
        const fid = this.#fid(request.u32());
        if (fid.open?.kind === 'file') this.#fileOf(fid).sync();
        else if (!fid.open) throw new ShareError('EBADF');
      },
    ],
    [
      REQUEST.CLUNK,
      (request) => {
        this.#clunk(request.u32());
      },
    ],
    // Every request has been answered when the next one is looked at.
    [REQUEST.FLUSH, () => undefined],
  ]);

  #version(request: MessageReader, reply: MessageWriter): void {
    const messageBytes = Math.min(request.u32(), MAX_MESSAGE_BYTES);
    const version = request.string();
    if (messageBytes < MIN_MESSAGE_BYTES) throw new ShareError('EMSGSIZE');
    this.reset();
    if (version === VERSION) this.#messageBytes = messageBytes;
    reply.u32(messageBytes).string(version === VERSION ? VERSION : 'unknown');
  }

  #attach(request: MessageReader, reply: MessageWriter): void {
    const fid = request.u32();
    this.#refuseKnown(fid);
    this.#qidOf([], reply);
    this.#fids.set(fid, { path: [], open: undefined });
  }

  #walk(request: MessageReader, reply: MessageWriter): void {
    const [from, to, count] = [request.u32(), request.u32(), request.u16()];
    if (count > MAX_WALK_NAMES) throw new ShareError('EINVAL');
    const names = Array.from({ length: count }, () => request.string());
    const start = this.#fid(from);
    if (from === to && start.open) throw new ShareError('EBUSY');
    if (from !== to) this.#refuseKnown(to);
    let path = start.path;
    const found: FileAttributes[] = [];
    for (const name of names) {
      try {
        path = name === '..' ? path.slice(0, -1) : childOf(path, name);
        found.push(this.#share.attributes(path));
      } catch (error) {
        if (!(error instanceof ShareError) || found.length === 0) throw error;
        break;
      }
    }
    reply.u16(found.length);
    for (const attributes of found) writeQid(reply, attributes);
    // Where it ended early, the new fid is none.
    if (found.length === count) this.#fids.set(to, { path, open: undefined });
  }

  #lopen(request: MessageReader, reply: MessageWriter): void {
    const fid = this.#fid(request.u32());
    const flags = request.u32();
    if (fid.open) throw new ShareError('EBUSY');
    const options = openOptions(flags);
    const attributes = this.#share.attributes(fid.path);
    if ((attributes.mode & FILE_TYPE.MASK) === FILE_TYPE.DIRECTORY) {
      if (options.access !== 'read') throw new ShareError('EISDIR');
      fid.open = { kind: 'directory', names: undefined };
      writeQid(reply, attributes).u32(0);
      return;
    }
    if ((flags & OPEN.DIRECTORY) !== 0) throw new ShareError('ENOTDIR');
    this.#refuseMoreFiles();
    this.#opened(fid, this.#share.open(fid.path, options), options, reply);
  }

  #lcreate(request: MessageReader, reply: MessageWriter): void {
    const fid = this.#fid(request.u32());
    const path = childOf(fid.path, request.string());
    const [flags, mode] = [request.u32(), request.u32()];
    if (fid.open) throw new ShareError('EBUSY');
    const options = openOptions(flags);
    this.#refuseMoreFiles();
    let file: ShareFile;
    try {
      file = this.#share.create(path, mode & MODE_BITS, options);
    } catch (error) {
      const isThere = error instanceof ShareError && error.code === 'EEXIST';
      if (!isThere || (flags & OPEN.EXCL) !== 0) throw error;
      file = this.#share.open(path, options);
    }
    fid.path = path;
    this.#opened(fid, file, options, reply);
  }

  #opened(fid: Fid, file: ShareFile, options: ShareOpenOptions, reply: MessageWriter): void {
    fid.open = { kind: 'file', options, file };
    this.#openFiles++;
    // No unit: as much as fits into a message.
    writeQid(reply, file.attributes()).u32(0);
  }

  #read(request: MessageReader, reply: MessageWriter): void {
    const file = this.#fileOf(this.#fid(request.u32()));
    const offset = sizeOf(request.u64(), 'EINVAL');
    reply.data(request.u32(), (into) => file.read(offset, into));
  }

  #write(request: MessageReader, reply: MessageWriter): void {
    const file = this.#fileOf(this.#fid(request.u32()));
    const offset = sizeOf(request.u64(), 'EFBIG');
    reply.u32(file.write(offset, request.bytes(request.u32())));
  }

  #readdir(request: MessageReader, reply: MessageWriter): void {
    const fid = this.#fid(request.u32());
    const offset = sizeOf(request.u64(), 'EINVAL');
    const count = request.u32();
    if (fid.open?.kind !== 'directory') throw new ShareError('EBADF');
    const names = this.#namesOf(fid.path, fid.open, offset === 0);
    const limit = Math.min(count, reply.room - (DATA_HEADER_BYTES - HEADER_BYTES));
    const entries = new MessageWriter(Math.max(0, limit));
    let at = offset;
    for (; at < names.length; at++) {
      const name = names[at]!;
      // Qid, offset, type, length of the name.
      if (entries.room < 13 + 8 + 1 + 2 + name.length) break;
      const attributes = this.#listed(fid.path, name);
      if (!attributes) continue;
      writeQid(entries, attributes)
        .u64(at + 1)
        .u8((attributes.mode & FILE_TYPE.MASK) >> 12)
        .string(name);
    }
    const isStuck = at === offset && at < names.length;
    if (isStuck) throw new ShareError('EINVAL');
    const bytes = entries.body();
    reply.data(bytes.length, (into) => {
      into.set(bytes);
      return bytes.length;
    });
  }

  /** Names in a directory as they were when reading it began. */
  #namesOf(
    path: SharePath,
    open: OpenFid & { readonly kind: 'directory' },
    isStart: boolean,
  ): readonly ByteString[] {
    if (!isStart && open.names) return open.names;
    const names = ['.', '..', ...this.#share.list(path)];
    this.#forgetNames(open);
    if (this.#listedNames + names.length > MAX_LISTED_NAMES) throw new ShareError('ENOMEM');
    this.#listedNames += names.length;
    open.names = names;
    return names;
  }

  #forgetNames(open: OpenFid & { readonly kind: 'directory' }): void {
    this.#listedNames -= open.names?.length ?? 0;
    open.names = undefined;
  }

  /** Undefined where it is gone, or cannot be looked at. */
  #listed(directory: SharePath, name: ByteString): FileAttributes | undefined {
    const path = name === '.' ? directory : name === '..' ? directory.slice(0, -1) : [...directory, name];
    try {
      return this.#share.attributes(path);
    } catch (error) {
      if (error instanceof ShareError) return undefined;
      throw error;
    }
  }

  #getattr(request: MessageReader, reply: MessageWriter): void {
    const fid = this.#fid(request.u32());
    const attributes =
      fid.open?.kind === 'file' ? this.#fileOf(fid).attributes() : this.#share.attributes(fid.path);
    reply.u64(GETATTR_BASIC);
    writeQid(reply, attributes);
    reply.u32(attributes.mode).u32(attributes.uid).u32(attributes.gid).u64(attributes.links);
    reply.u64(attributes.device).u64(attributes.sizeBytes).u64(attributes.blockBytes).u64(attributes.blocks);
    for (const ns of [attributes.accessNs, attributes.modificationNs, attributes.changeNs]) {
      const rest = ((ns % NS_PER_S) + NS_PER_S) % NS_PER_S;
      reply.u64((ns - rest) / NS_PER_S).u64(rest);
    }
    // Time of birth, generation, data version: not among the basic ones.
    for (let i = 0; i < 4; i++) reply.u64(0);
  }

  #setattr(request: MessageReader): void {
    const fid = this.#fid(request.u32());
    const [valid, mode, uid, gid] = [request.u32(), request.u32(), request.u32(), request.u32()];
    const size = request.u64();
    const time = (): bigint => BigInt.asIntN(64, request.u64()) * NS_PER_S + request.u64();
    const [accessNs, modificationNs] = [time(), time()];
    const changes: { -readonly [Key in keyof AttributeChanges]: AttributeChanges[Key] } = {};
    if ((valid & SET.MODE) !== 0) changes.mode = mode & MODE_BITS;
    if ((valid & SET.UID) !== 0) changes.uid = uid;
    if ((valid & SET.GID) !== 0) changes.gid = gid;
    if ((valid & SET.ATIME) !== 0) changes.accessNs = (valid & SET.ATIME_SET) !== 0 ? accessNs : 'now';
    if ((valid & SET.MTIME) !== 0)
      changes.modificationNs = (valid & SET.MTIME_SET) !== 0 ? modificationNs : 'now';
    if ((valid & SET.SIZE) !== 0) {
      const sizeBytes = sizeOf(size, 'EFBIG');
      // Whoever has opened a file for writing may cut it off, whatever its permissions are by now.
      if (fid.open?.kind === 'file' && fid.open.options.access !== 'read')
        this.#fileOf(fid).truncate(sizeBytes);
      else changes.sizeBytes = sizeBytes;
    }
    this.#share.setAttributes(fid.path, changes);
  }

  #statfs(request: MessageReader, reply: MessageWriter): void {
    const statistics = this.#share.statistics(this.#fid(request.u32()).path);
    reply.u32(V9FS_MAGIC).u32(statistics.blockBytes).u64(statistics.blocks).u64(statistics.freeBlocks);
    reply.u64(statistics.availableBlocks).u64(statistics.files).u64(statistics.freeFiles);
    reply.u64(0).u32(MAX_NAME_BYTES);
  }

  #lock(request: MessageReader, reply: MessageWriter): void {
    if (!this.#fid(request.u32()).open) throw new ShareError('EBADF');
    reply.u8(LOCK_SUCCESS);
  }

  #getlock(request: MessageReader, reply: MessageWriter): void {
    if (!this.#fid(request.u32()).open) throw new ShareError('EBADF');
    request.u8();
    reply
      .u8(LOCK_TYPE_UNLOCKED)
      .u64(request.u64())
      .u64(request.u64())
      .u32(request.u32())
      .string(request.string());
  }

  #rename(request: MessageReader): void {
    const fid = this.#fid(request.u32());
    const directory = this.#fid(request.u32());
    this.#move(fid.path, childOf(directory.path, request.string()));
  }

  #renameat(request: MessageReader): void {
    const from = this.#child(request);
    this.#move(from, this.#child(request));
  }

  #move(from: SharePath, to: SharePath): void {
    if (from.length === 0) throw new ShareError('EBUSY');
    this.#share.rename(from, to);
    for (const fid of this.#fids.values()) {
      const isBelow = from.every((name, index) => fid.path[index] === name);
      if (isBelow) fid.path = [...to, ...fid.path.slice(from.length)];
    }
  }

  #unlinkat(request: MessageReader): void {
    const path = this.#child(request);
    if ((request.u32() & UNLINKAT_REMOVE_DIRECTORY) !== 0) this.#share.removeDirectory(path);
    else this.#share.unlink(path);
  }

  /** The fid is gone even where the file can't be removed. */
  #remove(request: MessageReader): void {
    const number = request.u32();
    const { path } = this.#fid(number);
    this.#clunk(number);
    if (path.length === 0) throw new ShareError('EBUSY');
    const isDirectory = (this.#share.attributes(path).mode & FILE_TYPE.MASK) === FILE_TYPE.DIRECTORY;
    if (isDirectory) this.#share.removeDirectory(path);
    else this.#share.unlink(path);
  }

  #clunk(number: number): void {
    this.#close(this.#fid(number));
    this.#fids.delete(number);
  }

  #close(fid: Fid): void {
    const { open } = fid;
    fid.open = undefined;
    if (open?.kind === 'directory') this.#forgetNames(open);
    if (open?.kind !== 'file') return;
    this.#openFiles--;
    open.file?.close();
  }

  #fid(number: number): Fid {
    const fid = this.#fids.get(number);
    if (!fid) throw new ShareError('EBADF');
    return fid;
  }

  #fileOf({ path, open }: Fid): ShareFile {
    if (open?.kind === 'directory') throw new ShareError('EISDIR');
    if (!open) throw new ShareError('EBADF');
    open.file ??= this.#share.open(path, open.options);
    return open.file;
  }

  /** A directory's fid and the name of something in it. */
  #child(request: MessageReader): SharePath {
    const directory = this.#fid(request.u32());
    return childOf(directory.path, request.string());
  }

  #qidOf(path: SharePath, reply: MessageWriter): void {
    writeQid(reply, this.#share.attributes(path));
  }

  #refuseKnown(fid: number): void {
    if (this.#fids.has(fid)) throw new ShareError('EBADF');
    if (this.#fids.size >= MAX_FIDS) throw new ShareError('ENFILE');
  }

  #refuseMoreFiles(): void {
    if (this.#openFiles >= MAX_OPEN_FILES) throw new ShareError('ENFILE');
  }
}

function replyOf(type: number, tag: number, limitBytes: number): MessageWriter {
  return new MessageWriter(limitBytes).u32(0).u8(type).u16(tag);
}

function childOf(directory: SharePath, name: ByteString): SharePath {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) throw new ShareError('EINVAL');
  if (name.length > MAX_NAME_BYTES) throw new ShareError('ENAMETOOLONG');
  let bytes = name.length;
  for (const part of directory) bytes += part.length + 1;
  if (bytes > MAX_PATH_BYTES) throw new ShareError('ENAMETOOLONG');
  return [...directory, name];
}

function openOptions(flags: number): ShareOpenOptions {
  const access = ACCESS[flags & OPEN.ACCESS];
  if (access === undefined) throw new ShareError('EINVAL');
  return {
    access,
    isTruncated: (flags & OPEN.TRUNC) !== 0,
    isAppending: (flags & OPEN.APPEND) !== 0,
    isSynchronous: (flags & (OPEN.SYNC | OPEN.DSYNC)) !== 0,
  };
}

/** An offset or a size, as far as numbers are exact. */
function sizeOf(value: bigint, otherwise: 'EINVAL' | 'EFBIG'): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ShareError(otherwise);
  return Number(value);
}

/** What 9P tells files apart by: type, version, path. */
function writeQid(reply: MessageWriter, attributes: FileAttributes): MessageWriter {
  const { mode, id, modificationNs, sizeBytes } = attributes;
  const type = mode & FILE_TYPE.MASK;
  reply.u8(
    type === FILE_TYPE.DIRECTORY
      ? QID_TYPE.DIRECTORY
      : type === FILE_TYPE.SYMLINK
        ? QID_TYPE.SYMLINK
        : QID_TYPE.FILE,
  );
  const version = Number(BigInt.asUintN(32, modificationNs)) ^ (sizeBytes % 2 ** 32);
  return reply.u32(version >>> 0).u64(id);
}
