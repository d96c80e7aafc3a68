/**
 * ACPI tables as files of fw_cfg, and the script by which firmware puts them into memory: QEMU's table loader
 * (hw/acpi/bios-linker-loader.c describes it), which EDK2's QemuFwCfgAcpi and SeaBIOS know.
 */
import { ByteWriter } from '../byte-writer.js';
import { CHECKSUM_AT, encodeTables, OEM_ID, type AcpiDescription } from './tables.js';

export type { AcpiDescription } from './tables.js';

const TABLES_FILE = 'etc/acpi/tables';
const RSDP_FILE = 'etc/acpi/rsdp';

/** Root System Description Pointer (ACPI 6.4, 5.2.5.3). */
const RSDP = { bytes: 36, checksumAt: 8, checksummedBytes: 20, xsdtAt: 24, extendedChecksumAt: 32 } as const;

/** Commands of the loader; each takes 128 bytes, names 56. */
const COMMAND = { ALLOCATE: 1, ADD_POINTER: 2, ADD_CHECKSUM: 3 } as const;
const COMMAND_BYTES = 128;
const NAME_BYTES = 56;
/** ALLOCATE zones: anywhere; where a legacy BIOS looks for the RSDP. */
const ZONE = { HIGH: 1, F_SEGMENT: 2 } as const;
const POINTER_BYTES = 8;

/** File names to contents, which are the caller's. */
export function encodeAcpi(description: AcpiDescription): ReadonlyMap<string, Uint8Array> {
  const { bytes, tables, links, xsdtAt } = encodeTables(description);
  const contents = new DataView(bytes.buffer);
  const script = new ByteWriter('little-endian');
  const command = (code: number, write: () => void): void => {
    const end = script.length + COMMAND_BYTES;
    script.u32(code);
    write();
    script.zeros(end - script.length);
  };
  const allocate = (file: string, alignment: number, zone: number): void => {
    command(COMMAND.ALLOCATE, () => script.ascii(file, NAME_BYTES).u32(alignment).u8(zone));
  };
  /** The bytes at `at` hold an offset in the file of tables; the loader adds where that is. */
  const addPointer = (file: string, at: number): void => {
    command(COMMAND.ADD_POINTER, () =>
      script.ascii(file, NAME_BYTES).ascii(TABLES_FILE, NAME_BYTES).u32(at).u8(POINTER_BYTES),
    );
  };
  const addChecksum = (file: string, at: number, from: number, sizeBytes: number): void => {
    command(COMMAND.ADD_CHECKSUM, () => script.ascii(file, NAME_BYTES).u32(at).u32(from).u32(sizeBytes));
  };

  allocate(TABLES_FILE, 64, ZONE.HIGH);
  for (const { at, to } of links) {
    contents.setBigUint64(at, BigInt(to), true);
    addPointer(TABLES_FILE, at);
  }
  for (const { at, sizeBytes } of tables) addChecksum(TABLES_FILE, at + CHECKSUM_AT, at, sizeBytes);

  const rsdp = new ByteWriter('little-endian')
    .ascii('RSD PTR ')
    .u8(0)
    .ascii(OEM_ID, 6, 0x20)
    .u8(2)
    .u32(0) // no RSDT
    .u32(RSDP.bytes)
    .u64(xsdtAt)
    .zeros(4)
    .toBytes();
  allocate(RSDP_FILE, 16, ZONE.F_SEGMENT);
  addPointer(RSDP_FILE, RSDP.xsdtAt);
  addChecksum(RSDP_FILE, RSDP.checksumAt, 0, RSDP.checksummedBytes);
  addChecksum(RSDP_FILE, RSDP.extendedChecksumAt, 0, RSDP.bytes);

  return new Map([
    [TABLES_FILE, bytes],
    [RSDP_FILE, rsdp],
    ['etc/table-loader', script.toBytes()],
  ]);
}
