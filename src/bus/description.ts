/**
 * Device-tree content as data. Devices state their node, boards collect the nodes, `tables` encodes them.
 * Devicetree Specification v0.4, chapter 2.
 */
export type DtCell = number | DtPhandle;

/** A reference to the node that carries this label; the encoder gives that node a `phandle`. */
export interface DtPhandle {
  readonly phandle: string;
}

export type DtValue =
  /** Present without a value, such as `dma-coherent`. */
  | true
  /** One string or a string list, each NUL-terminated. */
  | string
  | readonly string[]
  /** 32-bit cells, big-endian. Use `cells64` for wider numbers. */
  | { readonly cells: readonly DtCell[] }
  | { readonly bytes: Uint8Array };

export interface DtNode {
  /** With its unit address: `pl011@9000000`. The root's is empty. */
  readonly name: string;
  /** Target of `DtPhandle`s. */
  readonly label?: string;
  readonly properties: Readonly<Record<string, DtValue>>;
  readonly children?: readonly DtNode[];
}

/** A 64-bit number as two cells, high first. */
export function cells64(value: number): [number, number] {
  return [Math.floor(value / 2 ** 32), value % 2 ** 32];
}
