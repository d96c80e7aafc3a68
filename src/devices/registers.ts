/**
 * Descriptions of memory-mapped registers. A device states each register once, as a row of a table: offset,
 * width, access, reset value, fields and the clause of its manual. Dispatch, masks, reset values, the names in
 * traces and the stored part of the device's state all derive from that row.
 *
 *     const R = registers({
 *       UARTCR: { at: 0x30, width: 16, access: 'rw', reset: 0x300, spec: 'DDI0183G 3.3.8',
 *                 fields: { UARTEN: [0, 1], TXE: [8, 1], RXE: [9, 1] } },
 *     });
 *     R.UARTCR.has(state.regs.UARTCR, 'TXE');
 *
 * A value carries the type of its register, and a field name only fits its own register: neither
 * `R.UARTCR.has(state.regs.UARTLCR_H, 'TXE')` nor `R.UARTLCR_H.has(state.regs.UARTLCR_H, 'TXE')` compiles.
 */
import { hex, invariant } from '../base/index.js';
import type { Brand, Trace } from '../base/index.js';
import type { AccessSize } from '../bus/index.js';

/** Lowest bit, number of bits, and `'ro'` where the guest's writes do not change them. */
type FieldSpec = readonly [low: number, width: number, access?: 'ro'];

/** One row of a register table. Registers lie on multiples of four bytes, as on every AMBA peripheral, or of one. */
export interface RegisterSpec {
  /** Offset in bytes from the start of the device. */
  readonly at: number;
  /** Implemented bits, from bit 0 up, at most 32. Wider registers are described as their two halves. */
  readonly width: number;
  /**
   * What the guest may do. `rw` and `ro` registers are part of the state unless `computed`; `wo` registers
   * act and hold nothing; an `id` always reads as its reset value and is no state.
   */
  readonly access: 'rw' | 'ro' | 'wo' | 'id';
  /** Defaults to 0. An array of registers may have one value per element. */
  readonly reset?: number | readonly number[];
  /** The device makes the value up at each read (and consumes it at each write): nothing is stored. */
  readonly computed?: true;
  /** Makes this an array of registers, named by the row's name and the index: `GICD_ISENABLER0`. */
  readonly count?: number;
  /** Bytes from one element of an array to the next. Defaults to 4, or whatever registers are apart. */
  readonly stride?: number;
  /** Without fields every one of `width` bits is implemented, with them only those the fields cover. */
  readonly fields?: Readonly<Record<string, FieldSpec>>;
  /** Document and clause. */
  readonly spec: string;
}

/** A value of the register `Name`, or of one element of the array of that name. */
export type RegisterValue<Name extends string> = Brand<number, Name>;

type FieldName<Spec extends RegisterSpec> = Spec extends { readonly fields: infer Fields }
  ? keyof Fields & string
  : never;

function lowMask(width: number): number {
  return 2 ** width - 1;
}

/**
 * One row of a table, checked, with the masks that follow from it.
 * @public Declaration files of register tables name it.
 */
export class Register<Name extends string = string, Spec extends RegisterSpec = RegisterSpec> {
  readonly name: Name;
  readonly definition: Spec;
  /** Bits that exist; the others read as zero. */
  readonly mask: number;
  /** Bits that a guest's write reaches. */
  readonly writeMask: number;
  readonly count: number;
  readonly #fields: Readonly<
    Record<string, { readonly low: number; readonly max: number; readonly mask: number }>
  >;

  constructor(name: Name, definition: Spec) {
    const { width, access, fields = {}, count = 1 } = definition;
    invariant(width >= 1 && width <= 32, `${name}: a register has 1 to 32 bits`);
    this.name = name;
    this.definition = definition;
    this.count = count;
    const all = Object.entries(fields).map(([field, [low, fieldWidth, fieldAccess]]) => {
      invariant(
        low >= 0 && fieldWidth >= 1 && low + fieldWidth <= width,
        `${name}.${field} is outside the register`,
      );
      const max = lowMask(fieldWidth);
      return { field, low, max, mask: (max << low) >>> 0, access: fieldAccess };
    });
    this.#fields = Object.fromEntries(all.map(({ field, low, max, mask }) => [field, { low, max, mask }]));
    let covered = 0;
    let writable = 0;
    for (const { field, mask, access: fieldAccess } of all) {
      invariant((covered & mask) === 0, `${name}.${field} overlaps another field`);
      covered = (covered | mask) >>> 0;
      if (fieldAccess !== 'ro') writable = (writable | mask) >>> 0;
    }
    const isPlain = all.length === 0;
    this.mask = isPlain ? lowMask(width) : covered;
    this.writeMask = access === 'rw' || access === 'wo' ? (isPlain ? this.mask : writable) : 0;
    const resets = typeof definition.reset === 'object' ? definition.reset : [definition.reset ?? 0];
    invariant(resets.length === 1 || resets.length === count, `${name} needs one reset value or ${count}`);
    for (const reset of resets) {
      invariant(
        (reset & this.mask) >>> 0 === reset,
        `${name}: reset value ${hex(reset)} sets bits it does not have`,
      );
    }
  }

