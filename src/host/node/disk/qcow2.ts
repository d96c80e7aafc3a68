/**
 * qcow2 images, read only: QEMU docs/interop/qcow2.txt ("qcow2" below), versions 2 and 3, with compressed clusters and
 * backing files, without encryption.
 *
 * The active state of the image is shown; internal snapshots are not looked at. Reference counts are of no concern to
 * a reader, so neither is whether they are up to date (the dirty bit).
 */
import { inflateRawSync } from 'node:zlib';
import { UserError } from '../../../base/index.js';
import { readFully, readUpTo, type HostFiles } from '../image-file.js';
import { roundUp, SECTOR_BYTES, type DiskImage } from './disk-image.js';
import { fillZeros, readOrZeros, slice, totalBytes, type Parts } from './parts.js';
import type { DiskFiles } from './raw-file.js';

const MAGIC = 0x5146_49fb;
/** qcow2 "Header": offsets of fields, which are big-endian. */
const HEADER = {
  magic: 0, version: 4, backingFileOffset: 8, backingFileSize: 16, clusterBits: 20, size: 24, cryptMethod: 32, l1Size: 36,
  l1TableOffset: 40, incompatibleFeatures: 72, headerLength: 100, compressionType: 104,
} as const; // prettier-ignore
const V2_HEADER_BYTES = 72;
const MAX_HEADER_BYTES = 112;

/** Incompatible features. */
const FEATURE = {
  DIRTY: 1n << 0n,
  CORRUPT: 1n << 1n,
  DATA_FILE: 1n << 2n,
  COMPRESSION: 1n << 3n,
  EXTENDED_L2: 1n << 4n,
};
const COMPRESSION_ZLIB = 0;

/** Header extensions. */
const EXTENSION = { END: 0, BACKING_FORMAT: 0xe279_2aca } as const;

/** L1 and L2 entries (qcow2 "L1 table entry", "L2 table entry"). */
const OFFSET_MASK = 0x00ff_ffff_ffff_fe00n;
const L2_COMPRESSED = 1n << 62n;
const L2_ZERO = 1n;

const MIN_CLUSTER_BITS = 9;
const MAX_CLUSTER_BITS = 21;
/** QEMU's limit (QCOW_MAX_L1_SIZE): an L1 table of 32 MiB. */
const MAX_L1_BYTES = 32 * 1024 * 1024;
const MAX_BACKING_NAME_BYTES = 1023;
/** L2 tables and unpacked clusters that are kept: that many bytes of each. */
const CACHE_BYTES = 8 * 1024 * 1024;

/** What a header says. */
interface Qcow2Header {
  readonly version: number;
  readonly clusterBits: number;
  readonly sizeBytes: number;
  readonly l1: { readonly entries: number; readonly offset: number };
  readonly backing: { readonly name: string; readonly format: string | undefined } | undefined;
}

export function isQcow2(start: Uint8Array): boolean {
  return start.length >= 4 && new DataView(start.buffer, start.byteOffset).getUint32(0) === MAGIC;
}

/** Opens the image that a backing file name leads to; `format` is what the image says about it. */
export type OpenBacking = (name: string, format: string | undefined) => DiskImage;

export class Qcow2File implements DiskImage {
  readonly sizeBytes: number;
  readonly #files: DiskFiles;
  readonly #fd: number;
  readonly #header: Qcow2Header;
  readonly #clusterBytes: number;
  readonly #l1: DataView;
  readonly #backing: DiskImage | undefined;
  readonly #l2Tables: Cache<DataView>;
  readonly #unpacked: Cache<Uint8Array>;

