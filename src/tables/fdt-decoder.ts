/**
 * Flattened Devicetree reader, written from Devicetree Specification v0.4 chapter 5 and sharing nothing with the
 * encoder, so that each can be judged by the other.
 */

export interface FdtNode {
  readonly name: string;
  /** Raw property values, in the order of the blob. */
  readonly properties: ReadonlyMap<string, Uint8Array>;
  readonly children: readonly FdtNode[];
}

interface Fdt {
  readonly version: number;
  readonly bootCpu: number;
  readonly reservations: readonly { readonly address: bigint; readonly sizeBytes: bigint }[];
  readonly root: FdtNode;
}

/** Reads a DTB. Throws an `Error` that names the first violation of the format. */
export function decodeFdt(blob: Uint8Array): Fdt {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const demand = (condition: boolean, what: string): void => {
    if (!condition) throw new Error(`malformed device tree blob: ${what}`);
  };
  demand(blob.length >= 40 && view.getUint32(0) === 0xd00dfeed, 'magic');
  const totalSize = view.getUint32(4);
  const structureAt = view.getUint32(8);
  const stringsAt = view.getUint32(12);
  const reservationsAt = view.getUint32(16);
  const version = view.getUint32(20);
  demand(view.getUint32(24) <= 17 && version >= 17, 'version');
  const stringsSize = view.getUint32(32);
  const structureEnd = structureAt + view.getUint32(36);
  demand(totalSize <= blob.length, 'totalsize');
  demand(reservationsAt % 8 === 0 && structureAt % 4 === 0, 'alignment');
  demand(structureEnd <= totalSize && stringsAt + stringsSize <= totalSize, 'block outside the blob');

  const text = (from: number, end: number): string => {
    const zero = blob.indexOf(0, from);
    demand(zero >= 0 && zero < end, 'unterminated string');
    return String.fromCharCode(...blob.subarray(from, zero));
  };

  const reservations: { address: bigint; sizeBytes: bigint }[] = [];
  for (let at = reservationsAt; ; at += 16) {
    demand(at + 16 <= totalSize, 'unterminated reservation block');
    const entry = { address: view.getBigUint64(at), sizeBytes: view.getBigUint64(at + 8) };
    if (entry.address === 0n && entry.sizeBytes === 0n) break;
    reservations.push(entry);
  }

  let at = structureAt;
  const token = (): number => {
    for (;;) {
      demand(at + 4 <= structureEnd, 'structure block ends early');
      const value = view.getUint32(at);
      at += 4;
      if (value !== 4) return value; // FDT_NOP
    }
  };
  const node = (): FdtNode => {
    const name = text(at, structureEnd);
    at = (at + name.length + 4) & ~3;
    const properties = new Map<string, Uint8Array>();
    const children: FdtNode[] = [];
    for (;;) {
      const tag = token();
      if (tag === 1) {
        children.push(node());
      } else if (tag === 2) {
        return { name, properties, children };
      } else {
        demand(tag === 3, `token ${tag} in a node`);
        demand(children.length === 0, 'property after a child node');
        const length = view.getUint32(at);
        const key = text(stringsAt + view.getUint32(at + 4), stringsAt + stringsSize);
        demand(at + 8 + length <= structureEnd, 'property outside the structure block');
        demand(!properties.has(key), `property ${key} twice`);
        properties.set(key, blob.slice(at + 8, at + 8 + length));
        at = (at + 8 + length + 3) & ~3;
      }
    }
  };
  demand(token() === 1, 'no root node');
  const root = node();
  demand(token() === 9 && at === structureEnd, 'structure block does not end with FDT_END');
  return { version, bootCpu: view.getUint32(28), reservations, root };
}
