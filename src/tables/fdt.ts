/**
 * Flattened Devicetree (DTB) encoder: a description in, bytes out.
 *
 * Devicetree Specification v0.4, chapter 5: version 17, readable by version 16. Everything in a blob is big-endian.
 * Strings are stored once each; a suffix of another string is not reused.
 */
import { invariant } from '../base/index.js';
import type { DtNode, DtValue } from '../bus/index.js';
import { ByteWriter } from './byte-writer.js';

/** Memory that the guest must leave alone (chapter 5.3). */
interface MemoryReservation {
  readonly address: number;
  readonly sizeBytes: number;
}

export interface FdtOptions {
  readonly reservations?: readonly MemoryReservation[];
  /** `reg` of the CPU that boots. */
  readonly bootCpu?: number;
  /** Bytes left free at the end, inside `totalsize`, for firmware that edits the tree in place. */
  readonly paddingBytes?: number;
}

/** Chapter 5.2, in order; every field is 32 bits. */
const HEADER_BYTES = 40;
const MAGIC = 0xd00dfeed;
const VERSION = 17;
const LAST_COMPATIBLE_VERSION = 16;

/** Chapter 5.4.1. */
const FDT_BEGIN_NODE = 1;
const FDT_END_NODE = 2;
const FDT_PROP = 3;
const FDT_END = 9;

function stringBytes(text: string): number[] {
  const bytes = Array.from(text, (character) => character.charCodeAt(0));
  invariant(
    bytes.every((byte) => byte > 0 && byte < 0x80),
    () => `device tree string is not ASCII: ${JSON.stringify(text)}`,
  );
  return [...bytes, 0];
}

/** Numbers the nodes that something refers to, in the order in which the nodes appear, from 1. */
function assignPhandles(root: DtNode): Map<string, number> {
  const referenced = new Set<string>();
  const labels: string[] = [];
  const visit = (node: DtNode): void => {
    if (node.label !== undefined) labels.push(node.label);
    for (const value of Object.values(node.properties)) {
      if (typeof value !== 'object' || !('cells' in value)) continue;
      for (const cell of value.cells) if (typeof cell !== 'number') referenced.add(cell.phandle);
    }
    node.children?.forEach(visit);
  };
  visit(root);
  const phandles = new Map<string, number>();
  for (const label of labels) {
    if (!referenced.has(label)) continue;
    invariant(!phandles.has(label), `device tree label ${label} is on two nodes`);
    phandles.set(label, phandles.size + 1);
  }
  for (const label of referenced) invariant(phandles.has(label), `device tree label ${label} is on no node`);
  return phandles;
}

/** A property's bytes: Devicetree Specification v0.4, table 2.3. */
function encodeValue(value: DtValue, phandles: ReadonlyMap<string, number>): Uint8Array {
  if (value === true) return new Uint8Array(0);
  if (typeof value === 'string') return Uint8Array.from(stringBytes(value));
  if ('bytes' in value) return value.bytes;
  if ('cells' in value) {
    const writer = new ByteWriter('big-endian');
    for (const cell of value.cells) {
      const number = typeof cell === 'number' ? cell : phandles.get(cell.phandle);
      invariant(
        number !== undefined && Number.isInteger(number) && number >= 0 && number < 2 ** 32,
        () => `device tree cell is no unsigned 32-bit number: ${JSON.stringify(cell)}`,
      );
      writer.u32(number);
    }
    return writer.toBytes();
  }
  return Uint8Array.from(value.flatMap(stringBytes));
}

/**
 * Encodes the tree below `root` (whose name is empty) as a DTB.
 *
 * Nodes whose label something refers to get a `phandle`; the tree states none itself. The result is the caller's.
 */
export function encodeFdt(root: DtNode, options: FdtOptions = {}): Uint8Array {
  invariant(root.name === '', 'the root of a device tree has no name');
  const phandles = assignPhandles(root);
  const structure = new ByteWriter('big-endian');
  const strings = new ByteWriter('big-endian');
  const stringOffsets = new Map<string, number>();

  const property = (name: string, value: Uint8Array): void => {
    let nameOffset = stringOffsets.get(name);
    if (nameOffset === undefined) {
      nameOffset = strings.length;
      stringOffsets.set(name, nameOffset);
      strings.bytes(stringBytes(name));
    }
    structure.u32(FDT_PROP);
    structure.u32(value.length);
    structure.u32(nameOffset);
    structure.bytes(value);
    structure.align(4);
  };

  const node = ({ name, label, properties, children = [] }: DtNode): void => {
    structure.u32(FDT_BEGIN_NODE);
    structure.bytes(stringBytes(name));
    structure.align(4);
    for (const [key, value] of Object.entries(properties)) {
      invariant(key !== 'phandle', `device tree node ${name} states a phandle; give it a label`);
      property(key, encodeValue(value, phandles));
    }
    const phandle = label === undefined ? undefined : phandles.get(label);
    if (phandle !== undefined) property('phandle', encodeValue({ cells: [phandle] }, phandles));
    const names = new Set(children.map((child) => child.name));
    invariant(names.size === children.length, `two children of device tree node '${name}' share a name`);
    children.forEach(node);
    structure.u32(FDT_END_NODE);
  };
  node(root);
  structure.u32(FDT_END);

  const reservations = new ByteWriter('big-endian');
  for (const { address, sizeBytes } of options.reservations ?? []) {
    reservations.u64(address);
    reservations.u64(sizeBytes);
  }
  reservations.zeros(16);

  // The reservation block needs 8-byte alignment (chapter 5.6) and follows a header of 40 bytes; the structure
  // block needs 4 and follows entries of 16.
  const reservationsAt = HEADER_BYTES;
  const structureAt = reservationsAt + reservations.length;
  const stringsAt = structureAt + structure.length;
  const usedBytes = stringsAt + strings.length + (options.paddingBytes ?? 0);
  const totalBytes = Math.ceil(usedBytes / 8) * 8;

  const blob = new ByteWriter('big-endian');
  for (const field of [
    MAGIC,
    totalBytes,
    structureAt,
    stringsAt,
    reservationsAt,
    VERSION,
    LAST_COMPATIBLE_VERSION,
    options.bootCpu ?? 0,
    strings.length,
    structure.length,
  ]) {
    blob.u32(field);
  }
  blob.bytes(reservations.toBytes());
  blob.bytes(structure.toBytes());
  blob.bytes(strings.toBytes());
  blob.zeros(totalBytes - blob.length);
  return blob.toBytes();
}
