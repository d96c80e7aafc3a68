/** The power button, pressed from outside, and what Linux makes of it. */
import { strict as assert } from 'node:assert';
import { suite, test } from 'node:test';

import { createMachine } from '#v8a/vm/index.js';

import { guestFile } from '../scripts/fetch-guests.js';
import { tinyInitramfs } from '../scripts/make-initramfs.js';
import { skipWithout } from './support/guests.js';

const KERNEL = guestFile('linux');
const INITRD = tinyInitramfs();
const PROMPT = 'tiny# ';

suite('the power button', { skip: skipWithout(KERNEL, INITRD) }, () => {
  test('reaches the driver of GPIO keys in Linux, which goes by the device tree', async () => {
    const machine = await createMachine({
      kernel: KERNEL ?? '',
      initrd: INITRD ?? '',
      commandLine: 'console=ttyAMA0 quiet',
      clock: 'virtual',
    });
    const { serial } = machine;
    /** How often the key's interrupt has come. */
    const interrupts = async (): Promise<number> => {
      serial.send("grep -i 'gpio key' /proc/interrupts\r");
      const { match } = await serial.waitFor(/\n *\d+: +(\d+) .*GPIO Key/i, { timeoutMs: 500_000 });
      await serial.waitFor(PROMPT);
      return Number(match[1]);
    };
    try {
      machine.start();
      await serial.waitFor(PROMPT, { timeoutMs: 500_000 });
      assert.equal(await interrupts(), 0);
      machine.pressPowerKey();
      serial.send('sleep 1\r');
      await serial.waitFor(PROMPT);
      // Pressed and let go.
      assert.equal(await interrupts(), 2);
    } finally {
      await machine.close();
    }
  });
});
