import { UserError } from '../base/index.js';
import type { Clock, DatagramSocket, SocketAddress, StreamListener } from '../bus/index.js';
import { OutputFile } from '../host/node/output-file.js';
import { bindDatagrams, listenStreams, nodeSockets } from '../host/node/sockets.js';
import { parseIpv4Address } from '../net/ip.js';
import { pcapHeader, pcapRecord } from '../net/pcap.js';
import { DEFAULT_GUEST, UserNetwork } from '../net/user-network.js';
import type { OutsideWorld } from './outside-world.js';

/**
 * A network card of a machine, on a network that needs no rights on the host. As in QEMU's user network the guest is
 * 10.0.2.15, which DHCP tells it; 10.0.2.2 is the router and leads to the host's own 127.0.0.1; 10.0.2.3 is a name
 * server, which asks those of the host.
 */
export interface NetworkOptions {
  /** The card's address, `52:54:00:12:34:56` when left out. */
  readonly mac?: string;
  /** Ports of the host that lead to the guest. */
  readonly forwards?: readonly PortForward[];
  /** What DHCP tells the guest that it is called; up to 255 letters, digits, dots and hyphens. */
  readonly hostName?: string;
  /** The server that names are asked of, an IPv4 address with or without `:port`. Left out: the host's. */
  readonly nameServer?: string;
  /** A file for everything on the wire, in the format of tcpdump; made or replaced when the first frame passes. */
  readonly pcap?: string;
}

/** A port of the host that leads to the guest. */
export interface PortForward {
  /** `tcp` when left out. */
  readonly protocol?: 'tcp' | 'udp';
  /** Address of the host, IPv4; all when left out. */
  readonly hostAddress?: string;
  /** 0 for any that is free: which it is is in `Machine.notices`. */
  readonly hostPort: number;
  /** 10.0.2.15 when left out. */
  readonly guestAddress?: string;
  readonly guestPort: number;
}

/** QEMU's first card has it too. */
const DEFAULT_MAC = '52:54:00:12:34:56';
const DNS_PORT = 53;
const MAX_PORT = 65_535;

/** What a network needs of the machine. */
interface NetworkSurroundings {
  readonly clock: Clock;
  readonly epochSeconds: number;
  readonly outside: OutsideWorld;
}

/** A network whose sockets and files are open. */
export interface OpenNetwork {
  readonly mac: Uint8Array;
  readonly notices: readonly string[];
  /** Puts it into a machine, once. */
  attach(surroundings: NetworkSurroundings): UserNetwork;
  /** Gives up the sockets and files. Calling it again does nothing. */
  close(): void;
}

/**
 * Opens what a network needs on the host.
 *
 * @throws {UserError} `option`, `port`, `file-unwritable`
 */
export async function openNetwork(options: NetworkOptions): Promise<OpenNetwork> {
  const mac = macOf(options.mac ?? DEFAULT_MAC);
  const hostName = options.hostName ?? '';
  if (!isHostName(hostName) && hostName !== '') refuse('hostName', hostName, HOST_NAME_SYNTAX);
  const nameServers = options.nameServer === undefined ? undefined : [serverOf(options.nameServer)];
  const forwards = (options.forwards ?? []).map(checkForward);
  const opened = new Opened(mac, hostName, nameServers);
  try {
    if (options.pcap !== undefined) opened.openCapture(options.pcap);
    for (const forward of forwards) await opened.listen(forward);
    return opened;
  } catch (error) {
    opened.close();
    throw error;
  }
}

interface CheckedForward {
  readonly protocol: 'tcp' | 'udp';
  readonly host: { readonly address: string; readonly port: number };
  readonly guest: number;
  readonly guestPort: number;
}

class Opened implements OpenNetwork {
  readonly mac: Uint8Array;
  readonly notices: string[] = [];
  readonly #hostName: string;
  readonly #nameServers: readonly SocketAddress[] | undefined;
  readonly #listeners: { readonly forward: CheckedForward; readonly listener: StreamListener }[] = [];
  readonly #datagrams: { readonly forward: CheckedForward; readonly socket: DatagramSocket }[] = [];
  #capture: OutputFile | undefined;
  #network: UserNetwork | undefined;
  #onEvent: () => void = () => undefined;

  constructor(mac: Uint8Array, hostName: string, nameServers: readonly SocketAddress[] | undefined) {
    this.mac = mac;
    this.#hostName = hostName;
    this.#nameServers = nameServers;
  }

  openCapture(path: string): void {
    this.#capture = new OutputFile('pcap', path);
  }

  async listen(forward: CheckedForward): Promise<void> {
    const { protocol, host, guestPort } = forward;
    const what = `hostfwd ${protocol}:${host.address}:${host.port}`;
    const onEvent = (): void => {
      this.#onEvent();
    };
    let port: number;
    if (protocol === 'tcp') {
      const listener = await listenStreams(what, host, onEvent);
      this.#listeners.push({ forward, listener });
      port = listener.address.port;
    } else {
      const socket = await bindDatagrams(what, host, onEvent);
      this.#datagrams.push({ forward, socket });
      port = socket.address.port;
    }
    if (host.port === 0) this.notices.push(`${what} is port ${port}, for port ${guestPort} of the guest`);
  }

