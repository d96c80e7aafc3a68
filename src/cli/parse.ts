import { GIB, KIB, MIB } from '../base/index.js';
import { isSerial, MAX_SERIAL_CHARACTERS, type DiskOptions } from '../vm/disk-options.js';
import { isPortName, PORT_NAME_RULE } from '../vm/consoles.js';
import { isTag, TAG_RULE, type ShareOptions } from '../vm/share-options.js';
import type { SymbolsOptions } from '../vm/profile-options.js';
import { parseAttributes } from '../varstore/attributes.js';
import { fromHex } from '../varstore/bytes.js';
import { parseGuid, type Guid } from '../varstore/guid.js';
import { isMemorySize, MAX_CPUS, MAX_MEMORY_BYTES, MIN_MEMORY_BYTES } from '../vm/limits.js';

/** A value that an option doesn't take: what is wrong with it and what would be accepted, to follow the value. */
export class UnacceptableValue extends Error {
  override readonly name = 'UnacceptableValue';

  constructor(what: string, accepted: string) {
    super(`${what}; accepted: ${accepted}`);
  }
}

/** How a shell completes a value: with one of some words, or the name of a file or of a directory. */
export type Completion = readonly string[] | 'file' | 'directory';

/** What a parser of values may know beside reading them. */
export interface Completed {
  readonly completes?: Completion | undefined;
}

const SIZE_UNITS: Readonly<Record<string, number>> = { B: 1, K: KIB, M: MIB, G: GIB, T: 1024 * GIB };

/**
 * A size in bytes as people write it: `512M`, `1G`, `1.5GiB`, `524288K`, `536870912B`. Units are powers of 1024
 * in any case; a number alone counts MiB, as for `lkvm -m`.
 */
export function parseSize(text: string): number {
  const parts = /^(\d+(?:\.\d+)?)(?:([KMGT])(?:i?B)?|(B))?$/i.exec(text.trim());
  const unit = (parts?.[2] ?? parts?.[3] ?? 'M').toUpperCase();
  const bytes = parts ? Number(parts[1]) * SIZE_UNITS[unit]! : NaN;
  if (!Number.isSafeInteger(bytes) || bytes === 0) {
    throw new UnacceptableValue('is no size', '512M, 1G, 1.5GiB and the like, or a number of MiB');
  }
  return bytes;
}

/** RAM as `--mem` gives it. */
export interface Memory {
  readonly bytes: number;
  /** Where it starts; left out: where the board has it. */
  readonly base?: number;
}

/** A size of RAM, and after an `@` its address, written as a size or in hexadecimal: `1G@4G`, `512M@0x80000000`. */
export function parseMemory(text: string): Memory {
  const [size = '', address, ...surplus] = text.split('@');
  const bytes = parseSize(size);
  if (!isMemorySize(bytes)) {
    throw new UnacceptableValue(
      'is no size for RAM',
      `whole MiB from ${formatSize(MIN_MEMORY_BYTES)} to ${formatSize(MAX_MEMORY_BYTES)}`,
    );
  }
  if (address === undefined) return { bytes };
  if (surplus.length > 0) throw new UnacceptableValue('has two addresses', '<size>[@<address>]');
  return { bytes, base: parseAddress(address) };
}

/** An address: hexadecimal, or as a size. */
export function parseAddress(text: string): number {
  const address = /^0x[0-9a-f]{1,13}$/i.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(address)) return address;
  try {
    return parseSize(text);
  } catch (error) {
    if (!(error instanceof UnacceptableValue)) throw error;
    throw new UnacceptableValue('has no address', '0x80000000, 2G and the like');
  }
}

/** A number of CPUs. */
export function parseCpus(text: string): number {
  const count = /^\d+$/.test(text.trim()) ? Number(text) : NaN;
  if (!(count >= 1 && count <= MAX_CPUS)) {
    throw new UnacceptableValue('is no number of CPUs', `1 to ${MAX_CPUS}`);
  }
  return count;
}

