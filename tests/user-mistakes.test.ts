/** Every mistake of a user is one clear line on stderr and exit status 2, and nothing on disk changes. */
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { chmodSync, mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { startV8a, v8a } from './support/cli.js';
import { FLASH_BANK_BYTES, LETTER_A, scratch } from './support/guests.js';

const files = scratch();
after(() => files.remove());

function sized(name: string, bytes: number): string {
  const path = files.path(name);
  writeFileSync(path, '');
  truncateSync(path, bytes);
  return path;
}

const firmware = files.path('firmware.bin');
writeFileSync(firmware, LETTER_A);
const flash = sized('flash.fd', FLASH_BANK_BYTES);
const directory = files.path('directory');
mkdirSync(directory);
const empty = sized('empty.fd', 0);
const small = sized('small.fd', 4096);
const tiny = sized('tiny.fd', 100);
const big = sized('big.fd', FLASH_BANK_BYTES + 4096);
const unreadable = sized('unreadable.fd', FLASH_BANK_BYTES);
chmodSync(unreadable, 0);
const readOnly = sized('read-only.fd', FLASH_BANK_BYTES);
chmodSync(readOnly, 0o444);
const missing = files.path('missing.fd');

const machine = (...rest: readonly string[]): string[] => ['run', '--firmware', firmware, ...rest];
const kvmtool = (...rest: readonly string[]): string[] => machine('--machine', 'kvmtool', ...rest);

/** What the user did; the arguments; what the line must name, so that it can be found. */
const MISTAKES: readonly (readonly [what: string, args: string[], names: string])[] = [
  ['an unknown command', ['rnu'], 'rnu'],
  ['an unknown option', machine('--frobnicate'), '--frobnicate'],
  ['an argument too many', machine('surplus'), 'surplus'],
  ['an option without its value', ['run', '--firmware'], '--firmware'],
  ['no firmware', ['run'], '--firmware'],
  ['a RAM disk without a kernel', machine('--initrd', firmware), '--initrd'],
  ['a command line without a kernel', machine('--append', 'quiet'), '--append'],
  ['a command line with other characters', machine('--append', 'naïve'), 'naïve'],
  ['a kernel that is missing', ['run', '--kernel', missing], missing],
  ['a RAM disk that is missing', ['run', '--kernel', firmware, '--initrd', missing], missing],
  ['a kernel that is larger than RAM', ['run', '-m', '16M', '--kernel', big], '0x40080000'],
  ['a shared folder that is missing', machine('--9p', `${missing},tag`), missing],
  ['a shared folder that is a file', machine('--9p', `${firmware},tag`), firmware],
  [
    'two shared folders of one tag',
    machine('--9p', `${directory},one`, '--9p', `${directory},one`),
    'tag one',
  ],
  ['two ports of one name', machine('--port', 'a,x', '--port', 'a,y'), 'port a'],
  ['a socket where something is', machine('--port', `a,socket=${firmware}`), firmware],
  ['an unknown console', machine('--console', 'hvc7'), 'hvc7'],
  ['an unknown machine', machine('--machine', 'toaster'), 'toaster'],
  ['RAM that is moved on virt', machine('-m', '512M@4G'), '--mem'],
  ['an address of firmware on virt', machine('--firmware-address', '2G'), '--firmware-address'],
  ['ACPI tables on kvmtool', kvmtool('--acpi', 'on'), '--acpi on'],
  ['firmware and a kernel on kvmtool', kvmtool('--kernel', firmware), '--kernel'],
  ['an address of firmware that is none', kvmtool('--firmware-address', 'there'), 'there'],
  ['an address of firmware outside RAM', kvmtool('--firmware-address', '0x1000'), '0x1000'],
  ['RAM below 2 GiB on kvmtool', kvmtool('-m', '512M@1G'), '0x40000000'],
  ['a flash file of kvmtool that is missing', kvmtool('--flash', missing), missing],
  ['a flash file of kvmtool that is empty', kvmtool('--flash', empty), empty],
  ['a flash file of kvmtool that is less than a block', kvmtool('--flash', small), small],
  ['a flash file of kvmtool that is 100 bytes', kvmtool('--flash', tiny), `${tiny}: 100 bytes are less than`],
  ['a flash file of kvmtool that is a directory', kvmtool('--flash', directory), directory],
  ['a flash file of kvmtool that cannot be written', kvmtool('--flash', readOnly), readOnly],
  ['an unknown clock', machine('--clock', 'sundial'), 'sundial'],
  ['an unknown trace channel', machine('--trace', 'flash,everything'), 'everything'],
  ['memory that is no size', machine('-m', 'lots'), 'lots'],
  ['memory with an unknown unit', machine('-m', '512Q'), '512Q'],
  ['no memory', machine('-m', '0'), '0'],
  ['negative memory', machine('-m', '-512M'), '-512M'],
  ['more memory than the machine can have', machine('-m', '999999G'), '999999G'],
  ['a timeout that is no duration', machine('--timeout', 'soon'), 'soon'],
  ['a firmware file that is missing', ['run', '--firmware', missing], missing],
  ['a firmware file that is a directory', ['run', '--firmware', directory], directory],
  ['a firmware file that is empty', ['run', '--firmware', empty], empty],
  ['a firmware file beyond the bank', ['run', '--firmware', big], big],
  ['a firmware path through a file', ['run', '--firmware', `${firmware}/x`], `${firmware}/x`],
  ['a firmware file that cannot be read', ['run', '--firmware', unreadable], unreadable],
  ['a flash file that is missing', machine('--flash', missing), missing],
  ['a flash file that is a directory', machine('--flash', directory), directory],
  ['a flash file that is empty', machine('--flash', empty), empty],
  ['a flash file that is too small', machine('--flash', small), small],
  ['a flash file that is too big', machine('--flash', big), big],
  ['a network of an unknown kind', machine('--network', 'tap'), '--network tap'],
  ['a forwarded port without a port', machine('--network', 'user,hostfwd=tcp::-:22'), 'hostfwd=tcp::-:22'],
  ['a forwarded port of no host', machine('--network', 'user,hostfwd=tcp:192.0.2.1:0-:22'), '192.0.2.1'],
  [
    'a capture that is the log',
    machine('--network', `user,pcap=${files.path('x')}`, '--log', files.path('x')),
    files.path('x'),
  ],
  [
    'a capture in a directory that is missing',
    machine('--network', `user,pcap=${missing}/x`),
    `${missing}/x`,
  ],
  [
    'another beside a good capture',
    machine('--network', `user,pcap=${files.path('pcap')}`, '--flash', missing),
    missing,
  ],
  ['a flash file that cannot be written', machine('--flash', readOnly), readOnly],
  ['a log in a directory that is missing', machine('--log', `${missing}/log`), `${missing}/log`],
  ['another mistake beside a good log', machine('--log', files.path('log'), '--flash', missing), missing],
  [
    'another beside a good device tree',
    machine('--dump-dtb', files.path('dtb'), '--flash', missing),
    missing,
  ],
  ['a profile in a directory that is missing', machine('--profile', `${missing}/p`), `${missing}/p`],
  ['a profile that is a directory', machine('--profile', directory), directory],
  ['symbols that are missing', machine('--profile', files.path('profile'), '--symbols', missing), missing],
  [
    'a file of symbols that has none',
    machine('--profile', files.path('profile'), '--symbols', firmware),
    firmware,
  ],
  ['a log that is a directory', machine('--log', directory), directory],
  [
    'a device tree for a directory that is missing',
    machine('--dump-dtb', `${missing}/dtb`),
    `${missing}/dtb`,
  ],
];

/** Everything about the files that a mistake could disturb. */
function disk(): unknown {
  const root = files.path('.');
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { size, mode, mtimeMs, ctimeMs, ino } = statSync(files.path(name));
      return { name, size, mode, mtimeMs, ctimeMs, ino };
    });
}

