/** Every TCP connection of the guests: which socket of the host's belongs to which segments. */
import type {
  Clock,
  HostSockets,
  NetworkFrame,
  SocketAddress,
  SocketFailure,
  StreamEvents,
  StreamSocket,
  Timer,
} from '../bus/index.js';
import { ETHERNET_FRAME_BYTES } from '../bus/index.js';
import { GATEWAY, GATEWAY_MAC, insideAddress, NAME_SERVER, outsideAddress } from './addresses.js';
import type { GuestLink } from './guest-link.js';
import { UNREACHABLE, unreachable, type Unreachable } from './icmp.js';
import {
  ETHERNET_BYTES,
  formatIpv4Address,
  IP_BYTES,
  ipv4Frame,
  parseIpv4Address,
  PROTOCOL,
  sum16,
  viewOf,
  type Ipv4Address,
  type Ipv4Packet,
} from './ip.js';
import { TcpConnection, type TcpConnectionPorts, type TcpOutput } from './tcp-connection.js';
import {
  FLAG,
  TCP_BYTES,
  tcpHeaderBytes,
  writeTcpHeader,
  type TcpHeader,
  type TcpSegment,
} from './tcp-segment.js';
import { DNS_PORT } from './udp-forwarder.js';

const MAX_CONNECTIONS = 4096;
/** What all connections may hold back in each direction, and what each may at least and at most. */
const TOTAL_BUFFER_BYTES = 64 * 1024 * 1024;
const MIN_BUFFER_BYTES = 16 * 1024;
const MAX_BUFFER_BYTES = 1024 * 1024;
/** Where ports of our own begin (RFC 6335 6). */
const FIRST_EPHEMERAL_PORT = 49_152;
const PORTS = 65_536;
const CHECKSUM_OFFSET = 16;
/** Initial sequence numbers of connections are so far apart, and follow the time (RFC 9293 3.4.1). */
const SEQUENCE_STEP = 64_000;
const NS_PER_SEQUENCE = 4000;

const ICMP_CODE: Readonly<Record<SocketFailure, Unreachable | undefined>> = {
  refused: undefined,
  reset: undefined,
  unreachable: UNREACHABLE.HOST,
  timeout: UNREACHABLE.HOST,
  prohibited: UNREACHABLE.PROHIBITED,
};

/** A connection by its four numbers. */
interface Entry {
  readonly key: string;
  readonly guest: Ipv4Address;
  readonly guestPort: number;
  readonly remote: Ipv4Address;
  readonly remotePort: number;
  connection: TcpConnection;
}
type Ends = Omit<Entry, 'connection'>;

export interface TcpPorts {
  readonly link: GuestLink;
  readonly sockets: HostSockets;
  readonly clock: Clock;
  /** There may be a segment for the guest. */
  readonly onReady: () => void;
}

export class TcpForwarder {
  readonly #ports: TcpPorts;
  readonly #entries = new Map<string, Entry>();
  /** Those that may have something to send, in the order of their turns. */
  readonly #ready = new Set<Entry>();
  readonly #timer: Timer;
  #timerNs = Infinity;
  #opened = 0;

