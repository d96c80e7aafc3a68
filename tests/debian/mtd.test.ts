/** The flash of the board `kvmtool` as Linux's MTD drivers see it, from a Debian whose kernel is started directly. */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';

import { copyDebianKernel } from '../../scripts/make-debian-disk.js';
import { makeMtdModules, MTD_MODULES, mtdModules } from '../../scripts/make-mtd-modules.js';
import { scratch } from '../support/guests.js';
import { skipWithoutDebian, USUAL, withDebian, type DebianGuest } from './guest.js';

const MIB = 1024 * 1024;
const FLASH_BYTES = 2 * MIB;
const MTD = '/dev/mtd0';
const BLOCK_DEVICE = '/dev/mtdblock0';

/** What Linux says of modules from elsewhere. */
const USUAL_HERE = /loading out-of-tree module|module verification failed/;

/** Some seconds before the clock has a leap day to show. */
const START = new Date('2024-02-28T23:59:50Z');
/**
 * Linux has no driver for the clock on arm64 (RTC_DRV_CMOS is for machines with I/O ports): its registers by address, as
 * two digits each (MC146818A, table 2), in BCD with 24 hours. Then the seconds since the kernel's start.
 */
const READ_CLOCK =
  `python3 -c 'import mmap, os; page = os.open("/dev/mem", os.O_RDWR | os.O_SYNC); ` +
  'clock = mmap.mmap(page, 4096, offset=0x1010000); ' +
  'at = lambda index: (clock.__setitem__(0, index), clock[1])[1]; ' +
  'print("%02x%02x-%02x-%02xT%02x:%02x:%02xZ %x" % (*map(at, (0x32, 9, 8, 7, 4, 2, 0, 6)),), ' +
  `open("/proc/uptime").read().split()[0])'`;

/** The clock shows what has passed since the machine's start, within what its seconds tell, and the day of the week. */
async function checkClock(guest: DebianGuest): Promise<void> {
  const [time = '', dayOfWeek, upSeconds] = (await guest.run(READ_CLOCK)).split(' ');
  const shown = (Date.parse(time) - START.getTime()) / 1000;
  // The kernel counts from its own start, which is soon after the machine's.
  assert.ok(Math.abs(shown - Number(upSeconds)) < 2, `${shown} s after the start, up for ${upSeconds} s`);
  assert.equal(dayOfWeek, `${new Date(time).getUTCDay() + 1}`);
}

const files = scratch();
after(() => files.remove());

const noTool = spawnSync('debugfs', ['-V']).error !== undefined && 'no debugfs (package e2fsprogs)';
const skip = skipWithoutDebian === false ? noTool : skipWithoutDebian;

suite('MTD on the kvmtool board, Debian’s kernel started directly', { skip }, () => {
  test('no complaint about the device tree; the whole flash unlocked, erased, written, read, locked; the file is the array', async (t) => {
    const { version, kernel, initrd } = copyDebianKernel(files.path(''));
    const [problem] = await makeMtdModules(version);
    if (problem !== undefined) {
      t.skip(problem);
      return;
    }
    const share = files.path('share');
    mkdirSync(share);
    for (const name of MTD_MODULES) {
      copyFileSync(join(mtdModules(version) ?? '', `${name}.ko`), join(share, `${name}.ko`));
    }
    const pattern = randomBytes(FLASH_BYTES);
    writeFileSync(join(share, 'pattern'), pattern);
    const flash = files.path('flash.img');
    writeFileSync(flash, randomBytes(FLASH_BYTES));

    await withDebian(
      {
        ...{
          machine: 'kvmtool',
          kernel,
          initrd,
          flash,
          commandLine: 'root=/dev/vda2 ro',
          kaslrSeed: 1n,
          startTime: START,
        },
        shares: [{ directory: share, tag: 'share', readOnly: true }],
      },
      async (guest) => {
        await guest.login();
        const warnings = async (): Promise<string[]> => {
          const lines = await guest.run('dmesg --level emerg,alert,crit,err,warn');
          return lines
            .split('\n')
            .filter((line) => line !== '' && !USUAL.test(line) && !USUAL_HERE.test(line));
        };
        assert.deepEqual(await warnings(), []);
        await checkClock(guest);

        await guest.run('mount -t 9p -o trans=virtio,version=9p2000.L share /mnt');
        await guest.run('modprobe -a mtdblock chipreg ofpart');
        for (const name of MTD_MODULES) await guest.run(`insmod /mnt/${name}.ko`);
        await guest.run('udevadm settle');
        assert.match(await guest.run('cat /proc/mtd'), /^mtd0: 00200000 00010000 "2000000\.flash"/m);
        assert.match(
          await guest.run('dmesg'),
          /Found 2 x16 devices at 0x0 in 32-bit bank[^]*Extended Query Table at 0x0031/,
        );

        await guest.run(`flash_unlock ${MTD}`);
        await guest.run(`flash_erase -q ${MTD} 0 0`);
        assert.equal(await guest.run(`tr -d '\\377' < ${MTD} | wc -c`), '0');
        await guest.run(`dd if=/mnt/pattern of=${MTD} bs=64k status=none`);
        await guest.run(`cmp /mnt/pattern ${MTD}`);

        await guest.run(`flash_lock ${MTD}`);
        for (const offset of [0, FLASH_BYTES / 2, FLASH_BYTES - 0x10000]) {
          await guest.run(`! mtd_debug erase ${MTD} ${offset} 65536`);
        }
        await guest.run(`cmp /mnt/pattern ${MTD}`);
        await guest.run(`flash_unlock ${MTD}`);

        const blocks = FLASH_BYTES / 4096;
        await guest.run(`badblocks -w -b 4096 -t 0xaa -t 0x55 -o /tmp/bad ${BLOCK_DEVICE} ${blocks - 1} 0`);
        assert.equal(await guest.run('wc -c < /tmp/bad'), '0');
        await guest.run(
          `fio --name=flash --filename=${BLOCK_DEVICE} --rw=randwrite --bs=4k --size=1m --ioengine=psync ` +
            '--verify=crc32c --verify_fatal=1 --end_fsync=1 --output=/dev/null',
        );

        await guest.run(`flash_erase -q ${MTD} 0 0`);
        await guest.run(`dd if=/mnt/pattern of=${MTD} bs=64k status=none`);
        // A lock that was refused is all that the driver may have complained of.
        assert.deepEqual(
          (await warnings()).filter((line) => !/block erase error: \(status/.test(line)),
          [],
        );
        await checkClock(guest);
        assert.match(await guest.run(READ_CLOCK), /^2024-02-29T00:/);
        await guest.powerOff();
      },
    );
    assert.ok(readFileSync(flash).equals(pattern), 'the file is what the guest wrote last');
  });
});
