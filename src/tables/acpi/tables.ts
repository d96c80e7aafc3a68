/**
 * ACPI tables: a description in, bytes out. "ACPI" is the Advanced Configuration and Power Interface Specification 6.4;
 * tables are of the revisions that ACPI 6.0 has. Documents of tables that ACPI only reserves are cited with them.
 *
 * Pointers between tables are offsets in the blob of all tables; `links` tells where they are.
 */
import type { AcpiDevice, AcpiInterruptController, AcpiSerialPort } from '../../bus/index.js';
import { ByteWriter } from '../byte-writer.js';
import { encodeSystemBus } from './aml.js';

/** What the board has, as far as tables tell it. */
export interface AcpiDescription {
  /** All devices of the namespace. */
  readonly devices: readonly AcpiDevice[];
  readonly interruptControllers: readonly AcpiInterruptController[];
  /** The processors' `_UID`s: one cluster in one package. */
  readonly processorUids: readonly number[];
  readonly psciConduit: 'hvc' | 'smc';
  /** INTIDs of the generic timers of every CPU. */
  readonly timers: Readonly<Record<'securePhysical' | 'physical' | 'virtual' | 'hypervisor', number>>;
  readonly console: AcpiSerialPort;
  readonly pcie: { readonly ecamBase: number; readonly firstBus: number; readonly lastBus: number };
}

/** A pointer of 8 bytes at offset `at` of the blob, to offset `to` of it. */
interface Link {
  readonly at: number;
  readonly to: number;
}

/** Tables one after the other, before anybody has decided where they are in memory. */
export interface AcpiBlob {
  readonly bytes: Uint8Array;
  readonly tables: readonly { readonly signature: string; readonly at: number; readonly sizeBytes: number }[];
  readonly links: readonly Link[];
  /** Offset of the root of all: the XSDT. */
  readonly xsdtAt: number;
}

/** DESCRIPTION_HEADER (ACPI 5.2.6). */
const HEADER_BYTES = 36;
/** Of its checksum byte. */
export const CHECKSUM_AT = 9;
export const OEM_ID = 'V8A';
const OEM_TABLE_ID = 'V8AVIRT';
const CREATOR_ID = 'V8A';
/** In the blob. */
const TABLE_ALIGNMENT = 8;

/** FADT fields (ACPI 5.2.9): power button is a control method, no sleep button; no ACPI hardware. */
const FADT_FLAGS = (1 << 4) | (1 << 5) | (1 << 20);
const FADT_FLAGS_AT = 112;
const FADT_ARM_BOOT_ARCH_AT = 129;
const FADT_X_FIRMWARE_CTRL_AT = 132;
const FADT_X_DSDT_AT = 140;
const FADT_HYPERVISOR_AT = 268;
const ARM_BOOT_ARCH = { PSCI_COMPLIANT: 1 << 0, PSCI_USE_HVC: 1 << 1 } as const;

const le = (): ByteWriter => new ByteWriter('little-endian');

/** All tables that the description needs. The result is the caller's. */
export function encodeTables(description: AcpiDescription): AcpiBlob {
  const blob = le();
  const tables: AcpiBlob['tables'][number][] = [];
  const links: Link[] = [];
  const add = (signature: string, revision: number, body: Uint8Array): number => {
    const at = blob.align(TABLE_ALIGNMENT).length;
    const sizeBytes = HEADER_BYTES + body.length;
    blob
      .ascii(signature, 4)
      .u32(sizeBytes)
      .u8(revision)
      .u8(0)
      .ascii(OEM_ID, 6, 0x20)
      .ascii(OEM_TABLE_ID, 8, 0x20)
      .u32(1)
      .ascii(CREATOR_ID, 4, 0x20)
      .u32(1)
      .bytes(body);
    tables.push({ signature, at, sizeBytes });
    return at;
  };

  const dsdtAt = add('DSDT', 2, encodeSystemBus(description.devices));
  const fadtAt = add('FACP', 6, fadt(description));
  links.push({ at: fadtAt + FADT_X_DSDT_AT, to: dsdtAt });
  const listed = [fadtAt, add('APIC', 4, madt(description.interruptControllers))];
  listed.push(add('PPTT', 2, pptt(description.processorUids)));
  listed.push(add('GTDT', 2, gtdt(description.timers)));
  listed.push(add('MCFG', 1, mcfg(description.pcie)));
  listed.push(add('SPCR', 2, spcr(description.console)));
  listed.push(add('DBG2', 0, dbg2(description.console)));
  const its = description.interruptControllers.flatMap((entry) => (entry.kind === 'its' ? [entry.id] : []));
  if (its.length > 0) listed.push(add('IORT', 3, iort(its)));

  const xsdtAt = add('XSDT', 1, new Uint8Array(8 * listed.length));
  listed.forEach((to, index) => links.push({ at: xsdtAt + HEADER_BYTES + 8 * index, to }));
  return { bytes: blob.toBytes(), tables, links, xsdtAt };
}