  /**
   * Takes the descriptor over, if it returns.
   *
   * @throws UserError: `disk-format` for what is damaged or not supported.
   */
  constructor(files: DiskFiles, fd: number, path: string, openBacking: OpenBacking) {
    this.#files = files;
    this.#fd = fd;
    this.#header = readHeader(files, fd, path);
    const { clusterBits, sizeBytes, l1, backing } = this.#header;
    this.sizeBytes = roundUp(sizeBytes, SECTOR_BYTES);
    this.#clusterBytes = 2 ** clusterBits;
    this.#l1 = new DataView(new ArrayBuffer(8 * l1.entries));
    readTable(files, fd, this.#l1, l1.offset, path);
    const cached = Math.max(2, CACHE_BYTES >> clusterBits);
    this.#l2Tables = new Cache(cached);
    this.#unpacked = new Cache(cached);
    this.#backing = backing && openBacking(backing.name, backing.format);
  }

  read(offset: number, into: Parts): void {
    const length = totalBytes(into);
    for (let done = 0; done < length;) {
      const at = offset + done;
      const inCluster = at % this.#clusterBytes;
      const count = Math.min(length - done, this.#clusterBytes - inCluster);
      this.#readCluster(at - inCluster, inCluster, slice(into, done, count));
      done += count;
    }
  }

  close(): void {
    this.#files.closeSync(this.#fd);
    this.#backing?.close();
  }

  /** Fills `into` from a place in the cluster at `offset` of the disk. */
  #readCluster(offset: number, inCluster: number, into: Parts): void {
    const entry = this.#l2Entry(offset);
    if ((entry & L2_COMPRESSED) !== 0n) {
      const cluster = this.#unpack(entry & (L2_COMPRESSED - 1n));
      let from = inCluster;
      for (const part of into) part.set(cluster.subarray(from, (from += part.length)));
      return;
    }
    const hostOffset = Number(entry & OFFSET_MASK);
    if ((entry & L2_ZERO) !== 0n && this.#header.version >= 3) fillZeros(into);
    else if (hostOffset === 0) this.#readBacking(offset + inCluster, into);
    else if (hostOffset % this.#clusterBytes !== 0) throw new Error('qcow2: a cluster is out of place');
    // The last cluster of a file may end early.
    else readOrZeros(this.#files, this.#fd, into, hostOffset + inCluster);
  }

  /** A backing image may be shorter: zeros follow. */
  #readBacking(offset: number, into: Parts): void {
    const backing = this.#backing;
    const length = totalBytes(into);
    const there = Math.max(0, Math.min(length, (backing?.sizeBytes ?? 0) - offset));
    if (there > 0) backing?.read(offset, slice(into, 0, there));
    fillZeros(slice(into, there, length - there));
  }

  #l2Entry(offset: number): bigint {
    const entriesPerTable = this.#clusterBytes / 8;
    const cluster = offset / this.#clusterBytes;
    const l1Index = Math.floor(cluster / entriesPerTable);
    if (l1Index >= this.#header.l1.entries) return 0n;
    const tableOffset = Number(this.#l1.getBigUint64(8 * l1Index) & OFFSET_MASK);
    if (tableOffset === 0) return 0n;
    const table = this.#l2Tables.get(tableOffset, () => {
      if (tableOffset % this.#clusterBytes !== 0) throw new Error('qcow2: an L2 table is out of place');
      const bytes = new Uint8Array(this.#clusterBytes);
      readFully(this.#files, this.#fd, bytes, tableOffset);
      return new DataView(bytes.buffer);
    });
    return table.getBigUint64(8 * (cluster % entriesPerTable));
  }

  /** qcow2 "Compressed Clusters Descriptor" */
  #unpack(descriptor: bigint): Uint8Array {
    const offsetBits = BigInt(62 - (this.#header.clusterBits - 8));
    const offset = Number(descriptor & ((1n << offsetBits) - 1n));
    const sectors = Number(descriptor >> offsetBits) + 1;
    return this.#unpacked.get(offset, () => {
      const packed = new Uint8Array(sectors * SECTOR_BYTES - (offset % SECTOR_BYTES));
      const count = readUpTo(this.#files, this.#fd, packed, offset);
      // What follows the data in the last sector belongs to something else; the stream says where it ends.
      const cluster = inflateRawSync(packed.subarray(0, count), { maxOutputLength: this.#clusterBytes });
      if (cluster.length !== this.#clusterBytes) throw new Error('qcow2: a compressed cluster is damaged');
      return cluster;
    });
  }
}

function readHeader(files: HostFiles, fd: number, path: string): Qcow2Header {
  const fail = (text: string): never => {
    throw new UserError('disk-format', `disk image ${path}: ${text}`);
  };
  const bytes = new Uint8Array(MAX_HEADER_BYTES);
  const count = readUpTo(files, fd, bytes, 0);
  const view = new DataView(bytes.buffer);
  if (count < V2_HEADER_BYTES || view.getUint32(HEADER.magic) !== MAGIC) return fail('is no qcow2 image');
  const version = view.getUint32(HEADER.version);
  if (version !== 2 && version !== 3) return fail(`is a qcow image of version ${version}; accepted: 2 and 3`);
  if (view.getUint32(HEADER.cryptMethod) !== 0)
    return fail('is an encrypted qcow2 image, which is not supported');

  let headerBytes = V2_HEADER_BYTES;
  if (version === 3) {
    headerBytes = view.getUint32(HEADER.headerLength);
    const features = view.getBigUint64(HEADER.incompatibleFeatures);
    if ((features & FEATURE.DATA_FILE) !== 0n)
      return fail('has its data in another file, which is not supported');
    if ((features & FEATURE.EXTENDED_L2) !== 0n) return fail('has subclusters, which are not supported');
    const known = FEATURE.DIRTY | FEATURE.CORRUPT | FEATURE.COMPRESSION;
    if ((features & ~known) !== 0n) return fail(`has unknown features 0x${features.toString(16)}`);
    const isOther =
      (features & FEATURE.COMPRESSION) !== 0n && bytes[HEADER.compressionType] !== COMPRESSION_ZLIB;
    if (isOther) return fail('is compressed with zstd, which is not supported; accepted: zlib');
  }

  const clusterBits = view.getUint32(HEADER.clusterBits);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS)
    return fail('is damaged: its cluster size');
  const size = view.getBigUint64(HEADER.size);
  const sizeBytes = Number(size);
  const entriesNeeded = Math.ceil(sizeBytes / 2 ** (2 * clusterBits - 3));
  const entries = view.getUint32(HEADER.l1Size);
  const offset = Number(view.getBigUint64(HEADER.l1TableOffset));
  if (sizeBytes === 0) return fail('is a disk of no bytes');
  if (size > 2n ** 53n || entries < entriesNeeded || 8 * entries > MAX_L1_BYTES)
    return fail('is damaged: its size');
  return {
    version,
    clusterBits,
    sizeBytes,
    l1: { entries, offset },
    backing: readBacking(files, fd, view, headerBytes, fail),
  };
}

function readBacking(
  files: HostFiles,
  fd: number,
  header: DataView,
  headerBytes: number,
  fail: (text: string) => never,
): Qcow2Header['backing'] {
  const offset = Number(header.getBigUint64(HEADER.backingFileOffset));
  const length = header.getUint32(HEADER.backingFileSize);
  if (offset === 0) return undefined;
  if (length === 0 || length > MAX_BACKING_NAME_BYTES)
    return fail('is damaged: the name of its backing file');
  const name = new Uint8Array(length);
  if (readUpTo(files, fd, name, offset) < length) return fail('is damaged: the name of its backing file');
  return { name: new TextDecoder().decode(name), format: readBackingFormat(files, fd, headerBytes, offset) };
}

/** Header extensions lie between the header and the name of the backing file. */
function readBackingFormat(files: HostFiles, fd: number, from: number, to: number): string | undefined {
  const extension = new DataView(new ArrayBuffer(8));
  for (let at = from; at + 8 <= to;) {
    if (readUpTo(files, fd, new Uint8Array(extension.buffer), at) < 8) return undefined;
    const type = extension.getUint32(0);
    const length = extension.getUint32(4);
    if (type === EXTENSION.END) return undefined;
    if (type === EXTENSION.BACKING_FORMAT && length <= 32) {
      const format = new Uint8Array(length);
      readUpTo(files, fd, format, at + 8);
      return new TextDecoder().decode(format);
    }
    at += 8 + roundUp(length, 8);
  }
  return undefined;
}

function readTable(files: HostFiles, fd: number, into: DataView, offset: number, path: string): void {
  if (readUpTo(files, fd, new Uint8Array(into.buffer), offset) < into.byteLength) {
    throw new UserError('disk-format', `disk image ${path}: is damaged: it ends within its first table`);
  }
}

/** The values used last, by number. */
class Cache<Value> {
  readonly #values = new Map<number, Value>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: number, make: () => Value): Value {
    const found = this.#values.get(key);
    const value = found ?? make();
    // Maps keep the order of insertion: the first is the one not used for longest.
    if (found !== undefined) this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > this.#limit) {
      for (const oldest of this.#values.keys()) {
        this.#values.delete(oldest);
        break;
      }
    }
    return value;
  }
}
