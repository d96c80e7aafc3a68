import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { suite, test } from 'node:test';
import { WorkerThread } from './worker-thread.js';

const MODULE = new URL('./worker-thread.js', import.meta.url).href;

/** A module that answers messages by an expression of `data` and `message`. */
const serving = (expression: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(
      `import { serveMessages } from '${MODULE}'; serveMessages((data) => (message) => ${expression});`,
    )}`,
  );

/** The next message, without a turn of the event loop. */
function next(thread: WorkerThread): unknown {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const received = thread.receive();
    if (received) return received.message;
    assert.ok(performance.now() < deadline, 'a message in time');
  }
}

/** Why a thread that runs `url` and is sent a message ends. */
async function endOf(url: URL): Promise<string> {
  // The thread doesn't keep the process alive.
  const alive = setInterval(() => undefined, 1000);
  const reason = await new Promise<string>((resolve) => {
    new WorkerThread(url, undefined, resolve).send(1);
  });
  clearInterval(alive);
  return reason;
}

suite('threads', () => {
  test('answers come in order, and are fetched without the event loop', () => {
    const thread = new WorkerThread(serving('[data, message]'), { a: 1n }, assert.fail);
    thread.send(1);
    thread.send([2]);
    assert.deepEqual(next(thread), [{ a: 1n }, 1]);
    assert.deepEqual(next(thread), [{ a: 1n }, [2]]);
    assert.equal(thread.receive(), undefined);
    thread.close();
  });

  test('an exception, an end and a module that is not there are told', async () => {
    assert.equal(await endOf(serving('null.no')), "Cannot read properties of null (reading 'no')");
    assert.equal(await endOf(serving('process.exit(3)')), 'it ended with status 3');
    assert.match(await endOf(new URL('file:///nowhere/worker.js')), /nowhere/);
  });

  test('one that has been closed, or that nobody closes, does not keep the process', () => {
    const make = `const thread = new WorkerThread(new URL(${JSON.stringify(serving('message').href)}), 0, console.log);`;
    for (const then of ['', 'thread.send(1);', 'thread.close();']) {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['--input-type=module', '-e', `import { WorkerThread } from '${MODULE}'; ${make} ${then}`],
        { encoding: 'utf8', timeout: 20_000 },
      );
      assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
    }
  });
});
