/** IPv4 packets, Ethernet headers and the checksum that all of them share (RFC 791, RFC 894, RFC 1071). */

/** An IPv4 address as a number, the first octet highest. */
export type Ipv4Address = number;
/** An Ethernet address as a number, the first octet highest. */
export type MacAddress = number;

export const BROADCAST_MAC: MacAddress = 0xffff_ffff_ffff;
export const BROADCAST_ADDRESS: Ipv4Address = 0xffff_ffff;

export const ETHERTYPE = { IPV4: 0x0800, ARP: 0x0806 } as const;
export const PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17 } as const;

export const ETHERNET_BYTES = 14;
export const IP_BYTES = 20;
/** Bytes of a packet on a wire whose frames hold 1,500. */
export const MTU_BYTES = 1500;
const TTL = 64;

/** `10.0.2.15`. Undefined for other text. */
export function parseIpv4Address(text: string): Ipv4Address | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (!parts || parts.some((part) => part > 255)) return undefined;
  return parts.reduce((address, part) => address * 256 + part, 0);
}

export function formatIpv4Address(address: Ipv4Address): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function macAt(view: DataView, offset: number): MacAddress {
  return view.getUint16(offset) * 2 ** 32 + view.getUint32(offset + 2);
}

export function setMac(view: DataView, offset: number, mac: MacAddress): void {
  view.setUint16(offset, Math.floor(mac / 2 ** 32));
  view.setUint32(offset + 2, mac % 2 ** 32);
}

/** True for a group of receivers, all of them included. */
export function isGroupMac(mac: MacAddress): boolean {
  return Math.floor(mac / 2 ** 40) % 2 === 1;
}

/** The ones' complement sum of 16-bit words, a last byte being the high half of one, folded to 16 bits (RFC 1071). */
export function sum16(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  const even = bytes.length & ~1;
  for (let i = 0; i < even; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  if (even < bytes.length) sum += bytes[even]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** What checksums of TCP and UDP begin with (RFC 9293 3.1, RFC 768). */
export function pseudoHeaderSum(
  source: Ipv4Address,
  destination: Ipv4Address,
  protocol: number,
  payloadBytes: number,
): number {
  const sum =
    (source >>> 16) +
    (source & 0xffff) +
    (destination >>> 16) +
    (destination & 0xffff) +
    protocol +
    payloadBytes;
  return sum16(new Uint8Array(), sum);
}

export interface Ipv4Packet {
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly identification: number;
  /** Of the payload in that of the whole datagram, in bytes. */
  readonly fragmentOffset: number;
  readonly hasMoreFragments: boolean;
  /** Header and the first 8 bytes of the payload: what ICMP errors quote (RFC 792). */
  readonly quote: Uint8Array;
}

/** Undefined for what is no whole packet with a right header. Bytes behind it are padding. */
export function parseIpv4(bytes: Uint8Array): Ipv4Packet | undefined {
  if (bytes.length < IP_BYTES || bytes[0]! >> 4 !== 4) return undefined;
  const view = viewOf(bytes);
  const headerBytes = (bytes[0]! & 0xf) * 4;
  const totalBytes = view.getUint16(2);
  if (headerBytes < IP_BYTES || totalBytes < headerBytes || totalBytes > bytes.length) return undefined;
  if (sum16(bytes.subarray(0, headerBytes)) !== 0xffff) return undefined;
  const fragment = view.getUint16(6);
  return {
    source: view.getUint32(12),
    destination: view.getUint32(16),
    protocol: bytes[9]!,
    payload: bytes.subarray(headerBytes, totalBytes),
    identification: view.getUint16(4),
    fragmentOffset: (fragment & 0x1fff) * 8,
    hasMoreFragments: (fragment & 0x2000) !== 0,
    quote: bytes.subarray(0, Math.min(totalBytes, headerBytes + 8)),
  };
}

export interface Ipv4Header {
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly protocol: number;
  readonly identification: number;
  /** In bytes, and whether more fragments follow; left out for a packet that is no fragment. */
  readonly fragment?: { readonly offset: number; readonly hasMore: boolean };
}

/** A frame with an IPv4 packet, whose payload is still to be filled in from `ETHERNET_BYTES + IP_BYTES` on. */
export function ipv4Frame(
  to: MacAddress,
  from: MacAddress,
  header: Ipv4Header,
  payloadBytes: number,
): Uint8Array {
  const bytes = new Uint8Array(ETHERNET_BYTES + IP_BYTES + payloadBytes);
  const view = viewOf(bytes);
  setEthernetHeader(view, to, from, ETHERTYPE.IPV4);
  const at = ETHERNET_BYTES;
  view.setUint8(at, 0x45);
  view.setUint16(at + 2, IP_BYTES + payloadBytes);
  view.setUint16(at + 4, header.identification);
  const { fragment } = header;
  view.setUint16(at + 6, fragment ? fragment.offset / 8 + (fragment.hasMore ? 0x2000 : 0) : 0);
  view.setUint8(at + 8, TTL);
  view.setUint8(at + 9, header.protocol);
  view.setUint32(at + 12, header.source);
  view.setUint32(at + 16, header.destination);
  view.setUint16(at + 10, 0xffff - sum16(bytes.subarray(at, at + IP_BYTES)));
  return bytes;
}

export function setEthernetHeader(view: DataView, to: MacAddress, from: MacAddress, type: number): void {
  setMac(view, 0, to);
  setMac(view, 6, from);
  view.setUint16(12, type);
}
