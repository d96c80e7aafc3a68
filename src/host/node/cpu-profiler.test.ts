import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CpuProfiler } from './cpu-profiler.js';
import { nodeLoop } from './event-loop.js';

function keepBusy(untilNs: number): void {
  while (nodeLoop.nowNs() < untilNs);
}

test('a profile has what was done when, by the clock of the loop, in terms of sources', async () => {
  const profiler = await CpuProfiler.start();
  const startNs = nodeLoop.nowNs();
  const endNs = startNs + 100e6;
  keepBusy(endNs);
  const { nodes, samples, timesNs } = await profiler.stop();
  const own = new Set<number>();
  const add = (id: number): void => {
    own.add(id);
    for (const child of nodes.find((node) => node.id === id)?.children ?? []) add(child);
  };
  const found = nodes.filter(({ callFrame }) => callFrame.functionName === 'keepBusy');
  for (const { id, callFrame } of found) {
    add(id);
    assert.match(callFrame.url, /\/src\/host\/node\/cpu-profiler\.test\.ts$/);
    // Lines count from 0.
    assert.equal(callFrame.lineNumber, 5);
  }
  const times = timesNs.filter((_, index) => own.has(samples[index]!));
  assert.ok(times.length > 10, `${times.length} samples`);
  const slackNs = 5e6;
  assert.ok(times[0]! > startNs - slackNs && times[0]! < startNs + 50e6, `${times[0]! - startNs}`);
  assert.ok(times.at(-1)! < endNs + slackNs, `${times.at(-1)! - endNs}`);
  assert.deepEqual(
    timesNs.toSorted((a, b) => a - b),
    timesNs,
  );
});
