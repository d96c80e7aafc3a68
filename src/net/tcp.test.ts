import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LARGE_FRAME_BYTES } from '../bus/index.js';
import { FakeStream, FLAGS, pattern, randomNumbers, TestConnection, TestGuest } from './network-suite.js';
import type { Tcp } from './network-suite.js';

const { FIN, SYN, RST, ACK, PSH } = FLAGS;
const SECOND = 1e9;

function open(options: Parameters<TestConnection['open']>[0] = {}) {
  const guest = new TestGuest();
  const connection = new TestConnection(guest).open(options);
  return { guest, connection, stream: connection.stream };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const after = (seq: number, count: number): number => (seq + count) >>> 0;

describe('TCP: beginnings (RFC 9293 3.5)', () => {
  test('SYN-ACK states MSS and window scale (RFC 7323 2.2), and comes when the host has connected', () => {
    const guest = new TestGuest();
    const connection = new TestConnection(guest, { remote: '192.0.2.7', remotePort: 8080 });
    connection.send(SYN, undefined, { options: [2, 4, 5, 0xb4, 1, 3, 3, 7] });
    assert.deepEqual(guest.host.streams[0]?.to, { address: '192.0.2.7', port: 8080 });
    connection.send(SYN, undefined, { options: [2, 4, 5, 0xb4, 1, 3, 3, 7] });
    assert.equal(guest.host.streams.length, 1, 'a repeated SYN is the same connection');
    guest.host.streams[0]?.events.connected();
    const answer = guest.segment();
    assert.equal(answer.source, '192.0.2.7');
    assert.equal(answer.mss, 1460);
    assert.ok(answer.shift !== undefined && answer.shift > 0);
    assert.ok(answer.window > 0);
  });

  test('no window scale for a guest that offers none (RFC 7323 1.3)', () => {
    const guest = new TestGuest();
    new TestConnection(guest).send(SYN, undefined, { options: [2, 4, 5, 0xb4] });
    guest.host.streams[0]?.events.connected();
    assert.equal(guest.segment().shift, undefined);
  });

  test('10.0.2.2 is the host itself', () => {
    const guest = new TestGuest();
    new TestConnection(guest, { remote: '10.0.2.2', remotePort: 22 }).send(SYN);
    assert.deepEqual(guest.host.streams[0]?.to, { address: '127.0.0.1', port: 22 });
  });

  test('10.0.2.3 port 53 is the name server', () => {
    const guest = new TestGuest();
    new TestConnection(guest, { remote: '10.0.2.3', remotePort: 53 }).send(SYN);
    assert.deepEqual(guest.host.streams[0]?.to, { address: '192.0.2.53', port: 53 });
  });

  test('what nobody has is no way into the host: loopback, groups, the rest of the network', () => {
    const guest = new TestGuest();
    for (const remote of [
      '127.0.0.1',
      '127.1.2.3',
      '0.0.0.0',
      '224.0.0.1',
      '255.255.255.255',
      '10.0.2.77',
      '10.0.2.255',
    ]) {
      new TestConnection(guest, { remote }).send(SYN);
    }
    new TestConnection(guest, { remote: '10.0.2.3', remotePort: 54 }).send(SYN);
    new TestConnection(guest, { remotePort: 0 }).send(SYN);
    assert.deepEqual(guest.host.streams, []);
  });

  test('SYN-ACK is repeated until it is acknowledged', () => {
    const guest = new TestGuest();
    const connection = new TestConnection(guest);
    connection.sendNext(SYN);
    guest.host.streams[0]?.events.connected();
    const first = guest.segment();
    guest.clock.advance(0.9 * SECOND);
    assert.deepEqual(guest.segments(), []);
    guest.clock.advance(0.2 * SECOND);
    assert.deepEqual(guest.segment(), first);
    guest.clock.advance(2 * SECOND);
    assert.deepEqual(guest.segment(), first, 'after twice the time');
    connection.send(SYN, undefined, { seq: connection.seq - 1 });
    assert.equal(guest.segment().flags, SYN | ACK, 'and when the SYN comes again');
    guest.clock.advance(1000 * SECOND);
    guest.segments();
    guest.clock.advance(1000 * SECOND);
    assert.ok(guest.host.streams[0]!.isAborted, 'not for ever');
  });

  for (const [failure, isReset] of [
    ['refused', true],
    ['reset', true],
    ['unreachable', false],
    ['timeout', false],
    ['prohibited', false],
  ] as const) {
    test(`${failure}: the guest is told by ${isReset ? 'RST' : 'ICMP'}`, () => {
      const guest = new TestGuest();
      const connection = new TestConnection(guest);
      connection.sendNext(SYN);
      guest.host.streams[0]?.events.failed(failure);
      const [packet, ...more] = guest.packets();
      assert.deepEqual(more, []);
      if (isReset) {
        assert.equal(packet?.protocol, 6);
        assert.equal(packet.payload[13], RST | ACK);
        assert.equal(
          new DataView(packet.payload.buffer, packet.payload.byteOffset).getUint32(8),
          connection.seq,
        );
      } else {
        assert.equal(packet?.protocol, 1);
        assert.equal(packet.payload[0], 3, 'destination unreachable');
        // It quotes header and ports (RFC 792).
        assert.equal(packet.payload[8], 0x45);
        assert.equal(packet.payload[28 + 2]! * 256 + packet.payload[28 + 3]!, 80);
      }
    });
  }

  test('segments of no connection are answered with RST (3.10.7.1), RST is not', () => {
    const guest = new TestGuest();
    const connection = new TestConnection(guest);
    connection.send(ACK, bytes('x'), { ack: 0x1234 });
    assert.deepEqual(pick(guest.segment()), { flags: RST, seq: 0x1234, ack: 0 });
    connection.send(FIN, bytes('x'));
    assert.deepEqual(pick(guest.segment()), { flags: RST | ACK, seq: 0, ack: after(connection.seq, 2) });
    connection.send(RST);
    connection.send(RST | ACK);
    assert.deepEqual(guest.segments(), []);
  });

  test('a guest that gives up while the host connects is forgotten', () => {
    const guest = new TestGuest();
    const connection = new TestConnection(guest);
    connection.sendNext(SYN);
    connection.send(RST);
    assert.ok(guest.host.streams[0]!.isAborted);
    assert.ok(!guest.network.isExpecting);
  });
});

function pick({ flags, seq, ack }: Tcp) {
  return { flags, seq, ack };
}

describe('TCP: from the guest to the host', () => {
  test('data reach the socket and are acknowledged once for a burst', () => {
    const { guest, connection, stream } = open();
    connection.sendNext(ACK, bytes('one '));
    connection.sendNext(ACK | PSH, bytes('two'));
    assert.equal(new TextDecoder().decode(stream.received), 'one two');
    assert.deepEqual(pick(guest.segment()), { flags: ACK, seq: connection.ack, ack: connection.seq });
  });

  test('segments out of order, twice and overlapping come out right (3.10.7.4)', () => {
    const { guest, connection, stream } = open();
    const data = pattern(5000);
    const { seq } = connection;
    const piece = (from: number, to: number) => {
      connection.send(ACK, data.subarray(from, to), { seq: seq + from });
    };
    piece(1000, 2000);
    piece(3000, 4000);
    piece(1000, 2000);
    assert.equal(stream.received.length, 0);
    const acks = guest.segments();
    assert.deepEqual(
      acks.map(({ ack }) => ack),
      [seq, seq, seq],
      'one acknowledgment for each, for fast retransmission',
    );
    piece(0, 1500);
    assert.equal(stream.received.length, 2000);
    piece(500, 3500);
    piece(3900, 5000);
    assert.deepEqual(stream.received, data);
    assert.equal(guest.segments().at(-1)?.ack, after(seq, 5000));
  });

  test('a random order with losses and repetitions delivers every byte once', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomNumbers(seed);
      const { guest, connection, stream } = open();
      const data = pattern(60_000, seed);
      const { seq } = connection;
      let acknowledged = 0;
      for (let round = 0; acknowledged < data.length; round++) {
        assert.ok(round < 10_000, `seed ${seed} ends`);
        const from = Math.max(0, acknowledged + random(20_000) - 2000);
        connection.send(ACK, data.subarray(from, from + 1 + random(1460)), { seq: seq + from });
        if (random(3) === 0)
          connection.send(ACK, data.subarray(acknowledged, acknowledged + 1 + random(1460)), {
            seq: seq + acknowledged,
          });
        for (const { ack } of guest.segments()) acknowledged = Math.max(acknowledged, (ack - seq) >>> 0);
      }
      assert.deepEqual(stream.received, data, `seed ${seed}`);
    }
  });

  test('the window shuts while the socket is slow, keeps its promise, and opens again', () => {
    const { guest, connection, stream } = open({ shift: 7 });
    stream.isSlow = true;
    const { seq } = connection;
    let edge = 0;
    const announced: number[] = [];
    for (let sent = 0; ;) {
      connection.sendNext(ACK, pattern(1460));
      sent += 1460;
      const answer = guest.segment();
      announced.push(answer.window);
      const newEdge = ((answer.ack - seq) >>> 0) + answer.window * 16;
      assert.ok(newEdge > edge - 16, 'the window is not taken back');
      edge = Math.max(edge, newEdge);
      if (answer.window < 100) break;
      assert.ok(sent < 8e6, 'it shuts');
    }
    const before = stream.pendingBytes;
    connection.send(ACK, pattern(5000));
    assert.ok(stream.pendingBytes <= before + 1600, 'what is beyond the window is not taken');
    guest.segments();
    stream.drain();
    const update = guest.segment();
    assert.ok(update.window > 10_000, 'the guest is told of the room');
    assert.equal(announced.length > 100, true);
  });

  test('a probe of a shut window is answered (3.8.6.1)', () => {
    const { guest, connection, stream } = open({ shift: 7 });
    stream.isSlow = true;
    for (let i = 0; i < 2000; i++) {
      connection.sendNext(ACK, pattern(1460));
      const [answer] = guest.segments();
      if ((answer?.window ?? 0) * 16 < 1460) break;
    }
    for (let i = 0; i < 2; i++) {
      connection.send(ACK, pattern(1460));
      assert.equal(guest.segments().length, 1);
    }
  });
});

