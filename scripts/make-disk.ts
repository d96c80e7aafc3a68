/**
 * Makes disk images for guests: a GUID partition table with an EFI system partition of FAT16 that has the files given,
 * and on request room for a root file system. Needs no tools, no mounts and no root. UEFI Specification 2.10, 5.3 and 13.3; Microsoft FAT
 * Specification, 2005-08-30.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';

const SECTOR = 512;
/** Where the first partition begins, in sectors: at 1 MiB, as partitioning tools have it; others by multiples of it. */
const PARTITION_START = 2048;
/** After the partition: the second table, and room. */
const TAIL_SECTORS = 2048;
const GPT_ENTRIES = 128;
const GPT_ENTRY_BYTES = 128;
const GPT_TABLE_SECTORS = (GPT_ENTRIES * GPT_ENTRY_BYTES) / SECTOR;
/** C12A7328-F81F-11D2-BA4B-00A0C93EC93B as it lies on disk. */
const ESP_TYPE = Buffer.from('28732ac11ff8d211ba4b00a0c93ec93b', 'hex');
/** B921B045-1DF0-41C3-AF44-4C6F280D3FAE, a root file system for arm64 (Discoverable Partitions Specification). */
const ROOT_TYPE = Buffer.from('45b021b9f01dc341af444c6f280d3fae', 'hex');
/** Of the disk and of the partitions: always the same. */
const DISK_ID = Buffer.from('763861206469736b2069642030303031', 'hex');
const ESP_ID = Buffer.from('763861206469736b2069642030303032', 'hex');
const ROOT_ID = Buffer.from('763861206469736b2069642030303033', 'hex');

interface Partition {
  readonly type: Buffer;
  readonly id: Buffer;
  readonly name: string;
  /** In sectors. */
  readonly start: number;
  readonly sectors: number;
}

const CLUSTER = 8192;
/** FAT16 has fewer clusters than 65,525 and more than 4,084. */
const MAX_CLUSTERS = 65_000;
const MIN_CLUSTERS = 4_200;
const ROOT_ENTRIES = 512;
const RESERVED_SECTORS = 1;
const END_OF_CHAIN = 0xffff;

/** Path in the file system to contents: `EFI/BOOT/BOOTAA64.EFI`. Names are 8.3. */
export type DiskFiles = Readonly<Record<string, Uint8Array | string>>;

/**
 * Writes an image with the files and `freeBytes` of room. Zeros become holes. With `rootBytes`, a multiple of 1 MiB,
 * there is a second partition of that size. Returns at which byte that begins.
 */
export function makeDisk(
  path: string,
  files: DiskFiles,
  { freeBytes = 4 * 1024 * 1024, rootBytes = 0 } = {},
): number {
  const volume = fatVolume(files, freeBytes);
  const boot: Partition = {
    type: ESP_TYPE,
    id: ESP_ID,
    name: 'boot',
    start: PARTITION_START,
    sectors: volume.length / SECTOR,
  };
  const partitions = [boot];
  let end = boot.start + boot.sectors;
  const rootStart = Math.ceil(end / PARTITION_START) * PARTITION_START;
  if (rootBytes > 0) {
    const sectors = rootBytes / SECTOR;
    partitions.push({ type: ROOT_TYPE, id: ROOT_ID, name: 'root', start: rootStart, sectors });
    end = rootStart + sectors;
  }
  const fd = openSync(path, 'w');
  try {
    ftruncateSync(fd, (end + TAIL_SECTORS) * SECTOR);
    for (const [sector, bytes] of partitionTable(end + TAIL_SECTORS, partitions)) {
      writeSync(fd, bytes, 0, bytes.length, sector * SECTOR);
    }
    const zeros = Buffer.alloc(CLUSTER);
    for (let at = 0; at < volume.length; at += CLUSTER) {
      const part = volume.subarray(at, at + CLUSTER);
      if (!part.equals(zeros.subarray(0, part.length))) {
        writeSync(fd, part, 0, part.length, PARTITION_START * SECTOR + at);
      }
    }
  } finally {
    closeSync(fd);
  }
  return rootStart * SECTOR;
}

