/**
 * Networks through the command, with the drivers of guests: Linux, over every transport. The test is
 * the world: its servers are on the host's loopback, so nothing leaves the host.
 */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { after, before, suite, test } from 'node:test';

import { guestFile } from '../scripts/fetch-guests.js';
import { tinyInitramfs } from '../scripts/make-initramfs.js';
import { dialogue, finished, plain, startV8a, v8a } from './support/cli.js';
import { scratch, skipWithout } from './support/guests.js';
import { answerTo } from './support/name-server.js';

const KERNEL = guestFile('linux');
const INITRD = tinyInitramfs();
const PROMPT = 'tiny# ';

const files = scratch();
after(() => {
  files.remove();
});

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** More than any buffer on the way. */
const LARGE = Buffer.alloc(24 * 1024 * 1024);
for (let at = 0; at < LARGE.length; at += 4) LARGE.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);

/** Names asked for. */
const questions: string[] = [];
/** Digests of what was uploaded. */
const uploads: string[] = [];
const names = createSocket('udp4', (question, { address, port }) => {
  questions.push(question.toString('latin1').replace(/[^a-z]+/g, ' '));
  names.send(answerTo(question), port, address);
});
const web = createServer((request, response) => {
  response.end(request.url === '/large' ? LARGE : 'small\n');
});
const sink = createTcpServer({ allowHalfOpen: true }, (socket) => {
  const parts: Buffer[] = [];
  socket.on('data', (part) => parts.push(part));
  socket.on('end', () => {
    uploads.push(sha256(Buffer.concat(parts)));
    // After the guest has ended: half of the connection is still there.
    socket.end('thanks\n');
  });
});
const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;

