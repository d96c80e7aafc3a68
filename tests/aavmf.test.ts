/**
 * Debian's unmodified UEFI firmware (AAVMF, EDK2) through the command: it reaches its shell, keeps a variable in
 * the flash file over a power-off, and QEMU and v8a read each other's files.
 */
import { strict as assert } from 'node:assert';
import { readFileSync, statSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { dialogue, plain, statistics, v8a } from './support/cli.js';
import { AAVMF_CODE, AAVMF_VARS, newVariableStore, scratch, skipWithout } from './support/guests.js';
import { hasQemu, runQemu } from './support/qemu.js';

const VARIABLE = 'keep -guid 6b1f6f0e-3c55-4a35-9f2b-0c2f5d5a12ff';
const WRITE = [
  { expect: 'Shell>', send: `setvar ${VARIABLE} -nv -bs =0x1234\r` },
  { expect: 'Shell>', send: 'reset -s\r' },
];
const READ = [
  { expect: 'Shell>', send: `setvar ${VARIABLE}\r` },
  { expect: 'Shell>', send: 'reset -s\r' },
];
/** What `setvar` without a value prints: 0x1234 in two bytes, low first. */
const VALUE = /6B1F6F0E-3C55-4A35-9F2B-0C2F5D5A12FF - keep - 0002 Bytes\n34 12 \n/;

const files = scratch();
after(() => files.remove());

const options = (flash: string): string[] => [
  ...['run', '--machine', 'virt', '--firmware', AAVMF_CODE ?? '', '--flash', flash, '-m', '512M'],
  ...['--clock', 'virtual', '--timeout', '500s', '--stats'],
];

suite('AAVMF on virt', { skip: skipWithout(AAVMF_CODE, AAVMF_VARS) }, () => {
  const ours = files.path('ours.fd');
  const flashTrace = files.path('qemu-flash.trace');
  let firstBoot: ReadonlyMap<string, number> = new Map();

  test('a first boot reaches the shell, sets a variable and powers off with status 0', async () => {
    const firmware = AAVMF_CODE ?? '';
    const before = statSync(firmware);
    const { status, stdout, stderr } = await v8a([...options(newVariableStore(ours)), ...dialogue(...WRITE)]);
    assert.equal(status, 0, `${plain(stdout).slice(-2000)}\n${stderr}`);
    assert.match(plain(stdout), /UEFI Interactive Shell/);
    firstBoot = statistics(stderr);

    assert.deepEqual(
      [statSync(firmware).mtimeMs, statSync(firmware).size],
      [before.mtimeMs, before.size],
      'the firmware file is never written',
    );
  });

  test('a second run reads the variable back', async () => {
    const { status, stdout, stderr } = await v8a([...options(ours), ...dialogue(...READ)]);
    assert.equal(status, 0, stderr);
    assert.match(plain(stdout), VALUE);
  });

  test('no read in array mode traps, so that firmware executes and reads at memory speed', () => {
    assert.equal(firstBoot.get('flash0 trapped array reads'), 0);
    assert.equal(firstBoot.get('flash1 trapped array reads'), 0);
  });

  test('with the virtual clock the same inputs execute the same instructions', async () => {
    const store = newVariableStore(files.path('again.fd'));
    const { status, stderr } = await v8a([...options(store), ...dialogue(...WRITE)]);
    assert.equal(status, 0, stderr);
    const instructions = statistics(stderr).get('instructions');
    assert.ok(instructions !== undefined && instructions > 1e6, `${instructions}`);
    assert.equal(instructions, firstBoot.get('instructions'));
  });

  test('QEMU reads the variable that v8a wrote', { skip: !hasQemu && 'no qemu-system-aarch64' }, async () => {
    const result = await runQemu({
      firmware: AAVMF_CODE ?? '',
      flash: ours,
      steps: READ,
      timeoutMs: 300_000,
    });
    assert.equal(result.status, 0, result.console);
    assert.match(plain(result.console), VALUE);
  });

  test('v8a reads the variable that QEMU wrote', { skip: !hasQemu && 'no qemu-system-aarch64' }, async () => {
    const theirs = newVariableStore(files.path('theirs.fd'));
    const writer = await runQemu({
      firmware: AAVMF_CODE ?? '',
      flash: theirs,
      steps: WRITE,
      timeoutMs: 300_000,
      trace: { events: 'pflash*', file: flashTrace },
    });
    assert.equal(writer.status, 0, writer.console);
    const { status, stdout, stderr } = await v8a([...options(theirs), ...dialogue(...READ)]);
    assert.equal(status, 0, stderr);
    assert.match(plain(stdout), VALUE);
  });

  test(
    'a first boot commands the flash as under QEMU',
    { skip: !hasQemu && 'no qemu-system-aarch64' },
    () => {
      const trace = readFileSync(flashTrace, 'utf8');
      const traced = (event: RegExp): number => trace.match(event)?.length ?? 0;
      const writes = traced(/^pflash_io_write virt\.flash1:/gm);
      // QEMU's flash goes back to array mode on Clear Status Register too; a NOR part stays in its read mode.
      const clears = traced(/^pflash_write virt\.flash1: clear status bits$/gm);
      const arrays = traced(/^pflash_mode_read_array virt\.flash1:/gm) - clears;
      assert.ok(
        writes > 1000 && arrays > 100,
        `QEMU traced ${writes} writes, ${arrays} returns to array mode`,
      );
      for (const [counter, expected] of [
        ['flash1 writes', writes],
        ['flash1 read array commands', arrays],
      ] as const) {
        const actual = firstBoot.get(counter) ?? NaN;
        assert.ok(
          Math.abs(actual - expected) <= expected / 10,
          `${counter}: ${actual}, under QEMU ${expected}`,
        );
      }
    },
  );
});
