/** What the identification registers of a CPU say: exactly what is implemented. */
import type { Feature } from '../isa/features.js';
import { withFeatures } from '../isa/features.js';
import type { Row } from '../isa/row.js';
import type { SystemRegisterKind } from '../isa/system-registers.js';
import { ZVA_LOG2_WORDS } from './mmu.js';

export interface CpuModel {
  readonly name: string;
  /** `compatible` of the device tree's CPU node. */
  readonly compatible: string;
  /** Values of registers of kind `identification`; those not listed read as zero. */
  readonly identification: Readonly<Record<string, bigint>>;
  /** CCSIDR_EL1 by CSSELR_EL1: level 1 data, level 1 instruction, level 2 unified. */
  readonly ccsidr: readonly [bigint, bigint, bigint];
  readonly features: readonly Feature[];
  /** Features that it has beyond those where it has EL2. */
  readonly featuresOfEl2: readonly Feature[];
}

/** `model` with EL2, where it starts. */
export function withEl2(model: CpuModel): CpuModel {
  const more: readonly Feature[] = ['EL2', ...model.featuresOfEl2];
  return {
    ...model,
    identification: withFeatures(model.identification, more),
    features: [...model.features, ...more],
  };
}

/** The exception level after reset. */
export function highestEl(model: CpuModel): 1 | 2 {
  return hasFeature(model, 'EL2') ? 2 : 1;
}

export function hasFeature(model: CpuModel, feature: Feature): boolean {
  return model.features.includes(feature);
}

/** True where the CPU has the system register or operation. */
export function exists(
  model: CpuModel,
  { feature, absentWith }: { readonly feature?: Feature; readonly absentWith?: Feature },
): boolean {
  return (
    (feature === undefined || hasFeature(model, feature)) &&
    (absentWith === undefined || !hasFeature(model, absentWith))
  );
}

/** Bits of a register with storage that can be written. */
export function writableBits(
  { writable, featureBits = {} }: Extract<SystemRegisterKind, { readonly kind: 'storage' }>,
  model: CpuModel,
): bigint {
  return model.features.reduce((bits, feature) => bits | (featureBits[feature] ?? 0n), writable);
}

/** True where `row` does something other than raising Undefined. */
export function implementsRow(model: CpuModel, row: Row): boolean {
  return row.status === 'done' && (row.feature === undefined || hasFeature(model, row.feature));
}

const CORTEX_A57_FEATURES = ['CRC32'] as const;

/**
 * Cortex-A57 r1p0 (DDI0488).
 *
 * @deviation It has no AArch32, EL3, performance monitors, big-endian data and cryptographic instructions, EL2 only on
 * request, and it has the 16K granule, which the part doesn't have. Its identification registers say so.
 */
export const CORTEX_A57: CpuModel = {
  name: 'cortex-a57',
  compatible: 'arm,cortex-a57',
  identification: withFeatures(
    {
      MIDR_EL1: 0x411f_d070n,
      // EL0 and EL1 (and EL2, where it is) AArch64 only; FP and Advanced SIMD without half precision (0).
      ID_AA64PFR0_EL1: 0x11n,
      // Armv8 debug; 6 breakpoints, 4 watchpoints, 2 context-aware; no PMU.
      ID_AA64DFR0_EL1: 0x1030_5006n,
      // 44-bit physical addresses, 16-bit ASIDs, all granules.
      ID_AA64MMFR0_EL1: 0x0010_0024n,
      // Level 1 instruction PIPT, 64-byte lines, DC ZVA and exclusives granule as the part's.
      CTR_EL0: 0x8444_c004n,
      DCZID_EL0: BigInt(ZVA_LOG2_WORDS),
      // Two levels: separate, unified.
      CLIDR_EL1: 0x0a20_0023n,
    },
    CORTEX_A57_FEATURES,
  ),
  ccsidr: [0x701f_e00an, 0x201f_e012n, 0x70ff_e07an],
  features: CORTEX_A57_FEATURES,
  featuresOfEl2: [],
};