before(async () => {
  for (const server of [web, sink]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  names.bind(0, '127.0.0.1');
  await once(names, 'listening');
});
after(() => {
  web.close();
  web.closeAllConnections();
  sink.close();
  names.close();
});

function linux(network: string, ...options: readonly string[]): string[] {
  return [
    ...['run', '--kernel', KERNEL ?? '', '--initrd', INITRD ?? '', '--append', 'console=ttyAMA0'],
    ...['--timeout', '500s', '--trace', 'guest-errors', '--network', network, ...options],
  ];
}

const UP = { expect: PROMPT, send: 'udhcpc -i eth0 -f -q -n; ip addr show eth0; ip route\r' };
const OFF = { expect: PROMPT, send: 'poweroff -f\r' };

function assertPrinted(output: string, pattern: RegExp): void {
  assert.ok(pattern.test(output), `${pattern} is not in the output, which ends with\n${output.slice(-3000)}`);
}

suite('Linux on a network', { skip: skipWithout(KERNEL, INITRD) }, () => {
  test('DHCP, ping, names, a download, an upload, a refusal; and a capture of it', async () => {
    const pcap = files.path('net.pcap');
    const network = `user,resolver=127.0.0.1:${portOf(names)},hostname=tiny,pcap=${pcap}`;
    const { status, stdout, stderr } = await v8a([
      ...linux(network, '--clock', 'virtual'),
      ...dialogue(
        UP,
        { expect: PROMPT, send: 'ping -c 3 10.0.2.2\r' },
        { expect: PROMPT, send: `busybox wget -q -O /tmp/large http://files.test:${portOf(web)}/large\r` },
        { expect: PROMPT, send: `sha256sum /tmp/large; nc 10.0.2.2 ${portOf(sink)} < /tmp/large\r` },
        { expect: PROMPT, send: 'nc 10.0.2.2 9\r' },
        { expect: PROMPT, send: 'grep Tcp: /proc/net/snmp; cat /sys/class/net/eth0/statistics/*_errors\r' },
        OFF,
      ),
    ]);
    const output = plain(stdout);
    assert.equal(status, 0, `${output.slice(-3000)}\n${stderr}`);
    assertPrinted(output, /lease of 10\.0\.2\.15 obtained from 10\.0\.2\.2/);
    assertPrinted(output, /inet 10\.0\.2\.15\/24/);
    assertPrinted(output, /default via 10\.0\.2\.2/);
    assertPrinted(output, /3 packets transmitted, 3 packets received, 0% packet loss/);
    assert.ok(
      questions.some((question) => question.includes('files test')),
      'the name was asked for',
    );
    assertPrinted(output, new RegExp(`${sha256(LARGE)}\\s+/tmp/large`));
    assert.deepEqual(uploads.splice(0), [sha256(LARGE)]);
    assertPrinted(output, /^thanks$/m);
    assertPrinted(output, /can't connect to remote host \(10\.0\.2\.2\): Connection refused/);
    const [, values = ''] = /^Tcp: (\d[\d -]*)$/m.exec(output) ?? [];
    // RetransSegs and InErrs: nothing gets lost on this wire.
    assert.deepEqual(values.split(' ').slice(11, 13), ['0', '0'], values);
    assert.doesNotMatch(stderr, /guest-errors/);
    checkCapture(readFileSync(pcap));
  });

  for (const transport of ['mmio', 'mmio-legacy', 'pci']) {
    test(`works over ${transport}`, async () => {
      const { status, stdout, stderr } = await v8a([
        ...linux('user,mac=52:54:00:ab:cd:ef', '--clock', 'virtual', '--virtio-transport', transport),
        ...dialogue(
          UP,
          { expect: PROMPT, send: `busybox wget -q -O - http://10.0.2.2:${portOf(web)}/\r` },
          { expect: PROMPT, send: `busybox wget -q -O - http://10.0.2.2:${portOf(web)}/large | sha256sum\r` },
          OFF,
        ),
      ]);
      const output = plain(stdout);
      assert.equal(status, 0, `${output.slice(-3000)}\n${stderr}`);
      assertPrinted(output, /52:54:00:ab:cd:ef/);
      assertPrinted(output, /^small$/m);
      assertPrinted(output, new RegExp(`${sha256(LARGE)}\\s+-`));
      assert.doesNotMatch(stderr, /guest-errors/);
    });
  }

  test('forwarded ports of the host lead to the guest', async () => {
    const child = startV8a([
      ...linux('user,hostfwd=tcp:127.0.0.1:0-:7,hostfwd=udp:127.0.0.1:0-:7', '--clock', 'real'),
      ...dialogue(
        UP,
        // One server, one connection; the shell ends when it does.
        { expect: PROMPT, send: 'echo ready; nc -l -p 7 -e /bin/cat\r' },
        OFF,
      ),
    ]);
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (text: string) => (stdout += text));
    child.stderr?.on('data', (text: string) => (stderr += text));
    const ended = finished(child);
    const until = async (pattern: RegExp): Promise<RegExpExecArray> => {
      for (;;) {
        const match = pattern.exec(stdout + stderr);
        if (match) return match;
        assert.equal(child.exitCode, null, `ended without ${pattern}:\n${stdout}\n${stderr}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const [, tcpPort] = await until(/hostfwd tcp:127\.0\.0\.1:0 is port (\d+), for port 7 of the guest/);
    const [, udpPort] = await until(/hostfwd udp:127\.0\.0\.1:0 is port (\d+)/);
    assert.notEqual(udpPort, undefined);
    await until(/^ready/m);
    const answer = await echo(Number(tcpPort), LARGE.subarray(0, 1_000_000));
    assert.equal(sha256(answer), sha256(LARGE.subarray(0, 1_000_000)));
    assert.equal((await ended).status, 0);
  });
});

/** Sends to an echo server until one is there; what comes back. */
async function echo(port: number, data: Uint8Array): Promise<Buffer> {
  for (let attempt = 0; ; attempt++) {
    try {
      const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
      const parts: Buffer[] = [];
      socket.on('data', (part) => parts.push(part));
      socket.end(data);
      await once(socket, 'end');
      return Buffer.concat(parts);
    } catch (error) {
      // The guest refuses while nobody listens there yet.
      assert.ok(attempt < 50, String(error));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** The file is a capture, whole, of what was on the wire. */
function checkCapture(bytes: Buffer): void {
  assert.equal(bytes.readUInt32LE(0), 0xa1b2_3c4d);
  assert.equal(bytes.readUInt32LE(20), 1);
  let frames = 0;
  let lastNs = 0;
  const types = new Set<number>();
  for (let at = 24; at < bytes.length; frames++) {
    const nowNs = bytes.readUInt32LE(at) * 1e9 + bytes.readUInt32LE(at + 4);
    assert.ok(nowNs >= lastNs, 'time goes on');
    lastNs = nowNs;
    const length = bytes.readUInt32LE(at + 8);
    assert.equal(bytes.readUInt32LE(at + 12), length);
    types.add(bytes.readUInt16BE(at + 16 + 12));
    at += 16 + length;
    assert.ok(at <= bytes.length, 'no frame is cut off');
  }
  assert.ok(frames > 100);
  assert.ok(types.has(0x0800) && types.has(0x0806));
}
