/**
 * Makes a disk with Debian for arm64, as its packages install it, on a Debian of any architecture: firmware starts shim
 * and GRUB, which start the kernel of the root file system; root logs in on the console without a password. Needs root,
 * mounts nothing that anybody else sees, and installs nothing.
 *
 * apt and dpkg of this machine unpack the packages into a folder and run the packages' scripts there, in a user
 * namespace with a binfmt_misc of its own (Linux 6.7), which starts programs for arm64 with QEMU's user mode. mke2fs
 * makes a file system of the folder.
 *
 * `npm run guests -- --debian` makes it in the cache and prints its path. Downloads 150 MiB; `debianDisk` tells where it
 * is.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs'; // prettier-ignore
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';

import { PackageCache } from './apt.js';
import { guestCache, guestFile } from './fetch-guests.js';
import { makeDisk } from './make-disk.js';
import { makeInCache, missingTools, type Progress } from './make-in-cache.js';

const MIB = 1024 * 1024;
const ROOT_UUID = '6b1f6f0e-3c55-4a35-9f2b-0c2f5d5a1301';

/** What the disk's name is a hash of. */
const RECIPE = {
  /** Counts changes of the steps below, which are not in this table. */
  version: 2,
  rootBytes: 1024 * MIB,
  /** dpkg needs these to be unpacked before it can install anything. */
  essential: ['?essential', 'usr-is-merged'],
  packages: [
    ...['linux-image-arm64', 'initramfs-tools', 'zstd', 'busybox', 'systemd-sysv', 'udev', 'dbus', 'kmod'],
    ...['efibootmgr', 'kexec-tools', 'mtd-utils', 'pciutils', 'e2fsprogs', 'fio'],
    ...['iproute2', 'iputils-ping', 'wget', 'python3', 'openssl', 'xz-utils'],
  ],
  /** Parts of packages that no guest of ours looks at. */
  excluded: [
    ...['man', 'doc', 'info', 'locale'].map((folder) => `/usr/share/${folder}/*`),
    // Device trees of other boards.
    '/usr/lib/linux-image-*/*',
    '/lib/modules/*/kernel/sound/*',
    ...['gpu', 'media', 'iio', 'infiniband', 'staging', 'bluetooth', 'net/ethernet', 'net/wireless'].map(
      (folder) => `/lib/modules/*/kernel/drivers/${folder}/*`,
    ),
  ],
  /** Files that are there before the packages are. */
  files: {
    'etc/fstab': `UUID=${ROOT_UUID} / ext4 errors=remount-ro 0 1\n`,
    'etc/hostname': 'debian\n',
    'etc/hosts': '127.0.0.1\tlocalhost debian\n::1\tlocalhost\n',
    'etc/resolv.conf': 'nameserver 10.0.2.3\n',
    'etc/apt/sources.list': 'deb http://deb.debian.org/debian bookworm main\n',
    'etc/systemd/network/ethernet.network':
      '[Match]\nType=ether\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n',
    'etc/initramfs-tools/conf.d/v8a': 'MODULES=list\nCOMPRESS=zstd\nFSTYPE=ext4\n',
    'usr/share/initramfs-tools/modules.d/v8a': 'virtio_mmio\nvirtio_pci\nvirtio_blk\next4\n',
  },
  /** Units, enabled for a target. */
  enabled: { 'systemd-networkd.service': 'multi-user.target' },
  /** What works behind the back of a test, waits for a network that isn't there, or makes a reboot a kexec. */
  masked: [
    ...['apt-daily.timer', 'apt-daily-upgrade.timer', 'dpkg-db-backup.timer', 'e2scrub_all.timer'],
    ...['e2scrub_reap.service', 'fstrim.timer', 'systemd-networkd-wait-online.service'],
    ...['kexec.service', 'kexec-load.service', 'getty@tty1.service'],
  ],
  /** Without a console: firmware's tables name that of the board. */
  grub: `search.fs_uuid ${ROOT_UUID} root
set timeout=0
menuentry Debian {
  linux /vmlinuz root=UUID=${ROOT_UUID} ro
  initrd /initrd.img
}
`,
};

/** Programs of this machine that have no package which Debian always has. */
const TOOLS = { 'apt-get': 'apt', dpkg: 'dpkg', unshare: 'util-linux', mke2fs: 'e2fsprogs' };

function diskPath(): string {
  const key = createHash('sha256').update(JSON.stringify(RECIPE)).digest('hex').slice(0, 12);
  return join(guestCache(), 'debian', `debian-${key}.img`);
}

/** The disk's path, undefined where it has not been made. Not to be written: other runs use it. */
export function debianDisk(): string | undefined {
  return existsSync(diskPath()) ? diskPath() : undefined;
}

/** Where the root file system begins, in bytes. */
const ROOT_OFFSET_AT = { entry: 2 * 512 + 128, firstSector: 32 };

