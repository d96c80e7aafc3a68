/** A part of the work of bench/guest, which the benchmark compares speeds by: what it computes, and in how many instructions. */
import { strict as assert } from 'node:assert';
import { before, suite, test } from 'node:test';

import { buildKernels } from '../scripts/build-kernels.js';
import { v8a } from './support/cli.js';
import { converseWithQemu, hasQemu, qemuArguments } from './support/qemu.js';
import { hasCompiler } from './support/system-guests.js';

/** Enough for hot code. */
const PERCENT = 3;

suite('kernels of the benchmark', { skip: !hasCompiler && 'no compiler for arm64' }, () => {
  let image = '';
  before(() => {
    image = buildKernels({ percent: PERCENT });
  });

  /** `name group checksum microseconds`, line by line; microseconds of the virtual clock are instructions. */
  async function report(jit: 'off' | 'sync'): Promise<string[]> {
    const { status, stdout, stderr } = await v8a([
      'run',
      ...['--firmware', image, '--jit', jit, '--clock', 'virtual', '--timeout', '300s'],
    ]);
    assert.equal(status, 0, `${stdout}\n${stderr}`);
    const lines = stdout.replaceAll('\r', '').trim().split('\n');
    assert.equal(lines.pop(), 'done');
    return lines;
  }

  test('translated code computes the same in the same instructions', async () => {
    assert.deepEqual(await report('sync'), await report('off'));
  });

  test('QEMU computes the same', { skip: !hasQemu && 'no qemu-system-aarch64' }, async () => {
    const { console } = await converseWithQemu(
      qemuArguments({ firmware: image, isPflash: false }),
      [{ expect: 'done' }],
      300_000,
    );
    const computed = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/ \d+$/, ''));
    assert.deepEqual(
      computed(await report('off')),
      computed(console.replaceAll('\r', '').trim().split('\n').slice(0, -1)),
    );
  });
});
