import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LARGE_FRAME_BYTES } from '../bus/index.js';
import {
  checksum,
  concat,
  FLAGS,
  GUEST_MAC,
  pattern,
  randomNumbers,
  TestConnection,
  TestGuest,
  text,
} from './network-suite.js';
import type { Packet } from './network-suite.js';
import { pcapHeader, pcapRecord } from './pcap.js';

const SECOND = 1e9;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function arp(operation: number, sender: string, target: string): Uint8Array {
  const parts = (address: string): number[] => address.split('.').map(Number);
  return Uint8Array.of(
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    operation,
    ...GUEST_MAC,
    ...parts(sender),
    0,
    0,
    0,
    0,
    0,
    0,
    ...parts(target),
  );
}

describe('ARP (RFC 826)', () => {
  const ask = (target: string) => {
    const guest = new TestGuest();
    guest.sendFrame(guest.ethernet(0x0806, arp(1, '10.0.2.15', target), [255, 255, 255, 255, 255, 255]));
    return guest.frames().map((frame) => frame.bytes);
  };

  for (const target of ['10.0.2.2', '10.0.2.3']) {
    test(`${target} has an Ethernet address`, () => {
      const [reply, ...more] = ask(target);
      assert.deepEqual(more, []);
      assert.deepEqual([...reply!.subarray(0, 6)], GUEST_MAC);
      assert.deepEqual([...reply!.subarray(12, 22)], [8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
      assert.deepEqual([...reply!.subarray(22, 28)], [...reply!.subarray(6, 12)], 'the sender is who has it');
      assert.equal(text(reply!.subarray(28, 32)), target);
      assert.deepEqual([...reply!.subarray(32, 38)], GUEST_MAC);
    });
  }

  test('nobody else has', () => {
    for (const target of ['10.0.2.15', '10.0.2.1', '10.0.2.4', '192.0.2.1'])
      assert.deepEqual(ask(target), []);
  });
});

describe('ICMP (RFC 792)', () => {
  const echo = (data: Uint8Array): Uint8Array => {
    const message = Uint8Array.of(8, 0, 0, 0, 0x12, 0x34, 0, 7, ...data);
    const sum = 0xffff - checksum(message);
    message[2] = sum >> 8;
    message[3] = sum & 0xff;
    return message;
  };
  const ping = (destination: string, message = echo(pattern(56))): Packet[] => {
    const guest = new TestGuest();
    guest.sendIp(1, destination, message);
    return guest.packets();
  };

  for (const address of ['10.0.2.2', '10.0.2.3']) {
    test(`${address} answers echo requests with their own data`, () => {
      const [reply, ...more] = ping(address);
      assert.deepEqual(more, []);
      assert.equal(reply?.source, address);
      assert.equal(reply.payload[0], 0);
      assert.equal(checksum(reply.payload), 0xffff);
      assert.deepEqual(reply.payload.subarray(4), echo(pattern(56)).subarray(4));
    });
  }

  test('answers a request in fragments with fragments', () => {
    const guest = new TestGuest();
    const message = echo(pattern(3992));
    for (const [from, to] of [
      [2960, 4000],
      [0, 1480],
      [1480, 2960],
    ] as const) {
      const flags = from / 8 + (to === 4000 ? 0 : 0x2000);
      guest.sendFrame(
        guest.ethernet(0x0800, guest.ipPacket(1, '10.0.2.2', message.subarray(from, to), flags, 99)),
      );
    }
    const replies = guest.frames().map((frame) => frame.bytes);
    assert.deepEqual(
      replies.map((reply) => reply.length),
      [1514, 1514, 14 + 20 + 1040],
    );
    const whole = concat(replies.map((reply) => reply.subarray(34)));
    assert.deepEqual(whole.subarray(4), message.subarray(4));
    assert.deepEqual(
      replies.map((reply) => reply[20]! * 256 + reply[21]!),
      [0x2000, 0x2000 + 185, 370],
    );
  });

  test('what is further away is out of reach, and that is said', () => {
    assert.deepEqual(
      ping('192.0.2.1').map(({ payload }) => [...payload.subarray(0, 2)]),
      [[3, 13]],
    );
    assert.deepEqual(
      ping('10.0.2.77').map(({ payload }) => [...payload.subarray(0, 2)]),
      [[3, 1]],
    );
  });

  test('nothing is said about groups, wrong checksums and other messages', () => {
    assert.deepEqual(ping('255.255.255.255'), []);
    assert.deepEqual(ping('224.0.0.251'), []);
    assert.deepEqual(ping('10.0.2.2', Uint8Array.of(8, 0, 1, 2, 3, 4, 5, 6)), []);
    assert.deepEqual(ping('10.0.2.2', Uint8Array.of(8)), []);
    assert.deepEqual(ping('10.0.2.2', Uint8Array.of(13, 0, 0xf2, 0xff, 0, 0, 0, 0)), []);
  });

  test('other protocols are unreachable (RFC 1122 3.2.2.1)', () => {
    const guest = new TestGuest();
    guest.sendIp(47, '192.0.2.1', pattern(20));
    const [packet] = guest.packets();
    assert.deepEqual([...packet!.payload.subarray(0, 2)], [3, 2]);
  });
});

interface DhcpFields {
  readonly type: number;
  readonly options?: readonly number[];
  readonly client?: string;
  readonly mac?: readonly number[];
  readonly flags?: number;
}

/** A DHCP message to the server, and its answer taken apart. */
function dhcp(
  guest: TestGuest,
  { type, options = [], client = '0.0.0.0', mac = GUEST_MAC, flags = 0 }: DhcpFields,
) {
  const message = new Uint8Array(300);
  message.set([1, 1, 6, 0, 0xca, 0xfe, 0xba, 0xbe, 0, 3, flags >> 8, flags & 0xff]);
  message.set(client.split('.').map(Number), 12);
  message.set(mac, 28);
  message.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, ...options, 255], 236);
  const from = new TestGuest({ address: client });
  const datagram = from.udp('255.255.255.255', 68, 67, message);
  guest.sendFrame(
    guest.ethernet(0x0800, from.ipPacket(17, '255.255.255.255', datagram), [255, 255, 255, 255, 255, 255]),
  );
  const [packet, ...more] = guest.packets();
  assert.deepEqual(more, []);
  if (!packet) return undefined;
  const reply = packet.payload.subarray(8);
  assert.deepEqual([packet.source, packet.payload[1], packet.payload[3]], ['10.0.2.2', 67, 68]);
  assert.deepEqual([...reply.subarray(0, 8)], [2, 1, 6, 0, 0xca, 0xfe, 0xba, 0xbe]);
  assert.deepEqual([...reply.subarray(28, 34)], [...mac]);
  const found = new Map<number, Uint8Array>();
  for (let at = 240; reply[at] !== 255; at += 2 + reply[at + 1]!) {
    found.set(reply[at]!, reply.subarray(at + 2, at + 2 + reply[at + 1]!));
  }
  return {
    type: found.get(53)?.[0],
    address: text(reply.subarray(16, 20)),
    option: (number: number) => (found.has(number) ? text(found.get(number)!) : undefined),
    seconds: (number: number) => found.get(number)?.reduce((value, byte) => value * 256 + byte, 0),
    to: packet.destination,
    mac: [...packet.frame.bytes.subarray(0, 6)],
  };
}