export interface DebianKernel {
  /** `6.1.0-56-arm64`. */
  readonly version: string;
  readonly kernel: string;
  readonly initrd: string;
}

/**
 * Copies the disk's kernel and its initial RAM disk into `folder`, to start them without firmware, with debugfs of
 * e2fsprogs.
 */
export function copyDebianKernel(folder: string): DebianKernel {
  const disk = readFileSync(diskPath()).subarray(0, MIB);
  const { entry, firstSector } = ROOT_OFFSET_AT;
  const offset = disk.readBigUInt64LE(entry + firstSector) * 512n;
  const debugfs = (command: string): string => {
    const { error, stdout } = spawnSync('debugfs', ['-R', command, `${diskPath()}?offset=${offset}`], {
      encoding: 'utf8',
    });
    if (error) throw error;
    return stdout;
  };
  const [, version] = /vmlinuz-(\S+)/.exec(debugfs('ls /boot')) ?? [];
  if (version === undefined) throw new Error('no kernel on the Debian disk');
  const [kernel, initrd] = ['vmlinuz', 'initrd.img'].map((name) => {
    const path = join(folder, name);
    debugfs(`dump /boot/${name}-${version} ${path}`);
    return path;
  }) as [string, string];
  return { version, kernel, initrd };
}

/** Makes the disk if it isn't there. Returns why it can't, one line each; `fetchGuests` has brought what it needs. */
export async function makeDebianDisk(): Promise<string[]> {
  if (existsSync(diskPath())) return [];
  const problems = missingTools('the Debian disk', TOOLS);
  if (process.geteuid?.() !== 0) problems.push('the Debian disk can only be made by root');
  if (problems.length > 0) return problems;
  return makeInCache('the Debian disk', dirname(diskPath()), build);
}

async function build(work: string, progress: Progress): Promise<void> {
  const root = join(work, 'root');
  progress.step('Debian disk: fetching packages');
  const cache = new PackageCache(guestCache());
  const wanted = [...RECIPE.essential, ...RECIPE.packages];
  const archives = cache.fetch(wanted);

  progress.step('Debian disk: unpacking what dpkg needs');
  prepareRoot(root, cache.fetch(RECIPE.essential));

  const installing = `Debian disk: installing ${archives.length} packages`;
  progress.step(installing);
  const log = join(work, 'log');
  const config = join(work, 'apt.conf');
  writeFileSync(config, aptConfig(root));
  const install = ['apt-get', ...cache.options, '-o', `Dir::State=${root}/var/lib/apt`];
  install.push('-o', `Dir::State::Lists=${guestCache()}/apt-arm64/lists`);
  install.push('-o', `Dir::State::status=${root}/var/lib/dpkg/status`, 'install', ...wanted);
  let steps = 0;
  await runForArm64(root, config, [install, ['chroot', root, 'sh', '-c', MAKE_INITRD]], (text) => {
    appendFileSync(log, text);
    steps += text.match(/^(Unpacking|Setting up) /gm)?.length ?? 0;
    progress.show(`${installing}: ${Math.round((50 * steps) / archives.length)} %`);
  });

  progress.step('Debian disk: making the file systems');
  configure(root);
  const disk = join(work, 'disk.img');
  const offset = makeDisk(disk, bootFiles(), { rootBytes: RECIPE.rootBytes });
  run('mke2fs', [
    ...['-q', '-F', '-t', 'ext4', '-L', 'root', '-U', ROOT_UUID, '-d', root],
    ...['-E', `offset=${offset},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0`],
    ...[disk, `${RECIPE.rootBytes / 1024}k`],
  ]);
  renameSync(disk, diskPath());
}

/** A link to it comes with a kernel's installation otherwise. */
const MAKE_INITRD = `set -e
version=$(ls /lib/modules)
update-initramfs -c -k "$version"
ln -sf "boot/initrd.img-$version" /initrd.img
`;

/** What a boot loader for the removable path and one for an entry of its own are: the same. */
function bootFiles(): Record<string, Uint8Array | string> {
  const shim = readFileSync(guestFile('shimaa64.efi') ?? '');
  const grub = readFileSync(guestFile('grubaa64.efi') ?? '');
  return {
    'EFI/BOOT/BOOTAA64.EFI': shim,
    'EFI/BOOT/GRUBAA64.EFI': grub,
    'EFI/debian/shimaa64.efi': shim,
    'EFI/debian/grubaa64.efi': grub,
    'EFI/debian/grub.cfg': RECIPE.grub,
  };
}