  /** The reset value, of element `index` where this is an array. */
  resetValue(index = 0): RegisterValue<Name> {
    const { reset = 0 } = this.definition;
    return (typeof reset === 'object' ? (reset[index] ?? 0) : reset) as RegisterValue<Name>;
  }

  /** `bits` as a value of this register, without the bits that it does not have. */
  value(bits: number): RegisterValue<Name> {
    return ((bits & this.mask) >>> 0) as RegisterValue<Name>;
  }

  /** A value made of fields; those not given are zero. */
  of(fields: Readonly<Partial<Record<FieldName<Spec>, number | boolean>>>): RegisterValue<Name> {
    let value = this.value(0);
    for (const [field, bits] of Object.entries(fields) as [FieldName<Spec>, number | boolean][]) {
      value = this.with(value, field, bits);
    }
    return value;
  }

  /** The field's bits, moved down to bit 0. */
  get(value: RegisterValue<Name>, field: FieldName<Spec>): number {
    const { low, max } = this.#field(field);
    return (value >>> low) & max;
  }

  /** True if the field is not zero. */
  has(value: RegisterValue<Name>, field: FieldName<Spec>): boolean {
    return (value & this.#field(field).mask) !== 0;
  }

  /** `value` with the field replaced by the low bits of `bits`. */
  with(value: RegisterValue<Name>, field: FieldName<Spec>, bits: number | boolean): RegisterValue<Name> {
    const { low, max, mask } = this.#field(field);
    return (((value & ~mask) | ((Number(bits) & max) << low)) >>> 0) as RegisterValue<Name>;
  }

  #field(name: string) {
    const field = this.#fields[name];
    invariant(field !== undefined, `${this.name} has no field ${name}`);
    return field;
  }
}

type Table = Readonly<Record<string, RegisterSpec>>;

type RegistersOf<T extends Table> = { readonly [Name in keyof T & string]: Register<Name, T[Name]> };

/** Any result of `registers`. The members' own types carry the details. */
export type AnyRegisters = Readonly<
  Record<string, { readonly name: string; readonly definition: RegisterSpec }>
>;

/** Checks a table of registers and makes its members usable. Meant for a module's top level: a wrong table throws. */
export function registers<const T extends Table>(table: T): RegistersOf<T> {
  return Object.fromEntries(
    Object.entries(table).map(([name, spec]) => [name, new Register(name, spec)]),
  ) as unknown as RegistersOf<T>;
}

type AccessOf<R extends AnyRegisters, Name extends keyof R> = R[Name]['definition']['access'];
type IsComputed<R extends AnyRegisters, Name extends keyof R> = R[Name]['definition'] extends {
  readonly computed: true;
}
  ? true
  : false;

type NamesWhere<R extends AnyRegisters, Access extends RegisterSpec['access'], Computed extends boolean> = {
  [Name in keyof R & string]: AccessOf<R, Name> extends Access
    ? IsComputed<R, Name> extends Computed
      ? Name
      : never
    : never;
}[keyof R & string];

/** The stored registers of a table as one plain object: the part of a device's state that the table defines. */
export type RegisterValues<R extends AnyRegisters> = {
  [Name in NamesWhere<R, 'rw' | 'ro', false>]: R[Name]['definition'] extends { readonly count: number }
    ? RegisterValue<Name>[]
    : RegisterValue<Name>;
};

function isStored({ access, computed }: RegisterSpec): boolean {
  return (access === 'rw' || access === 'ro') && computed !== true;
}

/** The stored registers at their reset values. */
export function resetValues<R extends AnyRegisters>(table: R): RegisterValues<R> {
  const values: Record<string, number | number[]> = {};
  for (const register of Object.values(table) as Register[]) {
    const { definition, name, count } = register;
    if (!isStored(definition)) continue;
    values[name] =
      definition.count === undefined
        ? register.resetValue()
        : Array.from({ length: count }, (_, index) => register.resetValue(index));
  }
  return values as unknown as RegisterValues<R>;
}

/** `index` is 0 unless the register is an array. Bits that the register does not have are dropped. */
type OnRead = (index: number) => number;
/** `value` holds only bits that the guest may write; read-only fields of a stored register keep their value. */
type OnWrite<Name extends string> = (value: RegisterValue<Name>, index: number) => void;

/** What a device does instead of fetching or storing a value. Where nothing is stored, it has to do something. */
export interface RegisterBehaviour<R extends AnyRegisters> {
  readonly read: { readonly [Name in NamesWhere<R, 'rw' | 'ro', true>]: OnRead } & {
    readonly [Name in NamesWhere<R, 'rw' | 'ro', false>]?: OnRead;
  };
  readonly write: {
    readonly [Name in NamesWhere<R, 'rw', true> | NamesWhere<R, 'wo', boolean>]: OnWrite<Name>;
  } & {
    readonly [Name in NamesWhere<R, 'rw', false>]?: OnWrite<Name>;
  };
}