describe('DHCP (RFC 2131)', () => {
  const REQUESTED = [50, 4, 10, 0, 2, 15];
  const SERVER = [54, 4, 10, 0, 2, 2];

  test('DISCOVER, OFFER, REQUEST, ACK: address, netmask, router, name server, times', () => {
    const guest = new TestGuest();
    for (const [type, options, answer] of [
      [1, [], 2],
      [3, [...REQUESTED, ...SERVER], 5],
    ] as const) {
      const reply = dhcp(guest, { type, options });
      assert.equal(reply?.type, answer);
      assert.equal(reply.address, '10.0.2.15');
      assert.deepEqual([1, 3, 6, 54].map(reply.option), [
        '255.255.255.0',
        '10.0.2.2',
        '10.0.2.3',
        '10.0.2.2',
      ]);
      const [lease, renewal, rebinding] = [51, 58, 59].map(reply.seconds) as [number, number, number];
      assert.ok(renewal < rebinding && rebinding < lease);
      assert.equal(reply.option(12), undefined);
      assert.deepEqual([reply.to, reply.mac], ['10.0.2.15', GUEST_MAC]);
    }
  });

  test('a client that cannot be reached yet gets its answer by broadcast (4.1)', () => {
    const reply = dhcp(new TestGuest(), { type: 1, flags: 0x8000 });
    assert.deepEqual([reply?.to, reply?.mac], ['255.255.255.255', [255, 255, 255, 255, 255, 255]]);
  });

  test('renewing, and after a reboot (4.3.2)', () => {
    const guest = new TestGuest();
    assert.equal(dhcp(guest, { type: 3, options: REQUESTED })?.type, 5);
    const renewed = dhcp(guest, { type: 3, client: '10.0.2.15' });
    assert.deepEqual([renewed?.type, renewed?.address, renewed?.to], [5, '10.0.2.15', '10.0.2.15']);
  });

  test("another address is refused by broadcast (4.3.2), another server's clients are left alone", () => {
    const guest = new TestGuest();
    const refused = dhcp(guest, { type: 3, options: [50, 4, 192, 168, 0, 9] });
    assert.deepEqual([refused?.type, refused?.address, refused?.to], [6, '0.0.0.0', '255.255.255.255']);
    assert.equal(dhcp(guest, { type: 3, options: [...REQUESTED, 54, 4, 10, 0, 2, 9] }), undefined);
  });

  test('INFORM gets everything but an address (4.3.5); RELEASE and DECLINE no answer', () => {
    const guest = new TestGuest();
    const reply = dhcp(guest, { type: 8, client: '10.0.2.15' });
    assert.deepEqual(
      [reply?.type, reply?.address, reply?.option(6), reply?.option(51)],
      [5, '0.0.0.0', '10.0.2.3', undefined],
    );
    assert.equal(dhcp(guest, { type: 7, client: '10.0.2.15', options: SERVER }), undefined);
    assert.equal(dhcp(guest, { type: 4, options: [...REQUESTED, ...SERVER] }), undefined);
  });

  test('every card has its address, up to 16 of them', () => {
    const guest = new TestGuest();
    const ask = (last: number) => dhcp(guest, { type: 1, mac: [0x52, 0x54, 0, 0, 0, last] })?.address;
    assert.deepEqual([1, 2, 1, 3].map(ask), ['10.0.2.15', '10.0.2.16', '10.0.2.15', '10.0.2.17']);
    for (let last = 4; last <= 16; last++) assert.equal(ask(last), `10.0.2.${14 + last}`);
    assert.equal(ask(17), undefined);
  });

  test('a host name where there is one (RFC 2132 3.14)', () => {
    const reply = dhcp(new TestGuest({ hostName: 'a.b-c' }), { type: 1 });
    assert.equal(reply?.option(12), text(bytes('a.b-c')));
  });
});