  attach({ clock, epochSeconds, outside }: NetworkSurroundings): UserNetwork {
    this.#onEvent = outside.notify;
    const capture = this.#capture && captureTo(this.#capture, clock, epochSeconds, outside.report);
    const network = new UserNetwork(this.#hostName, {
      sockets: nodeSockets(outside.notify, this.#nameServers),
      clock,
      ...(capture ? { capture } : {}),
    });
    this.#network = network;
    for (const { forward, listener } of this.#listeners) {
      listener.onConnection((socket, peer) =>
        network.forwardStream(socket, peer, forward.guest, forward.guestPort),
      );
    }
    for (const { forward, socket } of this.#datagrams) {
      network.forwardDatagrams(socket, forward.guest, forward.guestPort);
    }
    // Who listens on a port of the host may be spoken to at any time.
    const hasForwards = this.#listeners.length + this.#datagrams.length > 0;
    outside.add(() => hasForwards || network.isExpecting);
    return network;
  }

  close(): void {
    for (const { listener } of this.#listeners.splice(0)) listener.close();
    for (const { socket } of this.#datagrams.splice(0)) socket.close();
    this.#network?.close();
    this.#network = undefined;
    this.#capture?.close();
    this.#capture = undefined;
  }
}

/** Writes frames to a file until that fails. */
function captureTo(
  file: OutputFile,
  clock: Clock,
  epochSeconds: number,
  report: (line: string) => void,
): (frame: Uint8Array) => void {
  let state: 'new' | 'begun' | 'failed' = 'new';
  return (frame) => {
    if (state === 'failed') return;
    try {
      if (state === 'new') {
        file.begin();
        file.write(pcapHeader());
        state = 'begun';
      }
      file.write(pcapRecord(epochSeconds, clock.nowNs(), frame));
    } catch (error) {
      state = 'failed';
      report(`${error instanceof Error ? error.message : String(error)}; the capture ends here`);
    }
  };
}

function refuse(option: string, value: string | number, accepted: string): never {
  throw new UserError('option', `network ${option} ${value}: accepted: ${accepted}`);
}

export const MAC_SYNTAX = 'six pairs of hexadecimal digits for one card, such as 52:54:00:12:34:56';
export const HOST_NAME_SYNTAX = 'up to 255 letters, digits, dots and hyphens';
export const SERVER_SYNTAX = 'an IPv4 address with or without a port, such as 192.0.2.1:53';

/** An address of one card: neither of a group nor zero. */
export function isMac(text: string): boolean {
  const isAddress = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text);
  return isAddress && parseInt(text, 16) % 2 === 0 && !/^[0:]*$/.test(text);
}

export function isHostName(text: string): boolean {
  return /^[A-Za-z0-9.-]{1,255}$/.test(text);
}

/** `192.0.2.1` or `192.0.2.1:5353`. */
export function isServer(text: string): boolean {
  const [address = '', port, ...more] = text.split(':');
  return (
    parseIpv4Address(address) !== undefined && (port === undefined || isPort(port, 1)) && more.length === 0
  );
}

/** A port in decimal. */
export function isPort(text: string, least: 0 | 1): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= least && Number(text) <= MAX_PORT;
}

export function isIpv4(text: string): boolean {
  return parseIpv4Address(text) !== undefined;
}

function macOf(text: string): Uint8Array {
  if (!isMac(text)) refuse('mac', text, MAC_SYNTAX);
  return Uint8Array.from(text.split(':'), (pair) => parseInt(pair, 16));
}

function serverOf(text: string): SocketAddress {
  if (!isServer(text)) refuse('nameServer', text, SERVER_SYNTAX);
  const [address = '', port] = text.split(':');
  return { address, port: port === undefined ? DNS_PORT : Number(port) };
}

function checkForward({
  protocol,
  hostAddress,
  hostPort,
  guestAddress,
  guestPort,
}: PortForward): CheckedForward {
  const words: readonly (string | undefined)[] = ['tcp', 'udp', undefined];
  if (!words.includes(protocol)) refuse('forward protocol', String(protocol), 'tcp, udp');
  for (const [name, address] of [
    ['hostAddress', hostAddress],
    ['guestAddress', guestAddress],
  ] as const) {
    if (address !== undefined && !isIpv4(address)) refuse(`forward ${name}`, address, 'an IPv4 address');
  }
  if (!isPort(String(hostPort), 0)) refuse('forward hostPort', hostPort, `0 to ${MAX_PORT}`);
  if (!isPort(String(guestPort), 1)) refuse('forward guestPort', guestPort, `1 to ${MAX_PORT}`);
  return {
    protocol: protocol ?? 'tcp',
    host: { address: hostAddress ?? '0.0.0.0', port: hostPort },
    guest: (guestAddress === undefined ? undefined : parseIpv4Address(guestAddress)) ?? DEFAULT_GUEST,
    guestPort,
  };
}