describe('TCP: from the host to the guest', () => {
  test("data go out in segments of the guest's MSS, and wait for room in its window", () => {
    const { guest, connection, stream } = open({ mss: 1000 });
    const data = pattern(5000);
    connection.window = 2500;
    connection.send(ACK);
    stream.events.data(data);
    const segments = guest.segments();
    assert.deepEqual(
      segments.map((segment) => segment.data.length),
      [1000, 1000],
      'no silly window (3.8.6.2.1)',
    );
    connection.ack = after(connection.ack, 2000);
    connection.window = 10_000;
    connection.send(ACK);
    const more = guest.segments();
    assert.deepEqual(
      more.map((segment) => segment.data.length),
      [1000, 1000, 1000],
    );
    assert.equal(more.at(-1)?.flags, ACK | PSH);
    assert.deepEqual(more[0]?.data, data.subarray(2000, 3000));
  });

  test('many segments travel as one frame where the card takes it', () => {
    const { guest, connection, stream } = open({ shift: 7 });
    guest.maxBytes = LARGE_FRAME_BYTES;
    const data = pattern(200_000);
    stream.events.data(data);
    const segments = guest.segments();
    assert.deepEqual(
      segments.map((segment) => segment.data.length),
      [65_495, 65_495, 65_495, 3515],
    );
    assert.ok(segments.every(({ segmentBytes }) => segmentBytes === 1460));
    connection.send(ACK, undefined, { ack: connection.ack + 200_000 });
    assert.deepEqual(guest.segments(), []);
  });

  test('the socket is paused while the guest takes nothing, and goes on when it does', () => {
    const { guest, connection, stream } = open();
    let given = 0;
    while (!stream.isPaused) {
      stream.events.data(pattern(65_536));
      given += 65_536;
      assert.ok(given < 8e6, 'it is paused');
    }
    let got = 0;
    while (stream.isPaused) got += connection.take().length;
    assert.ok(got > 0 && got < given);
    while (got < given) got += connection.take().length;
    assert.deepEqual(guest.segments(), []);
  });

  test('what is not acknowledged is sent again after a timeout, then after twice that (RFC 6298 5)', () => {
    const { guest, connection, stream } = open();
    stream.events.data(bytes('hello'));
    const first = guest.segment();
    guest.clock.advance(0.99 * SECOND);
    assert.deepEqual(guest.segments(), []);
    guest.clock.advance(0.02 * SECOND);
    assert.deepEqual(guest.segment().data, first.data);
    guest.clock.advance(1.9 * SECOND);
    assert.deepEqual(guest.segments(), []);
    guest.clock.advance(0.2 * SECOND);
    assert.deepEqual(guest.segment().data, first.data);
    connection.send(ACK, undefined, { ack: connection.ack + 5 });
    guest.clock.advance(100 * SECOND);
    assert.deepEqual(guest.segments(), []);
  });

  test('a guest that answers quickly has a short timeout (RFC 6298 2)', () => {
    const { guest, connection, stream } = open();
    for (let i = 0; i < 5; i++) {
      stream.events.data(bytes('hello'));
      guest.clock.advance(1e6);
      connection.take();
    }
    stream.events.data(bytes('lost'));
    guest.segments();
    guest.clock.advance(0.25 * SECOND);
    assert.equal(guest.segments().length, 1);
  });

  test('three duplicate acknowledgments bring the lost segment at once (RFC 5681 3.2)', () => {
    const { guest, connection, stream } = open();
    const data = pattern(1460 * 6);
    stream.events.data(data);
    const [lost, , third] = guest.segments();
    for (let i = 0; i < 2; i++) connection.send(ACK);
    assert.deepEqual(guest.segments(), []);
    connection.send(ACK);
    const again = guest.segment();
    assert.deepEqual(pick(again), pick(lost!));
    assert.deepEqual(again.data, lost?.data);
    // Partial acknowledgment: another one is missing (RFC 6582 3.2).
    connection.send(ACK, undefined, { ack: third!.seq });
    assert.deepEqual(guest.segment().data, third?.data);
    connection.send(ACK, undefined, { ack: connection.ack + data.length });
    guest.clock.advance(100 * SECOND);
    assert.deepEqual(guest.segments(), []);
  });

  test('a shut window is probed for as long as the guest answers, and used when it opens (3.8.6.1)', () => {
    const { guest, connection, stream } = open();
    connection.window = 0;
    connection.send(ACK);
    stream.events.data(pattern(3000));
    assert.deepEqual(guest.segments(), []);
    let probes = 0;
    for (let i = 0; i < 2000; i++) {
      guest.clock.advance(SECOND);
      for (const { data } of guest.segments()) {
        assert.equal(data.length, 1);
        probes++;
        connection.send(ACK);
      }
    }
    assert.ok(probes > 20, `${probes} probes`);
    assert.ok(!stream.isAborted);
    connection.window = 65_535;
    connection.send(ACK);
    assert.deepEqual(connection.take(), pattern(3000));
    guest.clock.advance(100 * SECOND);
    assert.deepEqual(guest.segments(), []);
  });

  test('a guest that never answers again loses the connection', () => {
    const { guest, stream } = open();
    stream.events.data(bytes('hello'));
    for (let i = 0; i < 1000 && !stream.isAborted; i++) {
      guest.clock.advance(SECOND);
      guest.segments();
    }
    assert.ok(stream.isAborted);
    assert.ok(!guest.network.isExpecting);
  });

  test('every byte arrives, whatever the wire loses', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = randomNumbers(seed);
      const { guest, connection, stream } = open({ shift: 2 });
      if (seed % 2 === 0) guest.maxBytes = LARGE_FRAME_BYTES;
      const data = pattern(150_000, seed);
      let given = 0;
      const got = new Uint8Array(data.length);
      const present = new Uint8Array(data.length);
      const start = connection.ack;
      let next = 0;
      let isFinSeen = false;
      for (let round = 0; !isFinSeen; round++) {
        assert.ok(round < 5000, `seed ${seed} ends`);
        if (!stream.isPaused && given < data.length) {
          const count = Math.min(data.length - given, 1 + random(30_000));
          stream.events.data(data.subarray(given, given + count));
          given += count;
          if (given === data.length) stream.events.ended();
        }
        let isFresh = false;
        for (const segment of guest.segments()) {
          if (random(5) === 0) continue;
          const at = (segment.seq - start) >>> 0;
          got.set(segment.data, at);
          present.fill(1, at, at + segment.data.length);
          while (next < data.length && present[next] === 1) next++;
          if ((segment.flags & FIN) !== 0 && next === data.length) isFinSeen = true;
          isFresh = true;
          // Each segment is acknowledged, and some of that gets lost too.
          if (random(5) !== 0) connection.send(ACK, undefined, { ack: start + next, window: random(20_000) });
        }
        if (!isFresh) {
          guest.clock.advance(0.3 * SECOND);
          connection.send(ACK, undefined, { ack: start + next });
        }
      }
      assert.deepEqual(got, data, `seed ${seed}`);
    }
  });
});