/** Fixed ACPI Description Table (ACPI 5.2.9), without any of the fixed hardware. */
function fadt({ psciConduit }: AcpiDescription): Uint8Array {
  const writer = le();
  const skipTo = (at: number): ByteWriter => writer.zeros(at - HEADER_BYTES - writer.length);
  skipTo(FADT_FLAGS_AT).u32(FADT_FLAGS);
  skipTo(FADT_ARM_BOOT_ARCH_AT).u16(
    ARM_BOOT_ARCH.PSCI_COMPLIANT | (psciConduit === 'hvc' ? ARM_BOOT_ARCH.PSCI_USE_HVC : 0),
  );
  skipTo(FADT_X_FIRMWARE_CTRL_AT);
  skipTo(FADT_HYPERVISOR_AT).ascii(OEM_ID, 8);
  return writer.toBytes();
}

/** Multiple APIC Description Table (ACPI 5.2.12). */
function madt(entries: readonly AcpiInterruptController[]): Uint8Array {
  const writer = le().zeros(8);
  for (const entry of entries) {
    const fields = interruptController(entry);
    writer
      .u8(fields.type)
      .u8(2 + fields.body.length)
      .bytes(fields.body);
  }
  return writer.toBytes();
}

function interruptController(entry: AcpiInterruptController): { type: number; body: Uint8Array } {
  switch (entry.kind) {
    case 'gicc': // ACPI 5.2.12.14
      return {
        type: 0x0b,
        body: le()
          .u16(0)
          .u32(entry.uid) // CPU interface number
          .u32(entry.uid)
          .u32(1) // enabled
          .u32(0) // parking protocol
          .u32(entry.performanceInterrupt)
          .u64(0) // parked address
          .u64(entry.base ?? 0)
          .zeros(8 + 8 + 4 + 8) // GICV, GICH, maintenance interrupt, redistributor
          .u64(entry.mpidr)
          .zeros(1 + 1 + 2) // efficiency class, SPE interrupt
          .toBytes(),
      };
    case 'gicd': // ACPI 5.2.12.15
      return {
        type: 0x0c,
        body: le().u16(0).u32(0).u64(entry.base).u32(0).u8(entry.gicVersion).zeros(3).toBytes(),
      };
    case 'msi-frame': // ACPI 5.2.12.16; count and base count, not the frame's own
      return {
        type: 0x0d,
        body: le().u16(0).u32(0).u64(entry.base).u32(1).u16(entry.count).u16(entry.firstIntid).toBytes(),
      };
    case 'gicr': // ACPI 5.2.12.17
      return { type: 0x0e, body: le().u16(0).u64(entry.base).u32(entry.sizeBytes).toBytes() };
    case 'its': // ACPI 5.2.12.18
      return { type: 0x0f, body: le().u16(0).u32(entry.id).u64(entry.base).u32(0).toBytes() };
  }
}

/** Processor Properties Topology Table (ACPI 5.2.29): package, cluster, cores. */
function pptt(uids: readonly number[]): Uint8Array {
  const PHYSICAL_PACKAGE = 1 << 0;
  const UID_VALID = 1 << 1;
  const LEAF = 1 << 3;
  const writer = le();
  const node = (flags: number, parent: number, uid: number): number => {
    const at = HEADER_BYTES + writer.length;
    writer.u8(0).u8(20).u16(0).u32(flags).u32(parent).u32(uid).u32(0);
    return at;
  };
  const packageAt = node(PHYSICAL_PACKAGE, 0, 0);
  const clusterAt = node(0, packageAt, 0);
  for (const uid of uids) node(UID_VALID | LEAF, clusterAt, uid);
  return writer.toBytes();
}

