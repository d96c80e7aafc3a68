/**
 * Fetches the firmware that the demo, the end-to-end tests and the benchmarks run, from Debian packages by
 * name and without root. What the machine has installed is used where it is; the rest goes into a cache
 * outside the source tree: `$V8A_CACHE`, else `~/.cache/v8a-guests`.
 *
 * As a command (`npm run guests`) it prints one `name<TAB>path` line per file on stdout. `--kernels` fetches a kernel
 * and its initial RAM disk too (120 MiB), of which `make-initramfs.ts` makes a small one, more drivers for it
 * (60 MiB) and GRUB; `--debian` makes a disk with Debian (`make-debian-disk.ts`), as root and in some minutes;
 * `--kvmtool` builds EDK2's firmware for kvmtool (`make-kvmtool-firmware.ts`), in some minutes too; `--download` fetches
 * packages into the cache even when they are installed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { unpackPackage } from './apt.js';

const DEBIAN_INSTALLER = 'usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64';

/** Where each file is inside the package that brings it, without the leading slash. */
const PACKAGES = {
  'qemu-efi-aarch64': {
    'AAVMF_CODE.fd': 'usr/share/AAVMF/AAVMF_CODE.fd',
    'AAVMF_VARS.fd': 'usr/share/AAVMF/AAVMF_VARS.fd',
    'QEMU_EFI.fd': 'usr/share/qemu-efi-aarch64/QEMU_EFI.fd',
  },
  'u-boot-qemu': {
    'u-boot.bin': 'usr/lib/u-boot/qemu_arm64/u-boot.bin',
  },
  'debian-installer-12-netboot-arm64': {
    linux: `${DEBIAN_INSTALLER}/linux`,
    'initrd.gz': `${DEBIAN_INSTALLER}/initrd.gz`,
  },
  'grub-efi-arm64-signed': {
    'grubaa64.efi': 'usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed',
  },
  'shim-signed': {
    'shimaa64.efi': 'usr/lib/shim/shimaa64.efi.signed',
  },
  'qemu-user-static': {
    'qemu-aarch64-static': 'usr/bin/qemu-aarch64-static',
  },
} as const;

/** What goes with a kernel, and what a disk with Debian is made with, some of it large: fetched only when asked for. */
const ON_REQUEST = {
  kernels: ['debian-installer-12-netboot-arm64', 'grub-efi-arm64-signed'],
  debian: ['grub-efi-arm64-signed', 'shim-signed', 'qemu-user-static'],
} as const;

/** Those that are to be of arm64, whatever this machine is. */
const ARM64_PACKAGES: readonly string[] = ['grub-efi-arm64-signed', 'shim-signed'];

type GuestPackage = keyof typeof PACKAGES;
export type GuestFile = { [P in GuestPackage]: keyof (typeof PACKAGES)[P] }[GuestPackage];

/** The same table, flat. */
const FILES = Object.entries(PACKAGES).flatMap(([packageName, files]) =>
  Object.entries(files).map(([name, path]) => ({
    name: name as GuestFile,
    packageName: packageName as GuestPackage,
    path: path,
  })),
);

/** The cache directory; it need not exist. */
export function guestCache(): string {
  const configured = process.env['V8A_CACHE'];
  return configured !== undefined && configured !== '' ? configured : join(homedir(), '.cache', 'v8a-guests');
}

/** The path of a guest file, or undefined where it is neither in the cache nor installed. Never downloads. */
export function guestFile(name: GuestFile): string | undefined {
  for (const file of FILES) {
    if (file.name !== name) continue;
    for (const path of [join(guestCache(), file.packageName, name), `/${file.path}`]) {
      if (existsSync(path)) return path;
    }
  }
  return undefined;
}

/**
 * Makes every file of the table available. Quick when they are. Returns the reasons, one line each, for what
 * could not be had: no apt on this machine, no network, a package that the archive does not have.
 */
