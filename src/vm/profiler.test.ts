import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { UserError } from '../base/index.js';
import { createMachine } from './create-machine.js';

/**
 * Calls `f` and `g` 65,535 times and switches off: f executes three times as many instructions as g.
 *
 *     start: movz w20, #65535
 *     0:     bl f; bl g; subs w20, w20, #1; b.ne 0b
 *            movz w0, #8; movk w0, #0x8400, lsl #16; hvc #0; b .
 *     f:     movz w1, #300; 1: subs w1, w1, #1; b.ne 1b; ret
 *     g:     movz w1, #100; 1: subs w1, w1, #1; b.ne 1b; ret
 */
const GUEST = new Uint8Array(
  new Uint32Array([
    ...[0x529f_fff4, 0x9400_0008, 0x9400_000b, 0x7100_0694, 0x54ff_ffa1],
    ...[0x5280_0100, 0x72b0_8000, 0xd400_0002, 0x1400_0000],
    ...[0x5280_2581, 0x7100_0421, 0x54ff_ffe1, 0xd65f_03c0],
    ...[0x5280_0c81, 0x7100_0421, 0x54ff_ffe1, 0xd65f_03c0],
  ]).buffer,
);

const directory = mkdtempSync(join(tmpdir(), 'v8a-profile-'));
after(() => {
  rmSync(directory, { recursive: true });
});
const symbols = join(directory, 'symbols');
writeFileSync(symbols, '0000000000001000 T start\n0000000000001024 T f\n0000000000001034 T g\n');

interface File {
  readonly shared: { readonly frames: readonly { readonly name: string }[] };
  readonly profiles: readonly {
    readonly samples: readonly (readonly number[])[];
    readonly weights: readonly number[];
  }[];
}

/** What the guest executes, by stacks, and how many instructions it was. */
async function instructions(jit: 'off' | 'sync', cpus = 1) {
  const machine = await createMachine({
    ...{ firmware: GUEST, clock: 'virtual', onReset: 'stop', memoryBytes: 16 * 2 ** 20, jit, cpus },
    // Firmware is at 0.
    profile: { symbols: [{ file: symbols, offset: -0x1000n }] },
  });
  try {
    machine.start();
    assert.equal((await machine.stopped()).kind, 'power-off');
    const { file, summary } = await machine.takeProfile('test');
    const { shared, profiles } = JSON.parse(file) as File;
    const { samples, weights } = profiles[1]!;
    const sums: Record<string, number> = {};
    samples.forEach((sample, i) => {
      const stack = sample.map((frame) => shared.frames[frame]!.name).join(';');
      sums[stack] = (sums[stack] ?? 0) + weights[i]!;
    });
    return { sums, summary, executed: machine.stats().instructions };
  } finally {
    await machine.close();
  }
}

describe('the profile of a guest that executes three times as much in f as in g', () => {
  for (const jit of ['off', 'sync'] as const) {
    test(`says so, called from where they are called, with --jit ${jit}`, async () => {
      const { sums, executed } = await instructions(jit);
      const [f, g, start] = ['EL1;start;f', 'EL1;start;g', 'EL1;start'].map((stack) => sums[stack] ?? 0);
      const counted = Object.values(sums).reduce((sum, count) => sum + count, 0);
      assert.ok(executed - counted < 100_000 && counted <= executed, `${counted} of ${executed}`);
      assert.ok(f! / g! > 2.7 && f! / g! < 3.3, JSON.stringify(sums));
      assert.ok(f! + g! + start! === counted && start! < 0.02 * counted, JSON.stringify(sums));
    });
  }

  test('is the same each time, and the guest executes what it does without', async () => {
    const first = await instructions('sync');
    const { sums, executed } = await instructions('sync');
    assert.deepEqual(sums, first.sums);
    const machine = await createMachine({ firmware: GUEST, clock: 'virtual', memoryBytes: 16 * 2 ** 20 });
    machine.start();
    await machine.stopped();
    assert.equal(machine.stats().instructions, executed);
    await machine.close();
  });

  test('has its time by kinds, most of it in one of the two', async () => {
    const { summary } = await instructions('off');
    // Starting takes its part of so short a run.
    assert.match(summary.join('\n'), /^ +\d\d\.\d {2}interpreted/m);
    assert.doesNotMatch(summary.join('\n'), / {2}translated/);
    assert.match(summary.join('\n'), / EL1 f$/m);
  });

  test('with several CPUs has them apart', async () => {
    const { sums } = await instructions('sync', 2);
    assert.ok((sums['CPU 0;EL1;start;f'] ?? 0) > (sums['CPU 0;EL1;start;g'] ?? 0), JSON.stringify(sums));
  });
});

test('takeProfile is for a machine with a profile, once', async () => {
  const machine = await createMachine({ firmware: GUEST, clock: 'virtual', memoryBytes: 16 * 2 ** 20 });
  await assert.rejects(machine.takeProfile('test'), (error) => error instanceof UserError);
  await machine.close();
});
