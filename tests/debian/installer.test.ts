/** Debian's installer: its kernel and initial RAM disk, up to its dialogs. */
import { after, suite, test } from 'node:test';

import { createMachine, type MachineOptions } from '#v8a/vm/index.js';

import { guestFile } from '../../scripts/fetch-guests.js';
import { AAVMF_CODE, newVariableStore, scratch, skipWithout } from '../support/guests.js';

const KERNEL = guestFile('linux');
const INITRD = guestFile('initrd.gz');
const LIMIT = { timeoutMs: 10 * 60_000 };

const files = scratch();
after(() => files.remove());

suite('Debian’s installer', { skip: skipWithout(KERNEL, INITRD, AAVMF_CODE) }, () => {
  for (const [what, options] of [
    ['on virt', () => ({})],
    [
      'on virt, started by firmware',
      () => ({ firmware: AAVMF_CODE ?? '', flash: newVariableStore(files.path('vars.fd')) }),
    ],
    ['on kvmtool', () => ({ machine: 'kvmtool' })],
  ] satisfies readonly [string, () => MachineOptions][]) {
    test(`asks for the language, and goes on when it is chosen (${what})`, async () => {
      const machine = await createMachine({
        ...{ kernel: KERNEL ?? '', initrd: INITRD ?? '', memoryBytes: 2 ** 30, clock: 'virtual' },
        ...options(),
      });
      try {
        machine.start();
        await machine.serial.waitFor(/Select a language/, LIMIT);
        await machine.serial.waitFor(/<Enter> activates buttons/, LIMIT);
        machine.serial.send('\r');
        await machine.serial.waitFor(/Select your location/, LIMIT);
      } finally {
        await machine.close();
      }
    });
  }
});
