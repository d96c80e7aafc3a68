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
    assert.match(stdout, /Commands:\n {2}run +run a virtual machine\n/);
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
});

describe('a mistake is one line and status 2', () => {
  const firmware = ['run', '--firmware', '/nonexistent/firmware.fd'];
  const mistakes: readonly (readonly [what: string, args: readonly string[], line: RegExp])[] = [
    ['an unknown command', ['rnu'], /unknown command 'rnu' .*run/],
    ['an unknown option', ['run', '--firmwear', 'x'], /'--firmwear' .*--firmware/],
    ['a surplus argument', ['run', 'surplus'], /'surplus'/],
    ['a missing value', ['run', '--firmware'], /--firmware needs a file/],
    ['no firmware', ['run'], /--firmware is missing/],
    ['a missing firmware file', firmware, /\/nonexistent\/firmware\.fd/],
    ['a size', [...firmware, '-m', '512Q'], /'512Q' .*512M/],
    ['too much memory', [...firmware, '-m', '999999G'], /'999999G' .*1M to 3G/],
    ['a number of CPUs', [...firmware, '-c', '4'], /'4' .*accepted: 1/],
    ['a board', [...firmware, '--machine', 'toaster'], /'toaster' .*virt/],
    ['a clock', [...firmware, '--clock', 'sundial'], /'sundial' .*real, virtual/],
    ['an interrupt controller', [...firmware, '--irqchip', 'gicv9'], /'gicv9' .*gicv2, gicv3/],
    ['a commit policy', [...firmware, '--flash-commit', 'never'], /'never' .*quiet, immediate/],
    ['a duration', [...firmware, '--timeout', 'soon'], /'soon' .*60s/],
    ['a trace channel', [...firmware, '--trace', 'flash,x'], /'x'.*mmio/],
    ['a trace file without a trace', [...firmware, '--trace-file', 'x'], /--trace-file x: needs --trace/],
    ['an escape', [...firmware, '--send', String.raw`\q`], /'\\q'.*\\r/],
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
