/** Sockets of the host for networks of guests. */
import * as dgram from 'node:dgram';
import * as dns from 'node:dns';
import * as net from 'node:net';
import { UserError } from '../../base/index.js';
import type {
  DatagramSocket,
  HostSockets,
  SocketAddress,
  SocketFailure,
  StreamEvents,
  StreamListener,
  StreamSocket,
} from '../../bus/index.js';

const DNS_PORT = 53;
/** What a UDP socket may hold back; the rest is lost. */
const MAX_DATAGRAM_BACKLOG_BYTES = 1024 * 1024;
/** Connections that nobody has taken. */
const MAX_EARLY_CONNECTIONS = 128;

const FAILURES: Readonly<Record<string, SocketFailure>> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  ETIMEDOUT: 'timeout',
  EACCES: 'prohibited',
  EPERM: 'prohibited',
};

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** `onEvent` is called after each event: guests may have work. */
export function nodeSockets(onEvent: () => void, nameServers?: readonly SocketAddress[]): HostSockets {
  return {
    connect: (to, events) => {
      const socket = new Stream(
        net.connect({ host: to.address, port: to.port, allowHalfOpen: true }),
        onEvent,
      );
      socket.tell(events);
      return socket;
    },
    openDatagrams: (version) => new Datagrams(dgram.createSocket(version === 6 ? 'udp6' : 'udp4'), onEvent),
    nameServers: () => nameServers ?? dns.getServers().map(parseServer),
  };
}

/** As `dns.getServers` writes them: `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`. */
function parseServer(text: string): SocketAddress {
  const [, address = text, port] = /^\[(.*)\]:(\d+)$/.exec(text) ?? /^([^:]*):(\d+)$/.exec(text) ?? [];
  return { address, port: port === undefined ? DNS_PORT : Number(port) };
}

class Stream implements StreamSocket {
  readonly #socket: net.Socket;
  readonly #onEvent: () => void;
  #events: StreamEvents | undefined;
  pendingBytes = 0;

  constructor(socket: net.Socket, onEvent: () => void) {
    this.#socket = socket;
    this.#onEvent = onEvent;
    // The guest has done what there is to be done about small writes.
    socket.setNoDelay(true);
    socket.on('connect', () => {
      this.#emit((events) => {
        events.connected();
      });
    });
    socket.on('data', (bytes: Buffer) => {
      this.#emit((events) => {
        events.data(bytes);
      });
    });
    socket.on('end', () => {
      this.#emit((events) => {
        events.ended();
      });
    });
    socket.on('error', (error) => {
      this.#emit((events) => {
        events.failed(FAILURES[codeOf(error)] ?? 'reset');
      });
      this.#events = undefined;
    });
  }

  tell(events: StreamEvents): void {
    this.#events = events;
  }

  write(bytes: Uint8Array): void {
    this.pendingBytes += bytes.length;
    this.#socket.write(bytes, () => {
      this.pendingBytes -= bytes.length;
      if (this.pendingBytes > 0) return;
      this.#emit((events) => {
        events.drained();
      });
    });
  }

  end(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  abort(): void {
    this.#events = undefined;
    const socket = this.#socket;
    // What `resetAndDestroy` sets; but that ends the connection in order before, which the peer would take for its end.
    // A shutdown that is under way cannot be turned into a reset.
    const canReset = !socket.connecting && (!socket.writableEnded || socket.writableFinished);
    if (canReset) Object.assign(socket, { resetAndClosing: true });
    socket.destroy();
  }

  #emit(tell: (events: StreamEvents) => void): void {
    if (!this.#events) return;
    tell(this.#events);
    this.#onEvent();
  }
}

class Datagrams implements DatagramSocket {
  readonly #socket: dgram.Socket;
  #receive: ((bytes: Uint8Array, from: SocketAddress) => void) | undefined;
  #isClosed = false;

  constructor(socket: dgram.Socket, onEvent: () => void) {
    this.#socket = socket;
    socket.on('message', (bytes, { address, port }) => {
      if (!this.#receive) return;
      this.#receive(bytes, { address, port });
      onEvent();
    });
    // What can't be sent is lost.
    socket.on('error', () => undefined);
  }

  get address(): SocketAddress {
    const { address, port } = this.#socket.address();
    return { address, port };
  }

  send(bytes: Uint8Array, { address, port }: SocketAddress): void {
    if (this.#isClosed || this.#socket.getSendQueueSize() > MAX_DATAGRAM_BACKLOG_BYTES) return;
    this.#socket.send(bytes, port, address, () => undefined);
  }

  onDatagram(receive: (bytes: Uint8Array, from: SocketAddress) => void): void {
    this.#receive = receive;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#receive = undefined;
    this.#socket.close();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is taken',
  EACCES: 'permission denied',
  EADDRNOTAVAIL: 'the host has no such address',
};

function listenError(what: string, error: unknown): UserError {
  const reason = REASONS[codeOf(error)] ?? (error instanceof Error ? error.message : String(error));
  return new UserError('port', `${what}: ${reason}; accepted: a free port of the host, or 0 for any`, {
    cause: error,
  });
}

/**
 * Listens for TCP connections. `what` names in messages what it is for.
 *
 * @throws {UserError} `port`
 */
export async function listenStreams(
  what: string,
  { address, port }: SocketAddress,
  onEvent: () => void,
): Promise<StreamListener> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const early: { readonly stream: Stream; readonly peer: SocketAddress }[] = [];
  let accept: ((socket: StreamSocket, peer: SocketAddress) => StreamEvents) | undefined;
  server.on('connection', (socket) => {
    const peer = { address: socket.remoteAddress ?? address, port: socket.remotePort ?? 0 };
    const stream = new Stream(socket, onEvent);
    if (accept) {
      stream.tell(accept(stream, peer));
      onEvent();
    } else if (early.length < MAX_EARLY_CONNECTIONS) {
      early.push({ stream, peer });
    } else {
      stream.abort();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(listenError(what, error));
    });
    server.listen({ host: address, port }, resolve);
  });
  server.on('error', () => undefined);
  const bound = server.address() as net.AddressInfo;
  return {
    address: { address: bound.address, port: bound.port },
    onConnection: (taker) => {
      accept = taker;
      for (const { stream, peer } of early.splice(0)) stream.tell(taker(stream, peer));
    },
    close: () => {
      server.close();
      for (const { stream } of early.splice(0)) stream.abort();
    },
  };
}

/**
 * Binds a UDP socket. `what` names in messages what it is for.
 *
 * @throws {UserError} `port`
 */
export async function bindDatagrams(
  what: string,
  { address, port }: SocketAddress,
  onEvent: () => void,
): Promise<DatagramSocket> {
  const socket = dgram.createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      reject(listenError(what, error));
    });
    socket.bind(port, address, resolve);
  });
  return new Datagrams(socket, onEvent);
}
