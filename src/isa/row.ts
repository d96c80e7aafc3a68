/**
 * The one statement of an A64 instruction: a row with its encoding, its assembly text and its meaning. The interpreter,
 * the disassembler, the random encoder, the overlap check and the conformance page derive from it.
 *
 * An encoding is written from bit 31 down, in words separated by spaces:
 *
 * | word | means |
 * |---|---|
 * | `0110` | fixed bits |
 * | `x` | a bit that decoding ignores, as the manual's SBZ and SBO bits |
 * | `sf` | a field one bit wide |
 * | `imm12:12` | a field of that many bits |
 * | `Rn:5` | a name that starts with R: a general register, 31 is the zero register |
 * | `Rn:5|sp` | the same, 31 is the stack pointer |
 * | `Vd:5` | a name that starts with V: a vector register |
 * | `imm19:19|label` | a signed distance in words from the instruction |
 */
import { invariant } from '../base/index.js';
import type { Feature } from './features.js';
import type { Stage } from './stage.js';

declare const fieldBrand: unique symbol;

/** The number of a general register, not its value: `stage.x(Rn)` is the value. */
export interface RegField {
  readonly [fieldBrand]: 'register';
}
/** The number of a vector register. */
export interface VecField {
  readonly [fieldBrand]: 'vector register';
}
/** A field's bits: `stage.imm(f)` is the value. */
export interface ImmField {
  readonly [fieldBrand]: 'immediate';
}
/** A branch target relative to the instruction. */
export interface LabelField {
  readonly [fieldBrand]: 'label';
}

export type DynamicField = RegField | VecField | ImmField | LabelField;

type Words<S extends string> = S extends `${infer Head} ${infer Tail}` ? Head | Words<Tail> : S;
type FixedWord = `${'0' | '1' | 'x'}${string}`;
type FieldWords<S extends string> = Exclude<Words<S>, FixedWord>;
type NameOf<W extends string> = W extends `${infer Name}:${string}` ? Name : W;
type DynamicOf<W extends string> = W extends `${string}|label`
  ? LabelField
  : W extends `R${string}`
    ? RegField
    : W extends `V${string}`
      ? VecField
      : ImmField;

/** All fields as plain numbers, as decoding and disassembly see them. */
export type Numbers<B extends string> = { readonly [W in FieldWords<B> as NameOf<W>]: number };
/** Static fields as numbers, the others as opaque fields, as `exec` sees them. */
export type StagedFields<B extends string, S extends string> = {
  readonly [W in FieldWords<B> as NameOf<W>]: NameOf<W> extends S ? number : DynamicOf<W>;
};
type FieldNames<B extends string> = NameOf<FieldWords<B>>;

/** A number computed from all fields while decoding; the interpreter has one handler for each value. */
export interface Split<N> {
  /** Values are 0 … count − 1. */
  readonly count: number;
  readonly of: (fields: N) => number;
}

type SplitValues<P> = { readonly [K in keyof P]: number };

export interface RowDefinition<
  B extends string,
  S extends string,
  P extends Record<string, Split<Numbers<B>>>,
> {
  readonly bits: B;
  /** Document and clause. */
  readonly spec: string;
  /** Fields that are JavaScript numbers in `exec`. */
  readonly static?: readonly (S & FieldNames<B>)[];
  readonly split?: P;
  /** False for combinations of static fields that are not this instruction. */
  readonly allocated?: (fields: { readonly [K in S]: number }) => boolean;
  /** False for words that are not this instruction although they match `bits`; sees all fields. */
  readonly constraint?: (fields: Numbers<B>) => boolean;
  /** Uses the Advanced SIMD and FP registers: trapped where CPACR_EL1 says so. */
  readonly simd?: boolean;
  /** The optional feature that has the instruction; Undefined on a CPU model without it. */
  readonly feature?: Feature;
  /** Assembly text without aliases, operands as binutils writes them; `pc` is the instruction's address. */
  readonly text: (fields: Numbers<B>, pc: bigint) => string;
  readonly exec: (stage: Stage, fields: StagedFields<B, S>, split: SplitValues<P>) => void;
}

/** A part of an encoding. */
export interface FieldLayout {
  readonly name: string;
  readonly low: number;
  readonly width: number;
  readonly kind: 'register' | 'register-or-sp' | 'vector' | 'label' | 'immediate';
  readonly isStatic: boolean;
}

/**
 * What becomes of an encoding. All but `done` raise Undefined:
 *
 * - `trapped`: as the architecture has it, since the state that the instruction needs cannot be reached here;
 * - `not advertised`: it belongs to a feature that no CPU model has.
 */
export type Status = 'done' | 'trapped' | 'not advertised';

/** A row as the consumers see it. */
export interface Row {
  readonly name: string;
  readonly bits: string;
  readonly spec: string;
  readonly status: Status;
  /** A word belongs to the row if `(word & mask) === match` and `accepts(word)`. Unsigned. */
  readonly mask: number;
  readonly match: number;
  readonly fields: readonly FieldLayout[];
  readonly staticFields: readonly FieldLayout[];
  readonly splits: readonly { readonly name: string; readonly count: number }[];
  readonly simd: boolean;
  readonly feature: Feature | undefined;
  accepts(word: number): boolean;
  /** Values of the splits, in order. */
  splitValues(word: number): number[];
  isAllocated(staticValues: Readonly<Record<string, number>>): boolean;
  text(word: number, pc: bigint): string;
  exec(
    stage: Stage,
    fields: Readonly<Record<string, unknown>>,
    split: Readonly<Record<string, number>>,
  ): void;
}