interface Slot {
  readonly register: Register;
  readonly index: number;
  /** Name in traces. */
  readonly label: string;
  readonly onRead: OnRead | undefined;
  readonly onWrite: OnWrite<string> | undefined;
}

/**
 * Dispatches a device's accesses to its registers, which lie four bytes apart, or one where the device is of eight bits.
 *
 * An access narrower than four bytes reads, or writes, the register that contains it, side effects included:
 * a read takes its bytes from the value; a write leaves the other bytes of a stored register as they are and
 * gives zero in the others' place to one that is not stored. What no register claims reads as zero and ignores
 * writes. Traces: `mmio` for every access, `guest-errors` for those that the table does not allow.
 */
export class RegisterBlock<R extends AnyRegisters> {
  readonly #device: string;
  readonly #values: () => Record<string, number | number[]>;
  readonly #trace: Trace;
  readonly #spacing: 1 | 4;
  readonly #readable: (Slot | undefined)[] = [];
  readonly #writable: (Slot | undefined)[] = [];

  /** `values` gives the present state's stored registers; it is asked at each access, so the state may be replaced. */
  constructor(
    device: string,
    table: R,
    values: () => RegisterValues<R>,
    on: RegisterBehaviour<R>,
    trace: Trace,
    spacing: 1 | 4 = 4,
  ) {
    this.#device = device;
    this.#spacing = spacing;
    this.#values = values;
    this.#trace = trace;
    const onRead = on.read as Readonly<Record<string, OnRead | undefined>>;
    const onWrite = on.write as unknown as Readonly<Record<string, OnWrite<string> | undefined>>;
    for (const register of Object.values(table) as Register[]) {
      const { at, width, access, count, stride = spacing } = register.definition;
      invariant(
        at % spacing === 0 && stride % spacing === 0 && width <= spacing * 8,
        `${register.name} is not on a multiple of ${spacing} bytes, or wider`,
      );
      for (let index = 0; index < register.count; index++) {
        const word = (at + index * stride) / spacing;
        const slot: Slot = {
          register,
          index,
          label: count === undefined ? register.name : `${register.name}${index}`,
          onRead: onRead[register.name],
          onWrite: onWrite[register.name],
        };
        if (access !== 'wo') claim(this.#readable, word, slot);
        if (access === 'rw' || access === 'wo') claim(this.#writable, word, slot);
      }
    }
  }

  read(offset: number, size: AccessSize): number {
    const word = this.#wordOf(offset);
    const slot = this.#readable[word];
    if (slot === undefined) {
      this.#reject('read', offset, this.#writable[word]);
      return 0;
    }
    const { register, index, label, onRead } = slot;
    const whole = onRead === undefined ? this.#stored(slot) : (onRead(index) & register.mask) >>> 0;
    const value = size === 4 ? whole : (whole >>> this.#shiftOf(offset)) & lowMask(size * 8);
    if (this.#trace.on('mmio')) this.#trace.event('mmio', `${this.#device}: ${label} -> ${hex(value)}`);
    return value;
  }

  write(offset: number, size: AccessSize, value: number): void {
    const word = this.#wordOf(offset);
    const slot = this.#writable[word];
    if (slot === undefined) {
      this.#reject('write', offset, this.#readable[word]);
      return;
    }
    const { register, index, label, onWrite } = slot;
    if (this.#trace.on('mmio')) this.#trace.event('mmio', `${this.#device}: ${label} <- ${hex(value)}`);
    const shift = this.#shiftOf(offset);
    const reached = register.writeMask & (lowMask(size * 8) << shift);
    const kept = isStored(register.definition) ? this.#stored(slot) : 0;
    const merged = (((kept & ~reached) | ((value << shift) & reached)) >>> 0) as RegisterValue<string>;
    if (onWrite !== undefined) {
      onWrite(merged, index);
      return;
    }
    const values = this.#values();
    const held = values[register.name];
    if (typeof held === 'object') held[index] = merged;
    else values[register.name] = merged;
  }

  #wordOf(offset: number): number {
    return this.#spacing === 4 ? offset >>> 2 : offset;
  }

  #shiftOf(offset: number): number {
    return (offset & (this.#spacing - 1)) * 8;
  }

  #stored({ register, index }: Slot): number {
    if (!isStored(register.definition)) return register.resetValue(index);
    const held = this.#values()[register.name];
    const value = typeof held === 'object' ? held[index] : held;
    invariant(value !== undefined, `${this.#device}: ${register.name} is missing from the state`);
    return value;
  }

  #reject(verb: 'read' | 'write', offset: number, other: Slot | undefined): void {
    if (!this.#trace.on('guest-errors')) return;
    const what =
      other === undefined
        ? `offset ${hex(offset)}, where no register is`
        : `${other.label}, which is ${verb === 'read' ? 'write' : 'read'}-only`;
    this.#trace.event('guest-errors', `${this.#device}: ${verb} of ${what}`);
  }
}

function claim(slots: (Slot | undefined)[], word: number, slot: Slot): void {
  const other = slots[word];
  invariant(other === undefined, `${slot.label} and ${other?.label} are at the same offset`);
  slots[word] = slot;
}
