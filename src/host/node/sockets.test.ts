import assert from 'node:assert/strict';
import * as dgram from 'node:dgram';
import { once } from 'node:events';
import * as net from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { UserError } from '../../base/index.js';
import type { StreamEvents, StreamSocket } from '../../bus/index.js';
import { bindDatagrams, listenStreams, nodeSockets } from './sockets.js';

const LOOPBACK = { address: '127.0.0.1', port: 0 };

/** Notes events, and lets a test wait for one. */
class Recorder implements StreamEvents {
  readonly log: string[] = [];
  bytes = 0;
  events = 0;
  #waiting: { readonly event: string; readonly resolve: () => void }[] = [];

  connected = (): void => this.#note('connected');
  ended = (): void => this.#note('ended');
  drained = (): void => this.#note('drained');
  failed = (failure: string): void => this.#note(`failed ${failure}`);
  data = (bytes: Uint8Array): void => {
    this.bytes += bytes.length;
    this.#note(`data ${new TextDecoder().decode(bytes.subarray(0, 20))}`);
  };
  onEvent = (): void => void this.events++;

  until(event: string): Promise<void> {
    if (this.log.includes(event)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ event, resolve }));
  }

  #note(event: string): void {
    this.log.push(event);
    for (const { event: wanted, resolve } of this.#waiting) if (wanted === event) resolve();
  }
}

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0)) undo();
});

