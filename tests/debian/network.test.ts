/** Debian on the user network; its servers are on the host's loopback, so nothing leaves the host. */
import { strict as assert } from 'node:assert';
import { createHash, randomFillSync } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, suite, test } from 'node:test';

import { newVariableStore, scratch } from '../support/guests.js';
import { answerTo } from '../support/name-server.js';
import { skipWithoutDebian, withDebian } from './guest.js';

const LARGE = randomFillSync(Buffer.alloc(100 * 1024 * 1024));

const files = scratch();
const names = createSocket('udp4', (question, { address, port }) => {
  names.send(answerTo(question), port, address);
});
/** Answers GET with `LARGE`, and POST with the digest of what came. */
const web = createServer((request, response) => {
  if (request.method === 'GET') {
    response.end(LARGE);
    return;
  }
  const digest = createHash('sha256');
  request.on('data', (part: Buffer) => digest.update(part));
  request.on('end', () => response.end(digest.digest('hex')));
});

before(async () => {
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  names.bind(0, '127.0.0.1');
  await once(names, 'listening');
});
after(() => {
  web.close();
  web.closeAllConnections();
  names.close();
  files.remove();
});

suite('Debian on a network', { skip: skipWithoutDebian }, () => {
  test('DHCP, ping, names, 100 MiB down and 20 MB up arrive as they were sent', async () => {
    const flash = newVariableStore(files.path('vars.fd'));
    const network = { nameServer: `127.0.0.1:${names.address().port}`, hostName: 'by-dhcp' };
    const url = `http://files.test:${(web.address() as AddressInfo).port}/`;
    await withDebian({ flash, network, cpus: 2, virtioTransport: 'pci' }, async (guest) => {
      await guest.login();
      // What the disk was made of is installed as Debian would have it.
      assert.equal(await guest.run('dpkg --audit'), '');
      await guest.run('/lib/systemd/systemd-networkd-wait-online --timeout=60');
      assert.match(await guest.run('ip -4 -o addr'), /inet 10\.0\.2\.15\/24/);
      assert.match(await guest.run('ip route'), /default via 10\.0\.2\.2/);
      assert.match(await guest.run('ping -c 3 10.0.2.2'), / 0% packet loss/);
      assert.match(await guest.run('getent hosts files.test'), /^10\.0\.2\.2 /);

      const down = await guest.run(`wget -q -O - ${url} | openssl sha256 -r`);
      assert.equal(down.split(' ')[0], createHash('sha256').update(LARGE).digest('hex'));
      await guest.run('head -c 20000000 /dev/urandom > /root/up');
      const sent = (await guest.run('openssl sha256 -r /root/up')).split(' ')[0];
      assert.equal(await guest.run(`wget -q -O - --post-file=/root/up ${url}`), sent);
      // RetransSegs: nothing gets lost on this wire.
      const [, , tcp = ''] =
        /(Tcp: \D+)(Tcp: [\d -]+)/.exec(await guest.run('grep Tcp: /proc/net/snmp')) ?? [];
      assert.equal(tcp.split(' ')[12], '0', tcp);
      await guest.powerOff();
    });
  });
});
