/**
 * The kvmtool board through the command: Debian's kernel started directly, and EDK2's firmware for kvmtool, which is
 * built from Debian's sources by `npm run guests -- --kvmtool`.
 */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { guestFile } from '../scripts/fetch-guests.js';
import { makeDisk } from '../scripts/make-disk.js';
import { hasPackagedDrivers, tinyInitramfs } from '../scripts/make-initramfs.js';
import { kvmtoolFirmware } from '../scripts/make-kvmtool-firmware.js';
import { makeBootDisk } from './support/boot-disk.js';
import { dialogue, plain, statistics, v8a } from './support/cli.js';
import { scratch, skipWithout, skipWithoutKvmtool } from './support/guests.js';
import { complaints } from './support/linux.js';

const KERNEL = guestFile('linux');
const GRUB = guestFile('grubaa64.efi');
const INITRD = tinyInitramfs();
const FIRMWARE = kvmtoolFirmware();
const MIB = 1024 * 1024;

const files = scratch();
after(() => files.remove());

type Steps = readonly { expect: string; send?: string }[];

async function run(
  options: readonly string[],
  ...steps: Steps
): Promise<{ console: string; stderr: string; stats: ReadonlyMap<string, number> }> {
  const { status, stdout, stderr } = await v8a([
    ...['run', '--machine', 'kvmtool', ...options],
    ...['--clock', 'virtual', '--timeout', '500s', '--stats', '--trace', 'guest-errors'],
    ...dialogue(...steps),
  ]);
  assert.equal(status, 0, `${plain(stdout).slice(-3000)}\n${stderr.slice(-3000)}`);
  return { console: plain(stdout), stderr, stats: statistics(stderr) };
}

function assertPrinted(output: string, pattern: RegExp): void {
  assert.ok(pattern.test(output), `${pattern} is not in the output, which ends with\n${output.slice(-2000)}`);
}

const PROMPT = 'tiny# ';
const OFF = { expect: PROMPT, send: 'poweroff -f\r' };

suite('Linux, started directly on the kvmtool board', { skip: skipWithout(KERNEL, INITRD) }, () => {
  const kernel = ['-k', KERNEL ?? '', '-i', INITRD ?? '', '--append', 'console=ttyS0 earlycon'];

  for (const irqchip of ['gicv2', 'gicv2m', 'gicv3', 'gicv3-its']) {
    test(`reaches a shell and powers off: ${irqchip}, 2 CPUs, no complaint`, async () => {
      const { console, stderr } = await run(
        [...kernel, '--irqchip', irqchip, '-c', '2'],
        {
          expect: PROMPT,
          send: 'grep -c ^processor /proc/cpuinfo; head -c 9 /proc/device-tree/rtc@*/reg | wc -c\r',
        },
        OFF,
      );
      assert.deepEqual(complaints(console), []);
      assertPrinted(
        console,
        /1000000\.U6_16550A: ttyS0 at MMIO 0x1000000 \(irq = \d+, base_baud = 115200\) is a 16550A/,
      );
      assertPrinted(console, /ttyS3 at MMIO 0x1003000/);
      assertPrinted(console, /PMU driver, 7 counters available/);
      assertPrinted(console, /ECAM at \[mem 0x40000000-0x4fffffff\] for \[bus 00\]/);
      assertPrinted(console, /^2$/m);
      assertPrinted(console, /Power down/);
      assert.doesNotMatch(stderr, /guest-errors/);
    });
  }

  test('RAM elsewhere; a reset starts the kernel again, in RAM that is clear', async () => {
    const { console } = await run([...kernel, '-m', '512M@4G'], { expect: PROMPT, send: 'reboot -f\r' }, OFF);
    assert.equal(console.match(/tiny guest on/g)?.length, 2);
    assertPrinted(console, /DMA32 +empty/);
    assertPrinted(console, /node +0: \[mem 0x0000000100000000-0x000000011fffffff\]/);
  });

  const text = 'A text in a file on a disk.';
  for (const transport of ['mmio', 'mmio-legacy', 'pci']) {
    test(
      `a disk over ${transport}`,
      { skip: !hasPackagedDrivers() && 'drivers of disks are missing: npm run guests -- --kernels' },
      async () => {
        const disk = files.path(`${transport}.img`);
        makeDisk(disk, { 'HELLO.TXT': text });
        const { console } = await run(
          [...kernel, '--virtio-transport', transport, '-d', disk, '--rng'],
          { expect: PROMPT, send: 'mount -t vfat /dev/vda1 /tmp && cat /tmp/hello.txt\r' },
          { expect: PROMPT, send: 'echo Written. >/tmp/new.txt; umount /tmp; cat /proc/interrupts\r' },
          { expect: PROMPT, send: 'head -c 8 /dev/hwrng | wc -c\r' },
          OFF,
        );
        assert.deepEqual(complaints(console), []);
        assertPrinted(console, new RegExp(`^${text}`, 'm'));
        assertPrinted(console, /^8$/m);
        assertPrinted(
          console,
          transport === 'pci' ? /ITS-MSI \d+ Edge +virtio0-req/ : /GICv3 +36 Edge +virtio0/,
        );
        assert.ok(readFileSync(disk).includes('Written.'), 'what the guest wrote is in the image');
      },
    );
  }
});

