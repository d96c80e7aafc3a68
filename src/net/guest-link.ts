/** The wire to the guest: what waits to be sent on it, and who is on the other end (RFC 826). */
import type { NetworkFrame } from '../bus/index.js';
import { GATEWAY, GATEWAY_MAC, isGuestAddress, NAME_SERVER } from './addresses.js';
import {
  BROADCAST_ADDRESS,
  BROADCAST_MAC,
  ETHERNET_BYTES,
  ETHERTYPE,
  IP_BYTES,
  ipv4Frame,
  isGroupMac,
  macAt,
  MTU_BYTES,
  setEthernetHeader,
  setMac,
  viewOf,
  type Ipv4Address,
  type MacAddress,
} from './ip.js';

/** What waits at most; a guest that doesn't take its frames loses some, as on any wire. */
const MAX_WAITING_FRAMES = 512;
const MAX_WAITING_BYTES = 1024 * 1024;

const ARP_BYTES = 28;
const ARP_OPERATION = { REQUEST: 1, REPLY: 2 } as const;
/** Ethernet and IPv4, with lengths 6 and 4. */
const ARP_KIND = [0x0001, 0x0800, 0x0604];

export class GuestLink {
  readonly #onFrame: () => void;
  readonly #onGuest: (address: Ipv4Address) => void;
  readonly #neighbours = new Map<Ipv4Address, MacAddress>();
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #identification = 0;

  /** `onFrame` is called when something waits, `onGuest` when an address is heard of for the first time. */
  constructor(onFrame: () => void, onGuest: (address: Ipv4Address) => void) {
    this.#onFrame = onFrame;
    this.#onGuest = onGuest;
  }

  /** Nobody is known, nothing waits. */
  reset(): void {
    this.#neighbours.clear();
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** A guest with that address was heard of. */
  learn(address: Ipv4Address, mac: MacAddress): void {
    if (!isGuestAddress(address) || isGroupMac(mac)) return;
    const isNew = !this.#neighbours.has(address);
    this.#neighbours.set(address, mac);
    if (isNew) this.#onGuest(address);
  }

  macOf(address: Ipv4Address): MacAddress | undefined {
    return address === BROADCAST_ADDRESS ? BROADCAST_MAC : this.#neighbours.get(address);
  }

  nextIdentification(): number {
    this.#identification = (this.#identification + 1) & 0xffff;
    return this.#identification;
  }

  /** What waits and has waited longest. */
  next(): NetworkFrame | undefined {
    const bytes = this.#waiting.shift();
    if (!bytes) return undefined;
    this.#waitingBytes -= bytes.length;
    return { bytes };
  }

  /** Answers a question for one of our addresses, and remembers who asked or told. Bytes behind the header. */
  arp(bytes: Uint8Array): void {
    if (bytes.length < ARP_BYTES) return;
    const view = viewOf(bytes);
    if (ARP_KIND.some((value, index) => view.getUint16(2 * index) !== value)) return;
    const operation = view.getUint16(6);
    const [senderMac, sender, target] = [macAt(view, 8), view.getUint32(14), view.getUint32(24)];
    this.learn(sender, senderMac);
    if (operation !== ARP_OPERATION.REQUEST || (target !== GATEWAY && target !== NAME_SERVER)) return;
    this.#sendArp(ARP_OPERATION.REPLY, target, sender, senderMac);
  }

  /** Asks who has an address. */
  ask(address: Ipv4Address): void {
    this.#sendArp(ARP_OPERATION.REQUEST, GATEWAY, address, undefined);
  }

  /**
   * Sends a packet, in fragments when it is long. To `mac` where it is given; to a guest that nobody has heard of it
   * gets lost, and the guest is asked for.
   */
  send(
    source: Ipv4Address,
    destination: Ipv4Address,
    protocol: number,
    payload: Uint8Array,
    mac: MacAddress | undefined = this.macOf(destination),
  ): void {
    if (mac === undefined) {
      this.ask(destination);
      return;
    }
    const identification = this.nextIdentification();
    const most = Math.floor((MTU_BYTES - IP_BYTES) / 8) * 8;
    for (let offset = 0; offset === 0 || offset < payload.length; offset += most) {
      const piece = payload.subarray(offset, offset + most);
      const hasMore = offset + most < payload.length;
      const header = { source, destination, protocol, identification, fragment: { offset, hasMore } };
      const bytes = ipv4Frame(mac, GATEWAY_MAC, header, piece.length);
      bytes.set(piece, ETHERNET_BYTES + IP_BYTES);
      this.#queue(bytes);
    }
  }

  #sendArp(
    operation: number,
    sender: Ipv4Address,
    target: Ipv4Address,
    targetMac: MacAddress | undefined,
  ): void {
    const bytes = new Uint8Array(ETHERNET_BYTES + ARP_BYTES);
    const view = viewOf(bytes);
    setEthernetHeader(view, targetMac ?? BROADCAST_MAC, GATEWAY_MAC, ETHERTYPE.ARP);
    const at = ETHERNET_BYTES;
    ARP_KIND.forEach((value, index) => view.setUint16(at + 2 * index, value));
    view.setUint16(at + 6, operation);
    setMac(view, at + 8, GATEWAY_MAC);
    view.setUint32(at + 14, sender);
    setMac(view, at + 18, targetMac ?? 0);
    view.setUint32(at + 24, target);
    this.#queue(bytes);
  }

  #queue(bytes: Uint8Array): void {
    if (this.#waiting.length >= MAX_WAITING_FRAMES || this.#waitingBytes + bytes.length > MAX_WAITING_BYTES)
      return;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#onFrame();
  }
}