/** Generic Timer Description Table (ACPI 5.2.24). */
function gtdt({ securePhysical, physical, virtual, hypervisor }: AcpiDescription['timers']): Uint8Array {
  const NO_BLOCK = 0xffff_ffff_ffff_ffffn;
  /** Level, active high, keeps counting in every power state. */
  const FLAGS = 1 << 2;
  const writer = le().u64(NO_BLOCK).u32(0);
  for (const intid of [securePhysical, physical, virtual, hypervisor]) writer.u32(intid).u32(FLAGS);
  return writer.u64(NO_BLOCK).u32(0).u32(0).toBytes();
}

/** Memory-mapped configuration space: PCI Firmware Specification 3.3, 4.1.2. */
function mcfg({ ecamBase, firstBus, lastBus }: AcpiDescription['pcie']): Uint8Array {
  return le().zeros(8).u64(ecamBase).u16(0).u8(firstBus).u8(lastBus).u32(0).toBytes();
}

/** Generic Address Structure of a register in memory that takes accesses of 32 bits (ACPI 5.2.3.2). */
function memoryRegister32(base: number): Uint8Array {
  return le().u8(0).u8(32).u8(0).u8(3).u64(base).toBytes();
}

/** Serial Port Console Redirection Table 1.03 (Microsoft). */
function spcr({ base, gsi, subtype }: AcpiSerialPort): Uint8Array {
  return le()
    .u8(subtype)
    .zeros(3)
    .bytes(memoryRegister32(base))
    .u8(1 << 3) // interrupt type: GIC
    .u8(0)
    .u32(gsi)
    .u8(7) // 115200
    .u8(0) // no parity
    .u8(1) // 1 stop bit
    .u8(0) // no flow control
    .u8(0) // VT100
    .u8(0)
    .u16(0xffff)
    .u16(0xffff) // no PCI device
    .zeros(1 + 1 + 1 + 4 + 1 + 4)
    .toBytes();
}

/** Debug Port Table 2 (Microsoft): one port. */
function dbg2({ base, sizeBytes, subtype, device }: AcpiSerialPort): Uint8Array {
  const name = le().ascii(device).u8(0).toBytes();
  const BASE_AT = 22;
  const SIZE_AT = BASE_AT + 12;
  const NAME_AT = SIZE_AT + 4;
  return le()
    .u32(HEADER_BYTES + 8)
    .u32(1)
    .u8(0)
    .u16(NAME_AT + name.length)
    .u8(1)
    .u16(name.length)
    .u16(NAME_AT)
    .zeros(2 + 2)
    .u16(0x8000) // serial port
    .u16(subtype)
    .u16(0)
    .u16(BASE_AT)
    .u16(SIZE_AT)
    .bytes(memoryRegister32(base))
    .u32(sizeBytes)
    .bytes(name)
    .toBytes();
}

/** I/O Remapping Table (DEN0049E.b): requester IDs of the one root complex are the device IDs of the ITS group. */
function iort(itsIds: readonly number[]): Uint8Array {
  const ITS_GROUP_AT = HEADER_BYTES + 12;
  const itsGroup = le().u32(itsIds.length);
  for (const id of itsIds) itsGroup.u32(id);
  const ROOT_COMPLEX_BYTES = 36;
  const MAPPING_BYTES = 20;
  return le()
    .u32(2)
    .u32(ITS_GROUP_AT)
    .u32(0)
    .u8(0) // ITS group
    .u16(16 + itsGroup.length)
    .u8(1)
    .u32(0)
    .u32(0)
    .u32(0)
    .bytes(itsGroup.toBytes())
    .u8(2) // root complex
    .u16(ROOT_COMPLEX_BYTES + MAPPING_BYTES)
    .u8(3)
    .u32(1)
    .u32(1)
    .u32(ROOT_COMPLEX_BYTES)
    .u32(1) // fully coherent
    .u8(0)
    .u16(0)
    .u8(3) // coherent path, device attributes are right
    .u32(0) // no ATS
    .u32(0) // segment
    .u8(64) // memory address size limit
    .zeros(3)
    .u32(0) // all requester IDs
    .u32(0xffff)
    .u32(0)
    .u32(ITS_GROUP_AT)
    .u32(0)
    .toBytes();
}
