import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseNetwork } from './parse-network.js';

describe('--network', () => {
  for (const [text, network] of [
    ['none', 'none'],
    ['user', {}],
    ['mode=none', 'none'],
    ['mode=user', {}],
    ['guest_mac=52:54:00:ab:cd:01,mode=user', { mac: '52:54:00:ab:cd:01' }],
    [
      'user,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::0-10.0.2.16:53',
      {
        forwards: [
          { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 2222, guestPort: 22 },
          { protocol: 'udp', hostPort: 0, guestAddress: '10.0.2.16', guestPort: 53 },
        ],
      },
    ],
    ['user,hostfwd=::8080-:80', { forwards: [{ protocol: 'tcp', hostPort: 8080, guestPort: 80 }] }],
    [
      'user,mac=52:54:00:ab:CD:01,hostname=tiny,resolver=192.0.2.1:5353,pcap=a,,b.pcap',
      { mac: '52:54:00:ab:CD:01', hostName: 'tiny', nameServer: '192.0.2.1:5353', pcap: 'a,b.pcap' },
    ],
  ] as const) {
    test(text, () => {
      assert.deepEqual(parseNetwork(text), network);
    });
  }

  for (const [text, culprit] of [
    ['', /user/],
    ['tap', /none\|user/],
    ['mode=tap', /needs rights on the host, which v8a does without; accepted: none\|user/],
    ['mode=user,tapif=tap0', /tapif=tap0 is of mode=tap, which needs rights/],
    [
      'mode=user,guest_ip=192.168.33.15',
      /guest_ip=192\.168\.33\.15 cannot be chosen: the guest is 10\.0\.2\.15/,
    ],
    ['mode=user,trans=mmio', /trans=mmio is not of one card; accepted: --virtio-transport, for all devices/],
    ['mode=user,mode=user', /mode=user is not supported/],
    ['guest_mac=52:54:00:ab:cd:01', /none\|user/],
    ['none,mac=52:54:00:12:34:56', /none\|user/],
    ['user,hostfwd=tcp:22-:22', /'?hostfwd=tcp:22-:22'? is no rule/],
    ['user,hostfwd=tcp::70000-:22', /is no rule/],
    ['user,hostfwd=tcp::22-:0', /is no rule/],
    ['user,hostfwd=sctp::22-:22', /is no rule/],
    ['user,hostfwd=tcp:256.0.0.1:22-:22', /is no rule/],
    ['user,mac=01:00:5e:00:00:01', /mac=01:00:5e:00:00:01 is no address of a card/],
    ['user,mac=00:00:00:00:00:00', /no address of a card/],
    ['user,mac=52:54:00', /no address of a card/],
    ['user,hostname=', /hostname= is no name/],
    ['user,hostname=a_b', /is no name/],
    ['user,resolver=example.org', /is no server/],
    ['user,resolver=192.0.2.1:0', /is no server/],
    ['user,pcap=', /pcap= names no file/],
    ['user,speed=1', /speed=1 is not supported; accepted: none\|user/],
  ] as const) {
    test(`refuses ${text === '' ? 'nothing' : text}`, () => {
      assert.throws(() => parseNetwork(text), culprit);
    });
  }
});
