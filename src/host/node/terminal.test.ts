import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { EscapeParser } from './escape-parser.js';
import { Terminal } from './terminal.js';
import type { TerminalListener, TerminalPorts } from './terminal.js';

const CTRL_A = '\u0001';
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

describe('Ctrl-A', () => {
  const cases: readonly (readonly [string, string, string, readonly string[]])[] = [
    ['everything else goes to the guest, Ctrl-C too', 'ls\r\u0003', 'ls\r\u0003', []],
    ['x quits', `a${CTRL_A}xb`, 'ab', ['quit']],
    ['h and ? show help', `${CTRL_A}h${CTRL_A}?`, '', ['help', 'help']],
    ['p and P press the power button', `${CTRL_A}pq${CTRL_A}P`, 'q', ['power', 'power']],
    ['a sends Ctrl-A', `${CTRL_A}a`, CTRL_A, []],
    ['Ctrl-A sends Ctrl-A', `${CTRL_A}${CTRL_A}x`, `${CTRL_A}x`, []],
    ['with a key that means nothing sends nothing', `${CTRL_A}zb`, 'b', []],
  ];
  for (const [title, typed, data, commands] of cases) {
    test(title, () => {
      const result = new EscapeParser().feed(bytes(typed));
      assert.equal(text(result.data), data);
      assert.deepEqual(result.commands, commands);
    });
  }

  test('means the same however the keys are cut into reads', () => {
    const key = fc.constantFrom(CTRL_A, 'x', 'a', 'h', 'b', '\r');
    fc.assert(
      fc.property(fc.array(key), fc.nat(10), (keys, cut) => {
        const typed = bytes(keys.join(''));
        const whole = new EscapeParser().feed(typed);
        const parser = new EscapeParser();
        const parts = [parser.feed(typed.subarray(0, cut)), parser.feed(typed.subarray(cut))];
        assert.equal(parts.map((part) => text(part.data)).join(''), text(whole.data));
        assert.deepEqual(
          parts.flatMap((part) => part.commands),
          whole.commands,
        );
      }),
      { seed: 6, numRuns: 300 },
    );
  });
});

interface TerminalOptions {
  readonly isTty?: boolean;
  readonly readsInput?: boolean;
  readonly listener?: Partial<TerminalListener>;
}

function terminal({ isTty = true, readsInput = true, listener = {} }: TerminalOptions = {}) {
  const modes: boolean[] = [];
  const input = Object.assign(new PassThrough(), {
    isTTY: isTty,
    setRawMode: (isRaw: boolean) => modes.push(isRaw),
  });
  const written: string[] = [];
  const blocked: (() => void)[] = [];
  const output = Object.assign(
    new Writable({
      highWaterMark: 4,
      write(chunk: Buffer, _encoding, done) {
        written.push(chunk.toString());
        blocked.push(done);
      },
    }),
    { isTTY: isTty },
  );
  const process = new EventEmitter();
  const heard: string[] = [];
  const subject = new Terminal(
    { input, output, process: process as unknown as TerminalPorts['process'] },
    {
      onInput: (data) => {
        heard.push(text(data));
      },
      onInputEnd: () => heard.push('end'),
      onCommand: (command) => heard.push(command),
      onOutputClosed: () => heard.push('output closed'),
      onSignal: (signal) => heard.push(signal),
      ...listener,
    },
    readsInput,
  );
  return { subject, input, output, process, modes, written, blocked, heard };
}

const settled = () => new Promise(setImmediate);

describe('terminal', () => {
  test('is in raw mode until closed', () => {
    const { subject, modes, written, process } = terminal();
    assert.deepEqual(modes, [true]);
    subject.close();
    subject.close();
    assert.deepEqual(modes, [true, false]);
    assert.equal(written.join(''), '\u001b[0m\u001b[?25h');
    assert.deepEqual(process.eventNames(), []);
  });

  test('leaves the prompt of the shell on a line of its own', async () => {
    for (const [printed, ending] of [
      ['> ', '\r\n'],
      ['bye\n', ''],
    ] as const) {
      const { subject, written, blocked } = terminal();
      void subject.write(bytes(printed));
      blocked.shift()!();
      await settled();
      subject.close();
      assert.equal(written.join(''), `${printed}\u001b[0m\u001b[?25h${ending}`);
    }
  });

  test('is put back when the process ends without closing it, as after an exception', () => {
    const { process, modes } = terminal();
    process.emit('exit', 1);
    assert.deepEqual(modes, [true, false]);
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    test(`${signal} is passed on, so that the run can end in order`, () => {
      const { process, heard } = terminal();
      process.emit(signal);
      assert.deepEqual(heard, [signal]);
    });
  }

  test('is raw again after the process was stopped and continued', () => {
    const { process, modes } = terminal();
    process.emit('SIGCONT');
    assert.deepEqual(modes, [true, true]);
  });

  test('keys and commands reach the listener', async () => {
    const { input, heard } = terminal();
    input.write(`ls${CTRL_A}`);
    input.write('x');
    await settled();
    assert.deepEqual(heard, ['ls', 'quit']);
  });

  test('in a pipe there are no commands, the mode stays, and the end of the input is told', async () => {
    const { input, heard, modes } = terminal({ isTty: false });
    input.end(`a${CTRL_A}x`);
    await settled();
    await settled();
    assert.deepEqual(heard, [`a${CTRL_A}x`, 'end']);
    assert.deepEqual(modes, []);
  });

  test('input that is not wanted stays where it is', async () => {
    const { input, heard, modes } = terminal({ readsInput: false });
    input.write('abc');
    await settled();
    assert.deepEqual(heard, []);
    assert.deepEqual(modes, []);
    assert.equal(input.readableLength, 3);
  });

  test('a pipe is not read on before what was read is taken', async () => {
    let take!: () => void;
    const { input, subject } = terminal({
      isTty: false,
      listener: { onInput: () => new Promise((resolve) => (take = resolve)) },
    });
    input.write('a');
    await settled();
    assert.equal(input.isPaused(), true);
    take();
    await settled();
    assert.equal(input.isPaused(), false);
    subject.close();
  });

  test('write() asks to be waited for while the reader of the output is behind', async () => {
    const { subject, blocked } = terminal();
    assert.equal(subject.write(bytes('abc')), undefined);
    const behind = subject.write(bytes('def'));
    assert.ok(behind);
    let isDone = false;
    void behind.then(() => (isDone = true));
    await settled();
    assert.equal(isDone, false);
    while (blocked.length > 0) {
      blocked.shift()!();
      await settled();
    }
    assert.equal(isDone, true);
  });

  test('a reader that is gone is told once, and whoever waits for it is let go', async () => {
    const { subject, output, heard } = terminal();
    void subject.write(bytes('abc'));
    const behind = subject.write(bytes('def'));
    output.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    await behind;
    assert.deepEqual(heard, ['output closed']);
    assert.equal(subject.write(bytes('more')), undefined);
    subject.close();
  });
});
