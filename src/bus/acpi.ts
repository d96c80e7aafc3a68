/**
 * ACPI content as data, beside `DtNode`. Devices state their object in the namespace and what they add to a table,
 * boards collect both, `tables/acpi` encodes them. Advanced Configuration and Power Interface Specification 6.4.
 */

/** A device in the namespace: ACPI 6.4, 5.3. */
export interface AcpiDevice {
  /** One segment of up to four characters, or a path. */
  readonly name: string;
  /** Named objects, in this order. */
  readonly objects: Readonly<Record<string, AcpiObject>>;
  readonly children?: readonly AcpiDevice[];
}

export type AcpiObject = AcpiData | AcpiMethod | AcpiRegion;

/** What `Name` may hold, and what packages are made of (ACPI 6.4, 20.2.5.1). */
export type AcpiData =
  | number
  | bigint
  | string
  /** A Plug and Play identifier, `PNP0A08`, as the number that it is compressed to (ACPI 6.4, 6.1.5). */
  | { readonly eisaId: string }
  /** A UTF-16 string as a buffer. */
  | { readonly unicode: string }
  /** A UUID as a buffer, in the order of bytes that `ToUUID` gives (ACPI 6.4, 19.6.142). */
  | { readonly uuid: string }
  | { readonly bytes: Uint8Array }
  | { readonly resources: readonly AcpiResource[] }
  | { readonly package: readonly AcpiData[] }
  /** A reference to a named object. */
  | { readonly object: string };

/** A resource descriptor (ACPI 6.4, 6.4). Ranges of addresses are what a bridge passes on, unless consumed. */
export type AcpiResource =
  | { readonly kind: 'memory32-fixed'; readonly base: number; readonly sizeBytes: number }
  | {
      readonly kind: 'interrupt';
      /** Global system interrupt: on Arm the INTID. */
      readonly gsi: number;
      readonly trigger: 'level-high' | 'edge-rising';
    }
  | { readonly kind: 'bus-numbers'; readonly first: number; readonly count: number }
  | { readonly kind: 'memory32'; readonly base: number; readonly sizeBytes: number }
  | {
      readonly kind: 'memory64';
      readonly base: number;
      readonly sizeBytes: number;
      readonly isConsumed?: true;
    }
  /** I/O ports from `base` that the bridge shows as memory, from `base + offset`. */
  | { readonly kind: 'io'; readonly base: number; readonly sizeBytes: number; readonly offset: number };

/** A control method (ACPI 6.4, 19.6.83). */
export interface AcpiMethod {
  readonly arguments: number;
  /** One caller at a time, as methods that make named objects need it. */
  readonly isSerialized?: true;
  readonly body: readonly AcpiStatement[];
}

/** Registers in memory and the 32-bit fields in them, by name, in order (ACPI 6.4, 19.6.100 and 19.6.48). */
export interface AcpiRegion {
  readonly base: number;
  readonly sizeBytes: number;
  readonly fields: readonly string[];
}

/** Where a method finds or leaves a value. */
export type AcpiPlace =
  { readonly argument: number } | { readonly local: number } | { readonly object: string };

/** A value in a method: the operators have ASL's names (ACPI 6.4, 19.6). */
export type AcpiExpression =
  AcpiData | AcpiPlace | readonly ['And' | 'Or' | 'LEqual' | 'LNotEqual', AcpiExpression, AcpiExpression];

export type AcpiStatement =
  | readonly ['Return', AcpiExpression]
  | readonly ['Store', AcpiExpression, AcpiPlace]
  | readonly ['Notify', object: string, AcpiExpression]
  /** Names the 32-bit field at a byte offset of a buffer. */
  | readonly ['CreateDWordField', buffer: AcpiExpression, offset: number, name: string]
  | readonly ['If', AcpiExpression, readonly AcpiStatement[]];

export interface AcpiProcessor {
  /** Of its device in the namespace. */
  readonly uid: number;
  /** The affinity fields of its MPIDR_EL1. */
  readonly mpidr: bigint;
  /** INTID of its performance monitors' interrupt, level-sensitive. */
  readonly performanceInterrupt: number;
}

/** An entry of the Multiple APIC Description Table (ACPI 6.4, 5.2.12). */
export type AcpiInterruptController =
  | { readonly kind: 'gicd'; readonly base: number; readonly gicVersion: 2 | 3 }
  | (AcpiProcessor & {
      readonly kind: 'gicc';
      /** A GICv2's CPU interface. */
      readonly base?: number;
    })
  | {
      readonly kind: 'msi-frame';
      readonly base: number;
      readonly firstIntid: number;
      readonly count: number;
    }
  | { readonly kind: 'gicr'; readonly base: number; readonly sizeBytes: number }
  | { readonly kind: 'its'; readonly id: number; readonly base: number };

/** A serial port that firmware and kernels may use before drivers are loaded: what the SPCR and DBG2 tables say. */
export interface AcpiSerialPort {
  readonly base: number;
  readonly sizeBytes: number;
  readonly gsi: number;
  /** Microsoft's Debug Port Table 2, table 3. */
  readonly subtype: number;
  /** Name of its device in the namespace, as a full path. */
  readonly device: string;
}
