/** `--profile`: the file for a viewer and the summary, whatever ends the run. */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, suite, test } from 'node:test';

import { guestFile } from '../scripts/fetch-guests.js';
import { tinyInitramfs } from '../scripts/make-initramfs.js';
import { statistics, V8A_BUNDLE, v8a } from './support/cli.js';
import { LETTER_A, scratch, skipWithout } from './support/guests.js';

const KERNEL = guestFile('linux');
const INITRD = tinyInitramfs();

const files = scratch();
after(() => files.remove());
const firmware = files.path('letter.bin');
writeFileSync(firmware, LETTER_A);
const symbols = files.path('symbols');
writeFileSync(symbols, '0000000000000004 t entry\n000000000000000c T stay\n');

interface File {
  readonly name: string;
  readonly shared: { readonly frames: readonly { readonly name: string }[] };
  readonly profiles: readonly { readonly name: string; readonly samples: readonly (readonly number[])[] }[];
}

suite('--profile', () => {
  test('writes a file and prints a summary when a script is over, and when it fails', async () => {
    for (const [expected, status] of [
      ['A', 0],
      ['never', 1],
    ] as const) {
      const file = files.path(`${expected}.json`);
      const run = await v8a([
        ...['run', '--firmware', firmware, '--profile', file, '--symbols', symbols],
        ...['--expect', expected, '--timeout', '3s'],
      ]);
      assert.equal(run.status, status, run.stderr);
      assert.match(run.stderr, /^Profile of \d+\.\d\d s: \d+ samples of the host, \d+ of the guest$/m);
      const { name, profiles, shared } = JSON.parse(readFileSync(file, 'utf8')) as File;
      assert.equal(name, 'v8a run letter.bin');
      assert.deepEqual(
        profiles.map((profile) => profile.name),
        ['guest, by time', 'guest, by instructions', 'v8a, by time'],
      );
      assert.ok(shared.frames.some((frame) => frame.name === 'stay'));
    }
  });

  test('is lost on a full disk, which status 5 and a line tell', async () => {
    const run = await v8a(['run', '--firmware', firmware, '--profile', '/dev/full', '--expect', 'A']);
    assert.equal(run.status, 5);
    assert.match(run.stderr, /^v8a: --profile \/dev\/full: the disk is full$/m);
  });

  test('of the command in one file has the functions of its sources', () => {
    const file = files.path('bundle.json');
    const { status, stderr } = spawnSync(
      process.execPath,
      [V8A_BUNDLE, 'run', '--firmware', firmware, '--profile', file, '--expect', 'never', '--timeout', '1s'],
      { encoding: 'utf8' },
    );
    assert.equal(status, 1, stderr);
    const { shared } = JSON.parse(readFileSync(file, 'utf8')) as File;
    const names = shared.frames.map(({ name }) => name);
    assert.ok(
      names.some((name) => /^run \(cpu\/wasm-engine:\d+\)$/.test(name)),
      names.join('\n'),
    );
    assert.ok(!names.some((name) => /^run \(bin/.test(name)));
  });

  test('leaves Linux as it is', { skip: skipWithout(KERNEL, INITRD) }, async () => {
    const linux = ['run', '--kernel', KERNEL ?? '', '--initrd', INITRD ?? '', '--append', 'console=ttyAMA0'];
    const script = ['--clock', 'virtual', '--stats', '--expect', 'Run /init', '--timeout', '120s'];
    const plain = await v8a([...linux, ...script]);
    const profiled = await v8a([...linux, ...script, '--profile', files.path('linux.json')]);
    assert.equal(profiled.status, 0, profiled.stderr);
    const count = (stderr: string): number | undefined => statistics(stderr).get('instructions');
    assert.equal(count(profiled.stderr), count(plain.stderr));
    const { profiles, shared } = JSON.parse(readFileSync(files.path('linux.json'), 'utf8')) as File;
    const depths = profiles[1]!.samples.map((sample) => sample.length);
    assert.ok(Math.max(...depths) > 10, 'frame records are followed');
    assert.ok(shared.frames.some(({ name }) => /^0xffff8/.test(name)));
  });
});
