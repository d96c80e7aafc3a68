/** A debugger on Linux (tests/linux/debugger.c): what the kernel makes of self-hosted debug (DDI0487 D2). */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { guestFile } from '../scripts/fetch-guests.js';
import { tinyInitramfs, writeArchive } from '../scripts/make-initramfs.js';
import { dialogue, plain, v8a } from './support/cli.js';
import { scratch, skipWithout } from './support/guests.js';
import { COMPILER, hasCompiler } from './support/system-guests.js';

const KERNEL = guestFile('linux');
const INITRD = tinyInitramfs();
const SOURCE = fileURLToPath(new URL('../../tests/linux/debugger.c', import.meta.url));
const EXECUTABLE = 0o100755;

suite('Linux debugs', { skip: hasCompiler ? skipWithout(KERNEL, INITRD) : `${COMPILER} is missing` }, () => {
  const { path, remove } = scratch();
  after(remove);

  for (const cpus of [1, 2])
    test(`stops at breakpoints and watchpoints, and steps: ${cpus} CPU(s)`, async (t) => {
      const program = path('debugger');
      const compiled = spawnSync(COMPILER, ['-O1', '-Wall', '-static', SOURCE, '-o', program], {
        encoding: 'utf8',
      });
      if (/cannot find -lc|No such file/.test(compiled.stderr)) {
        t.skip('the libc of arm64 is missing: libc6-dev-arm64-cross');
        return;
      }
      assert.equal(compiled.status, 0, compiled.stderr);
      const archive = writeArchive(
        new Map([['debugger', { mode: EXECUTABLE, data: readFileSync(program) }]]),
      );
      const initrd = path('initrd');
      writeFileSync(initrd, Buffer.concat([readFileSync(INITRD ?? ''), gzipSync(archive)]));
      const { status, stdout, stderr } = await v8a([
        ...['run', '--kernel', KERNEL ?? '', '--initrd', initrd, '--append', 'console=ttyAMA0 quiet'],
        ...['--clock', 'virtual', '--timeout', '300s', '-c', `${cpus}`],
        ...dialogue(
          { expect: 'tiny# ', send: '/debugger\r' },
          { expect: 'status', send: '\r' },
          { expect: 'tiny# ', send: 'poweroff -f\r' },
        ),
      ]);
      const output = plain(stdout);
      assert.equal(status, 0, `${output.slice(-2000)}\n${stderr}`);
      assert.match(output, /^6 breakpoints 4 watchpoints$/m);
      assert.match(output, /^100 stops at code 10 at data 0 others, then USR1$/m);
      assert.match(output, /^about 4000 steps, then USR2$/m);
      assert.match(output, /^status 7$/m);
    });
});
