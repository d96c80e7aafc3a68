/** Captures in the format that tcpdump and Wireshark read (draft-ietf-opsawg-pcap), with times in nanoseconds. */

const MAGIC_NANOSECONDS = 0xa1b2_3c4d;
const LINK_TYPE_ETHERNET = 1;
/** Longer than any frame. */
const SNAP_BYTES = 262_144;
const HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const NS_PER_SECOND = 1_000_000_000;

/** What a file begins with. */
export function pcapHeader(): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC_NANOSECONDS, true);
  // Version 2.4.
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAP_BYTES, true);
  view.setUint32(20, LINK_TYPE_ETHERNET, true);
  return bytes;
}

/** One frame, `atNs` nanoseconds after the second `epochSeconds` of 1970. */
export function pcapRecord(epochSeconds: number, atNs: number, frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + frame.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, epochSeconds + Math.floor(atNs / NS_PER_SECOND), true);
  view.setUint32(4, atNs % NS_PER_SECOND, true);
  view.setUint32(8, frame.length, true);
  view.setUint32(12, frame.length, true);
  bytes.set(frame, RECORD_HEADER_BYTES);
  return bytes;
}
