/** A guest and a host for tests of the network, written from their own sides of the documents. */
import assert from 'node:assert/strict';
import { ETHERNET_FRAME_BYTES, ManualClock } from '../bus/index.js';
import type {
  DatagramSocket,
  HostSockets,
  NetworkFrame,
  SocketAddress,
  StreamEvents,
  StreamSocket,
} from '../bus/index.js';
import { UserNetwork } from './user-network.js';

/** Numbers from 0 up to `below`, always the same for a seed (Numerical Recipes' generator). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (Math.imul(i + seed, 2654435761) >>> 13) & 0xff;
  return bytes;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export class FakeStream implements StreamSocket {
  readonly to: SocketAddress;
  readonly events: StreamEvents;
  written: Uint8Array[] = [];
  /** With `isSlow` it holds what is written until `drain`. */
  isSlow = false;
  pendingBytes = 0;
  isEnded = false;
  isPaused = false;
  isAborted = false;

  constructor(to: SocketAddress, events: StreamEvents) {
    this.to = to;
    this.events = events;
  }

  get received(): Uint8Array {
    return concat(this.written);
  }

  write(bytes: Uint8Array): void {
    assert.ok(!this.isEnded && !this.isAborted, 'nothing is written after the end');
    this.written.push(bytes);
    if (this.isSlow) this.pendingBytes += bytes.length;
  }

  drain(): void {
    this.pendingBytes = 0;
    this.events.drained();
  }

  end(): void {
    assert.ok(!this.isEnded, 'ended once');
    this.isEnded = true;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  abort(): void {
    this.isAborted = true;
  }
}

class FakeDatagrams implements DatagramSocket {
  readonly address = { address: '0.0.0.0', port: 40_000 };
  sent: { readonly bytes: Uint8Array; readonly to: SocketAddress }[] = [];
  isClosed = false;
  #receive: ((bytes: Uint8Array, from: SocketAddress) => void) | undefined;

  send(bytes: Uint8Array, to: SocketAddress): void {
    assert.ok(!this.isClosed);
    this.sent.push({ bytes, to });
  }

  onDatagram(receive: (bytes: Uint8Array, from: SocketAddress) => void): void {
    this.#receive = receive;
  }

  arrive(bytes: Uint8Array, address: string, port: number): void {
    this.#receive?.(bytes, { address, port });
  }

  close(): void {
    this.isClosed = true;
  }
}

class FakeHost implements HostSockets {
  readonly streams: FakeStream[] = [];
  readonly datagrams: FakeDatagrams[] = [];
  servers: SocketAddress[] = [{ address: '192.0.2.53', port: 53 }];

  connect(to: SocketAddress, events: StreamEvents): StreamSocket {
    const stream = new FakeStream(to, events);
    this.streams.push(stream);
    return stream;
  }

  openDatagrams(): DatagramSocket {
    const socket = new FakeDatagrams();
    this.datagrams.push(socket);
    return socket;
  }

  nameServers(): readonly SocketAddress[] {
    return this.servers;
  }
}

export const FLAGS = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 };

/** What a test says of a segment it sends. */
export interface TcpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  readonly data?: Uint8Array;
  readonly options?: readonly number[];
}

/** A segment that came. */
export interface Tcp extends Omit<TcpFields, 'options'> {
  readonly source: string;
  readonly mss: number | undefined;
  readonly shift: number | undefined;
  readonly segmentBytes: number | undefined;
  readonly data: Uint8Array;
}

export interface Packet {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly frame: NetworkFrame;
}

export const text = (address: Uint8Array): string => address.join('.');
const octets = (address: string): number[] => address.split('.').map(Number);

