import { UserError } from '../base/index.js';
import type { Clock, DatagramSocket, SocketAddress, StreamListener } from '../bus/index.js';
import { OutputFile } from '../host/node/output-file.js';
import { bindDatagrams, listenStreams, nodeSockets } from '../host/node/sockets.js';
import { parseIpv4Address } from '../net/ip.js';
import { pcapHeader, pcapRecord } from '../net/pcap.js';
import { DEFAULT_GUEST, UserNetwork } from '../net/user-network.js';
import {
  HOST_NAME_SYNTAX, isHostName, isIpv4, isMac, isPort, isServer, MAC_SYNTAX, MAX_PORT, SERVER_SYNTAX, type NetworkOptions, type PortForward,
} from './network-options.js'; // prettier-ignore
import type { OutsideWorld } from './outside-world.js';

/** QEMU's first card has it too. */
const DEFAULT_MAC = '52:54:00:12:34:56';
const DNS_PORT = 53;

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