/** `bytes` the way `parseSize` reads it. */
export function formatSize(bytes: number): string {
  for (const unit of ['G', 'M', 'K']) {
    if (bytes % SIZE_UNITS[unit]! === 0) return `${bytes / SIZE_UNITS[unit]!}${unit}`;
  }
  return `${bytes}B`;
}

const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration in milliseconds: `500ms`, `60s`, `2m`, `1.5h`; a number alone counts seconds. */
export function parseDuration(text: string): number {
  const parts = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/i.exec(text.trim());
  const ms = parts ? Number(parts[1]) * DURATION_UNITS_MS[(parts[2] ?? 's').toLowerCase()]! : NaN;
  if (!Number.isFinite(ms) || ms < 1 || ms > Number.MAX_SAFE_INTEGER) {
    throw new UnacceptableValue('is no duration', '60s, 500ms, 2m and the like, or a number of seconds');
  }
  return Math.round(ms);
}

const ESCAPES: Readonly<Record<string, number>> = { r: 0x0d, n: 0x0a, t: 0x09, e: 0x1b, '\\': 0x5c };

/** Text, not empty, as UTF-8 with the escapes `\r \n \t \e \xNN \\` replaced by their bytes. */
export function parseEscapes(text: string): Uint8Array {
  if (text === '') throw new UnacceptableValue('is empty', 'at least one character');
  const encoder = new TextEncoder();
  const bytes: number[] = [];
  // An escape, a lone backslash, or anything up to the next backslash.
  for (const [piece] of text.matchAll(/\\x[0-9a-fA-F]{2}|\\.|\\|[^\\]+/gsu)) {
    const byte = /^\\x./.test(piece) ? parseInt(piece.slice(2), 16) : ESCAPES[piece.slice(1)];
    if (!piece.startsWith('\\')) bytes.push(...encoder.encode(piece));
    else if (byte !== undefined) bytes.push(byte);
    else {
      throw new UnacceptableValue(
        `has the unknown escape ${piece}`,
        '\\r \\n \\t \\e \\xNN, and \\\\ for a backslash',
      );
    }
  }
  return Uint8Array.from(bytes);
}

/** A parser for an option that takes one of a few words. */
export function oneOf<Word extends string>(...words: readonly Word[]): ((text: string) => Word) & Completed {
  const parse = (text: string): Word => {
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) throw new UnacceptableValue('is not supported', words.join(', '));
    return word;
  };
  return Object.assign(parse, { completes: words });
}

/** A parser for an option that takes a comma-separated list of words, or `all`. */
export function listOf<Word extends string>(
  words: readonly Word[],
): ((text: string) => readonly Word[]) & Completed {
  const parse = (text: string): readonly Word[] => {
    if (text === 'all') return words;
    return text.split(',').map((given) => {
      const word = words.find((candidate) => candidate === given.trim());
      if (word === undefined) {
        const culprit = given === text ? '' : `${quoteIfNeeded(given.trim())} `;
        throw new UnacceptableValue(`${culprit}is not supported`, `all, or some of ${words.join(',')}`);
      }
      return word;
    });
  };
  return Object.assign(parse, { completes: ['all', ...words] });
}

/** What the value of `--disk` may have, for help and messages. */
export const DISK_SYNTAX = '<file>[,ro][,overlay[=<file>]][,format=raw|qcow2][,serial=<text>]';