/** Protective MBR, and the table at both ends of the disk; by sector. */
function partitionTable(sectors: number, partitions: readonly Partition[]): [number, Buffer][] {
  const mbr = Buffer.alloc(SECTOR);
  mbr.writeUInt8(0xee, 446 + 4);
  mbr.writeUInt32LE(1, 446 + 8);
  mbr.writeUInt32LE(sectors - 1, 446 + 12);
  mbr.writeUInt16LE(0xaa55, 510);

  const entries = Buffer.alloc(GPT_ENTRIES * GPT_ENTRY_BYTES);
  partitions.forEach(({ type, id, name, start, sectors: count }, index) => {
    const entry = entries.subarray(index * GPT_ENTRY_BYTES, (index + 1) * GPT_ENTRY_BYTES);
    type.copy(entry, 0);
    id.copy(entry, 16);
    entry.writeBigUInt64LE(BigInt(start), 32);
    entry.writeBigUInt64LE(BigInt(start + count - 1), 40);
    entry.write(name, 56, 'utf16le');
  });

  const header = (own: number, other: number, table: number): Buffer => {
    const bytes = Buffer.alloc(SECTOR);
    bytes.write('EFI PART', 0, 'latin1');
    bytes.writeUInt32LE(0x1_0000, 8);
    bytes.writeUInt32LE(92, 12);
    bytes.writeBigUInt64LE(BigInt(own), 24);
    bytes.writeBigUInt64LE(BigInt(other), 32);
    bytes.writeBigUInt64LE(BigInt(2 + GPT_TABLE_SECTORS), 40);
    bytes.writeBigUInt64LE(BigInt(sectors - GPT_TABLE_SECTORS - 2), 48);
    DISK_ID.copy(bytes, 56);
    bytes.writeBigUInt64LE(BigInt(table), 72);
    bytes.writeUInt32LE(GPT_ENTRIES, 80);
    bytes.writeUInt32LE(GPT_ENTRY_BYTES, 84);
    bytes.writeUInt32LE(crc32(entries), 88);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 92)), 16);
    return bytes;
  };
  const last = sectors - 1;
  return [
    [0, mbr],
    [1, header(1, last, 2)],
    [2, entries],
    [last - GPT_TABLE_SECTORS, entries],
    [last, header(last, 1, last - GPT_TABLE_SECTORS)],
  ];
}

interface Folder {
  readonly folders: Map<string, Folder>;
  readonly files: Map<string, Buffer>;
}