async function checkMistake(args: readonly string[], names: string): Promise<void> {
  const before = disk();
  const [command = '', ...rest] = args;
  // Were the mistake not noticed, the machine would run for ever.
  const limit = command === 'run' && !rest.includes('--timeout') ? ['--timeout', '10s'] : [];
  const { status, stdout, stderr } = await v8a([command, ...limit, ...rest]);
  assert.equal(status, 2, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, /^[^\n]+\n$/, 'exactly one line');
  assert.ok(stderr.includes(names), `names the culprit: ${stderr}`);
  assert.deepEqual(disk(), before);
}

suite('a mistake is one line on stderr, exit status 2 and an unchanged disk', { concurrency: 1 }, () => {
  for (const [what, args, names] of MISTAKES) {
    test(what, () => checkMistake(args, names));
  }

  test('a forwarded port that is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    try {
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const address = `127.0.0.1:${port}`;
      await checkMistake(
        machine('--network', `user,hostfwd=tcp:${address}-:22`),
        `${address}: the port is taken`,
      );
    } finally {
      server.close();
    }
  });

  test('a second process on the same flash file', async () => {
    const first = startV8a(machine('--flash', flash, '--timeout', '100s', '--expect', 'never'));
    const ended = once(first, 'close');
    try {
      assert.ok(first.stdout);
      // The first letter means that the machine runs, so it has its files.
      const begun = once(first.stdout, 'data').then(() => 'running');
      assert.equal(await Promise.race([begun, ended]), 'running');
      await checkMistake(machine('--flash', flash), flash);
    } finally {
      first.kill('SIGKILL');
      await ended;
    }
  });
});
