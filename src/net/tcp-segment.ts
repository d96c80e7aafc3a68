/** TCP segments: fields and options (RFC 9293 3.1, RFC 7323 2.2). */
import { PROTOCOL, pseudoHeaderSum, sum16, viewOf, type Ipv4Address, type Ipv4Packet } from './ip.js';

export const TCP_BYTES = 20;
export const FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const;

const OPTION = { END: 0, NOTHING: 1, MSS: 2, WINDOW_SCALE: 3 } as const;
/** RFC 7323 2.3 */
const MAX_WINDOW_SHIFT = 14;

/** Sequence numbers count modulo 2^32: positive when `a` comes after `b`. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

export interface TcpSegment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  /** Zero without the flag ACK. */
  readonly acknowledgment: number;
  readonly flags: number;
  /** As in the header, not scaled. */
  readonly window: number;
  readonly payload: Uint8Array;
  /** Options of segments with SYN. */
  readonly maxSegmentBytes: number | undefined;
  readonly windowShift: number | undefined;
}

/** Undefined for what is none. `isTrusted`: the checksum isn't looked at. */
export function parseTcp(
  { source, destination, payload }: Ipv4Packet,
  isTrusted: boolean,
): TcpSegment | undefined {
  if (payload.length < TCP_BYTES) return undefined;
  const view = viewOf(payload);
  const headerBytes = (payload[12]! >> 4) * 4;
  if (headerBytes < TCP_BYTES || headerBytes > payload.length) return undefined;
  if (!isTrusted) {
    const pseudo = pseudoHeaderSum(source, destination, PROTOCOL.TCP, payload.length);
    if (sum16(payload, pseudo) !== 0xffff) return undefined;
  }
  const flags = payload[13]!;
  const options =
    (flags & FLAG.SYN) === 0 ? undefined : parseOptions(payload.subarray(TCP_BYTES, headerBytes));
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgment: (flags & FLAG.ACK) === 0 ? 0 : view.getUint32(8),
    flags,
    window: view.getUint16(14),
    payload: payload.subarray(headerBytes),
    maxSegmentBytes: options?.maxSegmentBytes,
    windowShift: options?.windowShift,
  };
}

function parseOptions(bytes: Uint8Array): Pick<TcpSegment, 'maxSegmentBytes' | 'windowShift'> {
  let maxSegmentBytes: number | undefined;
  let windowShift: number | undefined;
  for (let at = 0; at < bytes.length && bytes[at] !== OPTION.END;) {
    if (bytes[at] === OPTION.NOTHING) {
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    if (length < 2 || at + length > bytes.length) break;
    if (bytes[at] === OPTION.MSS && length === 4) maxSegmentBytes = viewOf(bytes).getUint16(at + 2);
    if (bytes[at] === OPTION.WINDOW_SCALE && length === 3)
      windowShift = Math.min(bytes[at + 2]!, MAX_WINDOW_SHIFT);
    at += length;
  }
  return { maxSegmentBytes, windowShift };
}

/** What is in the header of a segment to be sent. */
export type TcpHeader = Omit<TcpSegment, 'payload'>;

export function tcpHeaderBytes({ maxSegmentBytes, windowShift }: TcpHeader): number {
  return TCP_BYTES + (maxSegmentBytes === undefined ? 0 : 4) + (windowShift === undefined ? 0 : 4);
}

/** Writes the header to the front of `segment`; its checksum is that of the pseudo header alone. */
export function writeTcpHeader(
  segment: Uint8Array,
  source: Ipv4Address,
  destination: Ipv4Address,
  header: TcpHeader,
): void {
  const view = viewOf(segment);
  view.setUint16(0, header.sourcePort);
  view.setUint16(2, header.destinationPort);
  view.setUint32(4, header.sequence);
  view.setUint32(8, header.acknowledgment);
  view.setUint8(12, (tcpHeaderBytes(header) / 4) << 4);
  view.setUint8(13, header.flags);
  view.setUint16(14, header.window);
  view.setUint16(16, pseudoHeaderSum(source, destination, PROTOCOL.TCP, segment.length));
  let at = TCP_BYTES;
  if (header.maxSegmentBytes !== undefined) {
    view.setUint32(at, (OPTION.MSS << 24) | (4 << 16) | header.maxSegmentBytes);
    at += 4;
  }
  if (header.windowShift !== undefined) {
    view.setUint32(at, (OPTION.NOTHING << 24) | (OPTION.WINDOW_SCALE << 16) | (3 << 8) | header.windowShift);
  }
}
