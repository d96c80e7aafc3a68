import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { UserError } from '../../base/index.js';
import { LineSocket } from './line-socket.js';

const directory = mkdtempSync(join(tmpdir(), 'v8a-line-'));
after(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function connect(path: string): Promise<Socket> {
  const socket = createConnection(path);
  await once(socket, 'connect');
  return socket;
}

describe('a line that ends in a socket', () => {
  test('carries bytes both ways, connection after connection, and is gone after close', async () => {
    const path = join(directory, 'a');
    let received = '';
    let heard = (): void => undefined;
    const line = await LineSocket.open('--port', path, (bytes) => {
      received += Buffer.from(bytes).toString();
      heard();
      return Promise.resolve();
    });
    assert.equal(line.write(Buffer.from('nobody hears this')), undefined);
    for (const text of ['first', 'second']) {
      const socket = await connect(path);
      const arrived = new Promise<void>((resolve) => {
        heard = resolve;
      });
      socket.write(text);
      await arrived;
      void line.write(Buffer.from(`re: ${text}`));
      const [reply] = (await once(socket, 'data')) as [Buffer];
      assert.equal(reply.toString(), `re: ${text}`);
      socket.end();
      await once(socket, 'close');
    }
    assert.equal(received, 'firstsecond');
    line.close();
    assert.ok(!existsSync(path));
  });

  test('a second one who wants to connect is turned away', async () => {
    const path = join(directory, 'b');
    const line = await LineSocket.open('--port', path, () => Promise.resolve());
    const first = await connect(path);
    const second = await connect(path);
    await once(second, 'close');
    assert.ok(!first.destroyed);
    line.close();
    first.resume();
    await once(first, 'close');
  });

  test('asks to be waited for while the other side is behind, and no longer when it is gone', async () => {
    const path = join(directory, 'c');
    const line = await LineSocket.open('--port', path, () => Promise.resolve());
    const socket = await connect(path);
    let pending: void | Promise<void> = undefined;
    for (let i = 0; i < 1000 && !pending; i++) {
      pending = line.write(new Uint8Array(65536));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(pending);
    socket.destroy();
    await pending;
    line.close();
  });

  test('a path that is taken, or cannot be, is the user’s mistake', async () => {
    const path = join(directory, 'd');
    const line = await LineSocket.open('--port', path, () => Promise.resolve());
    for (const [taken, message] of [
      [path, /^--port .*d: is there already; accepted: a path for a new socket$/],
      [join(directory, 'no', 'e'), /^--port .*e: cannot be made: .*; accepted/],
    ] as const) {
      await assert.rejects(
        LineSocket.open('--port', taken, () => Promise.resolve()),
        (error) => error instanceof UserError && message.test(error.message),
      );
    }
    line.close();
  });
});
