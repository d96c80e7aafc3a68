/** The map from host pages to handler tables, and the handlers of words in them, in the machine's memory. */
import type { GuestMemory } from './guest-memory.js';
import { PAGE_MAP_BASE, PAGE_SHIFT, PAGE_SIZE } from './layout.js';

export function pageOf(hostAddress: number): number {
  return hostAddress - (hostAddress % PAGE_SIZE);
}

export class HandlerTables {
  readonly #view: DataView<ArrayBuffer>;

  constructor(memory: GuestMemory) {
    this.#view = memory.view;
  }

  /** The table of the page of `hostAddress`; 0 if it has none, or `ERASED`. */
  tableOf(hostAddress: number): number {
    return this.#view.getUint32(PAGE_MAP_BASE + (hostAddress >>> PAGE_SHIFT) * 4, true);
  }

  setTableOf(hostPage: number, table: number): void {
    this.#view.setUint32(PAGE_MAP_BASE + (hostPage >>> PAGE_SHIFT) * 4, table, true);
  }

  /** Of a word of a table. */
  handler(table: number, word: number): number {
    return this.#view.getUint16(table + word * 2, true);
  }

  setHandler(table: number, word: number, handler: number): void {
    this.#view.setUint16(table + word * 2, handler, true);
  }

  /** Sets the handler of the word at `p`, on a page that has a table. */
  setHandlerAt(p: number, handler: number): void {
    this.setHandler(this.tableOf(p), (p % PAGE_SIZE) >> 2, handler);
  }
}
