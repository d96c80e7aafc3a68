/**
 * Makes a small initial RAM disk for the kernel of Debian's installer out of the installer's own: busybox with its
 * library, the drivers of virtio and of the power key, and an `init` that ends in a root shell on the console, whose
 * prompt is `tiny# `. Needs no arm64 machine and no root.
 *
 * `npm run guests -- --kernels` fetches what it needs, makes it and prints its path.
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync,
} from 'node:fs'; // prettier-ignore
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';

import { unpackPackage } from './apt.js';
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

/** An archive of format newc; the kernel takes several, one behind the other, packed or not. */
export function writeArchive(members: ReadonlyMap<string, Member>): Buffer {
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
  'usr/lib/aarch64-linux-gnu/libudev.so.1',
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
  'nls_cp437',
  'nls_ascii',
  'fat',
  'vfat',
  'crc32c_generic',
  'crc16',
];

/**
 * What the installer fetches later, of the same kernel: in a package of that kernel's version. The RAM disk is made
 * without where it is not to be had.
 */
const PACKAGED_MODULES = [
  ...['virtio_blk', 'mbcache', 'jbd2', 'ext4'],
  ...['netfs', 'fscache', '9pnet', '9pnet_virtio', '9p'],
];

const INIT = `#!/bin/sh
export PATH=/bin HOME=/ TERM=dumb PS1='tiny# '
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done
# The console may be one of a driver just loaded.
exec </dev/console >/dev/console 2>&1
echo "tiny guest on $(uname -r)"
while :; do sh -i; done
`;

/** What `udhcpc` calls with what it has learned. */
const DHCP_SCRIPT = `#!/bin/sh
case "$1" in
bound | renew)
  ip addr flush dev "$interface"
  ip addr add "$ip/$mask" dev "$interface"
  ip route add default via "$router"
  for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
  ;;
deconfig) ip link set "$interface" up ;;
esac
`;

const isSymlink = ({ mode }: Member): boolean => (mode & FILE_TYPE) === (SYMLINK & FILE_TYPE);
const textOf = ({ data }: Member): string => Buffer.from(data).toString();

function pick(installer: ReadonlyMap<string, Member>, packaged: readonly string[]): Map<string, Member> {
  const directory: Member = { mode: DIRECTORY, data: new Uint8Array() };
  const picked = new Map(
    ['bin', 'dev', 'etc', 'etc/udhcpc', 'lib', 'lib/aarch64-linux-gnu', 'modules', 'proc', 'sys', 'tmp'].map(
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
  packaged.forEach((path, index) => {
    const name = `modules/${(MODULES.length + index).toString().padStart(2, '0')}-${path.replace(/.*\//, '')}`;
    picked.set(name, { mode: 0o100644, data: readFileSync(path) });
  });
  for (const [name, member] of installer) {
    const [, , program = ''] = (isSymlink(member) && MULTI_CALL.exec(textOf(member))) || [];
    if (program !== '') {
      picked.set(`bin/${name.replace(/.*\//, '')}`, { mode: SYMLINK, data: Buffer.from(program) });
    }
  }
  picked.set('init', { mode: 0o100755, data: Buffer.from(INIT) });
  picked.set('etc/udhcpc/default.script', { mode: 0o100755, data: Buffer.from(DHCP_SCRIPT) });
  // Without it init would have no standard output.
  picked.set('dev/console', { mode: 0o020600, data: new Uint8Array(), device: [5, 1] });
  return picked;
}

/** The version of the installer's kernel: `6.1.0-50-arm64`. */
function kernelVersion(installer: ReadonlyMap<string, Member>): string {
  for (const name of installer.keys()) {
    const [, version] = /^lib\/modules\/([^/]+)\/kernel\//.exec(name) ?? [];
    if (version !== undefined) return version;
  }
  throw new Error("the installer's initial RAM disk has no modules");
}

const readInstaller = (source: string): Map<string, Member> => readArchive(gunzipSync(readFileSync(source)));

const moduleFolder = (): string => join(guestCache(), 'modules');

/** Paths of `PACKAGED_MODULES`, as far as they were fetched. */
function packagedModules(): string[] {
  return PACKAGED_MODULES.map((name) => join(moduleFolder(), `${name}.ko`)).filter((path) =>
    existsSync(path),
  );
}

/** Fetches the drivers that the installer's RAM disk lacks. Returns the reasons, one line each, for what is missing. */
export function fetchModules(): string[] {
  const source = guestFile('initrd.gz');
  if (source === undefined || packagedModules().length === PACKAGED_MODULES.length) return [];
  const packageName = `linux-image-${kernelVersion(readInstaller(source))}`;
  const work = mkdtempSync(join(guestCache(), '.fetch-'));
  try {
    console.error(`fetching ${packageName} into ${guestCache()}`);
    unpackPackage(packageName, work, guestCache(), 'arm64');
    mkdirSync(moduleFolder(), { recursive: true });
    for (const path of readdirSync(join(work, 'root', 'lib/modules'), {
      recursive: true,
      encoding: 'utf8',
    })) {
      const name = path.replace(/.*\//, '');
      if (!PACKAGED_MODULES.some((module) => name === `${module}.ko`)) continue;
      copyFileSync(join(work, 'root', 'lib/modules', path), join(work, name));
      renameSync(join(work, name), join(moduleFolder(), name));
    }
    return [];
  } catch (error) {
    return [`${packageName}: ${error instanceof Error ? error.message : String(error)}`];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The RAM disk's path, made when it is not there; undefined without the installer. */
export function tinyInitramfs(): string | undefined {
  const source = guestFile('initrd.gz');
  if (source === undefined) return undefined;
  const packaged = packagedModules();
  // Its name tells what it is made of, this program included: other versions of the source tree share the cache.
  const key = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
  for (const path of [source, ...packaged])
    key.update(`${path} ${statSync(path).size} ${statSync(path).mtimeMs}\n`);
  const folder = join(guestCache(), 'initramfs');
  const path = join(folder, `tiny-${key.digest('hex').slice(0, 12)}.cpio.gz`);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const archive = writeArchive(pick(readInstaller(source), packaged));
  const work = `${path}.${process.pid}`;
  writeFileSync(work, gzipSync(archive));
  renameSync(work, path);
  return path;
}

/** Whether that RAM disk has the drivers of disks and of 9P. */
export function hasPackagedDrivers(): boolean {
  return packagedModules().length === PACKAGED_MODULES.length;
}
