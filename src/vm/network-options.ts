/** What network a machine may have. Opening it is `network.ts`, which is loaded where there is one. */
import { parseIpv4Address } from '../net/ip.js';

export const MAX_PORT = 65_535;

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
