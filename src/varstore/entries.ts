/**
 * The entries of a variable store (MdeModulePkg/Include/Guid/VariableFormat.h): VARIABLE_STORE_HEADER, and behind it one
 * header with name and data after the other, each at a multiple of 4, to the first that does not start with 0x55AA.
 */
import { isFilledWith, readUcs2, ucs2Z, viewOf } from './bytes.js';
import { readGuid, writeGuid, type Guid } from './guid.js';

/** `VARIABLE_STORE_HEADER`. */
export const STORE = { size: 16, format: 20, state: 21, bytes: 28 } as const;
export const STORE_FORMATTED = 0x5a;
export const STORE_HEALTHY = 0xfe;

/** `StartId` of a header. */
const VARIABLE_START = 0x55aa;

/**
 * States, each of which has a bit less than the one before: header written, data written, about to be replaced, deleted
 * (after it was about to be replaced, or at once). `erased`: firmware stopped before the header was known to be whole.
 */
export const State = {
  erased: 0xff,
  headerValid: 0x7f,
  added: 0x3f,
  inDeletedTransition: 0x3e,
  deletedAtOnce: 0x3d,
  deleted: 0x3c,
} as const;

/** What is cleared to say so. */
export const IN_DELETED_TRANSITION = 0xfe;
export const DELETED = 0xfd;

export const KNOWN_STATES: readonly number[] = Object.values(State);

/** Where a header has what. */
export interface Format {
  readonly signature: Guid;
  readonly name: 'authenticated' | 'plain';
  readonly headerBytes: number;
  readonly nameSize: number;
  readonly dataSize: number;
  readonly vendor: number;
  /** A count, the time and the index of a key: what authenticated variables have more. */
  readonly authentication: { readonly at: number; readonly time: number } | undefined;
}

const STATE_AT = 2;
const ATTRIBUTES_AT = 4;
export const TIME_BYTES = 16;

export const FORMATS: readonly Format[] = [
  {
    // `gEfiAuthenticatedVariableGuid`, AUTHENTICATED_VARIABLE_HEADER.
    signature: 'aaf32c78-947b-439a-a180-2e144ec37792',
    name: 'authenticated',
    headerBytes: 60,
    nameSize: 36,
    dataSize: 40,
    vendor: 44,
    authentication: { at: 8, time: 16 },
  },
  {
    // `gEfiVariableGuid`, VARIABLE_HEADER.
    signature: 'ddcf3616-3275-4164-98b6-fe85707ffe7d',
    name: 'plain',
    headerBytes: 32,
    nameSize: 8,
    dataSize: 12,
    vendor: 16,
    authentication: undefined,
  },
];

/** An entry as it lies in the store. Offsets are into the bytes that were read. */
export interface Entry {
  readonly at: number;
  /** Behind its data, not rounded up. */
  readonly endsAt: number;
  readonly state: number;
  readonly attributes: number;
  readonly guid: Guid;
  readonly nameAt: number;
  readonly dataAt: number;
  /** Undefined where it is not one with a NUL at its end and nowhere else. */
  readonly name: string | undefined;
  /** `EFI_TIME`; zeros where the format has none. */
  readonly time: Uint8Array;
}

export function align4(at: number): number {
  return (at + 3) & ~3;
}

export interface Walk {
  readonly entries: readonly Entry[];
  /** Where the next entry would go. */
  readonly freeAt: number;
  /** Where an entry says to be longer than the store. It is none of `entries`, and there is no free space. */
  readonly overrunAt: number | undefined;
}

/** Reads entries from `at` up to `end`. */
export function readEntries(bytes: Uint8Array, format: Format, from: number, end: number): Walk {
  const view = viewOf(bytes);
  const entries: Entry[] = [];
  let at = align4(from);
  while (at + 2 <= end && view.getUint16(at, true) === VARIABLE_START) {
    const entry = readEntry(bytes, format, at, end);
    if (!entry) return { entries, freeAt: end, overrunAt: at };
    entries.push(entry);
    at = Math.min(align4(entry.endsAt), end);
  }
  return { entries, freeAt: at, overrunAt: undefined };
}