async function listen(onConnection: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    cleanUp.push(() => socket.destroy());
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  cleanUp.push(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

/** The other end of a connection, which may be noticed later than ours. */
async function accepted(peer: () => net.Socket | undefined): Promise<net.Socket> {
  for (;;) {
    const socket = peer();
    if (socket) return socket;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('connections to the host', () => {
  test('data both ways, and each side ends by itself', async () => {
    let peer: net.Socket | undefined;
    const port = await listen((socket) => (peer = socket));
    const recorder = new Recorder();
    const socket = nodeSockets(recorder.onEvent).connect({ address: '127.0.0.1', port }, recorder);
    await recorder.until('connected');
    socket.write(new TextEncoder().encode('question'));
    assert.equal(socket.pendingBytes, 8);
    await recorder.until('drained');
    assert.equal(socket.pendingBytes, 0);
    socket.end();
    const question: string[] = [];
    const server = await accepted(() => peer);
    server.on('data', (chunk) => question.push(String(chunk)));
    await once(server, 'end');
    assert.equal(question.join(''), 'question');
    assert.ok(!recorder.log.includes('ended'), 'the peer may still answer');
    server.end('answer');
    await recorder.until('ended');
    assert.deepEqual(recorder.log, ['connected', 'drained', 'data answer', 'ended']);
    assert.equal(recorder.events, 4);
  });

  test('nobody listens: refused', async () => {
    const port = await listen(() => undefined);
    cleanUp.splice(0).forEach((undo) => {
      undo();
    });
    const recorder = new Recorder();
    nodeSockets(recorder.onEvent).connect({ address: '127.0.0.1', port }, recorder);
    assert.deepEqual(recorder.log, [], 'not during the call');
    await recorder.until('failed refused');
  });

  test('broken off by the peer: reset; broken off here: the peer sees it, and nothing follows', async () => {
    let peer: net.Socket | undefined;
    const port = await listen((socket) => (peer = socket));
    const recorder = new Recorder();
    const sockets = nodeSockets(recorder.onEvent);
    sockets.connect({ address: '127.0.0.1', port }, recorder);
    await recorder.until('connected');
    (await accepted(() => peer)).resetAndDestroy();
    await recorder.until('failed reset');

    const second = new Recorder();
    let code: Promise<string> | undefined;
    const other = await listen((victim) => {
      code = once(victim.removeAllListeners('error').resume(), 'error')
        .catch((error: unknown) => [error])
        .then(([error]) => (error as NodeJS.ErrnoException).code ?? '');
    });
    const socket = sockets.connect({ address: '127.0.0.1', port: other }, second);
    await second.until('connected');
    while (!code) await new Promise((resolve) => setImmediate(resolve));
    socket.abort();
    assert.equal(await code, 'ECONNRESET');
    assert.deepEqual(second.log, ['connected']);
  });

  test('paused: nothing comes, and the peer cannot send for ever', async () => {
    let peer: net.Socket | undefined;
    const port = await listen((socket) => (peer = socket));
    const recorder = new Recorder();
    const socket = nodeSockets(recorder.onEvent).connect({ address: '127.0.0.1', port }, recorder);
    await recorder.until('connected');
    socket.pause();
    const whole = Buffer.alloc(32 * 1024 * 1024, 'x');
    let isSent = false;
    const sender = await accepted(() => peer);
    sender.write(whole, () => (isSent = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(recorder.bytes, 0);
    assert.ok(!isSent);
    socket.resume();
    sender.end();
    await recorder.until('ended');
    assert.equal(recorder.bytes, whole.length);
  });
});

describe('ports of the host', () => {
  test('connections wait until somebody takes them, paused', async () => {
    const recorder = new Recorder();
    const listener = await listenStreams('hostfwd', LOOPBACK, recorder.onEvent);
    cleanUp.push(() => {
      listener.close();
    });
    const client = net.connect(listener.address.port, '127.0.0.1');
    cleanUp.push(() => client.destroy());
    client.write('hello');
    await once(client, 'connect');
    await new Promise((resolve) => setTimeout(resolve, 20));
    let taken: StreamSocket | undefined;
    let from = 0;
    listener.onConnection((socket, peer) => {
      taken = socket;
      from = peer.port;
      return recorder;
    });
    assert.equal(from, client.localPort);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(recorder.log, []);
    taken?.resume();
    await recorder.until('data hello');
  });

  for (const [kind, open] of [
    ['TCP', listenStreams],
    ['UDP', bindDatagrams],
  ] as const) {
    test(`a ${kind} port that is taken is named in one line`, async () => {
      const first = await open('hostfwd', LOOPBACK, () => undefined);
      cleanUp.push(() => {
        first.close();
      });
      const what = `hostfwd 127.0.0.1:${first.address.port}`;
      await assert.rejects(
        open(what, first.address, () => undefined),
        (error) => {
          assert.ok(error instanceof UserError);
          assert.equal(error.code, 'port');
          assert.equal(
            error.message,
            `${what}: the port is taken; accepted: a free port of the host, or 0 for any`,
          );
          return true;
        },
      );
    });
  }
});

describe('datagrams', () => {
  test('go out from any port, and answers come in', async () => {
    const peer = dgram.createSocket('udp4');
    cleanUp.push(() => peer.close());
    peer.bind(0, '127.0.0.1');
    await once(peer, 'listening');
    let events = 0;
    const socket = nodeSockets(() => events++).openDatagrams(4);
    cleanUp.push(() => {
      socket.close();
    });
    const answered = new Promise<string>((resolve) => {
      socket.onDatagram((bytes, { address, port }) => {
        resolve(`${new TextDecoder().decode(bytes)} from ${address}:${port}`);
      });
    });
    socket.send(new TextEncoder().encode('?'), { address: '127.0.0.1', port: peer.address().port });
    const [question, from] = (await once(peer, 'message')) as [Buffer, dgram.RemoteInfo];
    peer.send(`${question.toString()}!`, from.port, from.address);
    assert.equal(await answered, `?! from 127.0.0.1:${peer.address().port}`);
    assert.equal(events, 1);
    socket.close();
    socket.close();
    socket.send(new Uint8Array(1), { address: '127.0.0.1', port: peer.address().port });
  });

  test("name servers are the host's, or those given", () => {
    for (const { address, port } of nodeSockets(() => undefined).nameServers()) {
      assert.ok(net.isIP(address) !== 0, address);
      assert.ok(port > 0);
    }
    const given = [{ address: '192.0.2.1', port: 5353 }];
    assert.deepEqual(nodeSockets(() => undefined, given).nameServers(), given);
  });
});
