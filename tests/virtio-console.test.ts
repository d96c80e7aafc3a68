/** The virtio console with Linux's driver: a shell on hvc0, and ports beside it. */
import { strict as assert } from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { after, suite, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { createMachine } from '#v8a/vm/index.js';

import { guestFile } from '../scripts/fetch-guests.js';
import { tinyInitramfs } from '../scripts/make-initramfs.js';
import { dialogue, finished, plain, startV8a, v8a } from './support/cli.js';
import { scratch, skipWithout } from './support/guests.js';

const KERNEL = guestFile('linux') ?? '';
const INITRD = tinyInitramfs() ?? '';
const PROMPT = 'tiny# ';
const BOOT_LIMIT = { timeoutMs: 400_000 };

const files = scratch();
after(() => files.remove());

suite('virtio console in Linux', { skip: skipWithout(guestFile('linux'), tinyInitramfs()) }, () => {
  for (const virtioTransport of ['mmio', 'mmio-legacy', 'pci'] as const)
    test(`${virtioTransport}: a shell on hvc0 that knows the terminal's size, and a port that answers`, async () => {
      const machine = await createMachine({
        kernel: KERNEL,
        initrd: INITRD,
        clock: 'virtual',
        console: 'virtio',
        consoleSize: { columns: 132, rows: 50 },
        ports: [{ name: 'org.v8a.first' }, { name: 'echo' }],
        virtioTransport,
      });
      const { console, ports } = machine;
      const ask = async (command: string): Promise<string> => {
        console.send(`${command}\r`);
        return (await console.waitFor(PROMPT, BOOT_LIMIT)).before;
      };
      try {
        // Sent before anything runs: it waits for the guest to open the port.
        ports.get('echo')!.send('from outside\n');
        machine.start();
        await console.waitFor(PROMPT, BOOT_LIMIT);
        assert.match(await ask('cat /proc/cmdline'), /^console=hvc0\r?$/m);
        assert.match(await ask('cat /sys/class/tty/console/active'), /^hvc0\r?$/m);
        assert.match(
          await ask('cat /sys/class/virtio-ports/vport0p*/name'),
          /^org\.v8a\.first\r?\necho\r?$/m,
        );
        assert.match(await ask('stty size </dev/hvc0'), /^50 132\r?$/m);
        await ask('exec 3<>/dev/vport0p2; read line <&3; echo "got $line" >&3');
        const { before } = await ports.get('echo')!.waitFor('\n');
        assert.equal(before, 'got from outside');
        const long = `${'x'.repeat(20_000)}\n`;
        ports.get('echo')!.send(long);
        await ask('head -n 1 <&3 | wc -c >&3; exec 3>&-');
        assert.equal((await ports.get('echo')!.waitFor(/\d+/)).match[0], `${long.length}`);
        machine.resizeConsole({ columns: 90, rows: 30 });
        assert.match(await ask('stty size </dev/hvc0'), /^30 90\r?$/m);
        console.send('poweroff -f\r');
        assert.equal((await machine.stopped()).kind, 'power-off');
      } finally {
        await machine.close();
      }
    });

  test('--console virtio: the script talks to hvc0; --port: into a file', async () => {
    const log = files.path('port.txt');
    const { status, stdout, stderr } = await v8a([
      ...['run', '--kernel', KERNEL, '--initrd', INITRD, '--append', 'quiet', '--clock', 'virtual'],
      ...['--timeout', '400s', '--console', 'virtio', '--port', `log,${log}`],
      ...dialogue(
        { expect: PROMPT, send: 'cat /proc/cmdline; echo to the host >/dev/vport0p1\\r' },
        { expect: PROMPT, send: 'poweroff -f\\r' },
      ),
    ]);
    assert.equal(status, 0, `${stdout}\n${stderr}`);
    assert.match(plain(stdout), /^quiet console=hvc0$/m);
    assert.equal(readFileSync(log, 'utf8'), 'to the host\n');
  });

  test('--port with a socket: in both directions, and the socket is gone afterwards', async () => {
    const path = files.path('agent.sock');
    const child = startV8a([
      ...[
        'run',
        '--kernel',
        KERNEL,
        '--initrd',
        INITRD,
        '--append',
        'console=ttyAMA0 quiet',
        '--clock',
        'virtual',
      ],
      ...['--timeout', '400s', '--port', `agent,socket=${path}`],
      ...dialogue({
        expect: PROMPT,
        send: 'exec 3<>/dev/vport0p1; read line <&3; echo "got $line" >&3; poweroff -f\\r',
      }),
    ]);
    const ended = finished(child);
    while (!existsSync(path) && child.exitCode === null) await setTimeout(50);
    const socket = createConnection(path);
    let received = '';
    socket.on('data', (bytes) => (received += bytes.toString()));
    socket.write('a question\n');
    const { status, stdout, stderr } = await ended;
    assert.equal(status, 0, `${stdout}\n${stderr}`);
    assert.equal(received, 'got a question\n');
    assert.ok(!existsSync(path));
  });
});