describe('TCP: ends (RFC 9293 3.6)', () => {
  test('the guest ends first, the host may go on', () => {
    const { guest, connection, stream } = open();
    connection.sendNext(FIN | ACK, bytes('last'));
    assert.ok(stream.isEnded);
    assert.equal(guest.segment().ack, connection.seq);
    stream.events.data(bytes('still here'));
    assert.equal(new TextDecoder().decode(connection.take()), 'still here');
    stream.events.ended();
    const fin = guest.segment();
    assert.equal(fin.flags & FIN, FIN);
    connection.send(ACK, undefined, { ack: fin.seq + 1 });
    assert.deepEqual(guest.segments(), []);
    assert.ok(!guest.network.isExpecting);
    connection.send(ACK, undefined, { ack: fin.seq + 1 });
    assert.equal(guest.segment().flags, RST, 'nothing is left of it');
    assert.ok(!stream.isAborted);
  });

  test('the host ends first, the guest may go on; a repeated FIN is acknowledged (TIME-WAIT)', () => {
    const { guest, connection, stream } = open();
    stream.events.data(bytes('bye'));
    stream.events.ended();
    const fin = guest.segment();
    assert.deepEqual([fin.data, fin.flags & FIN], [bytes('bye'), FIN]);
    connection.ack = after(connection.ack, 4);
    connection.send(ACK);
    connection.sendNext(ACK, bytes('more'));
    assert.equal(guest.segment().ack, connection.seq);
    assert.equal(new TextDecoder().decode(stream.received), 'more');
    connection.sendNext(FIN | ACK);
    assert.ok(stream.isEnded);
    assert.equal(guest.segment().ack, connection.seq);
    assert.ok(!guest.network.isExpecting);
    connection.send(FIN | ACK, undefined, { seq: connection.seq - 1 });
    assert.equal(guest.segment().ack, connection.seq);
    guest.clock.advance(300 * SECOND);
    connection.send(ACK);
    assert.equal(guest.segment().flags, RST, 'it is over after a while');
  });

  test('both end at once (CLOSING)', () => {
    const { guest, connection, stream } = open();
    stream.events.ended();
    const fin = guest.segment();
    connection.sendNext(FIN | ACK);
    assert.equal(guest.segment().ack, connection.seq);
    connection.send(ACK, undefined, { ack: fin.seq + 1 });
    assert.ok(stream.isEnded);
    assert.ok(!guest.network.isExpecting);
  });

  test('a new connection takes the place of one in TIME-WAIT (3.10.7.4)', () => {
    const { guest, connection, stream } = open();
    stream.events.ended();
    connection.take();
    connection.sendNext(FIN | ACK);
    guest.segments();
    connection.seq = after(connection.seq, 100);
    connection.open();
    assert.equal(guest.host.streams.length, 2);
  });

  test('a lost FIN is sent again', () => {
    const { guest, stream } = open();
    stream.events.ended();
    guest.segments();
    guest.clock.advance(1.1 * SECOND);
    assert.equal(guest.segment().flags & FIN, FIN);
  });

  test('a FIN before its time waits for the data before it', () => {
    const { guest, connection, stream } = open();
    connection.send(FIN | ACK, bytes('cd'), { seq: connection.seq + 2 });
    assert.ok(!stream.isEnded);
    connection.send(ACK, bytes('ab'));
    assert.equal(new TextDecoder().decode(stream.received), 'abcd');
    assert.ok(stream.isEnded);
    assert.equal(guest.segments().at(-1)?.ack, after(connection.seq, 5));
    connection.send(ACK, bytes('after the end'), { seq: connection.seq + 5 });
    assert.equal(stream.received.length, 4);
  });

  test('RST of the guest reaches the host; one that only might be right is questioned (RFC 5961 3.2)', () => {
    const { guest, connection, stream } = open();
    connection.send(RST, undefined, { seq: connection.seq + 100 });
    assert.equal(guest.segment().ack, connection.seq);
    connection.send(RST, undefined, { seq: connection.seq - 100 });
    connection.send(RST, undefined, { seq: connection.seq + 0x7000_0000 });
    assert.deepEqual(guest.segments(), []);
    connection.send(SYN);
    assert.equal(guest.segment().ack, connection.seq, 'so is a SYN (4.2)');
    assert.ok(!stream.isAborted);
    connection.send(RST);
    assert.ok(stream.isAborted);
  });

  test('the host breaks off: RST, and nothing is left', () => {
    const { guest, connection, stream } = open();
    stream.events.data(bytes('lost'));
    stream.events.failed('reset');
    const reset = guest.segment();
    assert.deepEqual(pick(reset), { flags: RST | ACK, seq: connection.ack, ack: connection.seq });
    stream.events.data(bytes('late'));
    stream.events.ended();
    stream.events.drained();
    assert.deepEqual(guest.segments(), []);
    assert.ok(!guest.network.isExpecting);
  });

  test('a slow host still gets the end of what was sent, one that takes nothing is left', () => {
    const { guest, connection, stream } = open();
    stream.isSlow = true;
    connection.sendNext(FIN | ACK, pattern(1000));
    stream.events.ended();
    connection.take();
    stream.pendingBytes = 500;
    guest.clock.advance(15 * SECOND);
    assert.ok(!stream.isAborted);
    guest.clock.advance(100 * SECOND);
    assert.ok(stream.isAborted);
  });

  test('a reset of the machine breaks every connection off', () => {
    const { guest, connection, stream } = open();
    guest.network.reset();
    assert.ok(stream.isAborted);
    assert.deepEqual(guest.segments(), []);
    connection.send(ACK);
    assert.equal(guest.segment().flags, RST);
  });
});

