/**
 * ACPI Machine Language encoder: namespace objects in, bytes out. ACPI 6.4, chapter 20, by production; resource
 * descriptors by 6.4.
 */
import { invariant } from '../../base/index.js';
import type {
  AcpiData,
  AcpiDevice,
  AcpiExpression,
  AcpiMethod,
  AcpiObject,
  AcpiRegion,
  AcpiResource,
  AcpiStatement,
} from '../../bus/index.js';
import { ByteWriter } from '../byte-writer.js';

/** Opcodes (ACPI 6.4, 20.3, table 20.2). Those above 0xff follow the prefix 0x5b. */
const OP = {
  Zero: 0x00,
  One: 0x01,
  Name: 0x08,
  BytePrefix: 0x0a,
  WordPrefix: 0x0b,
  DWordPrefix: 0x0c,
  StringPrefix: 0x0d,
  QWordPrefix: 0x0e,
  Scope: 0x10,
  Buffer: 0x11,
  Package: 0x12,
  Method: 0x14,
  Local0: 0x60,
  Arg0: 0x68,
  Store: 0x70,
  And: 0x7b,
  Or: 0x7d,
  Notify: 0x86,
  CreateDWordField: 0x8a,
  LNot: 0x92,
  LEqual: 0x93,
  If: 0xa0,
  Return: 0xa4,
  OpRegion: 0x5b80,
  Field: 0x5b81,
  Device: 0x5b82,
} as const;

const ROOT = 0x5c;
const DUAL_NAME = 0x2e;
const MULTI_NAME = 0x2f;
/** A method's result that goes nowhere. */
const NULL_NAME = 0x00;

/** DefOpRegion RegionSpace, DefField FieldFlags: DWordAcc, NoLock, WriteAsZeros. */
const SYSTEM_MEMORY = 0;
const FIELD_FLAGS = 3 | (2 << 5);

const opcode = (code: number): number[] => (code > 0xff ? [code >> 8, code & 0xff] : [code]);

function concat(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const writer = new ByteWriter('little-endian');
  for (const part of parts) writer.bytes(part);
  return writer.toBytes();
}

/** The `\_SB` scope with all devices in it, as the terms of a definition block. */
export function encodeSystemBus(devices: readonly AcpiDevice[]): Uint8Array {
  return withLength(OP.Scope, encodeName('\\_SB'), ...devices.map(encodeDevice));
}

/** `code PkgLength parts`: PkgLength counts itself (20.2.4). */
function withLength(code: number, ...parts: readonly ArrayLike<number>[]): Uint8Array {
  const content = concat(...parts);
  // One byte of length holds 6 bits; with more bytes the first holds 4 bits and each other 8.
  const extraBytes = [0, 1, 2, 3].find((extra) => {
    const length = content.length + 1 + extra;
    return length < (extra === 0 ? 0x40 : 2 ** (4 + 8 * extra));
  });
  invariant(extraBytes !== undefined, 'AML object of 256 MiB');
  return concat(opcode(code), packageLength(content.length + 1 + extraBytes, extraBytes), content);
}

function packageLength(length: number, extraBytes: number): number[] {
  if (extraBytes === 0) return [length];
  return [
    (extraBytes << 6) | (length & 0xf),
    ...Array.from({ length: extraBytes }, (_, i) => (length >>> (4 + 8 * i)) & 0xff),
  ];
}

/** NameString (20.2.2). Segments are filled up with underscores. */
function encodeName(path: string): Uint8Array {
  const [, root = '', rest = ''] = /^(\\?)(.*)$/.exec(path) ?? [];
  const segments = rest.split('.');
  for (const segment of segments) {
    invariant(/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment), `no AML name: ${path}`);
  }
  const prefix =
    segments.length === 1 ? [] : segments.length === 2 ? [DUAL_NAME] : [MULTI_NAME, segments.length];
  const writer = new ByteWriter('little-endian').bytes(root === '' ? [] : [ROOT]).bytes(prefix);
  for (const segment of segments) writer.ascii(segment.padEnd(4, '_'));
  return writer.toBytes();
}

function encodeDevice({ name, objects, children = [] }: AcpiDevice): Uint8Array {
  return withLength(
    OP.Device,
    encodeName(name),
    ...Object.entries(objects).map(([objectName, object]) => encodeObject(objectName, object)),
    ...children.map(encodeDevice),
  );
}

function encodeObject(name: string, object: AcpiObject): Uint8Array {
  if (typeof object === 'object' && 'body' in object) return encodeMethod(name, object);
  if (typeof object === 'object' && 'fields' in object) return encodeRegion(name, object);
  return concat([OP.Name], encodeName(name), encodeData(object));
}

