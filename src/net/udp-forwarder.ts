/**
 * Datagrams between guests and the world (RFC 768). Each port that a guest sends from has a socket of the host's; answers
 * come back from any port of a host that it has sent to. Questions to the name server go to one that the host itself
 * asks, and to the next one when they are repeated.
 */
import type { Clock, DatagramSocket, HostSockets, Timer } from '../bus/index.js';
import { insideAddress, NAME_SERVER, outsideAddress } from './addresses.js';
import type { GuestLink } from './guest-link.js';
import { UNREACHABLE, type Unreachable } from './icmp.js';
import {
  formatIpv4Address,
  parseIpv4Address,
  PROTOCOL,
  pseudoHeaderSum,
  sum16,
  viewOf,
  type Ipv4Address,
  type Ipv4Packet,
} from './ip.js';

const HEADER_BYTES = 8;
export const DNS_PORT = 53;

/** Sockets at once; the one that has been idle longest gives way. */
const MAX_FLOWS = 1024;
/** Hosts that one guest's port may have answers from; the first one gives way. */
const MAX_PEERS = 256;
const IDLE_NS = 120e9;
/** So long after it has sent something a guest may wait for an answer. */
const ANSWER_NS = 5e9;

/** A datagram that is whole and right. */
export interface Datagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly data: Uint8Array;
}

/** Undefined for what is none. `isTrusted`: the checksum isn't looked at. */
export function parseUdp(
  { source, destination, payload }: Ipv4Packet,
  isTrusted: boolean,
): Datagram | undefined {
  if (payload.length < HEADER_BYTES) return undefined;
  const view = viewOf(payload);
  const length = view.getUint16(4);
  if (length < HEADER_BYTES || length > payload.length) return undefined;
  if (!isTrusted && view.getUint16(6) !== 0) {
    const pseudo = pseudoHeaderSum(source, destination, PROTOCOL.UDP, length);
    if (sum16(payload.subarray(0, length), pseudo) !== 0xffff) return undefined;
  }
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    data: payload.subarray(HEADER_BYTES, length),
  };
}

export function udpPayload(
  source: Ipv4Address,
  destination: Ipv4Address,
  { sourcePort, destinationPort, data }: Datagram,
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + data.length);
  const view = viewOf(bytes);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint16(4, bytes.length);
  bytes.set(data, HEADER_BYTES);
  const sum = sum16(bytes, pseudoHeaderSum(source, destination, PROTOCOL.UDP, bytes.length));
  // A sum of zero would mean that there is none.
  view.setUint16(6, sum === 0xffff ? 0xffff : 0xffff - sum);
  return bytes;
}

/** One port of a guest and its socket. */
interface Flow {
  readonly key: string;
  readonly guest: Ipv4Address;
  readonly guestPort: number;
  readonly socket: DatagramSocket;
  /** Stays, and takes datagrams from everybody: the user has asked for it. */
  readonly isForward: boolean;
  /** Hosts whose datagrams are for the guest. */
  readonly peers: Set<string>;
  usedNs: number;
}

/** Where a guest's port has questions answered. */
interface Resolution {
  readonly flow: Flow;
  readonly server: number;
  /** Identification of the last question. */
  readonly question: number;
}

export interface UdpPorts {
  readonly link: GuestLink;
  readonly sockets: HostSockets;
  readonly clock: Clock;
}

export class UdpForwarder {
  readonly #ports: UdpPorts;
  readonly #flows = new Map<string, Flow>();
  readonly #resolutions = new Map<string, Resolution>();
  /** Those that have sent and not got anything since, with the time until which that is worth waiting for. */
  readonly #awaiting = new Map<Flow, number>();
  readonly #idleTimer: Timer;
  #isTimerArmed = false;

