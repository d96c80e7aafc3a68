/** Internet Control Message Protocol (RFC 792): answers to echo, and news of what could not be delivered. */
import { sum16, viewOf, type Ipv4Packet } from './ip.js';

const TYPE = { ECHO_REPLY: 0, UNREACHABLE: 3, ECHO: 8 } as const;
const HEADER_BYTES = 8;

/** Codes of "destination unreachable" (RFC 792, RFC 1812 5.2.7.1). */
export const UNREACHABLE = { NETWORK: 0, HOST: 1, PROTOCOL: 2, PORT: 3, PROHIBITED: 13 } as const;
export type Unreachable = (typeof UNREACHABLE)[keyof typeof UNREACHABLE];

export function isEchoRequest(message: Uint8Array): boolean {
  return message.length >= HEADER_BYTES && message[0] === TYPE.ECHO && sum16(message) === 0xffff;
}

/** The answer to an echo request: its own data. */
export function echoReply(request: Uint8Array): Uint8Array {
  const reply = request.slice();
  reply[0] = TYPE.ECHO_REPLY;
  return finish(reply);
}

export function unreachable(code: Unreachable, { quote }: Pick<Ipv4Packet, 'quote'>): Uint8Array {
  const message = new Uint8Array(HEADER_BYTES + quote.length);
  message[0] = TYPE.UNREACHABLE;
  message[1] = code;
  message.set(quote, HEADER_BYTES);
  return finish(message);
}

function finish(message: Uint8Array): Uint8Array {
  const view = viewOf(message);
  view.setUint16(2, 0);
  view.setUint16(2, 0xffff - sum16(message));
  return message;
}