/** A disk. A comma in the name of a file is written twice. */
export function parseDisk(text: string): DiskOptions {
  const [file = '', ...options] = splitAtCommas(text);
  if (file === '') throw new UnacceptableValue('names no file', DISK_SYNTAX);
  const disk: { -readonly [Key in keyof DiskOptions]: DiskOptions[Key] } = { file };
  for (const option of options) {
    const [, name = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(option) ?? [];
    const fail = (what: string, accepted = DISK_SYNTAX): never => {
      throw new UnacceptableValue(`${quoteIfNeeded(option)} ${what}`, accepted);
    };
    if (name === 'ro' && value === undefined) disk.readOnly = true;
    else if (name === 'overlay' && value !== '') disk.overlay = value ?? true;
    else if (name === 'format' && (value === 'raw' || value === 'qcow2')) disk.format = value;
    else if (name === 'format') fail('is no format that can be read', 'format=raw, format=qcow2');
    else if (name === 'serial' && value !== undefined && isSerial(value)) disk.serial = value;
    else if (name === 'serial') {
      fail('is no serial number', `1 to ${MAX_SERIAL_CHARACTERS} printable characters of ASCII`);
    } else fail('is not supported');
  }
  if (disk.readOnly === true && disk.overlay !== undefined) {
    throw new UnacceptableValue('has ro and overlay', 'one of the two');
  }
  return disk;
}
parseDisk.completes = 'file' as const;

/** What the value of `--9p` has, for help and messages. */
export const SHARE_SYNTAX = '<directory>,<tag>[,ro]';

/** A shared folder. A comma in its name is written twice. */
export function parseShare(text: string): ShareOptions {
  const [directory = '', tag = '', ...options] = splitAtCommas(text);
  if (directory === '') throw new UnacceptableValue('names no directory', SHARE_SYNTAX);
  if (!isTag(tag))
    throw new UnacceptableValue(
      `has ${tag === '' ? 'no tag' : `the tag ${quoteIfNeeded(tag)}`}`,
      `${SHARE_SYNTAX}, the tag of ${TAG_RULE}`,
    );
  for (const option of options) {
    if (option !== 'ro')
      throw new UnacceptableValue(`${quoteIfNeeded(option)} is not supported`, SHARE_SYNTAX);
  }
  return { directory, tag, readOnly: options.length > 0 };
}
parseShare.completes = 'directory' as const;

/** Parts between commas; two commas are one that belongs to a part. */
export function splitAtCommas(text: string): string[] {
  const parts = Array.from(text.matchAll(/((?:[^,]|,,)*)(?:,|$)/g), ([, part = '']) =>
    part.replaceAll(',,', ','),
  );
  // The empty match at the end of the text.
  parts.pop();
  return parts;
}

/** What the value of `--symbols` has, for help and messages. */
export const SYMBOLS_SYNTAX = '<file>[,offset=<address>]';

/** A file of symbols and where the guest has put what they name; a comma in a path is written twice. */
export function parseSymbols(text: string): SymbolsOptions {
  const [file = '', ...options] = splitAtCommas(text);
  if (file === '') throw new UnacceptableValue('names no file', SYMBOLS_SYNTAX);
  let offset = 0n;
  for (const option of options) {
    const [, digits] = /^offset=(0x[0-9a-f]{1,16})$/i.exec(option) ?? [];
    if (digits === undefined) {
      throw new UnacceptableValue(
        `${quoteIfNeeded(option)} is not supported`,
        `${SYMBOLS_SYNTAX}, in hexadecimal`,
      );
    }
    offset = BigInt(digits);
  }
  return { file, offset };
}
parseSymbols.completes = 'file' as const;

/** What the value of `--port` has, for help and messages. */
export const PORT_SYNTAX = '<name>,<file> or <name>,socket=<path>';

/** A port of the console device, and what is at its other end: a file for what comes out, or a socket. */
export interface PortEnd {
  readonly name: string;
  readonly kind: 'file' | 'socket';
  readonly path: string;
}

/** A port. A comma in a path is written twice. */
export function parsePort(text: string): PortEnd {
  const [name = '', end = '', ...surplus] = splitAtCommas(text);
  if (!isPortName(name)) {
    throw new UnacceptableValue('has no name of a port', `${PORT_SYNTAX}, the name of ${PORT_NAME_RULE}`);
  }
  const [, socket] = /^socket=(.*)$/s.exec(end) ?? [];
  const path = socket ?? end;
  if (path === '' || surplus.length > 0) {
    throw new UnacceptableValue('does not name one file or socket', PORT_SYNTAX);
  }
  return { name, kind: socket === undefined ? 'file' : 'socket', path };
}

/** A GUID of variables. */
export function parseGuidOption(text: string): Guid {
  const guid = parseGuid(text);
  if (guid === undefined) {
    throw new UnacceptableValue(
      'is no GUID',
      '8be4df61-93ca-11d2-aa0d-00e098032b8c, or a name such as EfiGlobalVariable',
    );
  }
  return guid;
}

/** Attributes of a variable. */
export function parseAttributesOption(text: string): number {
  const attributes = parseAttributes(text);
  if (attributes === undefined)
    throw new UnacceptableValue('are no attributes', 'NV+BS, NV+BS+RT and the like');
  return attributes;
}

/** Bytes as pairs of digits. */
export function parseHex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (!bytes) throw new UnacceptableValue('is not in hexadecimal', 'pairs of digits, such as 0500');
  return bytes;
}