  constructor(ports: UdpPorts) {
    this.#ports = ports;
    this.#idleTimer = ports.clock.timer('UDP idle', () => {
      this.#closeIdle();
    });
  }

  /** The guest may be waiting for a datagram. */
  get isExpecting(): boolean {
    const nowNs = this.#ports.clock.nowNs();
    for (const [flow, untilNs] of this.#awaiting) {
      if (untilNs > nowNs) return true;
      this.#awaiting.delete(flow);
    }
    return false;
  }

  /** Forgets everything but forwards. */
  reset(): void {
    for (const flow of [...this.#flows.values()]) if (!flow.isForward) this.#close(flow);
    this.#awaiting.clear();
  }

  close(): void {
    for (const flow of [...this.#flows.values()]) this.#close(flow);
    this.#idleTimer.cancel();
  }

  /** Datagrams that come to `socket` are for a port of the guest. */
  forward(socket: DatagramSocket, guest: Ipv4Address, guestPort: number): void {
    this.#open([guest, guestPort].join(), guest, guestPort, socket, true);
  }

  /** The guest sends. Returns what to tell it when that is in vain. */
  send({ source, destination }: Ipv4Packet, datagram: Datagram): Unreachable | undefined {
    if (destination === NAME_SERVER) {
      return datagram.destinationPort === DNS_PORT ? this.#resolve(source, datagram) : UNREACHABLE.PORT;
    }
    const address = outsideAddress(destination, formatIpv4Address);
    if (address === undefined) return UNREACHABLE.HOST;
    if (datagram.destinationPort === 0) return UNREACHABLE.PORT;
    const key = [source, datagram.sourcePort].join();
    const flow =
      this.#flows.get(key) ??
      this.#open(key, source, datagram.sourcePort, this.#ports.sockets.openDatagrams(4), false);
    this.#send(flow, datagram.data, address, datagram.destinationPort);
    return undefined;
  }

  #resolve(source: Ipv4Address, { sourcePort, data }: Datagram): Unreachable | undefined {
    const servers = this.#ports.sockets.nameServers();
    const key = ['dns', source, sourcePort].join();
    const before = this.#resolutions.get(key);
    const question = data.length < 2 ? -1 : viewOf(data).getUint16(0);
    const server =
      ((before?.server ?? 0) + (before?.question === question ? 1 : 0)) % Math.max(1, servers.length);
    const to = servers[server];
    if (!to) return UNREACHABLE.PORT;
    let flow = before?.flow;
    if (before?.server !== server) {
      if (flow) this.#close(flow);
      flow = undefined;
    }
    const version = to.address.includes(':') ? 6 : 4;
    flow ??= this.#open(key, source, sourcePort, this.#ports.sockets.openDatagrams(version), false);
    this.#resolutions.set(key, { flow, server, question });
    this.#send(flow, data, to.address, to.port);
    return undefined;
  }

  #open(
    key: string,
    guest: Ipv4Address,
    guestPort: number,
    socket: DatagramSocket,
    isForward: boolean,
  ): Flow {
    if (this.#flows.size >= MAX_FLOWS) this.#closeLongestIdle();
    const flow: Flow = { key, guest, guestPort, socket, isForward, peers: new Set(), usedNs: 0 };
    this.#flows.set(key, flow);
    socket.onDatagram((data, { address, port }) => {
      if (!isForward && !flow.peers.has(address)) return;
      const isAnswer = this.#resolutions.get(key)?.flow === flow;
      const source = isAnswer ? NAME_SERVER : insideAddress(parseIpv4Address(address));
      this.#touch(flow);
      this.#awaiting.delete(flow);
      const sourcePort = isAnswer ? DNS_PORT : port;
      const datagram: Datagram = { sourcePort, destinationPort: guestPort, data };
      this.#ports.link.send(source, guest, PROTOCOL.UDP, udpPayload(source, guest, datagram));
    });
    return flow;
  }

  #send(flow: Flow, data: Uint8Array, address: string, port: number): void {
    if (!flow.peers.has(address) && flow.peers.size >= MAX_PEERS) {
      flow.peers.delete([...flow.peers][0]!);
    }
    flow.peers.add(address);
    this.#touch(flow);
    this.#awaiting.set(flow, flow.usedNs + ANSWER_NS);
    flow.socket.send(data, { address, port });
  }

  /** Flows are in the order of their last use. */
  #touch(flow: Flow): void {
    flow.usedNs = this.#ports.clock.nowNs();
    this.#flows.delete(flow.key);
    this.#flows.set(flow.key, flow);
    if (this.#isTimerArmed) return;
    this.#isTimerArmed = true;
    this.#idleTimer.arm(flow.usedNs + IDLE_NS);
  }

  #close(flow: Flow): void {
    this.#flows.delete(flow.key);
    this.#resolutions.delete(flow.key);
    this.#awaiting.delete(flow);
    flow.socket.close();
  }

  #closeLongestIdle(): void {
    for (const flow of this.#flows.values()) {
      if (flow.isForward) continue;
      this.#close(flow);
      return;
    }
  }

  #closeIdle(): void {
    const beforeNs = this.#ports.clock.nowNs() - IDLE_NS;
    let nextNs = Infinity;
    for (const flow of [...this.#flows.values()]) {
      if (flow.isForward) continue;
      if (flow.usedNs <= beforeNs) this.#close(flow);
      else nextNs = Math.min(nextNs, flow.usedNs + IDLE_NS);
    }
    this.#isTimerArmed = nextNs < Infinity;
    if (this.#isTimerArmed) this.#idleTimer.arm(nextNs);
  }
}
