/**
 * Device paths as text (UEFI 2.10, 10.3 and 10.6). Nodes that have a text of their own and are met in boot options get
 * it; of others the generic form `Path(type,subtype,data)` shows every byte.
 */
import { readUcs2Z, toHex, uint64, viewOf } from './bytes.js';
import { readGuid, type Guid } from './guid.js';

const NODE_HEADER_BYTES = 4;
const END = 0x7f;
const END_INSTANCE = 0x01;

type Formatter = (body: Uint8Array, view: DataView) => string | undefined;

/** Vendor nodes of consoles (UEFI 2.10, 10.3.4.17). */
const VENDORS: ReadonlyMap<Guid, string> = new Map([
  ['e0c14753-f9be-11d2-9a0c-0090273fc14d', 'VenPcAnsi()'],
  ['dfa66065-b419-11d3-9a2d-0090273fc14d', 'VenVt100()'],
  ['7baec70b-57e0-4c76-8e87-2f9e28088343', 'VenVt100Plus()'],
  ['ad15a0d6-8bec-4acf-a073-d01de77e2d88', 'VenUtf8()'],
]);

const hex = (value: number): string => `0x${value.toString(16).toUpperCase()}`;

/** `PNP0A03` from its compressed number (UEFI 2.10, 10.3.3). */
function eisaName(id: number): string | undefined {
  if ((id & 0xffff) !== 0x41d0) return undefined;
  return `PNP${(id >>> 16).toString(16).toUpperCase().padStart(4, '0')}`;
}

const vendor =
  (name: string): Formatter =>
  (body) => {
    if (body.length < 16) return undefined;
    const guid = readGuid(body, 0);
    const known = name === 'VenMsg' && body.length === 16 ? VENDORS.get(guid) : undefined;
    const data = body.length > 16 ? `,${toHex(body.subarray(16))}` : '';
    return known ?? `${name}(${guid.toUpperCase()}${data})`;
  };

const sized =
  (bytes: number, format: Formatter): Formatter =>
  (body, view) =>
    body.length === bytes ? format(body, view) : undefined;

const text = (body: Uint8Array): string | undefined => readUcs2Z(body, 0, body.length)?.text;

const ipv4 = (body: Uint8Array, at: number): string => Array.from(body.subarray(at, at + 4)).join('.');

const ipv6 = (body: Uint8Array, at: number): string =>
  Array.from({ length: 8 }, (_, group) => toHex(body.subarray(at + 2 * group, at + 2 * group + 2))).join(':');

const ACPI: Formatter = sized(8, (_, view) => {
  const [hid, uid] = [view.getUint32(0, true), view.getUint32(4, true)];
  switch (eisaName(hid)) {
    case 'PNP0A03':
      return `PciRoot(${hex(uid)})`;
    case 'PNP0A08':
      return `PcieRoot(${hex(uid)})`;
    case 'PNP0604':
      return `Floppy(${hex(uid)})`;
    case 'PNP0301':
      return `Keyboard(${hex(uid)})`;
    case 'PNP0501':
      return `Serial(${hex(uid)})`;
    default:
      return `Acpi(${eisaName(hid) ?? hex(hid)},${hex(uid)})`;
  }
});

const HARD_DRIVE: Formatter = sized(38, (body, view) => {
  const [partition, start, size] = [view.getUint32(0, true), uint64(view, 4), uint64(view, 12)];
  const kind = body[37];
  if (!Number.isFinite(start) || !Number.isFinite(size)) return undefined;
  const range = `${hex(start)},${hex(size)}`;
  if (kind === 2) return `HD(${partition},GPT,${readGuid(body, 20).toUpperCase()},${range})`;
  if (kind === 1) return `HD(${partition},MBR,${hex(view.getUint32(20, true))},${range})`;
  return undefined;
});

const UART: Formatter = sized(15, (body, view) => {
  const baud = uint64(view, 4);
  const parity = 'DNEOMS'[body[13] ?? 0];
  const stop = ['D', '1', '1.5', '2'][body[14] ?? 0];
  if (!Number.isFinite(baud) || parity === undefined || stop === undefined) return undefined;
  const bits = body[12];
  return `Uart(${baud === 0 ? 'DEFAULT' : baud},${bits === 0 ? 'DEFAULT' : bits},${parity},${stop})`;
});

const MAC: Formatter = sized(33, (body) => {
  const kind = body[32] ?? 0;
  return `MAC(${toHex(body.subarray(0, kind <= 1 ? 6 : 32)).toUpperCase()},${hex(kind)})`;
});

