/**
 * Disks through the command, with the drivers of guests: U-Boot, UEFI firmware, GRUB and Linux, each over virtio-mmio,
 * modern and legacy, and over virtio-pci.
 */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { guestFile } from '../scripts/fetch-guests.js';
import { makeDisk } from '../scripts/make-disk.js';
import { hasPackagedDrivers, tinyInitramfs } from '../scripts/make-initramfs.js';
import { makeBootDisk } from './support/boot-disk.js';
import { dialogue, plain, statistics, v8a } from './support/cli.js';
import { AAVMF_CODE, AAVMF_VARS, U_BOOT, newVariableStore, scratch, skipWithout } from './support/guests.js';
import { complaints } from './support/linux.js';
import { converseWithQemu, hasQemu, qemuArguments } from './support/qemu.js';

const KERNEL = guestFile('linux');
const GRUB = guestFile('grubaa64.efi');
const INITRD = tinyInitramfs();

const files = scratch();
after(() => files.remove());

type Steps = readonly { expect: string; send?: string }[];

/** Runs to the end of the steps. Returns what the guest printed and the statistics. */
async function run(
  options: readonly string[],
  steps: Steps,
): Promise<{ console: string; stats: ReadonlyMap<string, number> }> {
  const { status, stdout, stderr } = await v8a([
    'run',
    ...options,
    ...['--clock', 'virtual', '--timeout', '600s', '--stats'],
    ...dialogue(...steps),
  ]);
  assert.equal(status, 0, `${plain(stdout).slice(-3000)}\n${stderr}`);
  return { console: plain(stdout), stats: statistics(stderr) };
}

function assertPrinted(console: string, pattern: RegExp): void {
  assert.ok(
    pattern.test(console),
    `${pattern} is not in the output, which ends with\n${console.slice(-3000)}`,
  );
}

const TEXT = 'A text in a file on a disk.\n';
const LARGE = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 2654435761) >>> 24);
const LARGE_MD5 = createHash('md5').update(LARGE).digest('hex');

/** A disk with a few files, small and large, on one FAT partition. */
function fileDisk(name: string): string {
  const path = files.path(name);
  makeDisk(path, { 'HELLO.TXT': TEXT, 'SUB/LARGE.BIN': LARGE });
  return path;
}

const TRANSPORTS = ['mmio', 'mmio-legacy', 'pci'] as const;

