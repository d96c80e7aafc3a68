/**
 * Sockets of the host, as networks use them. Nothing throws: failures are events, which come between guest instructions
 * and after the call that they belong to.
 */

/** An IP address in text, version 4 or 6, and a port. */
export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** Why there is no connection: nobody listens, there is no way, the host forbids it, no answer, or the peer broke it off. */
export type SocketFailure = 'refused' | 'unreachable' | 'prohibited' | 'timeout' | 'reset';

export interface StreamEvents {
  /** The connection that was asked for is there. */
  connected(): void;
  /** Bytes came, which are the receiver's. Not while paused. */
  data(bytes: Uint8Array): void;
  /** The peer sends no more. It may still receive. */
  ended(): void;
  /** The host has taken everything that was written: `pendingBytes` is 0. */
  drained(): void;
  /** There is no connection any more; nothing follows. */
  failed(failure: SocketFailure): void;
}

/** A TCP connection. */
export interface StreamSocket {
  /** Sends bytes, which are the socket's from now on. */
  write(bytes: Uint8Array): void;
  /** Bytes written that the host has not taken. */
  readonly pendingBytes: number;
  /** Sends no more, after what has been written. */
  end(): void;
  pause(): void;
  resume(): void;
  /** Breaks the connection off; no event follows. */
  abort(): void;
}

export interface StreamListener {
  readonly address: SocketAddress;
  /** Who is told of connections; until then they wait. `accept` returns what hears of the new one. */
  onConnection(accept: (socket: StreamSocket, peer: SocketAddress) => StreamEvents): void;
  close(): void;
}

/** A UDP socket. Datagrams get lost where the host has no room for them. */
export interface DatagramSocket {
  readonly address: SocketAddress;
  send(bytes: Uint8Array, to: SocketAddress): void;
  /** Who is told of datagrams, whose bytes are the receiver's; until then they are dropped. */
  onDatagram(receive: (bytes: Uint8Array, from: SocketAddress) => void): void;
  close(): void;
}

export interface HostSockets {
  connect(to: SocketAddress, events: StreamEvents): StreamSocket;
  /** A UDP socket on any free port, for peers with addresses of version 4 or 6. */
  openDatagrams(version: 4 | 6): DatagramSocket;
  /** The name servers that the host itself asks, the preferred one first. */
  nameServers(): readonly SocketAddress[];
}
