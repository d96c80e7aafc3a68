/** Names of addresses: the symbol table of an ELF file (gABI 4), or what `nm`, System.map and /proc/kallsyms list. */
import { UserError } from '../base/index.js';

const MAGIC = 0x464c_457f;
const ELF_CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const HEADER = { bytes: 64, sectionsAt: 40, sectionSizeAt: 58, sectionCountAt: 60 } as const;
const SECTION = { bytes: 64, typeAt: 4, offsetAt: 24, sizeAt: 32, linkAt: 40 } as const;
const SYMBOL = { bytes: 24, infoAt: 4, sectionAt: 6, valueAt: 8, sizeAt: 16 } as const;
const SHT_SYMTAB = 2;
const SHT_DYNSYM = 11;
const STT_NOTYPE = 0;
const STT_FUNC = 2;

/** What the last symbol of a list without sizes is taken to cover. */
const LAST_BYTES = 4096n;

/** Characters that are made at once. */
const PIECE_BYTES = 4096;

/** A line of `nm`: address, type, name. Types A and a are numbers, not addresses. */
const LINE = /^([0-9a-f]{1,16}) ([b-zB-Z]) (\S+)/gim;

interface Symbol {
  readonly start: bigint;
  /** 0 where the file doesn't tell. */
  readonly sizeBytes: bigint;
  readonly name: string;
}

/** A function, or a part of the code that has a name. */
export interface Named {
  readonly name: string;
  readonly start: bigint;
}

export class SymbolTable {
  readonly #symbols: readonly Symbol[];

  private constructor(symbols: readonly Symbol[]) {
    // A name with a size goes before one without at the same address.
    this.#symbols = symbols.toSorted((a, b) =>
      a.start < b.start ? -1 : a.start > b.start ? 1 : a.sizeBytes > b.sizeBytes ? -1 : 1,
    );
  }

  /**
   * The symbols in the bytes of a file, moved by `offset`. `name` is for messages.
   *
   * @throws UserError: `symbols-missing` where there are none.
   */
  static parse(bytes: Uint8Array, name: string, offset = 0n): SymbolTable {
    const symbols = isElf(bytes) ? elfSymbols(bytes) : listedSymbols(bytes);
    if (symbols.length === 0) {
      throw new UserError(
        'symbols-missing',
        `${name}: has no symbols; accepted: an ELF file with a symbol table, or a list as nm prints and System.map has`,
      );
    }
    return new SymbolTable(
      symbols.map((symbol) => ({ ...symbol, start: BigInt.asUintN(64, symbol.start + offset) })),
    );
  }

  /** The symbol that `address` is in. */
  find(address: bigint): Named | undefined {
    let low = 0;
    let high = this.#symbols.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#symbols[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    let at = low - 1;
    while (at > 0 && this.#symbols[at - 1]!.start === this.#symbols[at]!.start) at--;
    const symbol = this.#symbols[at];
    if (!symbol) return undefined;
    const end =
      symbol.sizeBytes > 0n
        ? symbol.start + symbol.sizeBytes
        : (this.#symbols[low]?.start ?? symbol.start + LAST_BYTES);
    return address < end ? symbol : undefined;
  }
}

function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER.bytes && viewOf(bytes).getUint32(0, true) === MAGIC;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Bytes as characters: symbols are ASCII, or show as something that is the same each time. */
function textOf(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    pieces.push(String.fromCharCode(...bytes.subarray(at, at + PIECE_BYTES)));
  return pieces.join('');
}

/** Functions, and labels of assembly code. Empty where the file is another kind of ELF, or broken. */
function elfSymbols(bytes: Uint8Array): Symbol[] {
  const view = viewOf(bytes);
  if (view.getUint8(4) !== ELF_CLASS_64 || view.getUint8(5) !== LITTLE_ENDIAN) return [];
  const number = (at: number): number => Number(view.getBigUint64(at, true));
  const symbols: Symbol[] = [];
  try {
    const table = number(HEADER.sectionsAt);
    const stride = view.getUint16(HEADER.sectionSizeAt, true);
    const count = view.getUint16(HEADER.sectionCountAt, true);
    const section = (index: number) => {
      const at = table + index * stride;
      return {
        type: view.getUint32(at + SECTION.typeAt, true),
        at: number(at + SECTION.offsetAt),
        sizeBytes: number(at + SECTION.sizeAt),
        link: view.getUint32(at + SECTION.linkAt, true),
      };
    };
    const tables = Array.from({ length: count }, (_, index) => section(index));
    const full =
      tables.find(({ type }) => type === SHT_SYMTAB) ?? tables.find(({ type }) => type === SHT_DYNSYM);
    if (!full) return [];
    const names = section(full.link);
    for (let at = full.at; at + SYMBOL.bytes <= full.at + full.sizeBytes; at += SYMBOL.bytes) {
      const type = view.getUint8(at + SYMBOL.infoAt) & 0xf;
      if (type !== STT_FUNC && type !== STT_NOTYPE) continue;
      if (view.getUint16(at + SYMBOL.sectionAt, true) === 0) continue;
      const nameAt = names.at + view.getUint32(at, true);
      const name = textOf(bytes.subarray(nameAt, bytes.indexOf(0, nameAt)));
      // Mapping symbols (AAELF64 5.5.5) tell code from data.
      if (name === '' || name.startsWith('$')) continue;
      symbols.push({
        start: view.getBigUint64(at + SYMBOL.valueAt, true),
        sizeBytes: view.getBigUint64(at + SYMBOL.sizeAt, true),
        name,
      });
    }
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
  return symbols;
}

function listedSymbols(bytes: Uint8Array): Symbol[] {
  return Array.from(textOf(bytes).matchAll(LINE), ([, address = '', , name = '']) => ({
    start: BigInt(`0x${address}`),
    sizeBytes: 0n,
    name,
  })).filter(({ start, name }) => start !== 0n && !name.startsWith('$'));
}