for (const transport of TRANSPORTS) {
  suite(`U-Boot reads a disk over ${transport}`, { skip: skipWithout(U_BOOT) }, () => {
    test('finds it, lists its partition, loads files', async () => {
      const disk = fileDisk(`u-boot-${transport}.img`);
      const before = readFileSync(disk);
      const { console } = await run(
        ['--firmware', U_BOOT ?? '', '--disk', disk, '--virtio-transport', transport],
        [
          { expect: 'Hit any key to stop autoboot', send: ' ' },
          { expect: '=> ', send: 'pci enum; virtio scan; virtio info\r' },
          { expect: '=> ', send: 'part list virtio 0\r' },
          { expect: '=> ', send: 'fatls virtio 0:1 /\r' },
          { expect: '=> ', send: 'fatload virtio 0:1 40400000 HELLO.TXT; md.b 40400000 6\r' },
          { expect: '=> ', send: 'fatload virtio 0:1 40400000 SUB/LARGE.BIN; crc32 40400000 2dc6c0\r' },
          { expect: '=> ', send: 'fatwrite virtio 0:1 40400000 NEW.BIN 1000\r' },
          { expect: '=> ', send: 'fatload virtio 0:1 40600000 NEW.BIN; cmp.b 40400000 40600000 1000\r' },
          { expect: '=> ', send: 'poweroff\r' },
        ],
      );
      assertPrinted(console, /virtio-blk#\d+|VirtIO Block Device/);
      assertPrinted(console, /\s1\s+0x00000800\s+0x[0-9a-f]{8}\s+"boot"/);
      assertPrinted(console, /28\s+hello\.txt/i);
      assertPrinted(console, /40400000: 41 20 74 65 78 74/);
      assertPrinted(console, /3000000 bytes read/);
      assertPrinted(console, /crc32 for 40400000 \.\.\. \w+ ==> [0-9a-f]{8}/);
      assertPrinted(console, /Total of 4096 byte\(s\) were the same/);
      assert.ok(!readFileSync(disk).equals(before), 'the file that U-Boot wrote is in the image');
    });
  });

  suite(`UEFI firmware reads a disk over ${transport}`, { skip: skipWithout(AAVMF_CODE, AAVMF_VARS) }, () => {
    test('maps the file system, shows a file, writes another', async () => {
      const disk = fileDisk(`aavmf-${transport}.img`);
      const { console } = await run(
        [
          ...['--firmware', AAVMF_CODE ?? '', '--flash', newVariableStore(files.path('vars.fd'))],
          ...['--disk', disk, '--virtio-transport', transport],
        ],
        [
          { expect: 'Shell>', send: 'fs0:\r' },
          { expect: 'FS0:\\\\>', send: 'type HELLO.TXT\r' },
          { expect: 'FS0:\\\\>', send: 'cp SUB\\\\LARGE.BIN COPY.BIN\r' },
          { expect: 'FS0:\\\\>', send: 'comp -n all SUB\\\\LARGE.BIN COPY.BIN\r' },
          { expect: 'FS0:\\\\>', send: 'reset -s\r' },
        ],
      );
      assertPrinted(console, /FS0: Alias/);
      assertPrinted(console, new RegExp(TEXT.trim()));
      assertPrinted(console, /no differences encountered/i);
    });
  });
}

/** With a kernel and its RAM disk. */
function bootDisk(name: string): string {
  const path = files.path(name);
  makeBootDisk(path, { grub: GRUB ?? '', kernel: KERNEL ?? '', initrd: INITRD ?? '' }, 'console=ttyAMA0');
  return path;
}

const PROMPT = 'tiny# ';

suite(
  'AAVMF boots a disk through GRUB into Linux',
  { skip: skipWithout(AAVMF_CODE, AAVMF_VARS, KERNEL, GRUB, INITRD) },
  () => {
    const boot = async (disk: string, steps: Steps, options: readonly string[] = []) => {
      const vars = newVariableStore(files.path('boot-vars.fd'));
      return run(['--firmware', AAVMF_CODE ?? '', '--flash', vars, '--disk', disk, ...options], steps);
    };
    let first: ReadonlyMap<string, number> | undefined;
    const path = (): string => files.path('boot.img');

    test('reaches a shell, with an overlay that leaves the image as it is', async () => {
      const disk = bootDisk('boot.img');
      const { mtimeMs } = statSync(disk);
      const { console, stats } = await boot(`${disk},overlay`, [
        { expect: PROMPT, send: 'cat /proc/cmdline\r' },
        { expect: PROMPT, send: 'poweroff -f\r' },
      ]);
      assertPrinted(console, /Loading Linux \.\.\./);
      assertPrinted(console, /BOOT_IMAGE=\/linux console=ttyAMA0/);
      assert.equal(statSync(disk).mtimeMs, mtimeMs);
      first = stats;
    });

    test('with the virtual clock the same disk executes the same instructions', async () => {
      const { stats } = await boot(`${path()},overlay`, [
        { expect: PROMPT, send: 'cat /proc/cmdline\r' },
        { expect: PROMPT, send: 'poweroff -f\r' },
      ]);
      assert.equal(stats.get('instructions'), first?.get('instructions'));
    });

    for (const [irqchip, acpi, name] of [
      ['gicv2', 'on', 'MSI'],
      ['gicv2', 'off', 'MSI'],
      ['gicv3-its', 'on', 'ITS-MSI'],
      ['gicv3-its', 'off', 'ITS-MSI'],
    ] as const) {
      test(`over virtio-pci with MSI-X, ${irqchip}, --acpi ${acpi}: no complaint`, async () => {
        const { console } = await boot(
          `${path()},overlay`,
          [
            { expect: PROMPT, send: 'lspci -vv 2>/dev/null; cat /proc/interrupts; dmesg\r' },
            { expect: PROMPT, send: 'poweroff -f\r' },
          ],
          ['--virtio-transport', 'pci', '--irqchip', irqchip, '--acpi', acpi],
        );
        assert.deepEqual(complaints(console), []);
        assertPrinted(console, /PCI host bridge to bus 0000:00/);
        assertPrinted(console, /BAR 4 \[mem 0x8000000000-0x8000003fff 64bit pref\]/);
        assertPrinted(console, /Express \(v2\) Root Complex Integrated Endpoint/);
        if (!hasPackagedDrivers()) return;
        assertPrinted(console, /MSI-X: Enable\+ Count=2 Masked-/);
        assertPrinted(console, new RegExp(`^ *\\d+: +0 +${name} \\d+ Edge +virtio0-config$`, 'm'));
        assertPrinted(console, new RegExp(`^ *\\d+: +[1-9]\\d* +${name} \\d+ Edge +virtio0-req\\.0$`, 'm'));
      });
    }
  },
);

/** Without the drivers there is no word of a disk in Linux. */
const NO_DRIVERS = !hasPackagedDrivers() && 'drivers of disks are missing: npm run guests -- --kernels';

suite(
  'Linux works with disks',
  { skip: NO_DRIVERS === false ? skipWithout(KERNEL, INITRD) : NO_DRIVERS },
  () => {
    const kernel = [
      ...['--kernel', KERNEL ?? '', '--initrd', INITRD ?? '', '--append', 'console=ttyAMA0'],
      ...['--rng', '--seed', '7'],
    ];
    for (const transport of TRANSPORTS) {
      test(`${transport}: serial number, file system, writes that arrive, read-only, discard, entropy`, async () => {
        const disk = fileDisk(`linux-${transport}.img`);
        const other = fileDisk(`other-${transport}.img`);
        const { console } = await run(
          [
            ...[...kernel, '--virtio-transport', transport],
            ...['--disk', `${other},ro`, '--disk', `${disk},serial=second-disk`],
          ],
          [
            { expect: PROMPT, send: 'cd /sys/block; cat vda/ro vdb/ro vdb/serial\r' },
            { expect: PROMPT, send: 'mount -t vfat /dev/vdb1 /tmp && cat /tmp/hello.txt\r' },
            { expect: PROMPT, send: 'md5sum /tmp/sub/large.bin\r' },
            {
              expect: PROMPT,
              send: 'cd /tmp; dd if=/dev/urandom of=new bs=64k count=10; md5sum new >sum; cd /\r',
            },
            { expect: PROMPT, send: 'sync; umount /tmp; dd if=/dev/zero of=/dev/vda bs=512 count=1\r' },
            {
              expect: PROMPT,
              send: 'mount -t vfat /dev/vdb1 /tmp && cd /tmp && md5sum -c sum; cd /; umount /tmp\r',
            },
            { expect: PROMPT, send: 'blkdiscard -o 0 -l 4096 /dev/vdb && echo discard-is-$?\r' },
            { expect: PROMPT, send: 'cat /sys/class/misc/hw_random/rng_current\r' },
            { expect: PROMPT, send: 'head -c 8 /dev/hwrng | md5sum\r' },
            { expect: PROMPT, send: 'poweroff -f\r' },
          ],
        );
        assertPrinted(console, /^1\n0\nsecond-disk/m);
        assertPrinted(console, new RegExp(`^${TEXT.trim()}$`, 'm'));
        assertPrinted(console, new RegExp(`^${LARGE_MD5}  /tmp/sub/large.bin$`, 'm'));
        assertPrinted(console, /10\+0 records out/);
        assertPrinted(console, /^new: OK$/m);
        assertPrinted(console, /\/dev\/vda'?: (Operation not permitted|Read-only)/);
        assertPrinted(console, /^discard-is-0$/m);
        assertPrinted(console, /^virtio_rng\.0$/m);
        assert.doesNotMatch(console, /I\/O error|Buffer I\/O/);
      });
    }

    /** Names, sizes in sectors, and places. */
    const order: Steps = [
      {
        expect: PROMPT,
        send: 'cd /sys/block; for d in vd*; do echo "$d $(cat $d/size) $(readlink -f $d)"; done\r',
      },
      { expect: PROMPT, send: 'poweroff -f\r' },
    ];
    /** `vda: first disk at …`, sorted by name. */
    const disksIn = (console: string): string[] =>
      [...console.matchAll(/^(vd.) (\d+) \S*\/(?:(\w+)\.virtio(?:_mmio)?|(0000:[\d:.]+))\/virtio/gm)].map(
        ([, name, sectors, address, slot]) =>
          `${name}: ${sectors === '8' ? 'first' : 'second'}, ${address ?? slot}`,
      );
    /** As the table in docs/ARCHITECTURE.md has it. */
    const ORDERS = [
      { machine: 'virt', transport: 'mmio', ours: ['vda: first, a003e00', 'vdb: second, a003c00'] },
      { machine: 'virt', transport: 'pci', ours: ['vda: first, 0000:00:01.0', 'vdb: second, 0000:00:02.0'] },
      { machine: 'kvmtool', transport: 'mmio', ours: ['vda: first, 3000000', 'vdb: second, 3000200'] },
      {
        machine: 'kvmtool',
        transport: 'pci',
        ours: ['vda: first, 0000:00:01.0', 'vdb: second, 0000:00:02.0'],
      },
    ];
    const two = (): [string, string] => {
      const paths = [files.path('first.img'), files.path('second.img')] as const;
      paths.forEach((path, index) => writeFileSync(path, new Uint8Array((index + 1) * 4096)));
      return [...paths];
    };
    for (const { machine, transport, ours } of ORDERS) {
      test(`the first disk is vda, ${machine}, ${transport}`, async () => {
        const { console } = await run(
          [
            ...['--machine', machine, '--kernel', KERNEL ?? '', '--initrd', INITRD ?? ''],
            ...['--virtio-transport', transport, ...two().flatMap((disk) => ['--disk', disk])],
          ],
          order,
        );
        assert.deepEqual(disksIn(console), ours);
      });
    }
    for (const [transport, device, theirs] of [
      ['mmio', 'virtio-blk-device', ['vda: second, a003c00', 'vdb: first, a003e00']],
      ['pci', 'virtio-blk-pci', ['vda: first, 0000:00:01.0', 'vdb: second, 0000:00:02.0']],
    ] as const) {
      test(
        `what QEMU has for vda, ${transport}`,
        { skip: !hasQemu && 'no qemu-system-aarch64' },
        async () => {
          const drives = two().flatMap((disk, index) => [
            ...['-drive', `if=none,id=d${index},format=raw,file=${disk}`],
            ...['-device', `${device},drive=d${index}`],
          ]);
          const kernel = ['-kernel', KERNEL ?? '', '-initrd', INITRD ?? ''];
          const { console } = await converseWithQemu(
            [...qemuArguments({}), ...kernel, ...drives],
            order,
            300_000,
          );
          assert.deepEqual(disksIn(plain(console)), theirs);
        },
      );
    }
  },
);
