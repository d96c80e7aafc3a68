/**
 * Optional features of the architecture that v8a implements, and what the identification registers say of each: the one
 * statement of both. A CPU model (`cpu/models.ts`) lists those it has; rows name the one they belong to, and are
 * Undefined on a model without it. DDI0487 A2 (features), D19.2 (fields).
 */
import { invariant } from '../base/index.js';

/** A field of an identification register, 4 bits wide. */
interface IdField {
  readonly register: string;
  readonly low: number;
  readonly value: number;
}

const field = (register: string, low: number, value: number): IdField => ({ register, low, value });

const TABLE = {
  AES: [field('ID_AA64ISAR0_EL1', 4, 1)],
  /** 64-bit polynomial multiplication; needs AES. */
  PMULL: [field('ID_AA64ISAR0_EL1', 4, 2)],
  SHA1: [field('ID_AA64ISAR0_EL1', 8, 1)],
  SHA256: [field('ID_AA64ISAR0_EL1', 12, 1)],
  CRC32: [field('ID_AA64ISAR0_EL1', 16, 1)],
  LSE: [field('ID_AA64ISAR0_EL1', 20, 2)],
  RDM: [field('ID_AA64ISAR0_EL1', 28, 1)],
  DotProd: [field('ID_AA64ISAR0_EL1', 44, 1)],
  FlagM: [field('ID_AA64ISAR0_EL1', 52, 1)],
  FlagM2: [field('ID_AA64ISAR0_EL1', 52, 2)],
  DPB: [field('ID_AA64ISAR1_EL1', 0, 1)],
  LRCPC: [field('ID_AA64ISAR1_EL1', 20, 1)],
  LRCPC2: [field('ID_AA64ISAR1_EL1', 20, 2)],
  SB: [field('ID_AA64ISAR1_EL1', 36, 1)],
  /** CFP, DVP and CPP RCTX, which restrict a speculation that there isn't. */
  SPECRES: [field('ID_AA64ISAR1_EL1', 40, 1)],
  DIT: [field('ID_AA64PFR0_EL1', 48, 1)],
  /** With MSR and MRS of PSTATE.SSBS. */
  SSBS2: [field('ID_AA64PFR1_EL1', 4, 2)],
  /** EL0's reads of identification registers trap as system register accesses instead of being undefined. */
  IDST: [field('ID_AA64MMFR2_EL1', 36, 1)],
  LOR: [field('ID_AA64MMFR1_EL1', 16, 1)],
  /** AT S1E1RP and AT S1E1WP. */
  PAN2: [field('ID_AA64MMFR1_EL1', 20, 2)],
  EL2: [field('ID_AA64PFR0_EL1', 8, 1)],
  FP16: [field('ID_AA64PFR0_EL1', 16, 1), field('ID_AA64PFR0_EL1', 20, 1)],
  HAFDBS: [field('ID_AA64MMFR1_EL1', 0, 2)],
  HPDS: [field('ID_AA64MMFR1_EL1', 12, 1)],
  PAN: [field('ID_AA64MMFR1_EL1', 20, 1)],
  /** With FEAT_Debugv8p1. */
  VHE: [field('ID_AA64MMFR1_EL1', 8, 1), field('ID_AA64DFR0_EL1', 0, 7)],
  UAO: [field('ID_AA64MMFR2_EL1', 4, 1)],
  E0PD: [field('ID_AA64MMFR2_EL1', 60, 1)],

  // Statements about what is there anyway.
  /** TTBRn_ELx.CnP may be set; each CPU has TLBs of its own all the same. */
  TTCNP: [field('ID_AA64MMFR2_EL1', 0, 1)],
  /** Operands of TLBI may have the level of the entry, which is not made use of. */
  TTL: [field('ID_AA64MMFR2_EL1', 48, 1)],
  /** No instruction is executed before it is known that it is the next: what CSV2, CSV3 and ECBHB ask for. */
  CSV2: [field('ID_AA64PFR0_EL1', 56, 1)],
  CSV3: [field('ID_AA64PFR0_EL1', 60, 1)],
  ECBHB: [field('ID_AA64MMFR1_EL1', 60, 1)],
} as const satisfies Record<string, readonly IdField[]>;

/** Name without `FEAT_`; EL2 is the exception level. */
export type Feature = keyof typeof TABLE;

export const FEATURES = Object.keys(TABLE) as readonly Feature[];

/** Sets in `registers` the fields of `features`; where several claim one field, the largest value stands. */
export function withFeatures(
  registers: Readonly<Record<string, bigint>>,
  features: readonly Feature[],
): Record<string, bigint> {
  const result = { ...registers };
  for (const feature of features)
    for (const { register, low, value } of TABLE[feature] as readonly IdField[]) {
      invariant(low % 4 === 0 && value < 16, `${feature}: fields have 4 bits`);
      const shift = BigInt(low);
      const now = result[register] ?? 0n;
      const old = Number((now >> shift) & 15n);
      result[register] = (now & ~(15n << shift)) | (BigInt(Math.max(old, value)) << shift);
    }
  return result;
}