export function fetchGuests(
  options: { download?: boolean; kernels?: boolean; debian?: boolean } = {},
): string[] {
  const missing = new Set<GuestPackage>();
  const sets = Object.entries(ON_REQUEST) as [keyof typeof ON_REQUEST, readonly string[]][];
  for (const { name, packageName } of FILES) {
    const belongsTo = sets.filter(([, packages]) => packages.includes(packageName));
    if (belongsTo.length > 0 && !belongsTo.some(([set]) => options[set] === true)) continue;
    const isHere =
      options.download === true
        ? existsSync(join(guestCache(), packageName, name))
        : guestFile(name) !== undefined;
    if (!isHere) missing.add(packageName);
  }
  if (missing.size === 0) return [];

  for (const tool of ['apt-get', 'dpkg-deb']) {
    if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).error === undefined) continue;
    return [
      `${tool} is not on this machine, so ${[...missing].join(' and ')} cannot be fetched; ` +
        `put their files into ${join(guestCache(), 'PACKAGE')} by hand`,
    ];
  }
  return [...missing].flatMap((packageName) => {
    try {
      fetchPackage(packageName);
      return [];
    } catch (error) {
      return [`${packageName}: ${error instanceof Error ? error.message : String(error)}`];
    }
  });
}

/** Downloads and unpacks beside the final place and renames, so that another process never sees half of it. */
function fetchPackage(packageName: GuestPackage): void {
  mkdirSync(guestCache(), { recursive: true });
  const work = mkdtempSync(join(guestCache(), '.fetch-'));
  try {
    console.error(`fetching ${packageName} into ${guestCache()}`);
    const isArm64 = ARM64_PACKAGES.includes(packageName);
    const archive = unpackPackage(packageName, work, guestCache(), isArm64 ? 'arm64' : undefined);

    const ready = join(work, 'ready');
    mkdirSync(ready);
    for (const file of FILES) {
      if (file.packageName !== packageName) continue;
      // Debian spells some of these as symbolic links.
      renameSync(realpathSync(join(work, 'root', file.path)), join(ready, file.name));
    }
    writeFileSync(join(ready, 'package.txt'), `${archive}\n`);
    const final = join(guestCache(), packageName);
    try {
      renameSync(ready, final);
    } catch (error) {
      // Somebody else was faster, and theirs is as good.
      if (!existsSync(final)) throw error;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function main(args: readonly string[]): Promise<void> {
  const withKernels = args.includes('--kernels');
  const withDebian = args.includes('--debian');
  const withKvmtool = args.includes('--kvmtool');
  // Imports this module: not before it has been evaluated.
  const { fetchModules, tinyInitramfs } = await import('./make-initramfs.js');
  const { debianDisk, makeDebianDisk } = await import('./make-debian-disk.js');
  const { allKvmtoolFirmware, makeKvmtoolFirmware } = await import('./make-kvmtool-firmware.js');
  const problems = fetchGuests({
    download: args.includes('--download'),
    kernels: withKernels,
    debian: withDebian,
  });
  if (withKernels) problems.push(...fetchModules());
  if (withDebian && problems.length === 0) problems.push(...(await makeDebianDisk()));
  if (withKvmtool) problems.push(...(await makeKvmtoolFirmware()));
  for (const problem of problems) {
    console.error(`fetch-guests: ${problem}`);
    process.exitCode = 1;
  }
  for (const { name } of FILES) {
    const path = guestFile(name);
    if (path !== undefined) console.log(`${name}\t${path}`);
  }
  const initramfs = tinyInitramfs();
  if (initramfs !== undefined) console.log(`tiny.cpio.gz\t${initramfs}`);
  const disk = debianDisk();
  if (disk !== undefined) console.log(`debian.img\t${disk}`);
  for (const [name, path] of allKvmtoolFirmware()) console.log(`${name}\t${path}`);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  void main(process.argv.slice(2));
}