describe('UDP (RFC 768)', () => {
  test('a port of the guest is a socket of the host; answers come back from any port of whom it asked', () => {
    const guest = new TestGuest();
    guest.sendUdp('192.0.2.1', 5000, 69, bytes('read'));
    guest.sendUdp('10.0.2.2', 5000, 70, bytes('local'));
    guest.sendUdp('192.0.2.1', 5001, 69, bytes('other'));
    const [first, second, ...more] = guest.host.datagrams;
    assert.deepEqual(more, []);
    assert.deepEqual(first?.sent, [
      { bytes: bytes('read'), to: { address: '192.0.2.1', port: 69 } },
      { bytes: bytes('local'), to: { address: '127.0.0.1', port: 70 } },
    ]);
    assert.equal(second?.sent.length, 1);
    first.arrive(bytes('block'), '192.0.2.1', 3333);
    first.arrive(bytes('here'), '127.0.0.1', 70);
    first.arrive(bytes('stranger'), '192.0.2.66', 69);
    const packets = guest.packets();
    assert.deepEqual(
      packets.map(({ source, destination, payload }) => [
        source,
        destination,
        payload[0]! * 256 + payload[1]!,
        payload[2]! * 256 + payload[3]!,
        new TextDecoder().decode(payload.subarray(8)),
      ]),
      [
        ['192.0.2.1', '10.0.2.15', 3333, 5000, 'block'],
        ['10.0.2.2', '10.0.2.15', 70, 5000, 'here'],
      ],
    );
  });

  test('long datagrams travel in fragments, with a checksum', () => {
    const guest = new TestGuest();
    guest.sendUdp('192.0.2.1', 5000, 69, bytes('?'));
    guest.host.datagrams[0]?.arrive(pattern(9000), '192.0.2.1', 69);
    const frames = guest.frames();
    assert.equal(frames.length, 7);
    const datagram = concat(frames.map((frame) => frame.bytes.subarray(34)));
    assert.deepEqual(datagram.subarray(8), pattern(9000));
    const pseudo = Uint8Array.of(
      192,
      0,
      2,
      1,
      10,
      0,
      2,
      15,
      0,
      17,
      datagram.length >> 8,
      datagram.length & 0xff,
    );
    assert.equal(checksum(pseudo, datagram), 0xffff);
  });

  test('a wrong checksum is dropped, none at all is fine, one that was left to us too', () => {
    const guest = new TestGuest();
    const datagram = guest.udp('192.0.2.1', 5000, 69, bytes('x'));
    datagram[8] = 0;
    guest.sendIp(17, '192.0.2.1', datagram);
    assert.equal(guest.host.datagrams.length, 0);
    guest.sendFrame(guest.ethernet(0x0800, guest.ipPacket(17, '192.0.2.1', datagram)), true);
    datagram.set([0, 0], 6);
    guest.sendIp(17, '192.0.2.1', datagram);
    assert.equal(guest.host.datagrams[0]?.sent.length, 2);
  });

  test('sockets are closed after a while without use, and when there are too many', () => {
    const guest = new TestGuest();
    guest.sendUdp('192.0.2.1', 1, 69, bytes('x'));
    guest.clock.advance(100 * SECOND);
    guest.sendUdp('192.0.2.1', 2, 69, bytes('x'));
    guest.clock.advance(50 * SECOND);
    const [first, second] = guest.host.datagrams;
    assert.deepEqual([first?.isClosed, second?.isClosed], [true, false]);
    for (let port = 100; port < 5000; port++) guest.sendUdp('192.0.2.1', port, 69, bytes('x'));
    assert.ok(second!.isClosed);
    const open = guest.host.datagrams.filter(({ isClosed }) => !isClosed).length;
    assert.ok(open >= 500 && open < 2000, `${open}`);
    guest.clock.advance(1000 * SECOND);
    assert.ok(guest.host.datagrams.every(({ isClosed }) => isClosed));
  });

  test('the guest may wait for an answer, but not for ever', () => {
    const guest = new TestGuest();
    guest.sendUdp('192.0.2.1', 1, 69, bytes('x'));
    assert.ok(guest.network.isExpecting);
    guest.host.datagrams[0]?.arrive(bytes('y'), '192.0.2.1', 69);
    assert.ok(!guest.network.isExpecting);
    guest.sendUdp('192.0.2.1', 1, 69, bytes('x'));
    guest.clock.advance(30 * SECOND);
    assert.ok(!guest.network.isExpecting);
  });

  test('a forwarded port: anybody may send, and is answered from it', () => {
    const guest = new TestGuest();
    const socket = guest.host.openDatagrams() as (typeof guest.host.datagrams)[number];
    guest.network.forwardDatagrams(socket, 0x0a00020f, 53);
    guest.sendUdp('10.0.2.2', 1, 9, bytes('so that it is known'));
    guest.packets();
    socket.arrive(bytes('?'), '127.0.0.1', 777);
    const [question] = guest.packets();
    assert.deepEqual([question?.source, question?.payload[3]], ['10.0.2.2', 53]);
    guest.sendUdp('10.0.2.2', 53, 777, bytes('!'));
    assert.deepEqual(socket.sent, [{ bytes: bytes('!'), to: { address: '127.0.0.1', port: 777 } }]);
    guest.clock.advance(10_000 * SECOND);
    guest.network.reset();
    assert.ok(!socket.isClosed, 'it stays');
    guest.network.close();
    assert.ok(socket.isClosed);
  });

  test('other ports of the name server are closed, neighbours are not there', () => {
    const guest = new TestGuest();
    guest.sendUdp('10.0.2.3', 1, 54, bytes('x'));
    guest.sendUdp('10.0.2.44', 1, 53, bytes('x'));
    guest.sendUdp('127.0.0.1', 1, 53, bytes('x'));
    assert.deepEqual(
      guest.packets().map(({ payload }) => [...payload.subarray(0, 2)]),
      [
        [3, 3],
        [3, 1],
      ],
    );
    assert.equal(guest.host.datagrams.length, 0);
  });
});

