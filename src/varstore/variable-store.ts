import { invariant, UserError } from '../base/index.js';
import { Attribute, formatAttributes } from './attributes.js';
import { areEqual, isFilledWith } from './bytes.js';
import { compact } from './compact.js';
import {
  clearStateBits, DELETED, encodeEntry, IN_DELETED_TRANSITION, isLive, keyOf, State, STORE, TIME_BYTES,
  type Entry, type Variable,
} from './entries.js'; // prettier-ignore
import { GLOBAL_VARIABLE, guidName, IMAGE_SECURITY_DATABASE, type Guid } from './guid.js';
import { readStore, shown, type Problem, type StoreContents } from './store.js';

/** What is to become of a variable. */
export interface VariableSetting {
  readonly name: string;
  readonly guid: Guid;
  /** Default: those it has, or NV+BS+RT. */
  readonly attributes: number;
  /** At least one byte; copied. */
  readonly data: Uint8Array;
  /** `EFI_TIME`, for time-based authenticated variables. Default: what it was, or zeros. */
  readonly time?: Uint8Array;
}

export interface SetOptions {
  /** Write variables, too, whose changes firmware takes only with a signature. */
  readonly force?: boolean;
}

/** How much room there is, in bytes. */
export interface StoreSpace {
  readonly sizeBytes: number;
  /** By variables in use. */
  readonly liveBytes: number;
  /** By variables that are deleted or were never finished; reclaimed when their room is needed. */
  readonly deletedBytes: number;
  /** Behind the last variable. */
  readonly freeBytes: number;
}

/** Bytes of an image and where they are in it. */
export interface ImagePart {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** What EDK2 keeps beside the data of a variable that says that it takes a signature. */
const AUTHENTICATED =
  Attribute.authenticated | Attribute.timeBasedAuthenticated | Attribute.enhancedAuthenticated;

/** Variables whose changes take a signature (UEFI 2.10, 3.3 and 32.4.1). */
const SIGNED: readonly (readonly [guid: Guid, names: readonly string[]])[] = [
  [GLOBAL_VARIABLE, ['PK', 'KEK']],
  [IMAGE_SECURITY_DATABASE, ['db', 'dbx', 'dbt', 'dbr']],
];

/**
 * The variables that EDK2 firmware keeps in a flash image: read, changed in memory as firmware would change them, and
 * given back as bytes of the image. A deleted variable keeps its place, a changed one gets a new place behind the others,
 * and when there is none left, what is deleted is dropped.
 *
 * ```
 * const store = VariableStore.read(image);
 * store.set({ name: 'Timeout', guid: GLOBAL_VARIABLE, attributes: 7, data: Uint8Array.of(1, 0) });
 * image.set(store.part.bytes, store.part.offset);
 * ```
 *
 * Every change is read back before it counts: where that doesn't give what was set beside what was there, the change is
 * a bug and throws.
 */
export class VariableStore {
  #contents: StoreContents;

  private constructor(contents: StoreContents) {
    this.#contents = contents;
  }

  /**
   * Reads the store in `image`, which is copied.
   *
   * @throws UserError `vars-none`, `vars-several`, `vars-unknown`: there is no store in it that could be read.
   */
  static read(image: Uint8Array): VariableStore {
    return new VariableStore(readStore(image));
  }

  /** What is not as it should be. With an `error` among it, nothing is changed. */
  get problems(): readonly Problem[] {
    return this.#contents.problems;
  }

  /** `authenticated`, as nearly all are, or `plain`: without times and counts. */
  get format(): 'authenticated' | 'plain' {
    return this.#contents.format.name;
  }

