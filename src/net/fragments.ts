/** Puts fragments of IPv4 datagrams together again (RFC 791 3.2, RFC 815). */
import type { Clock } from '../bus/index.js';
import type { Ipv4Packet } from './ip.js';

/** Datagrams under way at once; the oldest gives way. */
const MAX_DATAGRAMS = 32;
const MAX_DATAGRAM_BYTES = 65_535;
/** No sender makes smaller ones without need: bounds the number of pieces. */
const MAX_FRAGMENTS = 512;
/** RFC 791 3.2 proposes 15 s; RFC 1122 3.3.2 at least 60 s. */
const LIFETIME_NS = 60e9;

interface Datagram {
  readonly expiresNs: number;
  readonly fragments: Map<number, Uint8Array>;
  /** In all fragments that came, so more than the datagram's when some overlap. */
  receivedBytes: number;
  quote: Uint8Array | undefined;
  totalBytes: number | undefined;
}

export class Reassembly {
  readonly #clock: Clock;
  readonly #datagrams = new Map<string, Datagram>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes a packet; returns it when it is whole, or the datagram that it completes. */
  add(packet: Ipv4Packet): Ipv4Packet | undefined {
    const { source, destination, protocol, identification, payload, fragmentOffset, hasMoreFragments } =
      packet;
    if (fragmentOffset === 0 && !hasMoreFragments) return packet;
    if (fragmentOffset + payload.length > MAX_DATAGRAM_BYTES) return undefined;
    // All but the last are multiples of 8 bytes.
    if (hasMoreFragments && (payload.length % 8 !== 0 || payload.length === 0)) return undefined;
    const key = [source, destination, protocol, identification].join();
    const datagram = this.#datagramOf(key);
    datagram.receivedBytes += payload.length;
    if (datagram.fragments.size >= MAX_FRAGMENTS || datagram.receivedBytes > 2 * MAX_DATAGRAM_BYTES) {
      this.#datagrams.delete(key);
      return undefined;
    }
    datagram.fragments.set(fragmentOffset, payload.slice());
    if (fragmentOffset === 0) datagram.quote = packet.quote.slice();
    if (!hasMoreFragments) datagram.totalBytes = fragmentOffset + payload.length;
    const whole = assemble(datagram);
    if (!whole) return undefined;
    this.#datagrams.delete(key);
    return { ...packet, payload: whole, quote: datagram.quote!, fragmentOffset: 0, hasMoreFragments: false };
  }

  #datagramOf(key: string): Datagram {
    const nowNs = this.#clock.nowNs();
    // In the order in which they began, so the first ones are the oldest.
    for (const [other, { expiresNs }] of this.#datagrams) {
      if (expiresNs > nowNs) break;
      this.#datagrams.delete(other);
    }
    const existing = this.#datagrams.get(key);
    if (existing) return existing;
    if (this.#datagrams.size >= MAX_DATAGRAMS) this.#datagrams.delete([...this.#datagrams.keys()][0]!);
    const fresh: Datagram = {
      expiresNs: nowNs + LIFETIME_NS,
      fragments: new Map(),
      receivedBytes: 0,
      quote: undefined,
      totalBytes: undefined,
    };
    this.#datagrams.set(key, fresh);
    return fresh;
  }
}

/** The payload of a datagram that has all its fragments, which may overlap. */
function assemble({ fragments, receivedBytes, totalBytes, quote }: Datagram): Uint8Array | undefined {
  if (totalBytes === undefined || !quote || receivedBytes < totalBytes) return undefined;
  const whole = new Uint8Array(totalBytes);
  let filled = 0;
  for (const [offset, piece] of [...fragments].sort(([a], [b]) => a - b)) {
    if (offset > filled || offset + piece.length > totalBytes) return undefined;
    whole.set(piece, offset);
    filled = Math.max(filled, offset + piece.length);
  }
  return filled === totalBytes ? whole : undefined;
}