describe('names (10.0.2.3)', () => {
  test("questions go to the host's name server, answers seem to come from ours", () => {
    const guest = new TestGuest();
    guest.sendUdp('10.0.2.3', 4000, 53, bytes('\x00\x01question'));
    const [socket] = guest.host.datagrams;
    assert.deepEqual(socket?.sent, [
      { bytes: bytes('\x00\x01question'), to: { address: '192.0.2.53', port: 53 } },
    ]);
    socket.arrive(bytes('\x00\x01answer'), '192.0.2.66', 53);
    assert.deepEqual(guest.packets(), [], 'nobody else may answer');
    socket.arrive(bytes('\x00\x01answer'), '192.0.2.53', 53);
    const [answer] = guest.packets();
    assert.deepEqual(
      [answer!.source, answer!.payload[1], answer!.payload[2]! * 256 + answer!.payload[3]!],
      ['10.0.2.3', 53, 4000],
    );
  });

  test('a question asked again goes to the next one', () => {
    const guest = new TestGuest();
    guest.host.servers = ['192.0.2.1', '2001:db8::1', '192.0.2.3'].map((address) => ({ address, port: 53 }));
    for (const question of ['\x00\x01', '\x00\x01', '\x00\x02', '\x00\x02', '\x00\x02'])
      guest.sendUdp('10.0.2.3', 4000, 53, bytes(question));
    assert.deepEqual(
      guest.host.datagrams.flatMap(({ sent }) => sent.map(({ to }) => to.address)),
      ['192.0.2.1', '2001:db8::1', '2001:db8::1', '192.0.2.3', '192.0.2.1'],
    );
  });

  test('a host without name servers has none for the guest', () => {
    const guest = new TestGuest();
    guest.host.servers = [];
    guest.sendUdp('10.0.2.3', 4000, 53, bytes('\x00\x01'));
    assert.deepEqual(
      guest.packets().map(({ payload }) => [...payload.subarray(0, 2)]),
      [[3, 3]],
    );
  });
});

