import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { TranslationOrder, TranslationTarget } from '../cpu/translation-service.js';
import { orderTranslator } from '../cpu/translation-service.js';
import { CORTEX_A57 } from '../cpu/models.js';
import { coreImage } from './core-image.js';
import { createMachine } from './create-machine.js';
import { TranslationThread } from './translation-thread.js';

const TARGET: TranslationTarget = {
  model: CORTEX_A57,
  index: coreImage(CORTEX_A57).handlers,
  hasNames: false,
};

/** An order for `add x0, x0, #1; b .-4`, on a page that begins with no instruction. */
function order(page: number): TranslationOrder {
  const words = new Uint32Array(1024);
  words[0] = 0xffff_ffff;
  words.set([0x9100_0400, 0x17ff_ffff], 8);
  return { page, words, start: 8, wanted: new Uint8Array(1024).fill(1) };
}

/** What has become of a batch, without a turn of the event loop. */
function outcome(thread: TranslationThread) {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const taken = thread.poll();
    if (taken !== undefined) return taken;
    assert.ok(performance.now() < deadline, 'an outcome in time');
  }
}

suite('a thread that translates', () => {
  test('makes of orders what is made of them without a thread', () => {
    const thread = new TranslationThread(TARGET, assert.fail);
    const orders = [order(0x8000), order(0xa000), order(0x8000)];
    thread.submit(orders);
    const theirs = outcome(thread);
    const ours = orderTranslator(TARGET)(orders);
    assert.ok(typeof theirs === 'object' && typeof ours === 'object');
    assert.deepEqual({ ...theirs, module: undefined }, { ...ours, module: undefined });
    assert.deepEqual(
      ours.regions.map((region) => [region.order, region.words]),
      [
        [0, [8, 9]],
        [1, [8, 9]],
      ],
    );
    assert.equal(Object.prototype.toString.call(theirs.module), '[object WebAssembly.Module]');
    thread.submit([{ ...order(0x8000), start: 0 }]);
    assert.equal(outcome(thread), 'nothing');
    thread.close();
  });

  test('that fails is reported once, and says so', async () => {
    for (const url of [
      new URL('data:text/javascript,throw new Error("no")'),
      // What isn't a module at all is refused when the thread is made.
      new URL('http://localhost/worker.js'),
    ]) {
      const lines: string[] = [];
      const thread = new TranslationThread(TARGET, (line) => lines.push(line), url);
      thread.submit([order(0x8000)]);
      assert.equal(thread.poll(), undefined);
      while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(thread.poll(), 'failed');
      thread.close();
      assert.equal(lines.length, 1);
      assert.match(lines[0]!, /^the thread that translates has failed, code is translated without it: ./);
    }
  });
});

/** movz w20, #500, lsl #16; subs w20, w20, #1; b.ne .-4; movz w0, #8; movk w0, #0x8400, lsl #16; hvc #0 */
const GUEST = new Uint8Array(
  Uint32Array.of(0x52a0_3e94, 0x7100_0694, 0x54ff_ffe1, 0x5280_0100, 0x72b0_8000, 0xd400_0002).buffer,
);

test('machines beside each other with jit async execute what they execute without, and end', async () => {
  const machines = await Promise.all(
    (['async', 'async', 'sync'] as const).map((jit) =>
      createMachine({ firmware: GUEST, clock: 'virtual', memoryBytes: 16 * 2 ** 20, jit }),
    ),
  );
  const notices: string[] = [];
  for (const machine of machines) {
    machine.on('notice', (line) => notices.push(line));
    machine.start();
  }
  for (const machine of machines) assert.equal((await machine.stopped()).kind, 'power-off');
  const [first, second, sync] = machines.map((machine) => machine.stats().instructions);
  for (const machine of machines) await machine.close();
  assert.equal(first, sync);
  assert.equal(second, sync);
  assert.deepEqual(notices, []);
});