  constructor(ports: TcpPorts) {
    this.#ports = ports;
    this.#timer = ports.clock.timer('TCP', () => {
      this.#fireTimers();
    });
  }

  /** Something may come from the host, or the guest may be made to answer. */
  get isExpecting(): boolean {
    for (const { connection } of this.#entries.values()) if (!connection.isTimeWait) return true;
    return false;
  }

  /** Breaks every connection off on the host's side. */
  reset(): void {
    for (const { connection } of [...this.#entries.values()]) connection.abort();
    this.#ready.clear();
    this.#timer.cancel();
    this.#timerNs = Infinity;
  }

  /** A segment from a guest. */
  receive(packet: Ipv4Packet, segment: TcpSegment): void {
    const { source: guest, destination: remote } = packet;
    const { sourcePort: guestPort, destinationPort: remotePort } = segment;
    const ends: Ends = {
      key: [guest, guestPort, remote, remotePort].join(),
      guest,
      guestPort,
      remote,
      remotePort,
    };
    const isSyn = (segment.flags & (FLAG.SYN | FLAG.ACK | FLAG.RST)) === FLAG.SYN;
    const entry = this.#entries.get(ends.key);
    if (entry && !(isSyn && entry.connection.canGiveWayTo(segment))) {
      entry.connection.receive(segment);
      return;
    }
    entry?.connection.abort();
    if (isSyn) this.#accept(ends, packet, segment);
    else if ((segment.flags & FLAG.RST) === 0) this.#refuse(ends, segment);
  }

  /** Somebody has connected to a port of the host that is forwarded to the guest. */
  forward(socket: StreamSocket, peer: SocketAddress, guest: Ipv4Address, guestPort: number): StreamEvents {
    const remote = insideAddress(parseIpv4Address(peer.address));
    const ends = this.#freeEnds(guest, guestPort, remote, peer.port) ?? this.#ownEnds(guest, guestPort);
    if (!ends || !this.#hasRoom()) {
      socket.abort();
      return NO_EVENTS;
    }
    return this.#add(ends, undefined, (ports, sequence) => TcpConnection.open(ports, sequence, socket));
  }

  /** Guests have become known: who waits for one needn't. */
  guestFound(guest: Ipv4Address): void {
    for (const entry of this.#entries.values()) if (entry.guest === guest) entry.connection.retrySyn();
  }

  /** The next segment for a guest, in a frame of at most `maxBytes`. */
  next(maxBytes: number): NetworkFrame | undefined {
    const headerBytes = ETHERNET_BYTES + IP_BYTES + TCP_BYTES;
    for (const entry of this.#ready) {
      this.#ready.delete(entry);
      const { connection } = entry;
      const most = maxBytes > ETHERNET_FRAME_BYTES ? maxBytes - headerBytes : connection.maxSegmentBytes;
      const output = connection.next(most);
      if (!output) continue;
      // There may be more, after the others.
      this.#ready.add(entry);
      const frame = this.#frame(entry, output);
      if (frame) return frame;
    }
    return undefined;
  }

  #accept(ends: Ends, packet: Ipv4Packet, syn: TcpSegment): void {
    const to = this.#destination(ends);
    if (to === 'unreachable') {
      this.#tell(packet, UNREACHABLE.HOST);
    } else if (to === undefined || !this.#hasRoom()) {
      this.#refuse(ends, syn);
    } else {
      const quote = { source: packet.source, destination: packet.destination, quote: packet.quote.slice() };
      const fail = (failure: SocketFailure): void => {
        const code = ICMP_CODE[failure];
        if (code === undefined) this.#refuse(ends, syn);
        else this.#tell(quote, code);
      };
      this.#add(ends, fail, (ports, sequence) =>
        TcpConnection.accept(ports, sequence, syn, (events) => this.#ports.sockets.connect(to, events)),
      );
    }
  }

  /** Where a guest's connection leads to. Undefined where nobody listens. */
  #destination({ remote, remotePort }: Ends): SocketAddress | 'unreachable' | undefined {
    if (remotePort === 0) return undefined;
    if (remote === NAME_SERVER)
      return remotePort === DNS_PORT ? this.#ports.sockets.nameServers()[0] : undefined;
    const address = outsideAddress(remote, formatIpv4Address);
    return address === undefined ? 'unreachable' : { address, port: remotePort };
  }

  #add(
    ends: Ends,
    fail: ((failure: SocketFailure) => void) | undefined,
    make: (ports: TcpConnectionPorts, sequence: number) => TcpConnection,
  ): TcpConnection {
    let entry: Entry | undefined = undefined;
    // A connection may say so before it is known.
    let isReady = false;
    const nowNs = (): number => this.#ports.clock.nowNs();
    const ports: TcpConnectionPorts = {
      nowNs,
      bufferBytes: () => {
        const share = Math.floor(TOTAL_BUFFER_BYTES / Math.max(1, this.#entries.size));
        return Math.min(MAX_BUFFER_BYTES, Math.max(MIN_BUFFER_BYTES, share));
      },
      ready: () => {
        if (entry) this.#makeReady(entry);
        else isReady = true;
      },
      deadlineChanged: () => {
        if (entry) this.#watch(entry.connection.deadlineNs);
      },
      sendReset: (sequence, acknowledgment) => {
        this.#sendReset(ends, sequence, acknowledgment);
      },
      closed: () => {
        if (!entry || this.#entries.get(ends.key) !== entry) return;
        this.#entries.delete(ends.key);
        this.#ready.delete(entry);
      },
      unreachable: (failure) => fail?.(failure),
    };
    this.#opened++;
    const sequence = Math.floor(nowNs() / NS_PER_SEQUENCE) + this.#opened * SEQUENCE_STEP;
    const connection = make(ports, sequence % 2 ** 32);
    entry = { ...ends, connection };
    this.#entries.set(ends.key, entry);
    if (isReady) this.#makeReady(entry);
    return connection;
  }

  #makeReady(entry: Entry): void {
    if (entry.connection.isClosed) return;
    this.#ready.add(entry);
    this.#ports.onReady();
  }

  /** Room for one more connection, if need be at the expense of one that only waits. */
  #hasRoom(): boolean {
    if (this.#entries.size < MAX_CONNECTIONS) return true;
    for (const { connection } of this.#entries.values()) {
      if (!connection.isTimeWait) continue;
      connection.abort();
      return true;
    }
    return false;
  }

  #freeEnds(
    guest: Ipv4Address,
    guestPort: number,
    remote: Ipv4Address,
    remotePort: number,
  ): Ends | undefined {
    const key = [guest, guestPort, remote, remotePort].join();
    return this.#entries.has(key) ? undefined : { key, guest, guestPort, remote, remotePort };
  }

  /** Ends with a port of our own, where that of whoever connects is taken. */
  #ownEnds(guest: Ipv4Address, guestPort: number): Ends | undefined {
    const count = PORTS - FIRST_EPHEMERAL_PORT;
    for (let i = 0; i < count; i++) {
      const port = FIRST_EPHEMERAL_PORT + ((this.#opened + i) % count);
      const ends = this.#freeEnds(guest, guestPort, GATEWAY, port);
      if (ends) return ends;
    }
    return undefined;
  }

  #frame(entry: Entry, output: TcpOutput): NetworkFrame | undefined {
    const { guest, remote, connection } = entry;
    const mac = this.#ports.link.macOf(guest);
    if (mac === undefined) {
      // As if it had been lost: the timer, or the guest's answer, brings it back.
      this.#ports.link.ask(guest);
      return this.#ports.link.next();
    }
    const header: TcpHeader = { ...output, sourcePort: entry.remotePort, destinationPort: entry.guestPort };
    const headerBytes = tcpHeaderBytes(header);
    const bytes = ipv4Frame(
      mac,
      GATEWAY_MAC,
      {
        source: remote,
        destination: guest,
        protocol: PROTOCOL.TCP,
        identification: this.#ports.link.nextIdentification(),
      },
      headerBytes + output.payloadBytes,
    );
    const segment = bytes.subarray(ETHERNET_BYTES + IP_BYTES);
    if (output.payloadBytes > 0) connection.copyPayload(output, segment.subarray(headerBytes));
    writeTcpHeader(segment, remote, guest, header);
    return {
      bytes,
      checksum: { start: ETHERNET_BYTES + IP_BYTES, offset: CHECKSUM_OFFSET },
      ...(output.payloadBytes > connection.maxSegmentBytes
        ? { segmentBytes: connection.maxSegmentBytes }
        : {}),
    };
  }

  /** Nobody is there (RFC 9293 3.10.7.1). */
  #refuse(ends: Ends, segment: TcpSegment): void {
    const { flags, sequence, acknowledgment, payload } = segment;
    if ((flags & FLAG.ACK) !== 0) {
      this.#sendReset(ends, acknowledgment, undefined);
      return;
    }
    const length = payload.length + ((flags & FLAG.SYN) !== 0 ? 1 : 0) + ((flags & FLAG.FIN) !== 0 ? 1 : 0);
    this.#sendReset(ends, 0, (sequence + length) >>> 0);
  }

  #sendReset(ends: Ends, sequence: number, acknowledgment: number | undefined): void {
    const segment = new Uint8Array(TCP_BYTES);
    writeTcpHeader(segment, ends.remote, ends.guest, {
      sourcePort: ends.remotePort,
      destinationPort: ends.guestPort,
      sequence,
      acknowledgment: acknowledgment ?? 0,
      flags: FLAG.RST | (acknowledgment === undefined ? 0 : FLAG.ACK),
      window: 0,
      maxSegmentBytes: undefined,
      windowShift: undefined,
    });
    // That of the pseudo header is there.
    viewOf(segment).setUint16(CHECKSUM_OFFSET, 0xffff - sum16(segment));
    this.#ports.link.send(ends.remote, ends.guest, PROTOCOL.TCP, segment);
  }

  #tell(packet: Pick<Ipv4Packet, 'source' | 'quote'>, code: Unreachable): void {
    this.#ports.link.send(GATEWAY, packet.source, PROTOCOL.ICMP, unreachable(code, packet));
  }

  #watch(deadlineNs: number): void {
    if (deadlineNs >= this.#timerNs) return;
    this.#timerNs = deadlineNs;
    this.#timer.arm(deadlineNs);
  }

  #fireTimers(): void {
    this.#timerNs = Infinity;
    const nowNs = this.#ports.clock.nowNs();
    for (const { connection } of [...this.#entries.values()]) {
      if (connection.deadlineNs <= nowNs) connection.timer();
      if (!connection.isClosed) this.#watch(connection.deadlineNs);
    }
  }
}

const NO_EVENTS: StreamEvents = {
  connected: () => undefined,
  data: () => undefined,
  ended: () => undefined,
  drained: () => undefined,
  failed: () => undefined,
};