describe('whatever a guest sends', () => {
  /** The network still does what it is there for. */
  function works(guest: TestGuest): void {
    guest.network.reset();
    guest.frames();
    const connection = new TestConnection(guest, { port: 60_000 }).open();
    connection.sendNext(FLAGS.ACK, pattern(10));
    assert.deepEqual(connection.stream.received, pattern(10));
  }

  test('garbage is dropped', () => {
    const random = randomNumbers(1);
    const guest = new TestGuest();
    for (let i = 0; i < 20_000; i++) {
      const frame = Uint8Array.from({ length: random(120) }, () => random(256));
      if (random(4) > 0)
        frame.set([...guest.gatewayMac, ...GUEST_MAC, 8, random(2) * 6].slice(0, frame.length));
      guest.sendFrame(frame, random(2) === 0);
    }
    works(guest);
  });

  test('packets with changed bytes, cut short, in fragments of all kinds', () => {
    const random = randomNumbers(2);
    const guest = new TestGuest();
    const connection = new TestConnection(guest).open();
    let count = 0;
    for (let i = 0; i < 20_000; i++) {
      const { stream } = connection;
      if (random(50) === 0 && !stream.isAborted) stream.events.data(pattern(random(3000)));
      const payload = [
        () => guest.udp('192.0.2.1', random(65_536), random(65_536), pattern(random(100))),
        () =>
          guest.tcp(connection.remote, {
            sourcePort: connection.port,
            destinationPort: connection.remotePort,
            seq: (connection.seq + random(2000) - 1000) >>> 0,
            ack: (connection.ack + random(5000) - 1000) >>> 0,
            flags: random(64),
            window: random(65_536),
            data: pattern(random(50)),
            options: Array.from({ length: 4 * random(10) }, () => random(8)),
          }),
        () => pattern(random(60), i),
      ][random(3)]!();
      const fragment = random(3) === 0 ? random(65_536) : 0;
      const packet = guest.ipPacket(
        [1, 6, 17, random(256)][random(4)]!,
        ['192.0.2.1', '10.0.2.2', '10.0.2.3', '255.255.255.255'][random(4)]!,
        payload,
        fragment,
        random(8),
      );
      let frame = guest.ethernet(0x0800, packet);
      const isTrusted = random(2) === 0;
      if (random(2) === 0) frame[14 + random(frame.length - 14)] = random(256);
      if (random(8) === 0) frame = frame.slice(0, random(frame.length));
      guest.sendFrame(frame, isTrusted);
      guest.maxBytes = random(2) === 0 ? 1514 : LARGE_FRAME_BYTES;
      if (random(4) === 0) count += guest.frames().length;
      if (random(20) === 0) guest.clock.advance(random(3) * SECOND);
      for (const [index, stream] of guest.host.streams.entries()) {
        if (index > 0 && random(40) === 0 && !stream.isAborted) stream.events.failed('refused');
      }
    }
    assert.ok(count > 1000);
    works(guest);
  });

  test('fragments that never become a datagram take bounded room, and the last ones still do', () => {
    const guest = new TestGuest();
    const message = pattern(1000);
    for (let id = 0; id < 5000; id++)
      guest.sendFrame(
        guest.ethernet(0x0800, guest.ipPacket(17, '192.0.2.1', message, 0x2000 + (id % 50), id)),
      );
    const datagram = guest.udp('192.0.2.1', 1, 2, pattern(1992));
    guest.sendFrame(
      guest.ethernet(0x0800, guest.ipPacket(17, '192.0.2.1', datagram.subarray(1000), 125, 7777)),
    );
    guest.sendFrame(
      guest.ethernet(0x0800, guest.ipPacket(17, '192.0.2.1', datagram.subarray(0, 1000), 0x2000, 7777)),
    );
    assert.deepEqual(guest.host.datagrams[0]?.sent[0]?.bytes, pattern(1992));
  });

  test('frames for others and from nobody go nowhere', () => {
    const guest = new TestGuest();
    const packet = guest.ipPacket(17, '192.0.2.1', guest.udp('192.0.2.1', 1, 2, bytes('x')));
    guest.sendFrame(guest.ethernet(0x0800, packet, [0x52, 0x54, 0, 1, 2, 3]));
    guest.sendFrame(guest.ethernet(0x86dd, packet));
    const stranger = new TestGuest({ address: '192.0.2.200' });
    guest.sendFrame(
      guest.ethernet(0x0800, stranger.ipPacket(17, '192.0.2.1', stranger.udp('192.0.2.1', 1, 2, bytes('x')))),
    );
    assert.equal(guest.host.datagrams.length, 0);
    guest.sendFrame(guest.ethernet(0x0800, packet));
    assert.equal(guest.host.datagrams.length, 1);
  });

  test('a guest that takes no frames loses some, and memory stays bounded', () => {
    const guest = new TestGuest();
    guest.sendUdp('192.0.2.1', 5000, 69, bytes('?'));
    for (let i = 0; i < 5000; i++) guest.host.datagrams[0]?.arrive(pattern(1400), '192.0.2.1', 69);
    const frames = guest.frames();
    assert.ok(frames.length >= 256 && frames.length < 2000, `${frames.length}`);
  });

  test('the card is told when there may be a frame', () => {
    const guest = new TestGuest();
    guest.sendUdp('192.0.2.1', 5000, 69, bytes('?'));
    assert.equal(guest.calls, 0);
    guest.host.datagrams[0]?.arrive(bytes('!'), '192.0.2.1', 69);
    assert.equal(guest.calls, 1);
  });
});

describe('captures (draft-ietf-opsawg-pcap)', () => {
  test('header: nanoseconds, version 2.4, Ethernet', () => {
    const header = new DataView(pcapHeader().buffer);
    assert.equal(header.byteLength, 24);
    assert.deepEqual(
      [
        header.getUint32(0, true),
        header.getUint16(4, true),
        header.getUint16(6, true),
        header.getUint32(20, true),
      ],
      [0xa1b2_3c4d, 2, 4, 1],
    );
    assert.ok(header.getUint32(16, true) >= LARGE_FRAME_BYTES);
  });

  test('record: time, lengths, frame', () => {
    const record = pcapRecord(1_700_000_000, 2_500_000_007, Uint8Array.of(1, 2, 3));
    const view = new DataView(record.buffer);
    assert.deepEqual(
      [0, 4, 8, 12].map((at) => view.getUint32(at, true)),
      [1_700_000_002, 500_000_007, 3, 3],
    );
    assert.deepEqual([...record.subarray(16)], [1, 2, 3]);
  });
});
