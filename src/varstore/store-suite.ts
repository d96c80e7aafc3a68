/** A variable store for tests, made from the documents and not by the code under test. */

export const SMALL = {
  blockBytes: 0x1000,
  storeEnd: 0x1000,
  workingAt: 0x1000,
  spareAt: 0x2000,
  bytes: 0x3000,
} as const;

/** Where variables begin: behind the volume header and the store header. */
export const FIRST_AT = 0x48 + 28;

const GUID = (text: string): number[] => {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  return [...bytes.subarray(0, 4).reverse(), ...bytes.subarray(4, 6).reverse(), ...bytes.subarray(6, 8).reverse(), ...bytes.subarray(8)]; // prettier-ignore
};

export const TEST_GUID = '6b1f6f0e-3c55-4a35-9f2b-0c2f5d5a12ff';
export const GLOBAL_GUID = '8be4df61-93ca-11d2-aa0d-00e098032b8c';

export interface TestEntry {
  readonly name: string;
  readonly guid?: string;
  readonly state?: number;
  readonly attributes?: number;
  readonly data: readonly number[];
}

export function entry({ name, guid = TEST_GUID, state = 0x3f, attributes = 7, data }: TestEntry): Buffer {
  const nameBytes = Buffer.from(`${name}\0`, 'utf16le');
  const header = Buffer.alloc(60);
  header.writeUInt16LE(0x55aa, 0);
  header[2] = state;
  header.writeUInt32LE(attributes, 4);
  header.writeUInt32LE(nameBytes.length, 36);
  header.writeUInt32LE(data.length, 40);
  header.set(GUID(guid), 44);
  const bytes = Buffer.concat([header, nameBytes, Buffer.from(data)]);
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3, 0xff)]);
}

/** A volume of three blocks, one for variables, one for the working block of fault tolerant writes, one spare. */
export function smallStore(...entries: readonly TestEntry[]): Uint8Array {
  const volume = Buffer.alloc(SMALL.bytes, 0xff);
  volume.fill(0, 0, 0x48);
  volume.set(GUID('fff12b8d-7696-4c8b-a985-2747075b4f50'), 16);
  volume.writeUInt32LE(SMALL.bytes, 0x20);
  volume.write('_FVH', 0x28);
  volume.writeUInt32LE(0xe36, 0x2c);
  volume.writeUInt16LE(0x48, 0x30);
  volume[0x37] = 2;
  volume.writeUInt32LE(3, 0x38);
  volume.writeUInt32LE(SMALL.blockBytes, 0x3c);
  let sum = 0;
  for (let at = 0; at < 0x48; at += 2) sum += volume.readUInt16LE(at);
  volume.writeUInt16LE(-sum & 0xffff, 0x32);
  volume.set(GUID('aaf32c78-947b-439a-a180-2e144ec37792'), 0x48);
  volume.writeUInt32LE(SMALL.storeEnd - 0x48, 0x58);
  volume.set([0x5a, 0xfe, 0, 0, 0, 0, 0, 0], 0x5c);
  volume.set(Buffer.concat(entries.map(entry)), FIRST_AT);
  // What AAVMF writes for a working area of 0x1000 bytes: its CRC is of the first 32 bytes with 0xff for itself and the state.
  volume.set(GUID('9e58292b-7c68-497d-a0ce-6500fd9f1b95'), SMALL.workingAt);
  volume.writeUInt32LE(0xfffffffe, SMALL.workingAt + 20);
  volume.writeUInt32LE(SMALL.blockBytes - 32, SMALL.workingAt + 24);
  volume.writeUInt32LE(0, SMALL.workingAt + 28);
  volume.writeUInt32LE(SMALL_CRC, SMALL.workingAt + 16);
  return new Uint8Array(volume);
}

/** zlib's `crc32` of that header. */
const SMALL_CRC = 0x642c_af2c;

/** Adds the record of one update of the first block, with the states given. */
export function withUpdate(image: Uint8Array, header: number, record: number): Uint8Array {
  const volume = Buffer.from(image);
  const at = SMALL.workingAt + 32;
  volume.fill(0xff, at, at + 80);
  volume[at] = header;
  volume.writeBigUInt64LE(1n, at + 24);
  volume.writeBigUInt64LE(0n, at + 32);
  volume[at + 40] = record;
  volume.writeBigUInt64LE(0n, at + 48);
  volume.writeBigUInt64LE(0x48n, at + 56);
  volume.writeBigUInt64LE(BigInt(SMALL.storeEnd - 0x48), at + 64);
  volume.writeBigInt64LE(BigInt(-SMALL.spareAt), at + 72);
  return new Uint8Array(volume);
}
