/** Who is who on the network that a guest sees: the addresses of QEMU's user network. */
import type { Ipv4Address, MacAddress } from './ip.js';

const octets = (a: number, b: number, c: number, d: number): Ipv4Address =>
  ((a * 256 + b) * 256 + c) * 256 + d;

const PREFIX = octets(10, 0, 2, 0);
export const NETMASK: Ipv4Address = octets(255, 255, 255, 0);

/** The router, and the host itself: its services on 127.0.0.1 are reached there. */
export const GATEWAY: Ipv4Address = octets(10, 0, 2, 2);
/** The name server. */
export const NAME_SERVER: Ipv4Address = octets(10, 0, 2, 3);
/** What DHCP gives to the first client; others get the following ones. */
export const FIRST_GUEST: Ipv4Address = octets(10, 0, 2, 15);

/** Both of ours have the same Ethernet address: a locally administered one. */
export const GATEWAY_MAC: MacAddress = 0x52_55_0a_00_02_02;

const LOOPBACK = '127.0.0.1';
const LOOPBACK_PREFIX = 127;

export function isOnNetwork(address: Ipv4Address): boolean {
  return Math.floor(address / 256) * 256 === PREFIX;
}

/** An address that a guest may have. */
export function isGuestAddress(address: Ipv4Address): boolean {
  const host = address - PREFIX;
  return isOnNetwork(address) && host !== 0 && host !== 255 && address !== GATEWAY && address !== NAME_SERVER;
}

/** Everything that more than one host has, or none. */
export function isSpecial(address: Ipv4Address): boolean {
  const first = Math.floor(address / 2 ** 24);
  return first === 0 || first === LOOPBACK_PREFIX || first >= 224;
}

/** How the host knows an address that a guest writes to. Undefined: nobody outside has it. */
export function outsideAddress(
  address: Ipv4Address,
  format: (address: Ipv4Address) => string,
): string | undefined {
  if (address === GATEWAY) return LOOPBACK;
  return isOnNetwork(address) || isSpecial(address) ? undefined : format(address);
}

/** How a guest knows an address of the host's world. */
export function insideAddress(address: Ipv4Address | undefined): Ipv4Address {
  const isSame = address !== undefined && !isOnNetwork(address) && !isSpecial(address);
  return isSame ? address : GATEWAY;
}
