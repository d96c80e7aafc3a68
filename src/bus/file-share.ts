/**
 * A folder of the host that the guest may use. Calls are synchronous. What doesn't work throws a `ShareError`, what
 * would change something in a share that is only read throws `EROFS`.
 */
export interface FileShare {
  /** Of the file itself: where that is a symbolic link, of the link. */
  attributes(path: SharePath): FileAttributes;
  /** Opens a regular file; others have errors. */
  open(path: SharePath, options: ShareOpenOptions): ShareFile;
  /** Makes a regular file and opens it. `EEXIST` where there is something of that name. */
  create(path: SharePath, mode: number, options: ShareOpenOptions): ShareFile;
  /** What is in a directory, in an order that is always the same; without `.` and `..`. */
  list(path: SharePath): ByteString[];
  readLink(path: SharePath): ByteString;
  makeDirectory(path: SharePath, mode: number): void;
  /** A link that reads as `target`, wherever that leads in the guest. */
  makeSymlink(path: SharePath, target: ByteString): void;
  /** Another name for a file. */
  makeLink(existing: SharePath, path: SharePath): void;
  rename(from: SharePath, to: SharePath): void;
  /** Removes a name that is no directory's. */
  unlink(path: SharePath): void;
  removeDirectory(path: SharePath): void;
  setAttributes(path: SharePath, changes: AttributeChanges): void;
  /** Of the file system that a file is in. */
  statistics(path: SharePath): FileSystemStatistics;
}

/** Bytes as characters U+0000 to U+00FF: names of files need not be UTF-8. */
export type ByteString = string;

/**
 * Names from the root of a share down; the root itself has none. No name is empty, `.` or `..`, or has a slash or a
 * zero byte in it.
 */
export type SharePath = readonly ByteString[];

export interface ShareOpenOptions {
  readonly access: 'read' | 'write' | 'read-write';
  readonly isTruncated: boolean;
  readonly isAppending: boolean;
  /** What was written is on the disk when the call returns. */
  readonly isSynchronous: boolean;
}

/** An open regular file. */
export interface ShareFile {
  attributes(): FileAttributes;
  /** Reads up to `into.length` bytes from `offset`. Returns how many, 0 at the end of the file. */
  read(offset: number, into: Uint8Array): number;
  /** Writes at `offset`, or at the end of a file opened for appending. Returns how many bytes. */
  write(offset: number, from: Uint8Array): number;
  truncate(sizeBytes: number): void;
  sync(): void;
  close(): void;
}

export interface FileAttributes {
  /** Tells the file from every other one of the share, whatever its names. */
  readonly id: number;
  /** Type and permissions, as in `st_mode` of Linux. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  /** As in `st_rdev` of Linux: which device a device file is. */
  readonly device: number;
  readonly sizeBytes: number;
  /** Best size of a transfer. */
  readonly blockBytes: number;
  /** Room taken, in units of 512 bytes. */
  readonly blocks: number;
  /** Nanoseconds since 1970. */
  readonly accessNs: bigint;
  readonly modificationNs: bigint;
  readonly changeNs: bigint;
}

/** Bits of `st_mode` (inode(7)). */
export const FILE_TYPE = {
  MASK: 0o170000,
  SYMLINK: 0o120000,
  REGULAR: 0o100000,
  DIRECTORY: 0o040000,
} as const;

/** What is left out stays. */
export interface AttributeChanges {
  /** Permissions. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly sizeBytes?: number;
  /** Nanoseconds since 1970, or the host's time. */
  readonly accessNs?: bigint | 'now';
  readonly modificationNs?: bigint | 'now';
}

export interface FileSystemStatistics {
  readonly blockBytes: number;
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly availableBlocks: number;
  readonly files: number;
  readonly freeFiles: number;
}

/** Errors by Linux's numbers on arm64 (include/uapi/asm-generic/errno-base.h, errno.h). */
export const ERRNO = {
  EPERM: 1, ENOENT: 2, EIO: 5, ENXIO: 6, EBADF: 9, EAGAIN: 11, ENOMEM: 12, EACCES: 13, EBUSY: 16, EEXIST: 17, EXDEV: 18,
  ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENFILE: 23, EMFILE: 24, ETXTBSY: 26, EFBIG: 27, ENOSPC: 28, EROFS: 30,
  EMLINK: 31, ENAMETOOLONG: 36, ENOSYS: 38, ENOTEMPTY: 39, ELOOP: 40, EPROTO: 71, EOVERFLOW: 75, EMSGSIZE: 90, EOPNOTSUPP: 95,
  ESTALE: 116, EDQUOT: 122,
} as const; // prettier-ignore

export type ErrorName = keyof typeof ERRNO;

/** Why something didn't work, as the guest will see it. */
export class ShareError extends Error {
  override readonly name = 'ShareError';
  readonly code: ErrorName;

  constructor(code: ErrorName) {
    super(code);
    this.code = code;
  }
}
