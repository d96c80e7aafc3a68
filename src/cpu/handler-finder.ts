/** What decoding needs to know of the core module, and finding the handler of a word with it. */
import { invariant } from '../base/index.js';
import type { Decoder } from '../isa/decoder.js';
import type { Row } from '../isa/row.js';
import { fieldValue, signedFieldValue } from '../isa/row.js';
import type { ValType } from '../wasm/expr.js';
import { PAGE_SIZE } from './layout.js';
import type { CpuModel } from './models.js';
import { implementsRow } from './models.js';

/** Handlers that belong to no row. */
export const HANDLER = { decode: 0, pageEnd: 1, undefined: 2 } as const;
/** The handlers of one row with the same static fields and splits. */
export interface HandlerGroup {
  /** A handler that is a function and does for all variants. */
  readonly cold: number;
  /** Translated code calls it too. */
  readonly mustBeCold?: true;
  /** Its one store is the last thing that the instruction does. */
  readonly endsWithStore?: true;
  /** The fields of general registers that it writes in any case. */
  readonly overwrites?: readonly string[];
  /** Where some variants have handlers of their own. */
  readonly variants?: {
    /** Names of register fields for which 31 is a handler of its own. */
    readonly registers: readonly string[];
    /** The field whose target may lie in the page or outside. */
    readonly label?: string;
    /** Handler by variant: bit `i` for `registers[i]` being 31, the next one for a target outside the page. */
    readonly handlers: readonly number[];
  };
}

/** What decoding needs to know of the core module. Plain data. */
export interface HandlerIndex {
  /** By names of rows, and by `groupKey`. */
  readonly groups: Readonly<Record<string, Readonly<Record<string, HandlerGroup>>>>;
  /** The handler of words that a breakpoint is on. */
  readonly breakpoint: number;
  /** Handlers from this one on are the functions of the module's table, in its order. */
  readonly firstCold: number;
  /** Handlers from this one on are translated code. */
  readonly firstTranslated: number;
  /** Types of the exported functions that translated code calls. */
  readonly functions: Readonly<Record<string, Signature>>;
}

/** The type of a function of the core module. */
export interface Signature {
  readonly params: readonly ValType[];
  readonly result: ValType | 'none';
}

/** Name under which the core module exports a helper. */
export function helperExport(name: string): string {
  return `helper ${name}`;
}

/** Names a group among those of its row. */
export function groupKey(statics: readonly number[], splits: readonly number[]): string {
  return `${statics.join()}/${splits.join()}`;
}

/** Values by the names of their fields or splits. */
export function named(
  names: readonly { readonly name: string }[],
  values: readonly number[],
): Record<string, number> {
  return Object.fromEntries(names.map(({ name }, i) => [name, values[i] ?? 0]));
}

/** An instruction that the CPU has. */
export interface DecodedInstruction {
  readonly word: number;
  readonly row: Row;
  readonly statics: Readonly<Record<string, number>>;
  readonly splits: Readonly<Record<string, number>>;
  /** Its handler that is a function; the only one, or the one to call, where it `mustBeCold`. */
  readonly cold: number;
  readonly mustBeCold: boolean;
  readonly endsWithStore: boolean;
  /** The fields of general registers that it writes in any case. */
  readonly overwrites: readonly string[];
}

interface Found {
  readonly row: Row | undefined;
  readonly group: HandlerGroup | undefined;
  /** Where its target lies in the page, and where outside. */
  readonly handlers: { readonly near: number; readonly far: number };
  /** Bytes to its target; 0 for what has one handler. */
  readonly distance: number;
}

/** Words that are remembered at the most. */
const MAX_FOUND = 0x1_0000;