/** From the menu that firmware shows when there is nothing to boot to its shell. */
const TO_SHELL: Steps = [
  { expect: 'Select Language', send: '\\e[B\\e[B\r' },
  { expect: 'UEFI Shell', send: '\\e[A\r' },
];
const VARIABLE = 'keep -guid 6b1f6f0e-3c55-4a35-9f2b-0c2f5d5a12ff';
/** What `setvar` without a value prints: 0x1234 in two bytes, low first. */
const VALUE = /6B1F6F0E-3C55-4A35-9F2B-0C2F5D5A12FF - keep - 0002 Bytes\n34 12 \n/;

suite('EDK2’s firmware for kvmtool', { skip: skipWithoutKvmtool }, () => {
  const firmware = ['-f', FIRMWARE ?? ''];
  /** Two thirds of it are used. */
  const newFlash = (name: string, rest = new Uint8Array(MIB)): string => {
    const path = files.path(name);
    writeFileSync(path, Buffer.concat([new Uint8Array(2 * MIB).fill(0xff), rest]));
    return path;
  };

  test('reaches its shell, tells the time, keeps a variable over reset and power-off, in flash at memory speed', async () => {
    const rest = new Uint8Array(MIB).fill(0x5a);
    const flash = newFlash('flash.img', rest);
    const digest = createHash('sha256')
      .update(readFileSync(FIRMWARE ?? ''))
      .digest('hex');
    const { console, stderr, stats } = await run(
      [...firmware, '-F', flash],
      ...TO_SHELL,
      { expect: 'Shell>', send: 'date\r' },
      { expect: 'Shell>', send: `setvar ${VARIABLE} -nv -bs =0x1234\r` },
      { expect: 'Shell>', send: 'reset\r' },
      ...TO_SHELL,
      { expect: 'Shell>', send: `setvar ${VARIABLE}\r` },
      { expect: 'Shell>', send: 'reset -s\r' },
    );
    assertPrinted(console, /01\/01\/2025/);
    assertPrinted(console, VALUE);
    assert.doesNotMatch(stderr, /guest-errors/);
    assertPrinted(stderr, /flash\.img is 3145728 bytes, only 2097152 of it are used/);
    assert.equal(stats.get('flash trapped array reads'), 0);
    assert.equal(statSync(flash).size, 3 * MIB);
    assert.deepEqual(new Uint8Array(readFileSync(flash).subarray(2 * MIB)), rest);
    assert.equal(
      createHash('sha256')
        .update(readFileSync(FIRMWARE ?? ''))
        .digest('hex'),
      digest,
    );

    const again = await run(
      [...firmware, '-F', flash],
      ...TO_SHELL,
      { expect: 'Shell>', send: `setvar ${VARIABLE}\r` },
      { expect: 'Shell>', send: 'reset -s\r' },
    );
    assertPrinted(again.console, VALUE);
  });

  test('with --flash-direct off every read of the array is one of the device; all else is the same', async () => {
    const session = async (direct: 'on' | 'off') => {
      const flash = newFlash('direct.img');
      const { console, stats } = await run(
        [...firmware, '-F', flash, '--flash-direct', direct],
        ...TO_SHELL,
        { expect: 'Shell>', send: 'reset -s\r' },
      );
      const count = (name: string): number => stats.get(`flash ${name}`) ?? NaN;
      return {
        trapped: count('trapped array reads'),
        programs: count('buffered programs'),
        erases: count('erases'),
        instructions: stats.get('instructions'),
        console,
        array: createHash('sha256').update(readFileSync(flash)).digest('hex'),
      };
    };
    const { trapped, ...off } = await session('off');
    const on = await session('on');
    assert.ok(trapped > 100_000, `${trapped} reads`);
    assert.deepEqual(on, { trapped: 0, ...off });
  });

  test('works where --firmware-address puts it, with a GICv2', async () => {
    const { console } = await run(
      [...firmware, '-F', newFlash('moved.img'), '--firmware-address', '0x84000000', '--irqchip', 'gicv2'],
      ...TO_SHELL,
      { expect: 'Shell>', send: 'reset -s\r' },
    );
    assertPrinted(console, /UEFI Interactive Shell/);
  });

  for (const transport of ['mmio', 'pci']) {
    test(
      `boots a disk over ${transport} through GRUB into Linux, by the ACPI tables that it makes`,
      { skip: skipWithout(KERNEL, GRUB, INITRD) },
      async () => {
        const disk = files.path(`boot-${transport}.img`);
        makeBootDisk(disk, { grub: GRUB ?? '', kernel: KERNEL ?? '', initrd: INITRD ?? '' }, 'console=ttyS0');
        const flash = newFlash(`boot-${transport}.fd`);
        const { console } = await run(
          [...firmware, '-F', flash, '-d', `${disk},overlay`, '--virtio-transport', transport, '-c', '2'],
          { expect: PROMPT, send: 'cat /proc/cmdline; dmesg\r' },
          { expect: PROMPT, send: 'cat /sys/class/rtc/rtc0/name /sys/class/rtc/rtc0/date\r' },
          OFF,
        );
        assertPrinted(console, /Loading Linux \.\.\./);
        assertPrinted(console, /BOOT_IMAGE=\/linux console=ttyS0/);
        assertPrinted(console, /^rtc-efi/m);
        assertPrinted(console, /^2025-01-01$/m);
        assertPrinted(console, /Brought up 1 node, 2 CPUs/);
      },
    );
  }
});
