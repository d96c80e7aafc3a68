/**
 * A network for one guest that needs no rights on the host: a router that turns what the guest sends into sockets of the
 * host's, with DHCP and a name server. Addresses are those of QEMU's user network: the guest is 10.0.2.15, the router and
 * the host itself 10.0.2.2, the name server 10.0.2.3.
 *
 * Frames for the guest are made when its card asks for one (`receive`): datagrams and answers that wait first, then the
 * TCP connections by turns.
 *
 * @deviation IPv4 only. Echo requests are answered by the router and the name server; what is further away is reported
 * as prohibited, since echo needs rights on the host. Refused datagrams are lost in silence.
 */
import type {
  Clock,
  DatagramSocket,
  HostSockets,
  NetworkFrame,
  NetworkPort,
  SocketAddress,
  StreamEvents,
  StreamSocket,
} from '../bus/index.js';
import {
  FIRST_GUEST,
  GATEWAY,
  GATEWAY_MAC,
  isGuestAddress,
  isOnNetwork,
  isSpecial,
  NAME_SERVER,
} from './addresses.js';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpServer } from './dhcp.js';
import { Reassembly } from './fragments.js';
import { GuestLink } from './guest-link.js';
import { echoReply, isEchoRequest, UNREACHABLE, unreachable, type Unreachable } from './icmp.js';
import {
  BROADCAST_ADDRESS,
  BROADCAST_MAC,
  ETHERNET_BYTES,
  ETHERTYPE,
  macAt,
  parseIpv4,
  PROTOCOL,
  viewOf,
  type Ipv4Address,
  type Ipv4Packet,
} from './ip.js';
import { TcpForwarder } from './tcp-forwarder.js';
import { parseTcp } from './tcp-segment.js';
import { parseUdp, udpPayload, UdpForwarder, type Datagram } from './udp-forwarder.js';

export interface UserNetworkPorts {
  readonly sockets: HostSockets;
  readonly clock: Clock;
  /** Every frame of both directions, borrowed. */
  readonly capture?: (bytes: Uint8Array) => void;
}

export class UserNetwork implements NetworkPort {
  readonly #capture: ((bytes: Uint8Array) => void) | undefined;
  readonly #link: GuestLink;
  readonly #dhcp: DhcpServer;
  readonly #reassembly: Reassembly;
  readonly #udp: UdpForwarder;
  readonly #tcp: TcpForwarder;
  #onFrame: (() => void) | undefined;

  /** `hostName`: what DHCP tells the guest that it is called; empty for nothing. */
  constructor(hostName: string, { sockets, clock, capture }: UserNetworkPorts) {
    this.#capture = capture;
    const onReady = (): void => this.#onFrame?.();
    const link = new GuestLink(onReady, (address) => {
      this.#tcp.guestFound(address);
    });
    this.#link = link;
    this.#dhcp = new DhcpServer(hostName);
    this.#reassembly = new Reassembly(clock);
    this.#udp = new UdpForwarder({ link, sockets, clock });
    this.#tcp = new TcpForwarder({ link, sockets, clock, onReady });
  }

  connect(onFrame: () => void): void {
    this.#onFrame = onFrame;
  }

  send({ bytes, checksum }: NetworkFrame): void {
    this.#capture?.(bytes);
    if (bytes.length < ETHERNET_BYTES) return;
    const view = viewOf(bytes);
    const to = macAt(view, 0);
    // A guest may have several cards' worth of addresses, and bridge between them.
    if (to !== GATEWAY_MAC && to !== BROADCAST_MAC) return;
    const content = bytes.subarray(ETHERNET_BYTES);
    switch (view.getUint16(12)) {
      case ETHERTYPE.ARP: {
        this.#link.arp(content);
        return;
      }
      case ETHERTYPE.IPV4: {
        const packet = parseIpv4(content);
        if (!packet) return;
        this.#link.learn(packet.source, macAt(view, 6));
        const whole = this.#reassembly.add(packet);
        // A guest that left a checksum to us has not sent a fragment.
        if (whole) this.#route(whole, checksum !== undefined);
        return;
      }
      default:
        return;
    }
  }