function handlersOf(row: Row, { cold, variants }: HandlerGroup, word: number): Found['handlers'] {
  if (!variants) return { near: cold, far: cold };
  const { registers, label, handlers } = variants;
  let variant = 0;
  registers.forEach((name, i) => {
    const field = row.fields.find((f) => f.name === name);
    if (field && fieldValue(word, field) === 31) variant |= 1 << i;
  });
  const near = handlers[variant];
  const far = label === undefined ? near : handlers[variant | (1 << registers.length)];
  invariant(near !== undefined && far !== undefined, () => `${row.name}: a handler for each variant`);
  return { near, far };
}

const UNDEFINED = { near: HANDLER.undefined, far: HANDLER.undefined } as const;

/** Finds the handler of a word. */
export class HandlerFinder {
  /** By their words, signed: code repeats itself. */
  readonly #found = new Map<number, Found>();
  readonly #decoder: Decoder;
  readonly #model: CpuModel;
  readonly #groups: HandlerIndex['groups'];
  /** Groups by their static fields and splits as one number, which takes less time than `groupKey`. */
  readonly #known = new Map<Row, Map<number, HandlerGroup>>();

  constructor(decoder: Decoder, model: CpuModel, index: HandlerIndex) {
    this.#decoder = decoder;
    this.#model = model;
    this.#groups = index.groups;
  }

  /** What translating `word` needs; undefined where the CPU doesn't have the instruction. */
  instruction(word: number): DecodedInstruction | undefined {
    const { row, group } = this.#find(word);
    if (!row || !group) return undefined;
    const { cold, mustBeCold = false, endsWithStore = false, overwrites = [] } = group;
    const staticValues = row.staticFields.map((field) => fieldValue(word, field));
    return {
      ...{ word, row, cold, mustBeCold, endsWithStore, overwrites },
      statics: named(row.staticFields, staticValues),
      splits: named(row.splits, row.splitValues(word)),
    };
  }

  /** Row and group of `word`; undefined where the CPU doesn't have the instruction. */
  #find(word: number): Found {
    // V8 finds small integers sooner than other numbers; these are 32 bits and a sign.
    const key = word | 0;
    const known = this.#found.get(key);
    if (known) return known;
    const found = this.#look(word);
    if (this.#found.size >= MAX_FOUND) this.#found.clear();
    this.#found.set(key, found);
    return found;
  }

  #look(word: number): Found {
    const row = this.#decoder.decode(word);
    if (!row || !implementsRow(this.#model, row))
      return { row, group: undefined, handlers: UNDEFINED, distance: 0 };
    const group = this.#groupOf(row, word);
    const label = row.fields.find((field) => field.name === group.variants?.label);
    const handlers = handlersOf(row, group, word);
    return { row, group, handlers, distance: label ? signedFieldValue(word, label) * 4 : 0 };
  }

  #groupOf(row: Row, word: number): HandlerGroup {
    const known = this.#known.get(row) ?? new Map<number, HandlerGroup>();
    this.#known.set(row, known);
    const splits = row.splitValues(word);
    let key = 0;
    for (const field of row.staticFields) key = key * (1 << field.width) + fieldValue(word, field);
    row.splits.forEach(({ count }, i) => (key = key * count + (splits[i] ?? 0)));
    let group = known.get(key);
    if (group) return group;
    const statics = row.staticFields.map((field) => fieldValue(word, field));
    group = this.#groups[row.name]?.[groupKey(statics, splits)];
    invariant(group !== undefined, () => `${row.name} has no handler for 0x${word.toString(16)}`);
    known.set(key, group);
    return group;
  }

  /** The handler of `word` that is a function. */
  findCold(word: number): number {
    return this.#find(word).group?.cold ?? HANDLER.undefined;
  }

  /** Row and handler of `word` at `offset` bytes into its page. */
  find(word: number, offset: number): { readonly row: Row | undefined; readonly handler: number } {
    const { row, handlers, distance } = this.#find(word);
    const target = offset + distance;
    return { row, handler: target >= 0 && target < PAGE_SIZE ? handlers.near : handlers.far };
  }
}