export interface ParsedBits {
  readonly mask: number;
  readonly match: number;
  readonly fields: readonly FieldLayout[];
}

function parseBits(name: string, text: string, statics: readonly string[]): ParsedBits {
  let at = 32;
  let mask = 0;
  let match = 0;
  const fields: FieldLayout[] = [];
  for (const word of text.split(' ')) {
    if (/^[01x]+$/.test(word)) {
      for (const bit of word) {
        at--;
        if (bit === 'x') continue;
        mask |= 1 << at;
        if (bit === '1') match |= 1 << at;
      }
      continue;
    }
    const parts = /^([A-Za-z]\w*)(?::(\d+))?(?:\|(sp|label))?$/.exec(word);
    invariant(parts !== null, `${name}: '${word}' in the encoding`);
    const fieldName = parts[1] ?? '';
    const width = parts[2] === undefined ? 1 : Number(parts[2]);
    at -= width;
    const isStatic = statics.includes(fieldName);
    const kind =
      parts[3] === 'label'
        ? 'label'
        : fieldName.startsWith('R')
          ? parts[3] === 'sp'
            ? 'register-or-sp'
            : 'register'
          : fieldName.startsWith('V')
            ? 'vector'
            : 'immediate';
    fields.push({ name: fieldName, low: at, width, kind, isStatic });
  }
  invariant(at === 0, `${name}: the encoding has ${32 - at} bits`);
  return { mask: mask >>> 0, match: match >>> 0, fields };
}

/** The field's bits in `word`, unsigned. */
export function fieldValue(word: number, field: FieldLayout): number {
  return (word << (32 - field.low - field.width)) >>> (32 - field.width);
}

/** The field's bits in `word` as a two's complement number. */
export function signedFieldValue(word: number, field: FieldLayout): number {
  return (word << (32 - field.low - field.width)) >> (32 - field.width);
}

function numbers(word: number, fields: readonly FieldLayout[]): Record<string, number> {
  const values: Record<string, number> = {};
  for (const field of fields) values[field.name] = fieldValue(word, field);
  return values;
}

/** Defines an implemented instruction. `name` is the manual's heading, with the variant where one heading has several. */
export function insn<
  const B extends string,
  const S extends string = never,
  const P extends Record<string, Split<Numbers<B>>> = Record<never, never>,
>(name: string, definition: RowDefinition<B, S, P>): Row {
  const statics: readonly string[] = definition.static ?? [];
  const { mask, match, fields } = parseBits(name, definition.bits, statics);
  const staticFields = fields.filter((field) => field.isStatic);
  for (const field of statics)
    invariant(
      staticFields.some((f) => f.name === field),
      `${name}: no field ${field}`,
    );
  const splits = Object.entries(definition.split ?? {});
  const { allocated, constraint } = definition;
  return {
    name,
    bits: definition.bits,
    spec: definition.spec,
    status: 'done',
    mask,
    match,
    fields,
    staticFields,
    splits: splits.map(([splitName, split]) => ({ name: splitName, count: split.count })),
    simd: definition.simd ?? false,
    feature: definition.feature,
    accepts: (word) => {
      if (!allocated && !constraint) return true;
      const values = numbers(word, fields);
      if (allocated && !allocated(values as { readonly [K in S]: number })) return false;
      return !constraint || constraint(values as Numbers<B>);
    },
    splitValues: (word) => {
      if (splits.length === 0) return [];
      const values = numbers(word, fields) as Numbers<B>;
      return splits.map(([, split]) => split.of(values));
    },
    isAllocated: (values) => !allocated || allocated(values as { readonly [K in S]: number }),
    text: (word, pc) => definition.text(numbers(word, fields) as Numbers<B>, pc),
    exec: (stage, staged, split) => {
      definition.exec(stage, staged as StagedFields<B, S>, split as SplitValues<P>);
    },
  };
}

/** An encoding of a feature that no CPU model has. `constraint` as in `RowDefinition`. */
export const notAdvertised = undefinedRow('not advertised');
/** An encoding that is undefined outside a state that is never reached here. */
export const trapped = undefinedRow('trapped');

type Constraint = (fields: Readonly<Record<string, number>>) => boolean;

function undefinedRow(
  status: Exclude<Status, 'done'>,
): (name: string, bits: string, spec: string, constraint?: Constraint) => Row {
  return (name, bits, spec, constraint) => rowWithoutMeaning(status, name, bits, spec, constraint);
}

function rowWithoutMeaning(
  status: Status,
  name: string,
  bits: string,
  spec: string,
  constraint: Constraint | undefined,
): Row {
  const { mask, match, fields } = parseBits(name, bits, []);
  return {
    name,
    bits,
    spec,
    status,
    mask,
    match,
    fields,
    staticFields: [],
    splits: [],
    simd: false,
    feature: undefined,
    accepts: (word) => !constraint || constraint(numbers(word, fields)),
    splitValues: () => [],
    isAllocated: () => true,
    text: (word) => `.inst 0x${word.toString(16).padStart(8, '0')} ; ${name}`,
    exec: (stage) => {
      stage.undefined();
    },
  };
}
