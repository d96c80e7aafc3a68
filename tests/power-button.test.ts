/** The power button, pressed from outside, and what Linux makes of it. */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';

import { createMachine } from '#v8a/vm/index.js';

import { guestFile } from '../scripts/fetch-guests.js';
import { tinyInitramfs } from '../scripts/make-initramfs.js';
import { AAVMF_CODE, skipWithout } from './support/guests.js';

const KERNEL = guestFile('linux');
const INITRD = tinyInitramfs();
const PROMPT = 'tiny# ';
const BOOT_LIMIT = { timeoutMs: 500_000 };

/** How a system hears of the button: by a driver of GPIO keys, or by ACPI's event device. */
const WAYS = [
  { by: 'device tree', firmware: undefined, line: /\n *\d+: +(\d+) .*GPIO Key/i, grep: 'gpio key', times: 2 },
  {
    by: 'ACPI tables',
    firmware: AAVMF_CODE,
    line: /\n *\d+: +(\d+) .*ACPI:Ged/i,
    grep: 'acpi:ged',
    times: 1,
  },
] as const;

for (const { by, firmware, line, grep, times } of WAYS) {
  const skip = skipWithout(KERNEL, INITRD, ...(by === 'ACPI tables' ? [firmware] : []));
  test(`Linux that goes by the ${by} hears of the power button`, { skip }, async () => {
    const machine = await createMachine({
      ...(firmware === undefined ? {} : { firmware }),
      kernel: KERNEL ?? '',
      initrd: INITRD ?? '',
      commandLine: 'console=ttyAMA0 quiet',
      clock: 'virtual',
    });
    const { serial } = machine;
    const interrupts = async (): Promise<number> => {
      serial.send(`grep -i '${grep}' /proc/interrupts\r`);
      const { match } = await serial.waitFor(line, BOOT_LIMIT);
      await serial.waitFor(PROMPT);
      return Number(match[1]);
    };
    try {
      machine.start();
      await serial.waitFor(PROMPT, BOOT_LIMIT);
      assert.equal(await interrupts(), 0);
      machine.pressPowerKey();
      serial.send('sleep 1\r');
      await serial.waitFor(PROMPT, BOOT_LIMIT);
      // The key is pressed and let go; the event is one.
      assert.equal(await interrupts(), times);
    } finally {
      await machine.close();
    }
  });
}