function encodeMethod(name: string, method: AcpiMethod): Uint8Array {
  invariant(method.arguments >= 0 && method.arguments <= 7, `${name}: a method has up to 7 arguments`);
  const flags = method.arguments | (method.isSerialized === true ? 1 << 3 : 0);
  return withLength(OP.Method, encodeName(name), [flags], ...method.body.map(encodeStatement));
}

function encodeRegion(name: string, { base, sizeBytes, fields }: AcpiRegion): Uint8Array {
  return concat(
    opcode(OP.OpRegion),
    encodeName(name),
    [SYSTEM_MEMORY],
    encodeInteger(BigInt(base)),
    encodeInteger(BigInt(sizeBytes)),
    withLength(
      OP.Field,
      encodeName(name),
      [FIELD_FLAGS],
      // A field's width in bits is coded as a PkgLength is.
      ...fields.map((field) => concat(encodeName(field), [32])),
    ),
  );
}

function encodeStatement(statement: AcpiStatement): Uint8Array {
  switch (statement[0]) {
    case 'Return':
      return concat([OP.Return], encodeExpression(statement[1]));
    case 'Store':
      return concat([OP.Store], encodeExpression(statement[1]), encodeExpression(statement[2]));
    case 'Notify':
      return concat([OP.Notify], encodeName(statement[1]), encodeExpression(statement[2]));
    case 'CreateDWordField': {
      const [, buffer, offset, name] = statement;
      return concat(
        [OP.CreateDWordField],
        encodeExpression(buffer),
        encodeInteger(BigInt(offset)),
        encodeName(name),
      );
    }
    case 'If':
      return withLength(OP.If, encodeExpression(statement[1]), ...statement[2].map(encodeStatement));
  }
}

function isOperation(
  expression: AcpiExpression,
): expression is readonly ['And' | 'Or' | 'LEqual' | 'LNotEqual', AcpiExpression, AcpiExpression] {
  return Array.isArray(expression);
}

function encodeExpression(expression: AcpiExpression): Uint8Array {
  if (isOperation(expression)) {
    const [operator, left, right] = expression;
    const operands = concat(encodeExpression(left), encodeExpression(right));
    switch (operator) {
      case 'And':
      case 'Or':
        return concat([OP[operator]], operands, [NULL_NAME]);
      case 'LEqual':
        return concat([OP.LEqual], operands);
      case 'LNotEqual':
        return concat([OP.LNot, OP.LEqual], operands);
    }
  }
  if (typeof expression === 'object' && 'argument' in expression)
    return Uint8Array.of(OP.Arg0 + expression.argument);
  if (typeof expression === 'object' && 'local' in expression)
    return Uint8Array.of(OP.Local0 + expression.local);
  return encodeData(expression);
}

/** DataRefObject (20.2.3). */
function encodeData(data: AcpiData): Uint8Array {
  if (typeof data === 'number' || typeof data === 'bigint') return encodeInteger(BigInt(data));
  if (typeof data === 'string') {
    return new ByteWriter('little-endian').u8(OP.StringPrefix).ascii(data).u8(0).toBytes();
  }
  if ('object' in data) return encodeName(data.object);
  if ('eisaId' in data) return encodeInteger(BigInt(compressedEisaId(data.eisaId)));
  if ('uuid' in data) return encodeBuffer(uuidBytes(data.uuid));
  if ('unicode' in data) {
    const writer = new ByteWriter('little-endian');
    for (let i = 0; i < data.unicode.length; i++) writer.u16(data.unicode.charCodeAt(i));
    return encodeBuffer(writer.u16(0).toBytes());
  }
  if ('bytes' in data) return encodeBuffer(data.bytes);
  if ('resources' in data) return encodeBuffer(encodeResources(data.resources));
  return withLength(OP.Package, [data.package.length], ...data.package.map(encodeData));
}

/** In as few bytes as it fits into. */
function encodeInteger(value: bigint): Uint8Array {
  const writer = new ByteWriter('little-endian');
  if (value <= 1n) writer.u8(value === 0n ? OP.Zero : OP.One);
  else if (value < 1n << 8n) writer.u8(OP.BytePrefix).u8(Number(value));
  else if (value < 1n << 16n) writer.u8(OP.WordPrefix).u16(Number(value));
  else if (value < 1n << 32n) writer.u8(OP.DWordPrefix).u32(Number(value));
  else writer.u8(OP.QWordPrefix).u64(value);
  return writer.toBytes();
}

function encodeBuffer(bytes: Uint8Array): Uint8Array {
  return withLength(OP.Buffer, encodeInteger(BigInt(bytes.length)), bytes);
}