function bootNumber(text: string): number | undefined {
  const digits = /^(?:boot)?([0-9a-f]{1,4})$/i.exec(text.trim())?.[1];
  return digits === undefined ? undefined : parseInt(digits, 16);
}

/** Numbers of boot options, or `none`. */
export function parseBootOrder(text: string): readonly number[] | 'none' {
  if (text === 'none') return 'none';
  const numbers = text.split(',').map(bootNumber);
  const wanted = numbers.filter((number) => number !== undefined);
  if (wanted.length < numbers.length) {
    throw new UnacceptableValue('is no order', 'numbers such as 0001,0000, or none');
  }
  if (new Set(wanted).size < wanted.length)
    throw new UnacceptableValue('has a number twice', 'each number once');
  return wanted;
}

/** The number of a boot option, or `none`. */
export function parseBootNext(text: string): number | 'none' {
  const number = text === 'none' ? 'none' : bootNumber(text);
  if (number === undefined)
    throw new UnacceptableValue('is no boot option', 'a number such as 0001, or none');
  return number;
}

/** Seconds that a boot manager waits, or `none`. */
export function parseBootTimeout(text: string): number | 'none' {
  if (text === 'none') return 'none';
  const seconds = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(seconds <= 0xffff)) {
    throw new UnacceptableValue('is no timeout', '0 to 65534 seconds, 65535 to wait for a key, or none');
  }
  return seconds;
}

/** A whole number from 0 up. */
export function parseSeed(text: string): number {
  const seed = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(seed)) throw new UnacceptableValue('is no seed', 'a whole number from 0 up');
  return seed;
}

/** A seed for KASLR: 64 bits, in decimal or hexadecimal. */
export function parseKaslrSeed(text: string): bigint {
  const seed = /^(\d{1,20}|0x[0-9a-f]{1,16})$/i.test(text) ? BigInt(text) : -1n;
  if (BigInt.asUintN(64, seed) !== seed) {
    throw new UnacceptableValue('is no seed', '0 to 0xffffffffffffffff');
  }
  return seed;
}

/** A kernel's command line. */
export function parseCommandLine(text: string): string {
  if (!/^[\x20-\x7e]*$/.test(text)) throw new UnacceptableValue('has other characters', 'printable ASCII');
  return text;
}

/** The name of a file, which need not exist. */
export function parsePath(text: string): string {
  if (text === '') throw new UnacceptableValue('is empty', 'the name of a file');
  return text;
}
parsePath.completes = 'file' as const;

/** `text` as one would type it in a shell: in quotes where it is empty or has more than plain characters. */
export function quoteIfNeeded(text: string): string {
  return /^[\w./,:=@%+-]+$/.test(text) ? text : `'${text}'`;
}
