/** The command in one file (scripts/bundle.ts) is the command. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';

import { V8A_BUNDLE, V8A_MAIN, statistics } from './support/cli.js';
import { scratch } from './support/guests.js';

function run(main: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('help, the version and mistakes are the same from the bundle as from the modules', () => {
  for (const args of [
    [],
    ['--version'],
    ['run', '--help'],
    ['run', '--frimware', 'x'],
    ['run', '-f', '/nowhere/x.fd'],
    ['run', '-m', '1M', '--machine', 'kvmtool', '-f', '/nowhere/x.fd'],
    ['flash', 'show', '/nowhere/x.fd'],
    ['vars', '/nowhere/x.fd'],
    ['completion', 'bash'],
  ])
    assert.deepEqual(run(V8A_BUNDLE, args), run(V8A_MAIN, args), args.join(' '));
});

/** MOVZ W0, #8; MOVK W0, #0x8400, LSL #16; HVC #0: SYSTEM_OFF of PSCI. */
const POWER_OFF = Uint32Array.of(0x52800100, 0x72b08000, 0xd4000002);

test('the bundle runs each kind of machine, with what is loaded on demand', () => {
  const files = scratch();
  try {
    const image = files.path('off.bin');
    writeFileSync(image, POWER_OFF);
    const disk = files.path('disk.img');
    writeFileSync(disk, new Uint8Array(1 << 20));
    const devices = ['--disk', disk, '--9p', `${files.path('.')},host`, '--network', 'user', '--rng'];
    for (const args of [
      [],
      devices,
      ['--machine', 'kvmtool', ...devices],
      ['--jit', 'off', '--cpu', 'max'],
    ]) {
      const { status, stderr } = run(V8A_BUNDLE, ['run', '-f', image, ...args, '--stats']);
      assert.equal(status, 0, stderr);
      assert.equal(statistics(stderr).get('instructions'), 3);
    }
  } finally {
    files.remove();
  }
});

test('the bundle has the thread that translates', () => {
  const files = scratch();
  try {
    const image = files.path('loop.bin');
    // movz w1, #500, lsl #16; subs w1, w1, #1; b.ne .-4
    writeFileSync(image, Uint32Array.of(0x52a0_3e81, 0x7100_0421, 0x54ff_ffe1, ...POWER_OFF));
    const { status, stderr } = run(V8A_BUNDLE, ['run', '-f', image, '--jit', 'async', '--stats']);
    assert.equal(status, 0, stderr);
    // What goes wrong is said before.
    assert.match(stderr, /^instructions: /);
  } finally {
    files.remove();
  }
});
