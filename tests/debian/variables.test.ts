/** UEFI variables as Linux sees them, over power-off, `kill -9`, resets and kexec. */
import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';

import { VIRT_FLASH_GEOMETRY } from '#v8a/boards/virt.js';
import { openFlashFile } from '#v8a/host/node/flash-file.js';

import { dialogue, finished, plain, startV8a, v8a } from '../support/cli.js';
import { AAVMF_CODE, newVariableStore, scratch } from '../support/guests.js';
import { readVariableStore } from '../support/variable-store.js';
import {
  DISK,
  PLAIN_SHELL,
  VENDOR,
  setVariable,
  showVariable,
  skipWithoutDebian,
  variableFile,
  withDebian,
} from './guest.js';

const files = scratch();
after(() => files.remove());

const command = (flash: string): string[] => [
  ...['run', '--firmware', AAVMF_CODE ?? '', '--flash', flash, '--disk', `${DISK ?? ''},overlay`, '--rng'],
  ...['--clock', 'virtual', '--timeout', '1500s'],
];
const LOGIN = [
  { expect: 'login: ', send: 'root\\r' },
  { expect: '# ', send: PLAIN_SHELL.replace('\r', '\\r') },
];
/** A command of a script: the prompt before it says that the last one went well. */
const give = (text: string): { expect: string; send: string } => ({
  expect: '[0]# ',
  send: `${text.replaceAll('\\', '\\\\')}\\r`,
});

/** The variables that the file holds. */
function stored(flash: string): Record<string, string> {
  const { sizeBytes: bankBytes, blockBytes } = VIRT_FLASH_GEOMETRY;
  openFlashFile({ path: flash, bankBytes, blockBytes, sizing: 'blocks' }).close();
  const store = readVariableStore(readFileSync(flash), VENDOR);
  assert.ok(store, 'the variable store is whole');
  return Object.fromEntries([...store].map(([name, data]) => [name, data.toString('latin1')]));
}

suite('UEFI variables, from Debian', { skip: skipWithoutDebian }, () => {
  const flash = (): string => files.path('vars.fd');

  test('created, overwritten and deleted, they are so in the file after power-off', async () => {
    newVariableStore(flash());
    const { status, stdout, stderr } = await v8a([
      ...command(flash()),
      ...dialogue(
        ...LOGIN,
        give(setVariable('kept', 'as created')),
        give(setVariable('changed', 'first')),
        give(setVariable('deleted', 'gone')),
        give(`chattr -i ${variableFile('changed')} ${variableFile('deleted')}`),
        give(setVariable('changed', 'another, and a longer one')),
        give(`rm ${variableFile('deleted')}`),
        give("efibootmgr -q -c -d /dev/vda -p 1 -L 'by hand' -l '\\EFI\\debian\\shimaa64.efi'"),
        give('poweroff'),
      ),
    ]);
    assert.equal(status, 0, `${plain(stdout).slice(-2000)}\n${stderr}`);
    assert.deepEqual(stored(flash()), { kept: 'as created', changed: 'another, and a longer one' });
  });

  test('the next boot is by the entry that efibootmgr made; kill -9 leaves what was written', async () => {
    const child = startV8a([
      ...command(flash()),
      ...dialogue(
        ...LOGIN,
        give(`${showVariable('kept')}; ${showVariable('changed')}`),
        give('efibootmgr'),
        give(setVariable('late', 'just before the end')),
        // The quiet time after which the file is written.
        give('sleep 1; echo "now "kill'),
        { expect: 'now kill' },
        { expect: 'never printed' },
      ),
    ]);
    let text = '';
    child.stdout?.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('now kill')) child.kill('SIGKILL');
    });
    const { stdout, stderr } = await finished(child);
    // A kill leaves the claim on the disk, which is not of this test alone.
    for (const name of readdirSync(dirname(DISK ?? ''))) {
      if (name.includes(`.v8a-lock.${child.pid}.`)) rmSync(join(dirname(DISK ?? ''), name));
    }
    const output = plain(stdout);
    const ending = `${output.slice(-2000)}\n${stderr}`;
    assert.ok(output.includes('now kill'), ending);
    assert.ok(output.includes('as createdanother, and a longer one'), ending);
    const [, current] = /BootCurrent: (\w{4})$/m.exec(output) ?? [];
    assert.ok(output.includes(`\nBootOrder: ${current},`), ending);
    assert.ok(output.includes(`\nBoot${current}* by hand`), ending);
    assert.equal(stored(flash())['late'], 'just before the end');
  });

  test('a reset goes through firmware and GRUB to login again, and volatile variables end with it', async () => {
    await withDebian({ flash: flash() }, async (guest) => {
      await guest.login();
      assert.equal(await guest.run(showVariable('late')), 'just before the end');
      const [, shell] = /^Boot(\w{4})\* EFI Internal Shell/m.exec(await guest.run('efibootmgr')) ?? [];
      await guest.run(`efibootmgr -q -n ${shell}`);
      guest.send('reboot\r');
      await guest.waitFor('Shell>');
      // Linux may not create volatile variables.
      guest.send(`setvar volatile -guid ${VENDOR} -bs -rt =0x4142\r`);
      await guest.waitFor('Shell>');
      guest.send('FS0:\\EFI\\BOOT\\BOOTAA64.EFI\r');
      await guest.login();
      assert.equal(await guest.run(showVariable('volatile')), 'BA');
      await guest.run('touch /run/before');
      guest.send('reboot\r');
      await guest.login();
      await guest.run(`! ls ${variableFile('volatile')}`);
      await guest.run('! ls /run/before');
      assert.equal(await guest.run(showVariable('kept')), 'as created');
      await guest.powerOff();
      assert.equal(guest.transcript.split('UEFI firmware').length, 4, 'the firmware started three times');
    });
  });

  test('a kernel started by kexec has runtime services', async () => {
    await withDebian({ flash: flash() }, async (guest) => {
      await guest.login();
      await guest.run('kexec -l /vmlinuz --initrd=/initrd.img --reuse-cmdline --append=again=1');
      guest.send('systemctl kexec\r');
      await guest.login();
      assert.match(await guest.run('cat /proc/cmdline'), /again=1/);
      assert.equal(await guest.run('systemctl is-system-running --wait'), 'running');
      assert.equal(await guest.run(showVariable('kept')), 'as created');
      await guest.run(setVariable('again', 'from the second kernel'));
      assert.match(await guest.run('cat /sys/class/rtc/rtc0/name'), /rtc-efi/);
      await guest.powerOff();
      assert.equal(guest.transcript.split('UEFI firmware').length, 2, 'the firmware started once');
    });
    assert.equal(stored(flash())['again'], 'from the second kernel');
  });
});
