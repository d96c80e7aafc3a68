/** Shared folders through the command, with Linux's 9P file system over virtio-mmio, modern and legacy. */
import { strict as assert } from 'node:assert';
import { mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { after, suite, test } from 'node:test';

import { guestFile } from '../scripts/fetch-guests.js';
import { hasPackagedDrivers, tinyInitramfs } from '../scripts/make-initramfs.js';
import { dialogue, plain, v8a } from './support/cli.js';
import { scratch, skipWithout } from './support/guests.js';

const KERNEL = guestFile('linux');
const INITRD = tinyInitramfs();
const NO_DRIVERS = !hasPackagedDrivers() && 'drivers of 9P are missing: npm run guests -- --kernels';
const PROMPT = 'tiny# ';
const SECRET = 'not for guests';
const FILES = 1000;

const files = scratch();
after(() => files.remove());

function assertPrinted(console: string, pattern: RegExp): void {
  assert.ok(
    pattern.test(console),
    `${pattern} is not in the output, which ends with\n${console.slice(-4000)}`,
  );
}

/** A folder beside a secret, with a thousand files and links that lead out. */
function makeFolder(name: string): string {
  const folder = files.path(name);
  mkdirSync(join(folder, 'many'), { recursive: true });
  writeFileSync(files.path('secret'), SECRET);
  writeFileSync(join(folder, 'hello'), 'a text of the host\n');
  for (let i = 0; i < FILES; i++) writeFileSync(join(folder, 'many', `file-${i}`), '');
  symlinkSync(files.path('secret'), join(folder, 'out'));
  symlinkSync(files.path('.'), join(folder, 'out-folder'));
  return folder;
}

async function run(options: readonly string[], ...commands: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await v8a([
    ...['run', '--kernel', KERNEL ?? '', '--initrd', INITRD ?? '', '--append', 'console=ttyAMA0 quiet'],
    ...['--clock', 'virtual', '--timeout', '500s', '--rng', ...options],
    ...dialogue(...[...commands, 'poweroff -f'].map((send) => ({ expect: PROMPT, send: `${send}\\r` }))),
  ]);
  assert.equal(status, 0, `${plain(stdout).slice(-3000)}\n${stderr}`);
  return plain(stdout);
}

const mount = (tag: string, at: string, more = ''): string =>
  `mkdir -p ${at}; mount -t 9p -o trans=virtio,version=9p2000.L${more} ${tag} ${at}; echo mount is $?`;

suite(
  'Linux uses shared folders',
  { skip: NO_DRIVERS === false ? skipWithout(KERNEL, INITRD) : NO_DRIVERS },
  () => {
    for (const transport of ['mmio', 'mmio-legacy', 'pci']) {
      test(`${transport}: reads, writes, lists; links lead nowhere; ro`, async () => {
        const folder = makeFolder(`folder-${transport}`);
        const other = makeFolder(`other-${transport}`);
        const console = await run(
          ['--virtio-transport', transport, '--9p', `${folder},first`, '--9p', `${other},second,ro`],
          mount('first', '/tmp/a'),
          mount('second', '/tmp/b', ',cache=loose'),
          'cat /sys/bus/virtio/devices/*/mount_tag',
          'cat /tmp/a/hello; ls /tmp/a/many | wc -l',
          'dd if=/dev/urandom of=/tmp/a/new bs=64k count=40; md5sum /tmp/a/new; chmod 640 /tmp/a/new',
          'cd /tmp/a; mkdir -p x/y; echo moved >x/y/z; mv x w; cat w/y/z; ln w/y/z hard; ln -s w/y/z soft; cat soft',
          'echo more >>hard; rm w/y/z; wc -l <hard; dd of=hard bs=1 count=0 seek=3; wc -c <hard; rmdir w/y w; ls -d w',
          'touch -d 2001-02-03 hard; date -r hard +%Y; cd /',
          // In the guest, what the link reads as is a path of the guest.
          'cat /tmp/a/out; ls /tmp/a/out-folder; readlink /tmp/a/out',
          'ln -s /etc/passwd /tmp/a/passwd; cat /tmp/a/passwd; cat /tmp/a/../../etc/passwd',
          'cat /tmp/b/hello; ls /tmp/b/many | wc -l',
          'echo no >/tmp/b/hello; rm /tmp/b/hello; mkdir /tmp/b/dir; touch /tmp/b/new; chmod 0 /tmp/b/hello',
          'umount /tmp/a; umount /tmp/b; echo unmounted $?',
        );
        assert.equal(console.match(/^mount is 0$/gm)?.length, 2);
        assertPrinted(console, /second.*first/s);
        assertPrinted(console, /^a text of the host\n1000$/m);
        assertPrinted(console, /40\+0 records out/);
        assertPrinted(console, /^moved\nmoved$/m);
        assertPrinted(console, /^2\n0\+0 records in\n0\+0 records out\n3$/m);
        assertPrinted(console, /^2001$/m);
        assertPrinted(console, /\/tmp\/a\/out'?: No such file/);
        assert.doesNotMatch(console, new RegExp(`${SECRET}|^root:`, 'm'));
        assert.equal(console.match(/Read-only file system/g)?.length, 5);
        assertPrinted(console, /^unmounted 0$/m);

        const [, md5] = /^([0-9a-f]{32}) {2}\/tmp\/a\/new$/m.exec(console) ?? [];
        assert.equal(
          createHash('md5')
            .update(readFileSync(join(folder, 'new')))
            .digest('hex'),
          md5,
        );
        assert.equal(statSync(join(folder, 'new')).mode & 0o777, 0o640);
        assert.equal(readlinkSync(join(folder, 'passwd')), '/etc/passwd');
        assert.equal(readFileSync(join(folder, 'hard'), 'utf8'), 'mov');
        assert.equal(readFileSync(join(other, 'hello'), 'utf8'), 'a text of the host\n');
        assert.equal(readFileSync(files.path('secret'), 'utf8'), SECRET);
      });
    }
  },
);
