/** The flash of the kvmtool board is the part of its file up to a power of two, and 16 MiB at most. */
import { strict as assert } from 'node:assert';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { v8a } from './support/cli.js';
import { scratch } from './support/guests.js';

const MIB = 1024 * 1024;
const files = scratch();
after(() => files.remove());

/** What the program below writes, over erased flash. */
const WORD = 0x1234;

/** A program for the kvmtool board that puts `WORD` into the flash, into both chips at once, and switches off. */
function programAt(offset: number): Uint32Array {
  const movz = (register: number, value: number): number => 0x5280_0000 | (value << 5) | register;
  const movkHigh = (register: number, value: number): number => 0x72a0_0000 | (value << 5) | register;
  const both = (register: number, command: number): number[] => [
    movz(register, command),
    movkHigh(register, command),
  ];
  return Uint32Array.from([
    movz(1, offset & 0xffff),
    movkHigh(1, 0x200 + (offset >>> 16)),
    // Unlock the block.
    ...[...both(2, 0x60), 0xb900_0022, ...both(2, 0xd0), 0xb900_0022], // str w2, [x1]
    // Program.
    ...[...both(2, 0x40), 0xb900_0022, movz(2, WORD), 0xb900_0022],
    // Wait for the status.
    ...[0xb940_0022, 0x363f_ffe2], // 1: ldr w2, [x1]; tbz w2, #7, 1b
    // SYSTEM_OFF.
    ...[movz(0, 8), movkHigh(0, 0x8400), 0xd400_0002], // hvc #0
  ]);
}

suite('a flash file of another size than flash has', { concurrency: 1 }, () => {
  for (const [sizeBytes, usedBytes] of [
    [3 * MIB, 2 * MIB],
    [17 * MIB, 16 * MIB],
    [MIB + 100, MIB],
  ] as const) {
    test(`${sizeBytes} bytes: ${usedBytes} are used, a line tells, and the rest stays as it is`, async () => {
      const before = Buffer.alloc(sizeBytes, 0xff);
      // What follows the flash is anything but erased.
      for (let at = usedBytes; at < sizeBytes; at++) before[at] = (at * 31) & 0xff;
      const [flash, firmware] = [files.path('flash.img'), files.path('firmware.bin')];
      writeFileSync(flash, before);
      writeFileSync(firmware, programAt(usedBytes - 4));
      const { status, stderr } = await v8a([
        ...['run', '--machine', 'kvmtool', '-f', firmware, '-F', flash],
        ...['--clock', 'virtual', '--timeout', '100s'],
      ]);
      assert.deepEqual(
        [status, stderr],
        [
          0,
          `v8a: flash image ${flash} is ${sizeBytes} bytes, only ${usedBytes} of it are used; the rest is left as it is\n`,
        ],
      );
      const expected = Buffer.from(before);
      expected.writeUInt32LE(WORD, usedBytes - 4);
      assert.ok(
        readFileSync(flash).equals(expected),
        'the last word of the flash has changed, and nothing else',
      );
    });
  }

  for (const [what, make, line] of [
    ['nothing', (path) => writeFileSync(path, ''), 'is empty; make one, for instance with truncate -s 2M'],
    [
      '100 bytes',
      (path) => writeFileSync(path, new Uint8Array(100)),
      '100 bytes are less than one erase block of 64 KiB',
    ],
    ['a directory', (path) => mkdirSync(path), 'is a directory, not a file'],
    [
      'what may not be written',
      (path) => {
        writeFileSync(path, new Uint8Array(2 * MIB));
        chmodSync(path, 0o444);
      },
      'cannot be written: permission denied; make it writable or give a copy of it',
    ],
  ] satisfies readonly [string, (path: string) => void, string][]) {
    test(`${what}: one line, and nothing is run`, async () => {
      const flash = files.path(what.replaceAll(' ', '-'));
      make(flash);
      const firmware = files.path('firmware.bin');
      writeFileSync(firmware, programAt(0));
      const { status, stdout, stderr } = await v8a([
        ...['run', '--machine', 'kvmtool', '-f', firmware, '-F', flash, '--timeout', '100s'],
      ]);
      assert.deepEqual([status, stdout, stderr], [2, '', `v8a: flash image ${flash}: ${line}\n`]);
    });
  }
});