function fatVolume(files: DiskFiles, freeBytes: number): Buffer {
  const root: Folder = { folders: new Map(), files: new Map() };
  let clusters = 0;
  for (const [path, content] of Object.entries(files)) {
    const names = path.split('/');
    const name = names.pop() ?? '';
    let folder = root;
    for (const part of names) {
      const next = folder.folders.get(part) ?? { folders: new Map(), files: new Map() };
      if (!folder.folders.has(part)) clusters++;
      folder.folders.set(part, next);
      folder = next;
    }
    const bytes = Buffer.from(content);
    folder.files.set(name, bytes);
    clusters += Math.ceil(bytes.length / CLUSTER);
  }
  const count = Math.max(MIN_CLUSTERS, clusters + Math.ceil(freeBytes / CLUSTER));
  if (count > MAX_CLUSTERS) throw new Error(`${count} clusters do not fit FAT16`);

  const fatSectors = Math.ceil((2 * (count + 2)) / SECTOR);
  const rootSectors = (32 * ROOT_ENTRIES) / SECTOR;
  const dataStart = (RESERVED_SECTORS + 2 * fatSectors + rootSectors) * SECTOR;
  const volume = Buffer.alloc(dataStart + count * CLUSTER);
  const sectors = volume.length / SECTOR;

  volume.set([0xeb, 0x3c, 0x90], 0);
  volume.write('V8A     ', 3, 'latin1');
  volume.writeUInt16LE(SECTOR, 11);
  volume.writeUInt8(CLUSTER / SECTOR, 13);
  volume.writeUInt16LE(RESERVED_SECTORS, 14);
  volume.writeUInt8(2, 16);
  volume.writeUInt16LE(ROOT_ENTRIES, 17);
  volume.writeUInt8(0xf8, 21);
  volume.writeUInt16LE(fatSectors, 22);
  volume.writeUInt16LE(32, 24);
  volume.writeUInt16LE(2, 26);
  volume.writeUInt32LE(PARTITION_START, 28);
  volume.writeUInt32LE(sectors, 32);
  volume.writeUInt8(0x80, 36);
  volume.writeUInt8(0x29, 38);
  volume.writeUInt32LE(0x7638_6131, 39);
  volume.write('V8A DISK   FAT16   ', 43, 'latin1');
  volume.writeUInt16LE(0xaa55, 510);

  const fat = Buffer.alloc(fatSectors * SECTOR);
  fat.writeUInt16LE(0xfff8, 0);
  fat.writeUInt16LE(END_OF_CHAIN, 2);
  let next = 2;
  /** Puts bytes into clusters one after the other. Returns the first, 0 for nothing. */
  const place = (bytes: Buffer): number => {
    const first = next;
    for (let at = 0; at < bytes.length; at += CLUSTER) {
      bytes.copy(volume, dataStart + (next - 2) * CLUSTER, at, at + CLUSTER);
      fat.writeUInt16LE(at + CLUSTER < bytes.length ? next + 1 : END_OF_CHAIN, 2 * next);
      next++;
    }
    return next === first ? 0 : first;
  };
  const entry = (name: string, attributes: number, cluster: number, sizeBytes: number): Buffer => {
    const bytes = Buffer.alloc(32);
    bytes.write(name, 0, 'latin1');
    bytes.writeUInt8(attributes, 11);
    // 2025-01-01
    bytes.writeUInt16LE((45 << 9) | (1 << 5) | 1, 24);
    bytes.writeUInt16LE(cluster, 26);
    bytes.writeUInt32LE(sizeBytes, 28);
    return bytes;
  };
  /** Places what is in a folder, then the folder itself, whose own cluster its children need to know. */
  const write = (folder: Folder, own: number, parent: number): Buffer[] => {
    const entries =
      own === 0 ? [] : [entry('.'.padEnd(11), 0x10, own, 0), entry('..'.padEnd(11), 0x10, parent, 0)];
    for (const [name, bytes] of folder.files)
      entries.push(entry(shortName(name), 0x20, place(bytes), bytes.length));
    for (const [name, child] of folder.folders) {
      const cluster = next++;
      fat.writeUInt16LE(END_OF_CHAIN, 2 * cluster);
      const listing = Buffer.concat(write(child, cluster, own));
      if (listing.length > CLUSTER) throw new Error(`${name} has too many files`);
      listing.copy(volume, dataStart + (cluster - 2) * CLUSTER);
      entries.push(entry(shortName(name), 0x10, cluster, 0));
    }
    return entries;
  };
  const label = entry('V8A DISK   ', 0x08, 0, 0);
  Buffer.concat([label, ...write(root, 0, 0)]).copy(volume, (RESERVED_SECTORS + 2 * fatSectors) * SECTOR);
  fat.copy(volume, RESERVED_SECTORS * SECTOR);
  fat.copy(volume, (RESERVED_SECTORS + fatSectors) * SECTOR);
  return volume;
}

function shortName(name: string): string {
  const [, stem, extension = ''] = /^([\w-]{1,8})(?:\.([\w-]{1,3}))?$/.exec(name) ?? [];
  if (stem === undefined) throw new Error(`${name} is no name of the form 8.3`);
  return (stem.padEnd(8) + extension.padEnd(3)).toUpperCase();
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let value = 0xffff_ffff;
  for (const byte of bytes) value = (value >>> 8) ^ (CRC_TABLE[(value ^ byte) & 0xff] ?? 0);
  return (value ^ 0xffff_ffff) >>> 0;
}