  /** The volume as it is now, borrowed until the next change, and where in the image it belongs. */
  get part(): ImagePart {
    return { offset: this.#contents.at, bytes: this.#contents.bytes };
  }

  get space(): StoreSpace {
    const { entries, freeAt, storeAt, storeEnd } = this.#contents;
    const live = new Set(this.#inUse());
    let liveBytes = 0;
    let deletedBytes = 0;
    entries.forEach((entry, index) => {
      const bytes = (entries[index + 1]?.at ?? freeAt) - entry.at;
      if (live.has(entry)) liveBytes += bytes;
      else deletedBytes += bytes;
    });
    return {
      sizeBytes: storeEnd - storeAt - STORE.bytes,
      liveBytes,
      deletedBytes,
      freeBytes: storeEnd - freeAt,
    };
  }

  /** The variables that firmware sees, in the order in which they are in the store; their bytes are copies. */
  get variables(): readonly Variable[] {
    return this.#inUse().map((entry) => this.#variableOf(entry));
  }

  /** Those of a name: one, unless several vendors use it. */
  find(name: string, guid?: Guid): readonly Variable[] {
    return this.variables.filter(
      (variable) => variable.name === name && (guid === undefined || variable.guid === guid),
    );
  }

  /**
   * Sets a variable, as firmware does: the new one goes behind the last, then the old one is marked deleted. Where there
   * is no room, the deleted ones are dropped first.
   *
   * @returns what happened: nothing, where it is as it should be already.
   * @throws UserError `vars-damaged`, `vars-name`, `vars-attributes`, `vars-empty`, `vars-signed`, `vars-full`.
   */
  set(setting: VariableSetting, { force = false }: SetOptions = {}): 'unchanged' | 'appended' | 'compacted' {
    this.#refuseDamaged();
    const { name, guid, attributes, data } = setting;
    const [before] = this.find(name, guid);
    const time = setting.time ?? before?.time ?? new Uint8Array(TIME_BYTES);
    const variable: Variable = {
      name,
      guid,
      attributes,
      data: new Uint8Array(data),
      time: new Uint8Array(time),
    };
    if (before && isSame(before, variable)) return 'unchanged';
    refuseUnwritable(variable, this.format);
    if (!force) refuseSigned(variable, before);

    const { bytes, entries, freeAt, storeEnd, format } = this.#contents;
    const replaced = entries.filter((entry) => isLive(entry) && entry.name === name && entry.guid === guid);
    const encoded = encodeEntry(format, variable);
    const hasRoom = freeAt + encoded.length <= storeEnd;
    let changed: Uint8Array | undefined;
    if (hasRoom) {
      changed = bytes.slice();
      changed.set(encoded, freeAt);
      for (const entry of replaced) clearStateBits(changed, entry, IN_DELETED_TRANSITION & DELETED);
    } else changed = compact(this.#contents, { replaced, variable });
    if (!changed) {
      const { sizeBytes, liveBytes, deletedBytes } = this.space;
      throw new UserError(
        'vars-full',
        `${shown(name)} needs ${encoded.length} bytes, and of ${sizeBytes} are ${sizeBytes - liveBytes} left` +
          (deletedBytes > 0 ? ', with what is deleted' : '') +
          '; delete a variable',
      );
    }
    const expected = new Map(this.#state());
    expected.set(keyOf(guid, name), variable);
    this.#accept(changed, expected);
    return hasRoom ? 'appended' : 'compacted';
  }

  /**
   * Marks a variable deleted.
   *
   * @returns false where there is none.
   * @throws UserError `vars-damaged`, `vars-signed`.
   */
  delete(name: string, guid: Guid, { force = false }: SetOptions = {}): boolean {
    this.#refuseDamaged();
    const [before] = this.find(name, guid);
    if (!before) return false;
    if (!force) refuseSigned(before, before);
    const { bytes, entries } = this.#contents;
    const changed = bytes.slice();
    for (const entry of entries) {
      if (isLive(entry) && entry.name === name && entry.guid === guid)
        clearStateBits(changed, entry, DELETED);
    }
    const expected = new Map(this.#state());
    expected.delete(keyOf(guid, name));
    this.#accept(changed, expected);
    return true;
  }

  #refuseDamaged(): void {
    const fault = this.problems.find(({ severity }) => severity === 'error');
    if (!fault) return;
    throw new UserError(
      'vars-damaged',
      `not changed, as something is wrong with it: ${fault.text}` +
        (fault.remedy === 'repair' ? "; 'v8a vars repair' first" : ''),
    );
  }

  /** Entries that firmware finds when it looks for a variable. */
  #inUse(): readonly Entry[] {
    const { entries } = this.#contents;
    const found = new Map<string, Entry>();
    for (const entry of entries) {
      if (!isLive(entry) || entry.name === undefined) continue;
      const key = keyOf(entry.guid, entry.name);
      // The first that was added; without one, the last that was to be replaced.
      if (found.get(key)?.state !== State.added) found.set(key, entry);
    }
    return entries.filter((entry) => found.get(keyOf(entry.guid, entry.name ?? '')) === entry);
  }

  #variableOf({ name, guid, attributes, time, dataAt, endsAt }: Entry): Variable {
    const data = this.#contents.bytes.slice(dataAt, endsAt);
    return { name: name ?? '', guid, attributes, data, time: time.slice() };
  }

  #state(): ReadonlyMap<string, Variable> {
    return new Map(this.variables.map((variable) => [keyOf(variable.guid, variable.name), variable]));
  }

  /** Takes over the volume `bytes` if it reads as `expected`, with no problem that was not there before. */
  #accept(bytes: Uint8Array, expected: ReadonlyMap<string, Variable>): void {
    const { at } = this.#contents;
    const contents = readStore(bytes);
    const problems = contents.problems.map((problem) => ({ ...problem, at: problem.at + at }));
    const next = new VariableStore({ ...contents, at, problems });
    invariant(
      holdSame(next.variables, [...expected.values()]),
      'a changed variable store reads as it was meant',
    );
    const count = (problems: readonly Problem[]): number =>
      problems.filter(({ severity }) => severity !== 'note').length;
    invariant(count(next.problems) <= count(this.problems), 'a changed variable store has no new problem');
    this.#contents = next.#contents;
  }
}

/** True where both are the same variables, in any order. */
export function holdSame(some: readonly Variable[], others: readonly Variable[]): boolean {
  const byKey = new Map(others.map((variable) => [keyOf(variable.guid, variable.name), variable]));
  return (
    some.length === others.length &&
    some.every((variable) => {
      const other = byKey.get(keyOf(variable.guid, variable.name));
      return other !== undefined && isSame(variable, other);
    })
  );
}

function isSame(a: Variable, b: Variable): boolean {
  return a.attributes === b.attributes && areEqual(a.data, b.data) && areEqual(a.time, b.time);
}

function refuseUnwritable(
  { name, attributes, data, time }: Variable,
  format: 'authenticated' | 'plain',
): void {
  const fail = (code: string, text: string): never => {
    throw new UserError(`vars-${code}`, `${shown(name)}: ${text}`);
  };
  if (name === '' || name.includes('\0'))
    fail('name', 'is no name; accepted: at least one character, and no NUL');
  if (data.length === 0)
    fail('empty', 'has no data, which to UEFI means deleting it; accepted: at least one byte');
  if ((attributes & Attribute.nonVolatile) === 0) {
    fail('attributes', `${formatAttributes(attributes)} is without NV, and only NV variables are in flash`);
  }
  if ((attributes & Attribute.bootService) === 0) {
    fail('attributes', `${formatAttributes(attributes)} is without BS, which every variable has`);
  }
  if ((attributes & Attribute.appendWrite) !== 0 || attributes >>> 0 > 0xff) {
    fail('attributes', `${formatAttributes(attributes)} are none of a variable that is stored`);
  }
  if (format === 'plain' && ((attributes & AUTHENTICATED) !== 0 || !isFilledWith(time, 0))) {
    fail('attributes', 'this store has no authenticated variables');
  }
  if (time.length !== TIME_BYTES) fail('time', `its time has ${time.length} bytes; accepted: ${TIME_BYTES}`);
}

function refuseSigned(variable: Variable, before: Variable | undefined): void {
  const { name, guid } = variable;
  const attributes = variable.attributes | (before?.attributes ?? 0);
  const isKnown = SIGNED.some(([known, names]) => known === guid && names.includes(name));
  if (!isKnown && (attributes & AUTHENTICATED) === 0) return;
  throw new UserError(
    'vars-signed',
    `${shown(name)} of ${guidName(guid)}: firmware changes it only with a signature; --force changes it without`,
  );
}