/** Unpacks the essential packages, so that scripts of packages can run, and tells dpkg of none. */
function prepareRoot(root: string, archives: readonly string[]): void {
  for (const folder of ['bin', 'sbin', 'lib']) {
    mkdirSync(join(root, 'usr', folder), { recursive: true });
    symlinkSync(`usr/${folder}`, join(root, folder));
  }
  for (const folder of ['dev', 'proc', 'var/lib/apt', 'var/lib/dpkg/info']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  for (const archive of archives) {
    run('sh', [
      '-c',
      'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"',
      'sh',
      archive,
      root,
    ]);
  }
  for (const name of ['passwd', 'group']) {
    copyFileSync(join(root, `usr/share/base-passwd/${name}.master`), join(root, 'etc', name));
  }
  writeFileSync(join(root, 'var/lib/dpkg/status'), '');
  // dpkg of another architecture takes arm64 for a foreign one.
  writeFileSync(join(root, 'var/lib/dpkg/arch'), 'arm64\n');
  for (const [name, content] of Object.entries(RECIPE.files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
}

/** Configuration for the installation; that of this machine, hooks for instance, is left out. */
function aptConfig(root: string): string {
  const options = [
    `--root=${root}`,
    '--log=/dev/null',
    '--force-unsafe-io',
    '--force-confold',
    // Packages without an architecture count as of dpkg's own, and nothing that they need is.
    '--force-depends',
    ...RECIPE.excluded.map((path) => `--path-exclude=${path}`),
  ];
  return `Dir::Etc::parts "/dev/null";
Dir::Log "${root}/var/log/apt";
Dpkg::Use-Pty "false";
APT::Immediate-Configure "false";
DPkg::Options { ${options.map((option) => `"${option}";`).join(' ')} };
`;
}

/** ELF, 64 bits, little-endian, for AArch64, an executable or a shared object (binfmt-misc.rst, magic and mask). */
const BINFMT = [
  ...[':v8a:M:', '\\x7fELF\\x02\\x01\\x01' + '\\x00'.repeat(9) + '\\x02\\x00\\xb7\\x00'],
  '\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00' + '\\xff'.repeat(8) + '\\xfe\\xff\\xff\\xff',
].join(':');

/**
 * Runs commands one after the other where programs for arm64 run and `root` has /dev and /proc. `onOutput` gets what
 * they print.
 */
async function runForArm64(
  root: string,
  aptConfig: string,
  commands: readonly (readonly string[])[],
  onOutput: (text: string) => void,
): Promise<void> {
  const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
  const registration = `${BINFMT}:${guestFile('qemu-aarch64-static')}:F`;
  const script = [
    'set -e',
    'echo; read -r go',
    `mount --rbind /dev ${quote(`${root}/dev`)}`,
    `mount --rbind /proc ${quote(`${root}/proc`)}`,
    // Where that doesn't work, the machine's own may know arm64.
    'if mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc; then',
    `  printf %s ${quote(registration)} > /proc/sys/fs/binfmt_misc/register`,
    'fi',
    `if ! chroot ${quote(root)} true; then`,
    '  echo "programs for arm64 do not run here: Linux 6.7 is needed, or binfmt_misc with QEMU"; exit 1',
    'fi',
    ...commands.map((command) => command.map(quote).join(' ')),
  ].join('\n');
  const child = spawn('unshare', ['--user', '--mount', '--propagation', 'private', 'sh', '-c', script], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      ...{ PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      // The RAM disk is made once, in the end.
      ...{ INITRD: 'No', APT_CONFIG: aptConfig },
    },
  });
  let last = '';
  const listen = (text: string): void => {
    last = text.trim().split('\n').at(-1) ?? last;
    onOutput(text);
  };
  child.stdin.on('error', () => undefined); // It may have ended already.
  child.stderr.setEncoding('utf8').on('data', listen);
  child.stdout.setEncoding('utf8').once('data', () => {
    // It is in its namespace: every user is the same as outside.
    for (const map of ['gid_map', 'uid_map']) writeFileSync(`/proc/${child.pid}/${map}`, '0 0 4294967295');
    child.stdin.end('go\n');
    child.stdout.on('data', listen);
  });
  const [status] = (await once(child, 'close')) as [number | null];
  if (status !== 0) throw new Error(last);
}

/** What is left to do when the packages are there. */
function configure(root: string): void {
  const shadow = join(root, 'etc/shadow');
  writeFileSync(shadow, readFileSync(shadow, 'utf8').replace(/^root:[^:]*:/m, 'root::'));
  const units = join(root, 'etc/systemd/system');
  for (const unit of RECIPE.masked) {
    rmSync(join(units, unit), { force: true });
    symlinkSync('/dev/null', join(units, unit));
  }
  for (const [unit, target] of Object.entries(RECIPE.enabled)) {
    mkdirSync(join(units, `${target}.wants`), { recursive: true });
    symlinkSync(`/lib/systemd/system/${unit}`, join(units, `${target}.wants`, unit));
  }
  rmSync(join(root, 'var/lib/dpkg/arch'));
}

function run(program: string, args: readonly string[]): void {
  const { error, status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program}: ${stderr.trim().split('\n').at(-1)}`);
}
