/** What a guest costs the host that uses all its memory: its RAM, and a limit for everything else. */
import { strict as assert } from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { dialogue, finished, startV8a } from './support/cli.js';
import {
  AAVMF_CODE,
  AAVMF_VARS,
  U_BOOT,
  newErasedBank,
  newVariableStore,
  scratch,
  skipWithout,
} from './support/guests.js';

const RAM_MIB = 512;
const BESIDE_RAM_MIB = 150;

/** Reads and writes a word of each 4 KiB page of `RAM_MIB` of RAM, which keeps what is there. */
const TOUCH_RAM = Uint32Array.of(
  0xd2a8_0001, // movz x1, #0x4000, lsl #16
  0xd2ac_0002, // movz x2, #0x6000, lsl #16
  0xf940_0023, // ldr x3, [x1]
  0xf900_0023, // str x3, [x1]
  0x9140_0421, // add x1, x1, #1, lsl #12
  0xeb02_003f, // cmp x1, x2
  0x54ff_ff83, // b.lo . - 16
);

/** DDI0487 C6.2.25: B, with the offset in words in the low 26 bits. */
const B = 0x1400_0000;
const B_OFFSET = 0x03ff_ffff;
const branch = (from: number, to: number): number => (B | (((to - from) / 4) & B_OFFSET)) >>> 0;

const PAGE_BYTES = 4096;

/** `firmware`, which must start with a branch, with `TOUCH_RAM` in front of that, placed behind its last byte. */
function touchingRam(firmware: string): Buffer {
  const image = readFileSync(firmware);
  const first = image.readUInt32LE(0);
  assert.equal((first & ~B_OFFSET) >>> 0, B, 'the firmware starts with a branch');
  const start = (first & B_OFFSET) * 4;
  let end = image.length;
  while (image[end - 1] === 0) end--;
  const at = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES;
  const result = Buffer.concat([image, Buffer.alloc(Math.max(0, at + PAGE_BYTES - image.length))]);
  const words = [...TOUCH_RAM, branch(at + TOUCH_RAM.byteLength, start)];
  words.forEach((word, index) => result.writeUInt32LE(word, at + index * 4));
  result.writeUInt32LE(branch(0, at), 0);
  return result;
}

/** The most memory that a process has had resident so far, in MiB. */
function peakMemoryMiB(pid: number | undefined): number {
  const match = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1]) / 1024;
}

const files = scratch();
after(() => files.remove());

async function peakOfBoot(firmware: string, flash: string, key: string, prompt: string): Promise<number> {
  const code = files.path('code.fd');
  writeFileSync(code, touchingRam(firmware));
  const child = startV8a([
    ...['run', '--firmware', code, '--flash', flash, '-m', `${RAM_MIB}M`],
    ...['--clock', 'virtual', '--timeout', '300s'],
    ...dialogue({ expect: key, send: ' ' }, { expect: prompt, send: ' ' }, { expect: 'never printed' }),
  ]);
  let text = '';
  let peakMiB = NaN;
  child.stdout?.on('data', (chunk: string) => {
    text += chunk;
    if (!text.includes(prompt) || !Number.isNaN(peakMiB)) return;
    peakMiB = peakMemoryMiB(child.pid);
    child.kill('SIGKILL');
  });
  const { stderr } = await finished(child);
  assert.ok(text.includes(prompt), `${text.slice(-1000)}\n${stderr}`);
  return peakMiB;
}

suite('host memory', { skip: process.platform !== 'linux' && 'measured by /proc' }, () => {
  for (const { name, firmware, flash, key, prompt } of [
    {
      name: 'AAVMF at its shell',
      firmware: AAVMF_CODE,
      flash: newVariableStore,
      key: 'or any other key to continue',
      prompt: 'Shell>',
    },
    {
      name: 'U-Boot at its prompt, with flash that is erased',
      firmware: U_BOOT,
      flash: newErasedBank,
      key: 'Hit any key to stop autoboot',
      prompt: '=> ',
    },
  ]) {
    const title = `${name}, after all ${RAM_MIB} MiB of RAM were written, costs ${BESIDE_RAM_MIB} MiB more at most`;
    test(title, { skip: skipWithout(firmware, AAVMF_VARS) }, async () => {
      const peakMiB = await peakOfBoot(firmware ?? '', flash(files.path('vars.fd')), key, prompt);
      assert.ok(peakMiB >= RAM_MIB, `${peakMiB} MiB: the RAM was not written`);
      assert.ok(peakMiB <= RAM_MIB + BESIDE_RAM_MIB, `${peakMiB} MiB`);
    });
  }
});