/** By type and subtype. */
const NODES: ReadonlyMap<number, Formatter> = new Map<number, Formatter>([
  [0x0101, sized(2, (body) => `Pci(${hex(body[1]!)},${hex(body[0]!)})`)],
  [0x0103, sized(20, (_, view) => `MemoryMapped(${hex(view.getUint32(0, true))},0x${view.getBigUint64(4, true).toString(16).toUpperCase()},0x${view.getBigUint64(12, true).toString(16).toUpperCase()})`)], // prettier-ignore
  [0x0104, vendor('VenHw')],
  [0x0105, sized(4, (_, view) => `Ctrl(${hex(view.getUint32(0, true))})`)],
  [0x0201, ACPI],
  [0x0301, sized(4, (body, view) => `Ata(${body[0] === 0 ? 'Primary' : 'Secondary'},${body[1] === 0 ? 'Master' : 'Slave'},${hex(view.getUint16(2, true))})`)], // prettier-ignore
  [0x0302, sized(4, (_, view) => `Scsi(${hex(view.getUint16(0, true))},${hex(view.getUint16(2, true))})`)],
  [0x0305, sized(2, (body) => `USB(${hex(body[0]!)},${hex(body[1]!)})`)],
  [0x030a, vendor('VenMsg')],
  [0x030b, MAC],
  [0x030c, sized(23, (body) => `IPv4(${ipv4(body, 4)})`)],
  [0x030d, sized(56, (body) => `IPv6(${ipv6(body, 16)})`)],
  [0x030e, UART],
  [0x030f, sized(7, (body, view) => `UsbClass(${[view.getUint16(0, true), view.getUint16(2, true), ...body.subarray(4)].map(hex).join(',')})`)], // prettier-ignore
  [0x0312, sized(6, (_, view) => `Sata(${[0, 2, 4].map((at) => hex(view.getUint16(at, true))).join(',')})`)],
  [0x0314, sized(2, (_, view) => `Vlan(${view.getUint16(0, true)})`)],
  [0x0317, sized(12, (body, view) => `NVMe(${hex(view.getUint32(0, true))},${Array.from(body.subarray(4), (byte) => toHex(Uint8Array.of(byte)).toUpperCase()).reverse().join('-')})`)], // prettier-ignore
  [0x0318, (body) => `Uri(${String.fromCharCode(...body)})`],
  [0x031a, sized(1, (body) => `SD(${hex(body[0]!)})`)],
  [0x031d, sized(1, (body) => `eMMC(${hex(body[0]!)})`)],
  [0x0401, HARD_DRIVE],
  [0x0402, sized(20, (_, view) => `CDROM(${hex(view.getUint32(0, true))})`)],
  [0x0403, vendor('VenMedia')],
  [0x0404, text],
  [0x0406, sized(16, (body) => `FvFile(${readGuid(body, 0).toUpperCase()})`)],
  [0x0407, sized(16, (body) => `Fv(${readGuid(body, 0).toUpperCase()})`)],
]);

/** `path`, nodes separated by `/`, instances by `,`. Where it is not one, that is said at its end, in brackets. */
export function formatDevicePath(path: Uint8Array): string {
  const instances: string[] = [];
  let nodes: string[] = [];
  let at = 0;
  let fault = path.length === 0 ? '' : '[without end]';
  while (at + NODE_HEADER_BYTES <= path.length) {
    const view = viewOf(path);
    const [type, subtype, length] = [path[at]!, path[at + 1]!, view.getUint16(at + 2, true)];
    if (length < NODE_HEADER_BYTES || at + length > path.length) {
      fault = '[cut off]';
      break;
    }
    const body = path.subarray(at + NODE_HEADER_BYTES, at + length);
    at += length;
    if (type === END) {
      instances.push(nodes.join('/'));
      nodes = [];
      if (subtype === END_INSTANCE) continue;
      fault = at < path.length ? `[and ${path.length - at} bytes more]` : '';
      break;
    }
    nodes.push(formatNode(type, subtype, body));
  }
  if (nodes.length > 0) instances.push(nodes.join('/'));
  return [instances.map(printable).join(','), fault].filter((part) => part !== '').join(' ');
}

function formatNode(type: number, subtype: number, body: Uint8Array): string {
  const known = NODES.get(type * 0x100 + subtype)?.(body, viewOf(body));
  return known ?? `Path(${[type, subtype, ...(body.length > 0 ? [toHex(body)] : [])].join(',')})`;
}

/** What a terminal must not be given, as `\u0007`. */
export function printable(given: string): string {
  return given.replaceAll(
    /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
