/** A DHCP server (RFC 2131, options RFC 2132) that gives every card the same address each time. */
import { FIRST_GUEST, GATEWAY, NAME_SERVER, NETMASK } from './addresses.js';
import { BROADCAST_ADDRESS, BROADCAST_MAC, macAt, viewOf, type Ipv4Address, type MacAddress } from './ip.js';

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

/** Cards that get addresses. */
const MAX_CLIENTS = 16;
const LEASE_SECONDS = 86_400;

const OP = { REQUEST: 1, REPLY: 2 } as const;
const MESSAGE = {
  DISCOVER: 1,
  OFFER: 2,
  REQUEST: 3,
  DECLINE: 4,
  ACK: 5,
  NAK: 6,
  RELEASE: 7,
  INFORM: 8,
} as const;
const OPTION = {
  PAD: 0,
  NETMASK: 1,
  ROUTER: 3,
  NAME_SERVER: 6,
  HOST_NAME: 12,
  REQUESTED_ADDRESS: 50,
  LEASE_TIME: 51,
  MESSAGE_TYPE: 53,
  SERVER: 54,
  RENEWAL_TIME: 58,
  REBINDING_TIME: 59,
  END: 255,
} as const;

/** RFC 2131 2, figure 1. */
const AT = {
  op: 0,
  htype: 1,
  hlen: 2,
  flags: 10,
  ciaddr: 12,
  yiaddr: 16,
  siaddr: 20,
  giaddr: 24,
  chaddr: 28,
} as const;
const COOKIE_AT = 236;
const COOKIE = 0x63_82_53_63;
const OPTIONS_AT = 240;
/** RFC 951 wants replies of 300 bytes at least. */
const REPLY_BYTES = 300;
const FLAG_BROADCAST = 0x8000;

export interface DhcpReply {
  readonly message: Uint8Array;
  readonly address: Ipv4Address;
  readonly mac: MacAddress;
}

export class DhcpServer {
  readonly #hostName: Uint8Array;
  readonly #clients: MacAddress[] = [];

  /** `hostName` is what clients are told that they are called; up to 255 characters of ASCII. Empty: they aren't. */
  constructor(hostName: string) {
    this.#hostName = Uint8Array.from(hostName, (character) => character.charCodeAt(0));
  }

  /** The answer to a message, if it gets one. */
  answer(request: Uint8Array): DhcpReply | undefined {
    if (request.length < OPTIONS_AT) return undefined;
    const view = viewOf(request);
    const isEthernet = request[AT.htype] === 1 && request[AT.hlen] === 6;
    if (request[AT.op] !== OP.REQUEST || !isEthernet || view.getUint32(COOKIE_AT) !== COOKIE)
      return undefined;
    const options = readOptions(request);
    const server = addressIn(options.get(OPTION.SERVER));
    if (server !== undefined && server !== GATEWAY) return undefined;
    const mac = macAt(view, AT.chaddr);
    const claimed = view.getUint32(AT.ciaddr);
    switch (options.get(OPTION.MESSAGE_TYPE)?.[0]) {
      case MESSAGE.DISCOVER: {
        const lease = this.#leaseOf(mac);
        return lease === undefined ? undefined : this.#reply(request, MESSAGE.OFFER, lease);
      }
      case MESSAGE.REQUEST: {
        // RFC 2131 4.3.2: selecting or rebooting, else renewing or rebinding.
        const wanted = addressIn(options.get(OPTION.REQUESTED_ADDRESS)) ?? claimed;
        const lease = this.#leaseOf(mac);
        if (lease === wanted) return this.#reply(request, MESSAGE.ACK, lease);
        return this.#reply(request, MESSAGE.NAK, undefined);
      }
      case MESSAGE.INFORM:
        return this.#reply(request, MESSAGE.ACK, undefined);
      default:
        // Released and declined addresses stay with their cards.
        return undefined;
    }
  }

  #leaseOf(mac: MacAddress): Ipv4Address | undefined {
    let index = this.#clients.indexOf(mac);
    if (index < 0 && this.#clients.length < MAX_CLIENTS) index = this.#clients.push(mac) - 1;
    return index < 0 ? undefined : FIRST_GUEST + index;
  }

  /** `lease` is undefined where no address is given: to those who refuse or have one. */
  #reply(request: Uint8Array, type: number, lease: Ipv4Address | undefined): DhcpReply {
    const view = viewOf(request);
    const isNak = type === MESSAGE.NAK;
    const options: number[] = [];
    const add = (option: number, ...bytes: number[]): void =>
      void options.push(option, bytes.length, ...bytes);
    add(OPTION.MESSAGE_TYPE, type);
    add(OPTION.SERVER, ...bytes32(GATEWAY));
    if (!isNak) {
      if (lease !== undefined) {
        add(OPTION.LEASE_TIME, ...bytes32(LEASE_SECONDS));
        add(OPTION.RENEWAL_TIME, ...bytes32(LEASE_SECONDS / 2));
        add(OPTION.REBINDING_TIME, ...bytes32((LEASE_SECONDS / 8) * 7));
      }
      add(OPTION.NETMASK, ...bytes32(NETMASK));
      add(OPTION.ROUTER, ...bytes32(GATEWAY));
      add(OPTION.NAME_SERVER, ...bytes32(NAME_SERVER));
      if (this.#hostName.length > 0) add(OPTION.HOST_NAME, ...this.#hostName);
    }
    options.push(OPTION.END);

    const message = new Uint8Array(Math.max(REPLY_BYTES, OPTIONS_AT + options.length));
    const out = viewOf(message);
    // Transaction, flags, relay and card are those of the request.
    message.set(request.subarray(0, AT.ciaddr));
    message.set(request.subarray(AT.giaddr, AT.chaddr + 16), AT.giaddr);
    message[AT.op] = OP.REPLY;
    message[3] = 0;
    out.setUint16(8, 0);
    const claimed = view.getUint32(AT.ciaddr);
    if (!isNak) {
      out.setUint32(AT.ciaddr, claimed);
      out.setUint32(AT.yiaddr, lease ?? 0);
      out.setUint32(AT.siaddr, GATEWAY);
    }
    out.setUint32(COOKIE_AT, COOKIE);
    message.set(options, OPTIONS_AT);
    // RFC 2131 4.1
    const mac = macAt(view, AT.chaddr);
    if (isNak) return { message, address: BROADCAST_ADDRESS, mac: BROADCAST_MAC };
    if (claimed !== 0) return { message, address: claimed, mac };
    const wantsBroadcast = (view.getUint16(AT.flags) & FLAG_BROADCAST) !== 0 || lease === undefined;
    return wantsBroadcast
      ? { message, address: BROADCAST_ADDRESS, mac: BROADCAST_MAC }
      : { message, address: lease, mac };
  }
}

function readOptions(message: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = OPTIONS_AT; at < message.length && message[at] !== OPTION.END;) {
    const option = message[at++]!;
    if (option === OPTION.PAD) continue;
    const length = message[at++] ?? 0;
    if (at + length > message.length) break;
    options.set(option, message.subarray(at, at + length));
    at += length;
  }
  return options;
}

function addressIn(value: Uint8Array | undefined): Ipv4Address | undefined {
  return value?.length === 4 ? viewOf(value).getUint32(0) : undefined;
}

function bytes32(value: number): number[] {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff);
}
