/**
 * Debian's U-Boot for QEMU's arm64 `virt` machine, through the command. Its `cfi_flash` driver is the independent
 * reader of the flash banks. The same session runs under QEMU, so that a wrong expectation shows.
 */
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { dialogue, plain, v8a } from './support/cli.js';
import { U_BOOT, newErasedBank, scratch, skipWithout } from './support/guests.js';
import { hasQemu, runQemu } from './support/qemu.js';

/**
 * A block of bank 1 outside U-Boot's environment, which it protects by itself; some RAM; and how much is copied.
 * QEMU 7.2 refuses buffered programs beyond the first 4 KiB of a sector when they come in half-words, as
 * U-Boot's do, so the copies stay below that.
 */
const BLOCK = 0x0408_0000;
const RAM = 0x4040_0000;
const LENGTH = 0x800;
/** Part of U-Boot itself, in bank 0, as content to copy. */
const SOURCE = 0x1000;

const FLASH_BANK_1 = 0x0400_0000;

const hexadecimal = (value: number): string => value.toString(16).padStart(8, '0');
const block = `${hexadecimal(BLOCK)} +40000`;
const copy = `cp.b ${hexadecimal(RAM)} ${hexadecimal(BLOCK)} ${LENGTH.toString(16)}`;
const compare = copy.replace('cp.b', 'cmp.b');
const isSame = new RegExp(`Total of ${LENGTH} byte\\(s\\) were the same`);
const isErased = new RegExp(`!= byte at 0x${hexadecimal(BLOCK)} \\(0xff\\)`);

/** Each command with what U-Boot must answer. */
const SESSION: readonly (readonly [command: string, ...answers: RegExp[]])[] = [
  [
    'flinfo',
    /Bank # 1: CFI conformant flash/,
    /Bank # 2: CFI conformant flash/,
    /Intel Extended command set, Manufacturer ID: 0x89, Device ID: 0x0018/,
  ],
  [`cp.b ${hexadecimal(SOURCE)} ${hexadecimal(RAM)} ${LENGTH.toString(16)}`],
  [compare, isErased],
  [`erase ${block}`, /done\nErased \d+ sectors/],
  [copy, /Copy to Flash\.\.\. done/],
  [compare, isSame],
  [`protect on ${block}`, /Protected \d+ sectors/],
  [`erase ${block}`, /Warning: \d+ protected sectors will not be erased!/],
  [copy, /Can't write to protected Flash sectors/],
  [compare, isSame],
  [`protect off ${block}`, /Un-Protected \d+ sectors/],
  [`erase ${block}`, /done\nErased \d+ sectors/],
  [compare, isErased],
  [copy, /Copy to Flash\.\.\. done/],
  [compare, isSame],
];

const STEPS = [
  { expect: 'Hit any key to stop autoboot', send: ' ' },
  ...SESSION.map(([command]) => ({ expect: '=> ', send: `${command}\r` })),
  { expect: '=> ', send: 'poweroff\r' },
];

/** Checks the answers, and that the copy is in the file after power-off. */
function checkSession(console: string, bank: string): void {
  const answers = plain(console).split('\n=> ').slice(1);
  for (const [index, [command, ...expected]] of SESSION.entries()) {
    const answer = answers[index] ?? '';
    assert.equal(answer.split('\n')[0], command);
    for (const pattern of expected) assert.match(answer, pattern);
  }
  const copied = readFileSync(bank).subarray(BLOCK - FLASH_BANK_1, BLOCK - FLASH_BANK_1 + LENGTH);
  const original = readFileSync(U_BOOT ?? '').subarray(SOURCE, SOURCE + LENGTH);
  assert.ok(copied.equals(original), 'the bytes that U-Boot copied are in the flash file');
}

const files = scratch();
after(() => files.remove());

suite('U-Boot on virt', { skip: skipWithout(U_BOOT) }, () => {
  test('it reaches its prompt, finds both banks, and erases, programs and protects bank 1', async () => {
    const bank = newErasedBank(files.path('ours.fd'));
    const { status, stdout, stderr } = await v8a([
      ...['run', '--machine', 'virt', '--firmware', U_BOOT ?? '', '--flash', bank, '-m', '512M'],
      ...['--clock', 'virtual', '--timeout', '300s'],
      ...dialogue(...STEPS),
    ]);
    assert.equal(status, 0, `${plain(stdout).slice(-2000)}\n${stderr}`);
    checkSession(stdout, bank);
  });

  test('the same session under QEMU', { skip: !hasQemu && 'no qemu-system-aarch64' }, async () => {
    const bank = newErasedBank(files.path('theirs.fd'));
    const result = await runQemu({ firmware: U_BOOT ?? '', flash: bank, steps: STEPS, timeoutMs: 120_000 });
    assert.equal(result.status, 0, result.console);
    checkSession(result.console, bank);
  });
});