describe('TCP: connections to the guest', () => {
  function forwarded(address = '127.0.0.1', isKnown = true) {
    const guest = new TestGuest();
    if (isKnown) guest.sendUdp('192.0.2.9', 1, 2, new Uint8Array());
    const stream = new FakeStream(
      { address: '', port: 0 },
      { connected() {}, data() {}, ended() {}, drained() {}, failed() {} },
    );
    const events = guest.network.forwardStream(stream, { address, port: 43_210 }, 0x0a00020f, 22);
    return { guest, stream, events };
  }

  test('SYN, SYN-ACK, ACK; then data both ways', () => {
    const { guest, stream, events } = forwarded();
    assert.ok(stream.isPaused, 'the host waits until the guest is there');
    const syn = guest.segment();
    assert.deepEqual(
      [syn.flags, syn.source, syn.sourcePort, syn.destinationPort],
      [SYN, '10.0.2.2', 43_210, 22],
    );
    assert.ok(syn.mss === 1460 && syn.shift !== undefined);
    const connection = new TestConnection(guest, { remote: '10.0.2.2', remotePort: 43_210, port: 22 });
    connection.ack = after(syn.seq, 1);
    connection.sendNext(SYN | ACK);
    assert.deepEqual(pick(guest.segment()), { flags: ACK, seq: connection.ack, ack: connection.seq });
    assert.ok(!stream.isPaused);
    connection.sendNext(ACK, bytes('SSH-2.0'));
    assert.equal(new TextDecoder().decode(stream.received), 'SSH-2.0');
    events.data(bytes('hello'));
    assert.equal(new TextDecoder().decode(connection.take()), 'hello');
  });

  test("peers of the host keep their addresses, those that a guest could take for its neighbours don't", () => {
    assert.equal(forwarded('192.0.2.4').guest.segment().source, '192.0.2.4');
    assert.equal(forwarded('10.0.2.99').guest.segment().source, '10.0.2.2');
    assert.equal(forwarded('127.9.9.9').guest.segment().source, '10.0.2.2');
  });

  test('refused by the guest: broken off', () => {
    const { guest, stream } = forwarded();
    const syn = guest.segment();
    const connection = new TestConnection(guest, { remote: '10.0.2.2', remotePort: 43_210, port: 22 });
    connection.send(RST | ACK, undefined, { ack: syn.seq });
    assert.ok(!stream.isAborted, 'not by somebody who guesses');
    connection.send(RST | ACK, undefined, { ack: syn.seq + 1 });
    assert.ok(stream.isAborted);
  });

  test('a guest that is not known is asked for, and gets its SYN when it answers', () => {
    const { guest, stream } = forwarded('127.0.0.1', false);
    const [question, ...more] = guest.frames();
    assert.deepEqual(more, []);
    assert.deepEqual([...question!.bytes.subarray(12, 14), question!.bytes[21]], [8, 6, 1]);
    assert.deepEqual([...question!.bytes.subarray(38, 42)], [10, 0, 2, 15]);
    const reply = question!.bytes.slice();
    reply.set(question!.bytes.subarray(6, 12), 0);
    reply[21] = 2;
    reply.set([0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15], 22);
    reply.set([0x52, 0x55, 0x0a, 0, 2, 2, 10, 0, 2, 2], 32);
    guest.sendFrame(reply);
    assert.equal(guest.segment().flags, SYN);
    assert.ok(!stream.isAborted);
  });

  test('SYN is repeated while the guest boots, not for ever', () => {
    const { guest, stream } = forwarded();
    let seen = 0;
    for (let second = 0; second < 120; second++) {
      seen += guest.segments().filter(({ flags }) => flags === SYN).length;
      guest.clock.advance(SECOND);
    }
    assert.ok(seen > 10 && seen < 40, `${seen}`);
    assert.ok(stream.isAborted);
  });
});

