import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../base/index.js';
import { MachineStoppedError } from '../vm/index.js';
import type { SerialMatch, StopReason } from '../vm/index.js';
import type { ScriptStep } from './program.js';
import { Session } from './session.js';

const expect = (text: string): ScriptStep => ({ kind: 'expect', text });
const send = (text: string): ScriptStep => ({ kind: 'send', bytes: new TextEncoder().encode(text) });

/** A machine that prints and stops when told to. */
function session(script: readonly ScriptStep[], timeoutMs?: number) {
  const sent: string[] = [];
  let waiting:
    { resolve: (match: SerialMatch) => void; reject: (error: Error) => void; pattern: string } | undefined;
  let resolveStopped!: (reason: StopReason) => void;
  const stopped = new Promise<StopReason>((resolve) => (resolveStopped = resolve));
  let alarm: (() => void) | undefined;
  const events: string[] = [];
  const subject = new Session({
    machine: {
      start: () => events.push('start'),
      stopped: () => stopped,
      console: {
        waitFor: (pattern) =>
          new Promise((resolve, reject) => {
            waiting = { resolve, reject, pattern: String(pattern) };
          }),
        send: (data) => {
          sent.push(new TextDecoder().decode(data as Uint8Array));
        },
      },
    },
    script,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    delay: (_ms, callback) => {
      alarm = callback;
      return () => events.push('timeout cancelled');
    },
  });
  const outcome = subject.run();
  const print = async (text: string) => {
    assert.equal(waiting?.pattern, text);
    const { resolve } = waiting;
    waiting = undefined;
    resolve({ before: '', match: [text] });
    await new Promise(setImmediate);
  };
  const stop = (reason: StopReason) => {
    waiting?.reject(new MachineStoppedError(waiting.pattern, reason, []));
    resolveStopped(reason);
  };
  return { subject, outcome, print, stop, sent, events, timeOut: () => alarm?.() };
}

describe('a script', () => {
  test('is played in order and ends the run with status 0 when its last step is an --expect', async () => {
    const { outcome, print, sent, events } = session([expect('a'), send('1'), send('2'), expect('b')], 1000);
    await print('a');
    assert.deepEqual(sent, ['1', '2']);
    await print('b');
    assert.deepEqual(await outcome, { status: 0 });
    assert.deepEqual(events, ['start', 'timeout cancelled']);
  });

  test('that ends with --send lets the guest run on until it powers off', async () => {
    const { subject, outcome, print, stop, sent } = session([expect('a'), send('reset -s\r')]);
    await print('a');
    assert.deepEqual(sent, ['reset -s\r']);
    assert.equal(await Promise.race([outcome, Promise.resolve('running')]), 'running');
    stop({ kind: 'power-off' });
    assert.deepEqual(await outcome, { status: 0 });
    assert.equal(subject.outcome, outcome);
  });

  test('succeeds when its last text comes in the breath in which the guest powers off', async () => {
    const { outcome, print, stop } = session([expect('bye')]);
    const printed = print('bye');
    stop({ kind: 'power-off' });
    await printed;
    assert.deepEqual(await outcome, { status: 0 });
  });

  for (const [what, reason] of [
    ['the guest powered off', { kind: 'power-off' }],
    ['the guest reset', { kind: 'reset' }],
    ['the guest halted', { kind: 'halted' }],
  ] as const) {
    test(`that is not done when ${what} is status 1 and names the step`, async () => {
      const { outcome, print, stop } = session([expect('a'), send('x'), expect('Shell>')]);
      await print('a');
      stop(reason);
      assert.deepEqual(await outcome, {
        status: 1,
        message: `${what} before --expect "Shell>" was met (step 3 of 3)`,
        showsOutput: true,
      });
    });
  }

  test('that is not done in time is status 1', async () => {
    const { outcome, timeOut } = session([expect('Shell>')], 60_000);
    timeOut();
    assert.deepEqual(await outcome, {
      status: 1,
      message: 'timeout after 60 s before --expect "Shell>" was met (step 1 of 1)',
      showsOutput: true,
    });
  });

  test('that is done, but whose guest does not power off in time, is status 1', async () => {
    const { outcome, timeOut } = session([send('x')], 500);
    timeOut();
    const { status, message } = await outcome;
    assert.deepEqual([status, message], [1, 'timeout after 0.5 s: the guest did not power off']);
  });
});

describe('without a script', () => {
  const ends: readonly (readonly [string, StopReason, number])[] = [
    ['power-off is status 0', { kind: 'power-off' }, 0],
    ['a reset that ends the run is status 3', { kind: 'reset' }, 3],
    ['a halt is status 4', { kind: 'halted' }, 4],
    ['a host failure is status 5', { kind: 'error', error: new UserError('flash-io', 'disk full') }, 5],
    ['a bug is status 70', { kind: 'error', error: new Error('oops') }, 70],
  ];
  for (const [title, reason, status] of ends) {
    test(title, async () => {
      const { outcome, stop } = session([]);
      stop(reason);
      assert.equal((await outcome).status, status);
    });
  }

  test('Ctrl-A x is status 0, or 1 when a script was not done', async () => {
    const plain = session([]);
    plain.subject.quit();
    assert.equal((await plain.outcome).status, 0);
    const scripted = session([expect('a')]);
    scripted.subject.quit();
    assert.equal((await scripted.outcome).status, 1);
  });

  test('a signal is status 128 and its number, a closed output 141', async () => {
    const signalled = session([]);
    signalled.subject.signalled('SIGINT', 2);
    assert.equal((await signalled.outcome).status, 130);
    const closed = session([]);
    closed.subject.outputClosed();
    assert.equal((await closed.outcome).status, 141);
  });
});
