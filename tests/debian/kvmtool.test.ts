/**
 * A whole Debian on the board `kvmtool`: EDK2's firmware, shim, GRUB, systemd, login; variables over resets and
 * power-off. Over PCI by the ACPI tables that the firmware makes, over MMIO by the device tree that it hands on.
 */
import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import type { MachineOptions } from '#v8a/vm/index.js';

import { kvmtoolFirmware } from '../../scripts/make-kvmtool-firmware.js';
import { scratch, skipWithoutKvmtool } from '../support/guests.js';
import {
  setVariable,
  showVariable,
  skipWithoutDebian,
  USUAL,
  withDebian,
  type DebianGuest,
} from './guest.js';

const ALL_BOARDS = [
  { virtioTransport: 'mmio', irqchip: 'gicv2', cpus: 2 },
  { virtioTransport: 'mmio', irqchip: 'gicv3', cpus: 1 },
  { virtioTransport: 'pci', irqchip: 'gicv2', cpus: 1 },
  { virtioTransport: 'pci', irqchip: 'gicv3', cpus: 2 },
] as const;
/** Both transports and both interrupt controllers; with `--all` every combination. */
const BOARDS =
  process.env['V8A_DEBIAN_ALL'] === '1'
    ? ALL_BOARDS
    : ALL_BOARDS.filter(
        ({ virtioTransport, irqchip }) => (virtioTransport === 'mmio') === (irqchip === 'gicv2'),
      );

/** EDK2's tables for kvmtool have no PPTT. */
const USUAL_HERE = /No PPTT table found/;
const FLASH_BYTES = 2 * 1024 * 1024;

const files = scratch();
after(() => files.remove());

/** The entry that the firmware has booted. */
async function bootCurrent(guest: DebianGuest): Promise<string> {
  return /^BootCurrent: (\w{4})/m.exec(await guest.run('efibootmgr'))?.[1] ?? 'none';
}

const skip = skipWithoutDebian === false ? skipWithoutKvmtool : skipWithoutDebian;
suite('Debian on the kvmtool board', { skip }, () => {
  for (const board of BOARDS) {
    const { virtioTransport, irqchip, cpus } = board;
    const hasAcpi = virtioTransport === 'pci';
    test(`${virtioTransport}, ${irqchip}, ${cpus} CPUs: boots, reboots, keeps its variables, boots again`, async () => {
      const flash = files.path('flash.img');
      writeFileSync(flash, new Uint8Array(FLASH_BYTES).fill(0xff));
      const options: MachineOptions = {
        ...{ machine: 'kvmtool', flash, ...board },
        firmware: kvmtoolFirmware(hasAcpi ? 'acpi' : 'device-tree') ?? '',
      };
      await withDebian(options, async (guest) => {
        await guest.login();
        assert.equal(await guest.run('systemctl is-system-running --wait'), 'running');
        assert.equal(await guest.run('nproc'), `${cpus}`);
        await guest.run(`${hasAcpi ? '' : '! '}test -d /sys/firmware/acpi/tables`);
        const warnings = await guest.run('dmesg --level emerg,alert,crit,err,warn');
        assert.deepEqual(
          warnings.split('\n').filter((line) => line !== '' && !USUAL.test(line) && !USUAL_HERE.test(line)),
          [],
        );
        const controller = irqchip === 'gicv2' ? /GICv2|GIC-0/ : /GICv3/;
        assert.match(await guest.run('cat /proc/interrupts'), controller);
        assert.match(
          await guest.run('cat /sys/class/rtc/rtc0/name /sys/class/rtc/rtc0/date'),
          /^rtc-efi.*\r?\n2025-01-01$/,
        );
        await guest.run(setVariable('kept', 'from Linux'));
        await guest.run("efibootmgr -q -c -d /dev/vda -p 1 -L 'by hand' -l '\\EFI\\debian\\shimaa64.efi'");

        guest.send('reboot\r');
        await guest.login();
        const current = await bootCurrent(guest);
        assert.match(await guest.run('efibootmgr'), new RegExp(`^Boot${current}\\* by hand`, 'm'));
        assert.equal(await guest.run(showVariable('kept')), 'from Linux');
        await guest.powerOff();
        assert.equal(guest.transcript.split('UEFI firmware').length, 3, 'the firmware started twice');
      });

      await withDebian(options, async (guest) => {
        await guest.waitFor('Welcome to GRUB!');
        assert.doesNotMatch(guest.transcript, /Select Language|Shell>/);
        await guest.login();
        assert.equal(await guest.run(showVariable('kept')), 'from Linux');
        assert.match(
          await guest.run('efibootmgr'),
          new RegExp(`^Boot${await bootCurrent(guest)}\\* by hand`, 'm'),
        );
        await guest.powerOff();
      });
    });
  }
});
