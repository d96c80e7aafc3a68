/**
 * Makes a small initial RAM disk for the kernel of Debian's installer out of the installer's own: busybox with its
 * library, the drivers of virtio and of the power key, and an `init` that ends in a root shell on the console, whose
 * prompt is `tiny# `. Needs no arm64 machine and no root.
 *
 * `npm run guests -- --kernels` fetches what it needs, makes it and prints its path.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

import { guestCache, guestFile } from './fetch-guests.js';

/** One member of a `newc` archive (Linux Documentation/driver-api/early-userspace/buffer-format.rst). */
interface Member {
  readonly mode: number;
  readonly data: Uint8Array;
  /** Major and minor of a device node. */
  readonly device?: readonly [number, number];
}

const MAGIC = '070701';
const HEADER_BYTES = 110;
const TRAILER = 'TRAILER!!!';
const DIRECTORY = 0o040755;
const SYMLINK = 0o120777;
const FILE_TYPE = 0o170000;

const align4 = (value: number): number => Math.ceil(value / 4) * 4;

function readArchive(bytes: Buffer): Map<string, Member> {
  const members = new Map<string, Member>();
  for (let at = 0; ;) {
    if (bytes.toString('latin1', at, at + 6) !== MAGIC) throw new Error('not an archive of format newc');
    const field = (index: number): number =>
      parseInt(bytes.toString('latin1', at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const [mode, sizeBytes, nameBytes] = [field(1), field(6), field(11)];
    const name = bytes.toString('utf8', at + HEADER_BYTES, at + HEADER_BYTES + nameBytes - 1);
    if (name === TRAILER) return members;
    const dataAt = align4(at + HEADER_BYTES + nameBytes);
    members.set(name, { mode, data: bytes.subarray(dataAt, dataAt + sizeBytes) });
    at = align4(dataAt + sizeBytes);
  }
}

function writeArchive(members: ReadonlyMap<string, Member>): Buffer {
  const parts: Uint8Array[] = [];
  const add = (name: string, { mode, data, device = [0, 0] }: Member, inode: number): void => {
    const path = Buffer.from(`${name}\0`);
    const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, ...device, path.length, 0];
    const header = MAGIC + fields.map((value) => value.toString(16).padStart(8, '0')).join('');
    const head = Buffer.concat([Buffer.from(header), path]);
    parts.push(head, new Uint8Array(align4(head.length) - head.length));
    parts.push(data, new Uint8Array(align4(data.length) - data.length));
  };
  let inode = 1;
  for (const [name, member] of members) add(name, member, inode++);
  add(TRAILER, { mode: 0, data: new Uint8Array() }, 0);
  return Buffer.concat(parts);
}

/** Programs that applets and tools are links to, and one that shows the PCI bus. */
const PROGRAMS = ['bin/busybox', 'bin/kmod', 'usr/bin/lspci'];
const MULTI_CALL = /(^|\/)(busybox|kmod)$/;
const LIBRARIES = [
  'lib/ld-linux-aarch64.so.1',
  'lib/aarch64-linux-gnu/ld-linux-aarch64.so.1',
  'lib/aarch64-linux-gnu/libc.so.6',
  'usr/lib/aarch64-linux-gnu/libpci.so.3',
  'usr/lib/libkmod.so.2',
  'usr/lib/libz.so.1',
];
/** In the order in which they need each other. */
const MODULES = [
  'virtio_mmio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'failover',
  'net_failover',
  'virtio_net',
  'virtio_console',
  'virtio-rng',
  'gpio_keys',
];

const INIT = `#!/bin/sh
export PATH=/bin HOME=/ TERM=dumb PS1='tiny# '
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done
echo "tiny guest on $(uname -r)"
while :; do sh -i; done
`;

const isSymlink = ({ mode }: Member): boolean => (mode & FILE_TYPE) === (SYMLINK & FILE_TYPE);
const textOf = ({ data }: Member): string => Buffer.from(data).toString();

function pick(installer: ReadonlyMap<string, Member>): Map<string, Member> {
  const directory: Member = { mode: DIRECTORY, data: new Uint8Array() };
  const picked = new Map(
    ['bin', 'dev', 'lib', 'lib/aarch64-linux-gnu', 'modules', 'proc', 'sys', 'tmp'].map(
      (name) => [name, directory] as const,
    ),
  );
  const take = (name: string, as: string): void => {
    const member = installer.get(name);
    if (member === undefined) throw new Error(`the installer's initial RAM disk has no ${name}`);
    // A library's name is a link to the file with its version, beside it.
    const isLibraryLink = isSymlink(member) && name.startsWith('usr/lib/');
    if (isLibraryLink) take(name.replace(/[^/]*$/, textOf(member)), as);
    else picked.set(as, member);
  };
  for (const name of [...PROGRAMS, ...LIBRARIES]) take(name, name.replace(/^usr\//, ''));
  MODULES.forEach((module, index) => {
    const name = [...installer.keys()].find((path) => path.endsWith(`/${module}.ko`));
    if (name === undefined) throw new Error(`the installer's initial RAM disk has no module ${module}`);
    take(name, `modules/${index.toString().padStart(2, '0')}-${module}.ko`);
  });
  for (const [name, member] of installer) {
    const [, , program = ''] = (isSymlink(member) && MULTI_CALL.exec(textOf(member))) || [];
    if (program !== '') {
      picked.set(`bin/${name.replace(/.*\//, '')}`, { mode: SYMLINK, data: Buffer.from(program) });
    }
  }
  picked.set('init', { mode: 0o100755, data: Buffer.from(INIT) });
  // Without it init would have no standard output.
  picked.set('dev/console', { mode: 0o020600, data: new Uint8Array(), device: [5, 1] });
  return picked;
}

/** The RAM disk's path, made when it is not there or older than what it is made of; undefined without the installer. */
export function tinyInitramfs(): string | undefined {
  const source = guestFile('initrd.gz');
  if (source === undefined) return undefined;
  const folder = join(guestCache(), 'initramfs');
  const path = join(folder, 'tiny.cpio.gz');
  const madeOf = [source, fileURLToPath(import.meta.url)].map((file) => statSync(file).mtimeMs);
  if (existsSync(path) && madeOf.every((time) => time < statSync(path).mtimeMs)) return path;
  mkdirSync(folder, { recursive: true });
  const archive = writeArchive(pick(readArchive(gunzipSync(readFileSync(source)))));
  const work = `${path}.${process.pid}`;
  writeFileSync(work, gzipSync(archive));
  renameSync(work, path);
  return path;
}