describe('TCP: many', () => {
  test('2,000 connections at once, each with its own data in both directions', () => {
    const guest = new TestGuest();
    const connections = Array.from({ length: 2000 }, (_, i) =>
      new TestConnection(guest, {
        port: 10_000 + (i % 1000),
        remotePort: 1000 + Math.floor(i / 1000),
        seq: i * 7919,
      }).open(),
    );
    for (const [i, connection] of connections.entries()) {
      connection.sendNext(ACK, pattern(100, i));
      connection.stream.events.data(pattern(200, i + 5000));
    }
    const byPort = new Map<string, Tcp[]>();
    for (const segment of guest.segments()) {
      const key = `${segment.destinationPort} ${segment.sourcePort}`;
      byPort.set(key, [...(byPort.get(key) ?? []), segment]);
    }
    for (const [i, connection] of connections.entries()) {
      assert.deepEqual(connection.stream.received, pattern(100, i));
      const [segment, ...more] = byPort.get(`${connection.port} ${connection.remotePort}`) ?? [];
      assert.deepEqual(more, []);
      assert.deepEqual(segment?.data, pattern(200, i + 5000));
      connection.send(ACK, undefined, { ack: connection.ack + 200 });
      connection.send(RST, undefined, { ack: connection.ack + 200 });
      assert.ok(connection.stream.isAborted);
    }
    assert.ok(!guest.network.isExpecting);
  });

  test('beyond a limit they are refused, and the first ones go on', () => {
    const guest = new TestGuest();
    const first = new TestConnection(guest).open();
    for (let i = 0; i < 6000; i++) new TestConnection(guest, { port: 1 + i, remotePort: 7 }).send(SYN);
    const refused = guest.segments().filter(({ flags }) => (flags & RST) !== 0);
    assert.ok(refused.length > 100);
    assert.ok(guest.host.streams.length < 5000);
    first.sendNext(ACK, bytes('x'));
    assert.equal(first.stream.received.length, 1);
  });

  test("turns are fair: nobody waits for another's end", () => {
    const guest = new TestGuest();
    const [a, b] = [1, 2].map((port) => new TestConnection(guest, { port }).open());
    a!.stream.events.data(pattern(50_000));
    b!.stream.events.data(pattern(50_000));
    const ports = guest.segments().map(({ destinationPort }) => destinationPort);
    assert.deepEqual(ports.slice(0, 6), [1, 2, 1, 2, 1, 2]);
  });
});