/** Ones' complement sum over 16-bit words (RFC 1071); 0xffff where the checksum in it is right. */
export function checksum(...parts: readonly Uint8Array[]): number {
  const bytes = concat(parts);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

function pseudo(source: string, destination: string, protocol: number, length: number): Uint8Array {
  return Uint8Array.of(...octets(source), ...octets(destination), 0, protocol, length >> 8, length & 0xff);
}

export const GUEST_MAC = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/** A guest on a network, which speaks in packets. */
export class TestGuest {
  readonly clock = new ManualClock();
  readonly host = new FakeHost();
  readonly network: UserNetwork;
  readonly address: string;
  /** Most bytes of a frame that it takes. */
  maxBytes = ETHERNET_FRAME_BYTES;
  /** How often the network has said that it may have a frame. */
  calls = 0;
  gatewayMac: number[] = [0x52, 0x55, 0x0a, 0, 2, 2];
  #identification = 0;

  constructor({ address = '10.0.2.15', hostName = '' } = {}) {
    this.address = address;
    this.network = new UserNetwork(hostName, { sockets: this.host, clock: this.clock });
    this.network.connect(() => this.calls++);
  }

  sendFrame(bytes: Uint8Array, isPartial = false): void {
    this.network.send({ bytes, ...(isPartial ? { checksum: { start: 34, offset: 16 } } : {}) });
  }

  ethernet(type: number, payload: Uint8Array, to: readonly number[] = this.gatewayMac): Uint8Array {
    return Uint8Array.of(...to, ...GUEST_MAC, type >> 8, type & 0xff, ...payload);
  }

  ipPacket(
    protocol: number,
    destination: string,
    payload: Uint8Array,
    fragment = 0,
    id = ++this.#identification,
  ): Uint8Array {
    const length = 20 + payload.length;
    const header = Uint8Array.of(
      0x45, 0, length >> 8, length & 0xff, id >> 8, id & 0xff, fragment >> 8, fragment & 0xff, 64, protocol, 0, 0,
      ...octets(this.address), ...octets(destination),
    ); // prettier-ignore
    const sum = 0xffff - checksum(header);
    header[10] = sum >> 8;
    header[11] = sum & 0xff;
    return concat([header, payload]);
  }

  sendIp(protocol: number, destination: string, payload: Uint8Array): void {
    this.sendFrame(this.ethernet(0x0800, this.ipPacket(protocol, destination, payload)));
  }

  udp(destination: string, sourcePort: number, destinationPort: number, data: Uint8Array): Uint8Array {
    const length = 8 + data.length;
    const bytes = Uint8Array.of(
      sourcePort >> 8, sourcePort & 0xff, destinationPort >> 8, destinationPort & 0xff, length >> 8, length & 0xff, 0, 0,
      ...data,
    ); // prettier-ignore
    const sum = 0xffff - checksum(pseudo(this.address, destination, 17, length), bytes);
    bytes[6] = sum >> 8;
    bytes[7] = sum & 0xff;
    return bytes;
  }

  sendUdp(destination: string, sourcePort: number, destinationPort: number, data: Uint8Array): void {
    this.sendIp(17, destination, this.udp(destination, sourcePort, destinationPort, data));
  }

  tcp(
    destination: string,
    {
      sourcePort,
      destinationPort,
      seq,
      ack,
      flags,
      window,
      data = new Uint8Array(),
      options = [],
    }: TcpFields,
  ): Uint8Array {
    const bytes = new Uint8Array(20 + options.length + data.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, sourcePort);
    view.setUint16(2, destinationPort);
    view.setUint32(4, seq);
    view.setUint32(8, ack);
    bytes[12] = ((20 + options.length) / 4) << 4;
    bytes[13] = flags;
    view.setUint16(14, window);
    bytes.set(options, 20);
    bytes.set(data, 20 + options.length);
    view.setUint16(16, 0xffff - checksum(pseudo(this.address, destination, 6, bytes.length), bytes));
    return bytes;
  }

  sendTcp(destination: string, fields: TcpFields): void {
    this.sendIp(6, destination, this.tcp(destination, fields));
  }

  /** Every frame that waits. */
  frames(): NetworkFrame[] {
    const frames: NetworkFrame[] = [];
    for (
      let frame = this.network.receive(this.maxBytes);
      frame;
      frame = this.network.receive(this.maxBytes)
    ) {
      assert.ok(frame.bytes.length <= this.maxBytes, `frame of ${frame.bytes.length}`);
      frames.push(frame);
      assert.ok(frames.length < 10_000, 'frames without end');
    }
    return frames;
  }

  /** Every packet that waits, checked; anything else is left out. */
  packets(): Packet[] {
    return this.frames().flatMap((frame) => parse(frame) ?? []);
  }

  /** Every TCP segment that waits. */
  segments(): Tcp[] {
    return this.packets()
      .filter(({ protocol }) => protocol === 6)
      .map(parseTcp);
  }

  /** The one segment that waits. */
  segment(): Tcp {
    const segments = this.segments();
    assert.equal(segments.length, 1, 'one segment');
    return segments[0]!;
  }
}

function parse(frame: NetworkFrame): Packet | undefined {
  const { bytes } = frame;
  if (bytes[12] !== 8 || bytes[13] !== 0) return undefined;
  const length = bytes[16]! * 256 + bytes[17]!;
  assert.equal(bytes.length, 14 + length, 'no bytes but the packet');
  assert.equal(bytes[14], 0x45);
  assert.equal(checksum(bytes.subarray(14, 34)), 0xffff, 'header checksum');
  const [source, destination] = [text(bytes.subarray(26, 30)), text(bytes.subarray(30, 34))];
  return { source, destination, protocol: bytes[23]!, payload: bytes.subarray(34), frame };
}

function parseTcp({ source, destination, payload, frame }: Packet): Tcp {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const sum = checksum(pseudo(source, destination, 6, payload.length), payload);
  if (frame.checksum) {
    assert.deepEqual(frame.checksum, { start: 34, offset: 16 });
    const expected = checksum(pseudo(source, destination, 6, payload.length));
    assert.equal(view.getUint16(16), expected, 'checksum of the pseudo header');
  } else {
    assert.equal(sum, 0xffff, 'TCP checksum');
  }
  const headerBytes = (payload[12]! >> 4) * 4;
  let [mss, shift]: (number | undefined)[] = [];
  for (let at = 20; at < headerBytes;) {
    if (payload[at] === 1) at++;
    else {
      if (payload[at] === 2) mss = view.getUint16(at + 2);
      if (payload[at] === 3) shift = payload[at + 2];
      at += payload[at + 1]!;
    }
  }
  return {
    source,
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    seq: view.getUint32(4),
    ack: view.getUint32(8),
    flags: payload[13]!,
    window: view.getUint16(14),
    mss,
    shift,
    data: payload.subarray(headerBytes),
    segmentBytes: frame.segmentBytes,
  };
}

/** The guest's end of one connection: the test says what it sends, it knows where it is. */
export class TestConnection {
  readonly guest: TestGuest;
  readonly remote: string;
  readonly port: number;
  readonly remotePort: number;
  seq: number;
  ack = 0;
  window = 65_535;
  stream!: FakeStream;

  constructor(
    guest: TestGuest,
    { remote = '192.0.2.1', remotePort = 80, port = 50_000, seq = 0xffff_fff0 } = {},
  ) {
    this.guest = guest;
    this.remote = remote;
    this.remotePort = remotePort;
    this.port = port;
    this.seq = seq;
  }

  send(
    flags: number,
    data: Uint8Array = new Uint8Array(),
    { seq = this.seq, ack = this.ack, window = this.window, options = [] as number[] } = {},
  ): void {
    this.guest.sendTcp(this.remote, {
      sourcePort: this.port,
      destinationPort: this.remotePort,
      seq: seq >>> 0,
      ack: ack >>> 0,
      flags,
      window,
      data,
      options,
    });
  }

  /** Sends what comes next. */
  sendNext(flags: number, data: Uint8Array = new Uint8Array()): void {
    this.send(flags, data);
    this.advance(data.length + ((flags & (FLAGS.SYN | FLAGS.FIN)) === 0 ? 0 : 1));
  }

  advance(count: number): void {
    this.seq = (this.seq + count) >>> 0;
  }

  /** Opens the connection: MSS 1460, window scale `shift`. */
  open({ shift = 0, mss = 1460 } = {}): this {
    this.send(FLAGS.SYN, undefined, { options: [2, 4, mss >> 8, mss & 0xff, 1, 3, 3, shift] });
    this.advance(1);
    this.stream = this.guest.host.streams.at(-1)!;
    assert.deepEqual(this.guest.segments(), [], 'no answer before the host has connected');
    this.stream.events.connected();
    const answer = this.guest.segment();
    assert.equal(answer.flags, FLAGS.SYN | FLAGS.ACK);
    assert.equal(answer.ack, this.seq);
    this.ack = (answer.seq + 1) >>> 0;
    this.send(FLAGS.ACK);
    assert.deepEqual(this.guest.segments(), []);
    return this;
  }

  /** Takes segments in order and acknowledges the last; returns their data. */
  take(): Uint8Array {
    const segments = this.guest.segments();
    for (const { seq, data, flags } of segments) {
      assert.equal(seq, this.ack, 'in order');
      this.ack = (this.ack + data.length + ((flags & FLAGS.FIN) === 0 ? 0 : 1)) >>> 0;
    }
    if (segments.some(({ data, flags }) => data.length > 0 || (flags & FLAGS.FIN) !== 0))
      this.send(FLAGS.ACK);
    return concat(segments.map(({ data }) => data));
  }
}
