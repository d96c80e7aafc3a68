/** The CPUs that a machine can have. What their identification registers say is exactly what is implemented. */
import { invariant } from '../base/index.js';
import type { Feature } from '../isa/features.js';
import { withFeatures } from '../isa/features.js';
import type { Row } from '../isa/row.js';
import type { SystemRegisterKind } from '../isa/system-registers.js';
import { DEBUG_RESOURCES, EVENT_COUNTERS } from '../isa/system-registers.js';
import { ZVA_LOG2_WORDS } from './mmu.js';

export type CpuModelName = 'cortex-a57' | 'max';

export interface CpuModel {
  /** As users write it. */
  readonly name: CpuModelName;
  /** `compatible` of the device tree's CPU node. */
  readonly compatible: string;
  /** Values of registers of kind `identification`; those not listed read as zero. */
  readonly identification: Readonly<Record<string, bigint>>;
  /** CCSIDR_EL1 by CSSELR_EL1: level 1 data, level 1 instruction, level 2 unified. */
  readonly ccsidr: readonly [bigint, bigint, bigint];
  /** PMCR_EL0.IMP, IDCODE and N, in their places. */
  readonly pmcr: number;
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

/** What all models have. */
const COMMON_IDENTIFICATION = {
  // EL0 and EL1 (and EL2, where it is) AArch64 only; FP and Advanced SIMD without half precision (0).
  ID_AA64PFR0_EL1: 0x11n,
  // Armv8 debug; numbers of breakpoints, watchpoints and context-aware ones, less one; PMUv3.
  ID_AA64DFR0_EL1: BigInt(
    0x106 |
      ((DEBUG_RESOURCES.breakpoints - 1) << 12) |
      ((DEBUG_RESOURCES.watchpoints - 1) << 20) |
      ((DEBUG_RESOURCES.contextAware - 1) << 28),
  ),
  // 44-bit physical addresses, 16-bit ASIDs, all granules.
  ID_AA64MMFR0_EL1: 0x0010_0024n,
  DCZID_EL0: BigInt(ZVA_LOG2_WORDS),
  // Two levels: separate, unified.
  CLIDR_EL1: 0x0a20_0023n,
} as const;

/** CTR_EL0: level 1 instruction PIPT, 64-byte lines, DC ZVA and exclusives granule as the part's. */
const CORTEX_A57_CTR = 0x8444_c004n;
/** CTR_EL0.DIC and IDC: no cache maintenance makes stores visible to instruction fetch, as caches are not modelled. */
const CTR_NO_MAINTENANCE = 0x3000_0000n;

/** CCSIDR_EL1 of the Cortex-A57's caches. */
const CCSIDR = [0x701f_e00an, 0x201f_e012n, 0x70ff_e07an] as const;

/** PMCR_EL0.N. */
const PMCR_N = EVENT_COUNTERS << 11;

const CORTEX_A57_FEATURES = ['CRC32', 'AES', 'PMULL', 'SHA1', 'SHA256'] as const;

/**
 * Cortex-A57 r1p0 (DDI0488).
 *
 * @deviation It has no AArch32, EL3 and big-endian data, EL2 only on request, and it has the 16K granule, which the part doesn't have. Its identification registers say so.
 */
export const CORTEX_A57: CpuModel = {
  name: 'cortex-a57',
  compatible: 'arm,cortex-a57',
  identification: withFeatures(
    { ...COMMON_IDENTIFICATION, MIDR_EL1: 0x411f_d070n, CTR_EL0: CORTEX_A57_CTR },
    CORTEX_A57_FEATURES,
  ),
  ccsidr: CCSIDR,
  pmcr: 0x4101_0000 | PMCR_N,
  features: CORTEX_A57_FEATURES,
  featuresOfEl2: [],
};

const MAX_FEATURES = [
  ...CORTEX_A57_FEATURES,
  'LSE',
  'RDM',
  'DotProd',
  'FP16',
  'FlagM',
  'FlagM2',
  'DPB',
  'LRCPC',
  'LRCPC2',
  'SB',
  'DIT',
  'SSBS2',
  'IDST',
  'HAFDBS',
  'HPDS',
  'LOR',
  'PAN',
  'PAN2',
  'UAO',
  'E0PD',
  'SPECRES',
  'TTCNP',
  'TTL',
  'CSV2',
  'CSV3',
  'ECBHB',
] as const;

/**
 * All that is implemented, with the caches of a Cortex-A57.
 *
 * Implementer 0 is reserved for software: no guest takes it for a part whose errata it works around. Architecture 15
 * sends it to the other identification registers; the part number is ours. DDI0487 D19.2 (MIDR_EL1).
 */
export const MAX: CpuModel = {
  name: 'max',
  compatible: 'arm,armv8',
  identification: withFeatures(
    {
      ...COMMON_IDENTIFICATION,
      MIDR_EL1: 0x000f_0760n,
      CTR_EL0: CORTEX_A57_CTR | CTR_NO_MAINTENANCE,
    },
    MAX_FEATURES,
  ),
  ccsidr: CCSIDR,
  pmcr: PMCR_N,
  features: MAX_FEATURES,
  featuresOfEl2: ['VHE'],
};

export const CPU_MODELS: readonly CpuModel[] = [CORTEX_A57, MAX];

export const CPU_MODEL_NAMES: readonly CpuModelName[] = CPU_MODELS.map(({ name }) => name);

export const DEFAULT_CPU_MODEL: CpuModelName = 'cortex-a57';

export function cpuModel(name: CpuModelName): CpuModel {
  const model = CPU_MODELS.find((candidate) => candidate.name === name);
  invariant(model !== undefined, `no CPU model ${name}`);
  return model;
}