/** The entry whose header is at `at`; undefined where it doesn't end before `end`. */
function readEntry(bytes: Uint8Array, format: Format, at: number, end: number): Entry | undefined {
  const nameAt = at + format.headerBytes;
  if (nameAt > end) return undefined;
  const view = viewOf(bytes);
  const state = view.getUint8(at + STATE_AT);
  const attributes = view.getUint32(at + ATTRIBUTES_AT, true);
  let nameBytes = view.getUint32(at + format.nameSize, true);
  let dataBytes = view.getUint32(at + format.dataSize, true);
  // Firmware goes on behind the header where it sees that the header was not written to its end.
  const isUnwritten = [nameBytes, dataBytes, attributes].includes(0xffff_ffff) || state === State.erased;
  if (isUnwritten) nameBytes = dataBytes = 0;
  const dataAt = nameAt + nameBytes;
  const endsAt = dataAt + dataBytes;
  if (endsAt > end) return undefined;
  const { authentication } = format;
  return {
    at,
    endsAt,
    state,
    attributes,
    guid: readGuid(bytes, at + format.vendor),
    nameAt,
    dataAt,
    name: readName(bytes, nameAt, nameBytes),
    time: authentication
      ? bytes.slice(at + authentication.time, at + authentication.time + TIME_BYTES)
      : new Uint8Array(TIME_BYTES),
  };
}

function readName(bytes: Uint8Array, at: number, nameBytes: number): string | undefined {
  if (nameBytes < 4 || nameBytes % 2 !== 0) return undefined;
  const text = readUcs2(bytes, at, nameBytes / 2);
  return text.indexOf('\0') === text.length - 1 ? text.slice(0, -1) : undefined;
}

/** A variable as one sets it. */
export interface Variable {
  /** Of UTF-16 units, none of which is NUL. */
  readonly name: string;
  readonly guid: Guid;
  readonly attributes: number;
  readonly data: Uint8Array;
  /** `EFI_TIME`, 16 bytes, of the last authenticated write; zeros for all variables but time-based authenticated ones. */
  readonly time: Uint8Array;
}

/** The bytes of a new entry. The bytes up to a multiple of 4 stay erased. */
export function encodeEntry(format: Format, variable: Variable): Uint8Array {
  const name = ucs2Z(variable.name);
  const bytes = new Uint8Array(format.headerBytes + name.length + variable.data.length);
  const view = viewOf(bytes);
  view.setUint16(0, VARIABLE_START, true);
  view.setUint8(STATE_AT, State.added);
  view.setUint32(ATTRIBUTES_AT, variable.attributes, true);
  if (format.authentication) bytes.set(variable.time, format.authentication.time);
  view.setUint32(format.nameSize, name.length, true);
  view.setUint32(format.dataSize, variable.data.length, true);
  writeGuid(bytes, format.vendor, variable.guid);
  bytes.set(name, format.headerBytes);
  bytes.set(variable.data, format.headerBytes + name.length);
  return bytes;
}

export function clearStateBits(bytes: Uint8Array, entry: Entry, mask: number): void {
  bytes[entry.at + STATE_AT]! &= mask;
}

export function setState(bytes: Uint8Array, at: number, state: number): void {
  bytes[at + STATE_AT] = state;
}

/** What tells variables apart. A GUID has no NUL, so no two can meet. */
export function keyOf(guid: Guid, name: string): string {
  return `${guid}\0${name}`;
}

/** True for an entry that firmware looks at. */
export function isLive(entry: Entry): boolean {
  return entry.state === State.added || entry.state === State.inDeletedTransition;
}

/** True where no entry with a known state and a size that fits starts between `at` and `end`. */
export function hidesNoEntry(bytes: Uint8Array, format: Format, from: number, end: number): boolean {
  const rest = bytes.subarray(from, end);
  if (isFilledWith(rest, 0xff)) return true;
  const view = viewOf(bytes);
  for (let at = align4(from); at + format.headerBytes <= end; at += 4) {
    if (view.getUint16(at, true) !== VARIABLE_START) continue;
    const entry = readEntry(bytes, format, at, end);
    if (entry && KNOWN_STATES.includes(entry.state)) return false;
  }
  return true;
}