/** Three letters of 5 bits each and four hexadecimal digits, big-endian (19.3.4, EISAID). */
function compressedEisaId(id: string): number {
  const [, letters = '', digits = ''] = /^([A-Z]{3})([0-9A-F]{4})$/.exec(id) ?? [];
  invariant(letters !== '', `no EISA identifier: ${id}`);
  const vendor = Array.from(letters).reduce((bits, letter) => (bits << 5) | (letter.charCodeAt(0) - 0x40), 0);
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint16(0, vendor);
  bytes.setUint16(2, parseInt(digits, 16));
  return bytes.getUint32(0, true);
}

/** Three little-endian numbers and 8 bytes (19.6.142, table 19.36). */
function uuidBytes(uuid: string): Uint8Array {
  const groups = uuid.split('-');
  const bytesOf = (group: string): number[] => (group.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
  const bytes = groups.flatMap((group, i) => (i < 3 ? bytesOf(group).reverse() : bytesOf(group)));
  invariant(bytes.length === 16, `no UUID: ${uuid}`);
  return Uint8Array.from(bytes);
}

// Resource descriptors

/** Tags and types of large descriptors (6.4.3, 6.4.3.5). */
const TAG = {
  memory32Fixed: 0x86,
  dwordAddress: 0x87,
  wordAddress: 0x88,
  interrupt: 0x89,
  qwordAddress: 0x8a,
  end: 0x79,
} as const;
const SPACE = { memory: 0, io: 1, busNumbers: 2 } as const;

/** Address space descriptors, general flags: minimum and maximum fixed, positive decode; consumed, not passed on. */
const GENERAL_FLAGS = (1 << 2) | (1 << 3);
const CONSUMER = 1 << 0;
/** Type-specific flags: writable, not cacheable memory; all I/O ports. */
const MEMORY_FLAGS = 1;
const IO_FLAGS = 3;

/** Extended interrupt descriptor, flags: consumer, exclusive, active high; edge-triggered. */
const INTERRUPT_EDGE = 1 << 1;

function encodeResources(resources: readonly AcpiResource[]): Uint8Array {
  return concat(
    ...resources.map(encodeResource),
    // A checksum of 0 stands for "right" (6.4.2.9).
    [TAG.end, 0],
  );
}

function encodeResource(resource: AcpiResource): Uint8Array {
  switch (resource.kind) {
    case 'memory32-fixed':
      return new ByteWriter('little-endian')
        .u8(TAG.memory32Fixed)
        .u16(9)
        .u8(MEMORY_FLAGS)
        .u32(resource.base)
        .u32(resource.sizeBytes)
        .toBytes();
    case 'interrupt': {
      const flags = CONSUMER | (resource.trigger === 'edge-rising' ? INTERRUPT_EDGE : 0);
      return new ByteWriter('little-endian')
        .u8(TAG.interrupt)
        .u16(6)
        .u8(flags)
        .u8(1)
        .u32(resource.gsi)
        .toBytes();
    }
    case 'bus-numbers': {
      const { first, count } = resource;
      return addressSpace(TAG.wordAddress, SPACE.busNumbers, GENERAL_FLAGS, 0, [
        first,
        first + count - 1,
        0,
        count,
      ]);
    }
    case 'io': {
      const { base, sizeBytes, offset } = resource;
      return addressSpace(TAG.dwordAddress, SPACE.io, GENERAL_FLAGS, IO_FLAGS, [
        base,
        base + sizeBytes - 1,
        offset,
        sizeBytes,
      ]);
    }
    case 'memory32':
    case 'memory64': {
      const { kind, base, sizeBytes } = resource;
      const isConsumed = kind === 'memory64' && resource.isConsumed === true;
      return addressSpace(
        kind === 'memory32' ? TAG.dwordAddress : TAG.qwordAddress,
        SPACE.memory,
        GENERAL_FLAGS | (isConsumed ? CONSUMER : 0),
        MEMORY_FLAGS,
        [base, base + sizeBytes - 1, 0, sizeBytes],
      );
    }
  }
}

const ADDRESS_BYTES = { [TAG.wordAddress]: 2, [TAG.dwordAddress]: 4, [TAG.qwordAddress]: 8 } as const;

/** 6.4.3.5: granularity 0, then minimum, maximum, translation and length. */
function addressSpace(
  tag: keyof typeof ADDRESS_BYTES,
  space: number,
  generalFlags: number,
  typeFlags: number,
  numbers: readonly [min: number, max: number, translation: number, length: number],
): Uint8Array {
  const width = ADDRESS_BYTES[tag];
  const writer = new ByteWriter('little-endian')
    .u8(tag)
    .u16(3 + 5 * width)
    .u8(space)
    .u8(generalFlags)
    .u8(typeFlags);
  for (const number of [0, ...numbers]) {
    if (width === 2) writer.u16(number);
    else if (width === 4) writer.u32(number);
    else writer.u64(number);
  }
  return writer.toBytes();
}
