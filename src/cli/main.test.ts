import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

function v8a(...args: readonly string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

describe('v8a', () => {
  test('alone lists the commands', () => {
    const { status, stdout, stderr } = v8a();
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(
      stdout,
      /Commands:\n {2}run +run a virtual machine\n {2}vars +show .*\n {2}flash +create .*\n {2}completion /,
    );
  });

  test('--version prints the version of the package', () => {
    const { status, stdout } = v8a('--version');
    assert.equal(status, 0);
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  });

  test('run --help groups the options and shows examples and exit statuses', () => {
    const { status, stdout } = v8a('run', '--help');
    assert.equal(status, 0);
    for (const heading of ['Machine:', 'Script', 'Looking inside:', 'Keys', 'Exit status:', 'Examples:']) {
      assert.ok(stdout.includes(`\n${heading}`), heading);
    }
    for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
  });

  for (const command of ['vars', 'flash']) {
    test(`${command} alone lists its commands`, () => {
      const { status, stdout, stderr } = v8a(command);
      assert.deepEqual([status, stderr], [0, '']);
      assert.match(stdout, /\nCommands:\n/);
      assert.match(stdout, /\nExit status:\n/);
      for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
      assert.equal(v8a(command, '--help').stdout, stdout);
      for (const [, name] of stdout.matchAll(/^ {2}([a-z]+) (?:\[options\] )?<file>/gm)) {
        assert.match(v8a(command, name!, '--help').stdout, new RegExp(`^Usage: v8a ${command} ${name!} `));
      }
    });
  }
});

describe('a mistake is one line and status 2', () => {
  const firmware = ['run', '--firmware', '/nonexistent/firmware.fd'];
  const mistakes: readonly (readonly [what: string, args: readonly string[], line: RegExp])[] = [
    ['an unknown command', ['rnu'], /: rnu: unknown command; did you mean run\? 'v8a --help'/],
    ['help of an unknown command', ['help', 'rnu'], /: help: unknown command; 'v8a --help'/],
    ['an option before the command', ['--stats'], /: --stats: unknown option; 'v8a --help'/],
    [
      'an unknown option',
      ['run', '--firmwear', 'x'],
      /: --firmwear: unknown option; did you mean --firmware\?/,
    ],
    ['an unknown short option', ['run', '-q'], /: -q: unknown option; 'v8a run --help'/],
    [
      'a surplus argument',
      ['run', 'surplus'],
      /: surplus: .*did you mean --kernel surplus\? 'v8a run --help'/,
    ],
    ['another beside a kernel', ['run', '-k', 'a', 'b'], /: b: unexpected argument; 'v8a run --help'/],
    ['a command of kvmtool', ['list'], /: list: v8a keeps no list of guests, .*; use ps$/m],
    ['a missing value', ['run', '-f'], /: --firmware: its value is missing; accepted: --firmware <file>$/m],
    ['no firmware', ['run'], /--firmware is missing/],
    ['a missing firmware file', firmware, /\/nonexistent\/firmware\.fd/],
    ['an empty path', ['run', '--firmware', ''], /: --firmware '': is empty; accepted: the name of a file/],
    ['a size', [...firmware, '-m', '512Q'], /: --mem 512Q: is no size; accepted: 512M/],
    ['too much memory', [...firmware, '-m', '999999G'], /: --mem 999999G: .*; accepted: .*1M to 3G/],
    ['a number of CPUs', [...firmware, '-c', '9'], /: --cpus 9: is no number of CPUs; accepted: 1 to 8$/m],
    ['a board', [...firmware, '--machine', 'toaster'], /: --machine toaster: .*; accepted: virt/],
    ['a clock', [...firmware, '--clock', 'sundial'], /: --clock sundial: .*; accepted: real, virtual/],
    [
      'a CPU model',
      [...firmware, '--cpu', 'z80'],
      /: --cpu z80: is not supported; accepted: cortex-a57, max$/m,
    ],
    [
      'an interrupt controller',
      [...firmware, '--irqchip', 'gicv9'],
      /: --irqchip gicv9: .*: gicv2, gicv2m, gicv3, gicv3-its$/m,
    ],
    [
      'a disk option',
      [...firmware, '--disk', 'x,rw'],
      /: --disk x,rw: rw is not supported; accepted: <file>/,
    ],
    ['a log over a disk', [...firmware, '--disk', 'd.img', '--log', './d.img'], /--log .*--disk/],
    [
      'a transport',
      [...firmware, '--virtio-transport', 'usb'],
      /: --virtio-transport usb: .*: mmio, mmio-legacy, pci$/m,
    ],
    [
      'a feature that the transport has not',
      [...firmware, '--virtio-access-platform', '--virtio-transport', 'mmio-legacy'],
      /virtioAccessPlatform with virtioTransport mmio-legacy.*; accepted: mmio, pci$/m,
    ],
    ['a device', [...firmware, '--device', 'toaster'], /: --device toaster: .*; accepted: pci-testdev$/m],
    ['a seed', [...firmware, '--seed', 'x'], /: --seed x: is no seed; accepted: a whole number from 0 up$/m],
    ['a commit policy', [...firmware, '--flash-commit', 'never'], /: --flash-commit never: .*: quiet, imm/],
    ['a duration', [...firmware, '--timeout', 'soon'], /: --timeout soon: is no duration; accepted: 60s/],
    [
      'a trace channel',
      [...firmware, '--trace', 'flash,x'],
      /: --trace flash,x: x is not .*: all, or .*mmio/,
    ],
    ['a trace file without a trace', [...firmware, '--trace-file', 'x'], /--trace-file x: needs --trace/],
    ['symbols without a profile', [...firmware, '--symbols', 'x'], /--symbols x: needs --profile/],
    [
      'an offset of symbols',
      [...firmware, '--profile', 'p', '--symbols', 'x,offset=1G'],
      /: --symbols x,offset=1G: offset=1G is not supported; accepted: <file>\[,offset=<address>\], in hexadecimal$/m,
    ],
    [
      'a profile over the symbols',
      [...firmware, '--profile', './x', '--symbols', 'x'],
      /--profile \.\/x: is the file of --symbols/,
    ],
    ['an escape', [...firmware, '--send', String.raw`\q`], /: --send '\\q': has the .* \\q; accepted: \\r/],
    ['an unknown command of vars', ['vars', 'lst', 'x'], /: lst: unknown command; 'v8a vars --help'/],
    ['an unknown command of flash', ['flash', 'lst', 'x'], /: lst: unknown command; 'v8a flash --help'/],
    ['a command behind its file', ['vars', 'x', 'list'], /: x: .*did you mean v8a vars list x\? 'v8a vars/],
    [
      'a file to show that is missing',
      ['flash', '/nonexistent'],
      /flash image \/nonexistent: does not exist/,
    ],
    [
      'an unknown shell',
      ['completion', 'tcsh'],
      /: <shell> tcsh: is not supported; accepted: bash, zsh, fish$/m,
    ],
    ['no shell', ['completion'], /: shell: is missing; 'v8a completion --help'/],
    ['no file', ['vars', 'list'], /: file: is missing; 'v8a vars list --help'/],
    ['too many files', ['vars', 'list', 'a', 'b'], /: too many arguments; 'v8a vars list --help'/],
    ['a GUID', ['vars', 'get', 'x', 'A', '--guid', '1'], /: --guid 1: is no GUID; accepted: 8be4df61-/],
    ['attributes', ['vars', 'set', 'x', 'A', '--attributes', 'XY'], /: --attributes XY: .*accepted: NV\+BS/],
    ['no data', ['vars', 'set', 'x', 'A'], /: the data is missing; accepted: --hex, --text or --file/],
    [
      'data twice',
      ['vars', 'set', 'x', 'A', '--hex', '00', '--text', 'a'],
      /: --hex and --text: accepted: one/,
    ],
    ['an order', ['vars', 'boot', 'x', '--order', '1,x'], /: --order 1,x: is no order; accepted: numbers/],
    ['a number twice', ['vars', 'boot', 'x', '--order', '1,0001'], /: --order 1,0001: .*accepted: each/],
    ['a timeout of 65536', ['vars', 'boot', 'x', '--timeout', '65536'], /: --timeout 65536: is no timeout/],
    ['an image of no size', ['flash', 'create', 'x', 'big'], /: <size> big: is no size; accepted: 512M/],
    ['an image of half a block', ['flash', 'create', 'x', '100K'], /: <size> 100K: is no multiple .* 256K/],
    ['an image of 2 GiB', ['flash', 'create', 'x', '2G'], /: <size> 2G: is too much; accepted: up to 1G/],
    ['nothing to send', [...firmware, '--send', ''], /: --send '': is empty; accepted: /],
    ['nothing to expect', [...firmware, '--expect', ''], /: --expect '': is empty; accepted: /],
    ['a value of two lines', [...firmware, '-m', 'a\nb'], /: --mem 'a b': /],
    ['a log over the firmware', [...firmware, '--log', firmware[2]!], /--log .*--firmware/],
    ['a device tree over the log', [...firmware, '--log', 'x', '--dump-dtb', './x'], /--dump-dtb .*--log/],
  ];
  for (const [what, args, line] of mistakes) {
    test(what, () => {
      const { status, stdout, stderr } = v8a(...args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, /^v8a: [^\n]+\n$/);
      assert.match(stderr, line);
    });
  }
});