  receive(maxBytes: number): NetworkFrame | undefined {
    const frame = this.#link.next() ?? this.#tcp.next(maxBytes);
    if (frame) this.#capture?.(frame.bytes);
    return frame;
  }

  /** Somebody has connected to a port of the host that is forwarded to the guest. Returns what hears of the socket. */
  forwardStream(socket: StreamSocket, peer: SocketAddress, guest: Ipv4Address, port: number): StreamEvents {
    return this.#tcp.forward(socket, peer, guest, port);
  }

  /** Datagrams that come to `socket`, which is the network's from now on, are for a port of the guest. */
  forwardDatagrams(socket: DatagramSocket, guest: Ipv4Address, port: number): void {
    this.#udp.forward(socket, guest, port);
  }

  /** Something may come from the host's sockets that the guest waits for. */
  get isExpecting(): boolean {
    return this.#tcp.isExpecting || this.#udp.isExpecting;
  }

  /** The guest was reset: its connections are broken off. Forwards stay. */
  reset(): void {
    this.#tcp.reset();
    this.#udp.reset();
    this.#link.reset();
  }

  /** Lets go of all sockets. */
  close(): void {
    this.#tcp.reset();
    this.#udp.close();
  }

  #route(packet: Ipv4Packet, isTrusted: boolean): void {
    const { source, destination, protocol } = packet;
    if (protocol === PROTOCOL.UDP) {
      const datagram = parseUdp(packet, isTrusted);
      if (datagram) this.#routeDatagram(packet, datagram);
      return;
    }
    if (!isGuestAddress(source)) return;
    if (protocol === PROTOCOL.TCP) {
      const segment = parseTcp(packet, isTrusted);
      if (segment && !isSpecial(destination)) this.#tcp.receive(packet, segment);
    } else if (protocol === PROTOCOL.ICMP) {
      this.#routeIcmp(packet);
    } else {
      this.#tell(packet, UNREACHABLE.PROTOCOL);
    }
  }

  #routeDatagram(packet: Ipv4Packet, datagram: Datagram): void {
    const { source, destination } = packet;
    if (datagram.destinationPort === DHCP_SERVER_PORT && [BROADCAST_ADDRESS, GATEWAY].includes(destination)) {
      this.#answerDhcp(datagram);
      return;
    }
    if (!isGuestAddress(source)) return;
    const problem = this.#udp.send(packet, datagram);
    if (problem !== undefined) this.#tell(packet, problem);
  }

  #answerDhcp({ data }: Datagram): void {
    const reply = this.#dhcp.answer(data);
    if (!reply) return;
    const datagram = { sourcePort: DHCP_SERVER_PORT, destinationPort: DHCP_CLIENT_PORT, data: reply.message };
    const payload = udpPayload(GATEWAY, reply.address, datagram);
    this.#link.send(GATEWAY, reply.address, PROTOCOL.UDP, payload, reply.mac);
  }

  #routeIcmp(packet: Ipv4Packet): void {
    const { source, destination, payload } = packet;
    if (!isEchoRequest(payload)) return;
    if (destination === GATEWAY || destination === NAME_SERVER) {
      this.#link.send(destination, source, PROTOCOL.ICMP, echoReply(payload));
    } else {
      this.#tell(packet, isOnNetwork(destination) ? UNREACHABLE.HOST : UNREACHABLE.PROHIBITED);
    }
  }

  /** Tells a guest that a packet went nowhere; never about one to many (RFC 1122 3.2.2). */
  #tell(packet: Ipv4Packet, code: Unreachable): void {
    if (isSpecial(packet.destination)) return;
    this.#link.send(GATEWAY, packet.source, PROTOCOL.ICMP, unreachable(code, packet));
  }
}

/** The guest that forwards lead to where none is named. */
export const DEFAULT_GUEST = FIRST_GUEST;
