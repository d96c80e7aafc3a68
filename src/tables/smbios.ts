/**
 * System Management BIOS tables (DMTF DSP0134, 3.0) and their entry point, as the files of fw_cfg from which firmware
 * takes them.
 */
import { KIB, MIB } from '../base/index.js';
import { ByteWriter } from './byte-writer.js';

/** What the board tells about itself. Strings are ASCII. */
export interface SmbiosDescription {
  readonly manufacturer: string;
  readonly product: string;
  readonly version: string;
  /** Of the description's last change, as `mm/dd/yyyy`. */
  readonly date: string;
  readonly processorName: string;
  readonly cpuCount: number;
  /** Whole MiB, less than 2 TiB. */
  readonly ram: { readonly base: number; readonly sizeBytes: number };
}

const ENTRY_POINT_BYTES = 24;
const ENTRY_POINT_CHECKSUM_AT = 5;

/** Structures with one number of their own each; others refer to them by it. */
const HANDLE = {
  firmware: 0x0000,
  system: 0x0100,
  chassis: 0x0300,
  processor: 0x0400,
  memoryArray: 0x1000,
  memoryDevice: 0x1100,
  memoryRange: 0x1300,
  boot: 0x2000,
  end: 0x7f00,
} as const;

/** Byte codes for "other" and "unknown" that many fields have. */
const OTHER = 1;
const NONE = 3;
/** No error information structure (7.17.2). */
const NO_ERROR_HANDLE = 0xfffe;

const le = (): ByteWriter => new ByteWriter('little-endian');

/** File names to contents, which are the caller's. */
export function encodeSmbios(description: SmbiosDescription): ReadonlyMap<string, Uint8Array> {
  const tables = encodeStructures(description);
  // 5.2.2; firmware puts the tables somewhere and fills in where.
  const anchor = le()
    .ascii('_SM3_')
    .u8(0)
    .u8(ENTRY_POINT_BYTES)
    .u8(3)
    .u8(0)
    .u8(0)
    .u8(1)
    .u8(0)
    .u32(tables.length)
    .u64(0)
    .toBytes();
  anchor[ENTRY_POINT_CHECKSUM_AT] = -anchor.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return new Map([
    ['etc/smbios/smbios-tables', tables],
    ['etc/smbios/smbios-anchor', anchor],
  ]);
}

function encodeStructures(description: SmbiosDescription): Uint8Array {
  const { manufacturer, product, version, date, processorName, cpuCount, ram } = description;
  const writer = le();
  const structure = (
    type: number,
    handle: number,
    body: (string: (text: string) => number) => ByteWriter,
  ): void => {
    const strings: string[] = [];
    const formatted = body((text) => strings.push(text)).toBytes();
    writer
      .u8(type)
      .u8(4 + formatted.length)
      .u16(handle)
      .bytes(formatted);
    for (const string of strings) writer.ascii(string).u8(0);
    // An empty string ends the list; an empty list takes two zeros (6.1.3).
    writer.zeros(strings.length === 0 ? 2 : 1);
  };

  // 7.1 Firmware: no characteristics but that it is UEFI's, of a virtual machine, and may be updated.
  structure(0, HANDLE.firmware, (string) =>
    le()
      .u8(string(manufacturer))
      .u8(string(version))
      .u16(0)
      .u8(string(date))
      .u8(0)
      .u64(1 << 3)
      .u8(0)
      .u8((1 << 2) | (1 << 3) | (1 << 4))
      .bytes([0, 0, 0xff, 0xff]),
  );
  // 7.2 System: no UUID, woken by the power switch.
  structure(1, HANDLE.system, (string) =>
    le().u8(string(manufacturer)).u8(string(product)).u8(string(version)).u8(0).zeros(16).u8(6).u8(0).u8(0),
  );
  // 7.4 Chassis.
  structure(3, HANDLE.chassis, (string) =>
    le()
      .u8(string(manufacturer))
      .u8(OTHER)
      .u8(string(version))
      .u8(0)
      .u8(0)
      .bytes([3, 3, 3, NONE]) // boot-up, power supply and thermal state safe; no security
      .u32(0)
      .bytes([0, 0, 0, 0])
      .u8(0),
  );
  // 7.5 Processor: all CPUs are cores of one.
  structure(4, HANDLE.processor, (string) =>
    le()
      .u8(string('CPU 0'))
      .u8(3) // central processor
      .u8(0xfe) // family in the field of 16 bits
      .u8(string(manufacturer))
      .u64(0)
      .u8(string(processorName))
      .u8(0)
      .u16(0)
      .u16(0) // speeds unknown
      .u16(0)
      .u8((1 << 6) | 1) // populated, enabled
      .u8(OTHER)
      .u16(0xffff)
      .u16(0xffff)
      .u16(0xffff) // no cache structures
      .u8(0)
      .u8(0)
      .u8(0)
      .u8(cpuCount)
      .u8(cpuCount)
      .u8(cpuCount)
      .u16((1 << 2) | (1 << 3)) // 64-bit, multi-core
      .u16(0x0101) // ARMv8
      .u16(cpuCount)
      .u16(cpuCount)
      .u16(cpuCount),
  );
  // 7.17 Physical memory array.
  structure(16, HANDLE.memoryArray, () =>
    le()
      .u8(OTHER)
      .u8(3) // system memory
      .u8(NONE)
      .u32(ram.sizeBytes / KIB)
      .u16(NO_ERROR_HANDLE)
      .u16(1)
      .u64(0),
  );
  // 7.18 Memory device: from 32 GiB less 1 MiB up the size is in the extended field.
  const ramMib = ram.sizeBytes / MIB;
  structure(17, HANDLE.memoryDevice, (string) =>
    le()
      .u16(HANDLE.memoryArray)
      .u16(NO_ERROR_HANDLE)
      .u16(0xffff)
      .u16(0xffff) // widths unknown
      .u16(ramMib < 0x7fff ? ramMib : 0x7fff)
      .u8(9) // DIMM
      .u8(0)
      .u8(string('DIMM 0'))
      .u8(0)
      .u8(7) // RAM
      .u16(1 << 1) // other
      .u16(0)
      .u8(string(manufacturer))
      .u8(0)
      .u8(0)
      .u8(0)
      .u8(0)
      .u32(ramMib < 0x7fff ? 0 : ramMib)
      .zeros(2 + 2 + 2 + 2),
  );
  // 7.20 Memory array mapped address: in KiB, inclusive.
  structure(19, HANDLE.memoryRange, () =>
    le()
      .u32(ram.base / KIB)
      .u32((ram.base + ram.sizeBytes) / KIB - 1)
      .u16(HANDLE.memoryArray)
      .u8(1)
      .u64(0)
      .u64(0),
  );
  // 7.33 System boot: no errors.
  structure(32, HANDLE.boot, () => le().zeros(6).u8(0));
  // 7.45 End of table.
  structure(127, HANDLE.end, () => le());
  return writer.toBytes();
}
