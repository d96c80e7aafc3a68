/**
 * System registers and system operations: the one table. MRS, MSR and SYS rows, their text, the CPU's storage, reset and
 * trap checks derive from it.
 *
 * DDI0487 (Arm ARM), D19 for registers, C5.3 to C5.5 for operations.
 *
 * @deviation There is no external debug, so nobody at the other end of the Debug Communications Channel: what
 * MDSCR_EL1 keeps of it under the OS Lock has no effect, and DBGDTR_EL0, DBGDTRRX_EL0 and DBGDTRTX_EL0 don't exist.
 *
 * @deviation Caches are not modelled. Their identification registers describe those of the part, their maintenance is
 * a permission check, and instructions are what memory holds, maintained or not.
 */
import { invariant } from '../base/index.js';
import type { Feature } from './features.js';

/** What stands behind a register. */
export type SystemRegisterKind =
  /** 64 bits of state. Bits outside `writable` keep their reset value. */
  | {
      readonly kind: 'storage';
      readonly reset: bigint;
      readonly writable: bigint;
      /** Further writable bits of a CPU that has the feature. */
      readonly featureBits?: Readonly<Partial<Record<Feature, bigint>>>;
      /** What follows when it changes: cached translations must be forgotten, or another address space may be in use. */
      readonly invalidates?: 'translations' | 'address space';
      /** The CPU keeps something that follows from it. */
      readonly isDerivedFrom?: true;
      /** A device is told what is written. */
      readonly isShown?: true;
      /** Debug has to look anew: at what it controls, or at that breakpoint or watchpoint. */
      readonly debug?: 'control' | { readonly kind: 'B' | 'W'; readonly n: number };
      /** Further writable bits while the OS Lock is set. */
      readonly writableUnderLock?: bigint;
    }
  /** Identification: the CPU model gives the value. Read-only. */
  | { readonly kind: 'identification' }
  /** Part of self-hosted debug that is no plain storage. */
  | { readonly kind: 'debug' }
  /** Served outside the CPU: by the interrupt controller, the timers or the performance monitors. */
  | { readonly kind: 'external' }
  /** A view of PSTATE or of a stack pointer. */
  | { readonly kind: 'pstate' }
  /** Reads as zero, ignores writes. */
  | { readonly kind: 'zero' }
  /** Another name of that register, with which EL2 reaches it while the register's own name means another (`host`). */
  | { readonly kind: 'alias'; readonly of: string };

/**
 * EL0's accesses trap to EL1 (to EL2, where that has taken over) unless one of these bits of a storage register is set;
 * for a host's EL0 it's the register's `host`.
 */
interface El0Trap {
  readonly register: string;
  readonly bits: readonly number[];
  /** Further ones for reads. */
  readonly readBits?: readonly number[];
  /** It is the other way round: they trap if one of the bits is set. */
  readonly isTrap?: true;
  /** Writes are undefined at EL0. */
  readonly isReadOnly?: true;
}

/** Accesses by EL1, and by EL0 where it has access, trap to EL2 if one of these bits is set. DDI0487 D19.2. */
export interface El2Trap {
  readonly register: 'HCR_EL2' | 'CPTR_EL2' | 'MDCR_EL2' | 'CNTHCTL_EL2';
  /** In one half of the register. */
  readonly bits: readonly number[];
  /** The bits' places while HCR_EL2.E2H is set, where they have others. They concern guests then, and no host's EL0. */
  readonly bitsWithE2h?: readonly number[];
  /** The bits allow: it is a trap unless one is set. */
  readonly allows?: true;
  readonly on?: 'read' | 'write';
}

interface Access {
  /** Lowest exception level with access; 0 where `el0` says when EL0 is kept out. */
  readonly minEl: 0 | 1 | 2;
  /** What EL0 may do: only read; or everything, but it traps to EL1 unless a bit of a storage register is set. */
  readonly el0?: 'read-only' | El0Trap;
  readonly el2Traps?: readonly El2Trap[];
  /** Undefined on a CPU without, and on one with. */
  readonly feature?: Feature;
  readonly absentWith?: Feature;
}

export interface SystemRegister extends Access {
  readonly name: string;
  /** op0:op1:CRn:CRm:op2, 2 + 3 + 4 + 4 + 3 bits. */
  readonly encoding: number;
  readonly access: 'rw' | 'ro' | 'wo';
  readonly behind: SystemRegisterKind;
  /** The register that the name means in the EL2&0 translation regime. DDI0487 D19.1 (FEAT_VHE). */
  readonly host?: string;
  /** Position among registers with storage, else −1. */
  readonly storageIndex: number;
}

export interface SystemOperation extends Access {
  readonly name: string;
  readonly encoding: number;
  readonly effect:
    /** Cache maintenance: caches are not modelled, so nothing beyond the permission check. */
    | 'none'
    | 'zero block'
    | 'invalidate instructions'
    | 'invalidate translations'
    | 'invalidate translations by address'
    | 'invalidate translations by ASID'
    /** Cache maintenance by address: the address must translate, with permission to read or write it. */
    | { readonly maintain: 'read' | 'write' }
    /**
     * AT: translate for a read or a write with the privilege of that level, and report in PAR_EL1. A host's own levels
     * are meant where there is one, unless `ofGuest`.
     */
    | {
        readonly translate: 'read' | 'write';
        readonly el: 0 | 1 | 2;
        readonly ofGuest?: true;
        /** With PSTATE.PAN. */
        readonly checksPan?: true;
      };
}

export function systemEncoding(op0: number, op1: number, crn: number, crm: number, op2: number): number {
  return (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}

/** The encoding that an MRS, MSR (register), SYS or SYSL names; undefined for other words. */
export function systemEncodingOf(word: number): number | undefined {
  const isSystem = (word & 0xffc0_0000) >>> 0 === 0xd500_0000 && (word & 0x0018_0000) !== 0;
  return isSystem ? (word >>> 5) & 0xffff : undefined;
}

/** `S3_0_C1_C0_0`: op0, op1, CRn, CRm, op2, as assemblers name a register by its encoding. */
export function systemEncodingText(encoding: number): string {
  const [op0, op1] = [encoding >> 14, (encoding >> 11) & 7];
  return `S${op0}_${op1}_C${(encoding >> 7) & 15}_C${(encoding >> 3) & 15}_${encoding & 7}`;
}

type Encoding = readonly [op0: number, op1: number, crn: number, crm: number, op2: number];
interface Options extends Partial<Access> {
  readonly access?: SystemRegister['access'];
  readonly host?: string;
}

/** Levels with access, as the encoding has it: op1 is 3 for EL0, 4 and 5 for EL2. DDI0487 D19.1. */
function minElOf(op1: number): 0 | 1 | 2 {
  return op1 === 3 ? 0 : op1 >= 4 ? 2 : 1;
}

const ALL = 0xffff_ffff_ffff_ffffn;
const LOW32 = 0xffff_ffffn;

let storageCount = 0;

function register(
  name: string,
  encoding: Encoding,
  behind: SystemRegisterKind,
  options: Options = {},
): SystemRegister {
  const minEl = minElOf(encoding[1]);
  return {
    name,
    encoding: systemEncoding(...encoding),
    access: behind.kind === 'identification' ? 'ro' : 'rw',
    minEl,
    ...(minEl === 2 ? { feature: 'EL2' } : {}),
    ...options,
    behind,
    storageIndex: behind.kind === 'storage' ? storageCount++ : -1,
  };
}

type Storage = Extract<SystemRegisterKind, { readonly kind: 'storage' }>;
type StorageOptions = Omit<Storage, 'kind' | 'writable' | 'reset'>;

function storage(writable = ALL, reset = 0n, options: StorageOptions = {}): Storage {
  return { kind: 'storage', reset, writable, ...options };
}

const translation = (writable = ALL, reset = 0n, options: StorageOptions = {}): Storage =>
  storage(writable, reset, { invalidates: 'translations', ...options });
const addressSpace = (): Storage => storage(ALL, 0n, { invalidates: 'address space' });
const IDENTIFICATION: SystemRegisterKind = { kind: 'identification' };
const EXTERNAL: SystemRegisterKind = { kind: 'external' };
const DEBUG: SystemRegisterKind = { kind: 'debug' };
const PSTATE: SystemRegisterKind = { kind: 'pstate' };
const ZERO: SystemRegisterKind = { kind: 'zero' };

/** Identification registers of the AArch64 and AArch32 feature space: S3_0_C0_Cm_op2. */
const ID_REGISTERS: readonly (readonly [string, number, number])[] = [
  ['ID_PFR0_EL1', 1, 0],
  ['ID_PFR1_EL1', 1, 1],
  ['ID_DFR0_EL1', 1, 2],
  ['ID_AFR0_EL1', 1, 3],
  ['ID_MMFR0_EL1', 1, 4],
  ['ID_MMFR1_EL1', 1, 5],
  ['ID_MMFR2_EL1', 1, 6],
  ['ID_MMFR3_EL1', 1, 7],
  ['ID_ISAR0_EL1', 2, 0],
  ['ID_ISAR1_EL1', 2, 1],
  ['ID_ISAR2_EL1', 2, 2],
  ['ID_ISAR3_EL1', 2, 3],
  ['ID_ISAR4_EL1', 2, 4],
  ['ID_ISAR5_EL1', 2, 5],
  ['ID_MMFR4_EL1', 2, 6],
  ['ID_ISAR6_EL1', 2, 7],
  ['MVFR0_EL1', 3, 0],
  ['MVFR1_EL1', 3, 1],
  ['MVFR2_EL1', 3, 2],
  ['ID_PFR2_EL1', 3, 4],
  ['ID_DFR1_EL1', 3, 5],
  ['ID_MMFR5_EL1', 3, 6],
  ['ID_AA64PFR0_EL1', 4, 0],
  ['ID_AA64PFR1_EL1', 4, 1],
  ['ID_AA64ZFR0_EL1', 4, 4],
  ['ID_AA64SMFR0_EL1', 4, 5],
  ['ID_AA64DFR0_EL1', 5, 0],
  ['ID_AA64DFR1_EL1', 5, 1],
  ['ID_AA64AFR0_EL1', 5, 4],
  ['ID_AA64AFR1_EL1', 5, 5],
  ['ID_AA64ISAR0_EL1', 6, 0],
  ['ID_AA64ISAR1_EL1', 6, 1],
  ['ID_AA64ISAR2_EL1', 6, 2],
  ['ID_AA64MMFR0_EL1', 7, 0],
  ['ID_AA64MMFR1_EL1', 7, 1],
  ['ID_AA64MMFR2_EL1', 7, 2],
];

/** The rest of the ID space reads as zero (DDI0487 D19.1.1, reserved ID encodings are RAZ). */
function reservedIds(): SystemRegister[] {
  const rows: SystemRegister[] = [];
  for (let crm = 1; crm < 8; crm++)
    for (let op2 = 0; op2 < 8; op2++)
      if (!ID_REGISTERS.some(([, m, o]) => m === crm && o === op2))
        rows.push(
          register(`S3_0_C0_C${crm}_${op2}`, [3, 0, 0, crm, op2], ZERO, { access: 'ro', el2Traps: [TID3] }),
        );
  return rows;
}

function numbered(count: number, make: (n: number) => SystemRegister): SystemRegister[] {
  return Array.from({ length: count }, (_, n) => make(n));
}

const hcr = (bit: number, on?: El2Trap['on']): El2Trap => ({
  register: 'HCR_EL2',
  bits: [bit],
  ...(on === undefined ? {} : { on }),
});
/** TVM and TRVM. */
const VIRTUAL_MEMORY = [hcr(26, 'write'), hcr(30, 'read')];
const TID1 = hcr(16);
const TID2 = hcr(17);
const TID3 = hcr(18);
const TACR = hcr(21);
const TSW = hcr(22);
const TPCP = hcr(23);
const TPU = hcr(24);
const TTLB = hcr(25);
const TDZ = hcr(28);
const TLOR = hcr(35);
const TCPAC: El2Trap = { register: 'CPTR_EL2', bits: [31] };
const EL1PCTEN: El2Trap = { register: 'CNTHCTL_EL2', bits: [0], bitsWithE2h: [10], allows: true };
const EL1PCEN: El2Trap = { register: 'CNTHCTL_EL2', bits: [1], bitsWithE2h: [11], allows: true };
/** TDRA, TDOSA, TDA: each is as good as set where TDE (8) or HCR_EL2.TGE is. */
const debugTrap = (bit: number): readonly El2Trap[] => [{ register: 'MDCR_EL2', bits: [bit, 8] }, hcr(27)];
const TDA = debugTrap(9);
const TDOSA = debugTrap(10);
const TDRA = debugTrap(11);

/** TPM, and TPMCR. */
const TPM: El2Trap = { register: 'MDCR_EL2', bits: [6] };
const TPM_OR_TPMCR: El2Trap = { register: 'MDCR_EL2', bits: [5, 6] };

const UCT: El0Trap = { register: 'SCTLR_EL1', bits: [15] };
const UCI: El0Trap = { register: 'SCTLR_EL1', bits: [26] };
const ENRCTX: El0Trap = { register: 'SCTLR_EL1', bits: [10] };
const UMA: El0Trap = { register: 'SCTLR_EL1', bits: [9] };
const DZE: El0Trap = { register: 'SCTLR_EL1', bits: [14] };
const EL0PCTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [0] };
const EL0VCTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [1] };
/** The frequency may be read with either counter. */
const EL0PCTEN_OR_EL0VCTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [0, 1], isReadOnly: true };
const EL0VTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [8] };
const EL0PTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [9] };
/** EN, beside which are SW (1), CR (2) and ER (3). */
const PMU_EN: El0Trap = { register: 'PMUSERENR_EL0', bits: [0] };
const PMU_SW: El0Trap = { register: 'PMUSERENR_EL0', bits: [0, 1] };
const PMU_CR: El0Trap = { register: 'PMUSERENR_EL0', bits: [0], readBits: [2] };
const PMU_ER: El0Trap = { register: 'PMUSERENR_EL0', bits: [0, 3] };
const PMU_ER_READS: El0Trap = { register: 'PMUSERENR_EL0', bits: [0], readBits: [3] };
const TDCC: El0Trap = { register: 'MDSCR_EL1', bits: [12], isTrap: true };

/**
 * RES1 bits of SCTLR_EL1 where nothing beyond Armv8.0 is implemented: 29, 28, 23, 22, 20, 11; 8 (SED) and 7 (ITD)
 * because EL0 is AArch64 only. Big-endian data (EE, E0E) is not implemented and stays 0.
 */
const SCTLR_EL1_RES1 = 0x30d0_0980n;
/** M, A, C, SA, SA0, UMA, I, DZE, UCT, nTWI, nTWE, WXN, UCI. */
const SCTLR_EL1_WRITABLE = 0x040d_d21fn;
/** nTWE, nTWI, SA0 and SA are set, as firmware finds them on the Cortex-A57. */
const SCTLR_EL1_RESET = SCTLR_EL1_RES1 | 0x5_0018n;

/** TCR_EL1 from T0SZ to TBI1; HA and HD; HPD0 and HPD1; E0PD0 and E0PD1. */
const TCR_WRITABLE = 0x7f_ffff_ffffn;
const TCR_FEATURES = { featureBits: { HAFDBS: 3n << 39n, HPDS: 3n << 41n, E0PD: 3n << 55n } } as const;

/** RES1 bits of SCTLR_EL2 outside the EL2&0 regime: 29, 28, 23, 22, 18, 16, 11, 5, 4. */
const SCTLR_EL2_RES1 = 0x30c5_0830n;
/** M, A, C, SA, I, WXN. */
const SCTLR_EL2_WRITABLE = 0x0008_100fn;
/** SA0, nTWI, nTWE, which are RES1 without E2H; DZE, UCT, UCI. */
const SCTLR_EL2_OF_HOST = 0x0405_c010n;
/** RES1 bits of CPTR_EL2 without E2H. */
const CPTR_EL2_RES1 = 0x33ffn;
/** TCPAC, TFP. */
const CPTR_EL2_WRITABLE = 0x8000_0400n;
/** FPEN, and the bits that E2H takes RES1 from. */
const CPTR_EL2_OF_HOST = 0x0030_0000n | CPTR_EL2_RES1;
/** TCR_EL2 without E2H: T0SZ to TG0, PS, TBI; RES1 bits 31 and 23. */
const TCR_EL2_WRITABLE = 0x0017_ff3fn;
const TCR_EL2_RES1 = 0x8080_0000n;
/** All that is there without stage 2's extensions, E2H and RW apart, which says that EL1 is AArch64. */
const HCR_EL2_WRITABLE = 0x3_7fff_ffffn;

/** Event counters of the performance monitors, beside the cycle counter: PMCR_EL0.N. */
export const EVENT_COUNTERS = 6;

/** A register of the performance monitors that EL0 has access to. */
function monitor(
  name: string,
  [crn, crm, op2]: readonly [number, number, number],
  el0: El0Trap = PMU_EN,
  options: Options = {},
): SystemRegister {
  return register(name, [3, 3, crn, crm, op2], EXTERNAL, { el0, el2Traps: [TPM], ...options });
}

/** SS, TDCC, KDE, MDE. */
const MDSCR_WRITABLE = 0xb001n;
/** ERR, HDE, TDA, INTdis, TXU, RXO, TXfull, RXfull. */
const MDSCR_OF_EXTERNAL_DEBUG = 0x6ce0_4040n;

/** Breakpoints, the highest-numbered of them context-aware, and watchpoints of every CPU. */
export const DEBUG_RESOURCES = { breakpoints: 6, contextAware: 2, watchpoints: 4 } as const;

/** E, PMC; HMC, SSC, LBN, the lowest bit of BT. BAS is RES1 without AArch32. */
const DBGBCR_WRITABLE = 0x1f_e007n;
const DBGBCR_RES1 = 0x1e0n;
/** BT: of a context; of a VMID, of CONTEXTIDR_EL2. */
const DBGBCR_CONTEXT = 1n << 21n;
const DBGBCR_FEATURES = { featureBits: { EL2: 1n << 23n, VHE: 1n << 22n } } as const;

function breakpoints(): SystemRegister[] {
  const { breakpoints: count, contextAware } = DEBUG_RESOURCES;
  return [
    ...numbered(count, (n) => {
      const isContextAware = n >= count - contextAware;
      const behind = storage(isContextAware ? ALL : ALL & ~3n, 0n, { debug: { kind: 'B', n } });
      return register(`DBGBVR${n}_EL1`, [2, 0, 0, n, 4], behind, { el2Traps: TDA });
    }),
    ...numbered(count, (n) => {
      const isContextAware = n >= count - contextAware;
      const behind = storage(DBGBCR_WRITABLE | (isContextAware ? DBGBCR_CONTEXT : 0n), DBGBCR_RES1, {
        debug: { kind: 'B', n },
        ...(isContextAware ? DBGBCR_FEATURES : {}),
      });
      return register(`DBGBCR${n}_EL1`, [2, 0, 0, n, 5], behind, { el2Traps: TDA });
    }),
  ];
}

/** E, PAC, LSC, BAS, HMC, SSC, LBN, WT, MASK. */
const DBGWCR_WRITABLE = 0x1f1f_ffffn;

function watchpoints(): SystemRegister[] {
  return [
    ...numbered(DEBUG_RESOURCES.watchpoints, (n) =>
      register(`DBGWVR${n}_EL1`, [2, 0, 0, n, 6], storage(ALL & ~3n, 0n, { debug: { kind: 'W', n } }), {
        el2Traps: TDA,
      }),
    ),
    ...numbered(DEBUG_RESOURCES.watchpoints, (n) =>
      register(`DBGWCR${n}_EL1`, [2, 0, 0, n, 7], storage(DBGWCR_WRITABLE, 0n, { debug: { kind: 'W', n } }), {
        el2Traps: TDA,
      }),
    ),
  ];
}

const ROWS: readonly SystemRegister[] = [
  // Identification
  register('MIDR_EL1', [3, 0, 0, 0, 0], IDENTIFICATION),
  register('MPIDR_EL1', [3, 0, 0, 0, 5], IDENTIFICATION),
  register('REVIDR_EL1', [3, 0, 0, 0, 6], IDENTIFICATION, { el2Traps: [TID1] }),
  ...ID_REGISTERS.map(([name, crm, op2]) =>
    register(name, [3, 0, 0, crm, op2], IDENTIFICATION, { el2Traps: [TID3] }),
  ),
  ...reservedIds(),
  register('CCSIDR_EL1', [3, 1, 0, 0, 0], IDENTIFICATION, { el2Traps: [TID2] }),
  register('CLIDR_EL1', [3, 1, 0, 0, 1], IDENTIFICATION, { el2Traps: [TID2] }),
  register('AIDR_EL1', [3, 1, 0, 0, 7], IDENTIFICATION, { el2Traps: [TID1] }),
  register('CSSELR_EL1', [3, 2, 0, 0, 0], storage(0xfn), { el2Traps: [TID2] }),
  register('CTR_EL0', [3, 3, 0, 0, 1], IDENTIFICATION, { el0: UCT, el2Traps: [TID2] }),
  register('DCZID_EL0', [3, 3, 0, 0, 7], IDENTIFICATION),

  // Control and translation
  register(
    'SCTLR_EL1',
    [3, 0, 1, 0, 0],
    translation(SCTLR_EL1_WRITABLE, SCTLR_EL1_RESET, {
      isDerivedFrom: true,
      // SPAN; DSSBS; EnRCTX.
      featureBits: { PAN: 1n << 23n, SSBS2: 1n << 44n, SPECRES: 1n << 10n },
    }),
    { host: 'SCTLR_EL2', el2Traps: VIRTUAL_MEMORY },
  ),
  register('ACTLR_EL1', [3, 0, 1, 0, 1], storage(0n), { el2Traps: [TACR] }),
  register('CPACR_EL1', [3, 0, 1, 0, 2], storage(0x0030_0000n, 0n, { isDerivedFrom: true }), {
    host: 'CPTR_EL2',
    el2Traps: [TCPAC],
  }),
  register('TTBR0_EL1', [3, 0, 2, 0, 0], addressSpace(), { host: 'TTBR0_EL2', el2Traps: VIRTUAL_MEMORY }),
  register('TTBR1_EL1', [3, 0, 2, 0, 1], addressSpace(), { host: 'TTBR1_EL2', el2Traps: VIRTUAL_MEMORY }),
  register('TCR_EL1', [3, 0, 2, 0, 2], translation(TCR_WRITABLE, 0n, TCR_FEATURES), {
    host: 'TCR_EL2',
    el2Traps: VIRTUAL_MEMORY,
  }),
  register('MAIR_EL1', [3, 0, 10, 2, 0], translation(), { host: 'MAIR_EL2', el2Traps: VIRTUAL_MEMORY }),
  // Without a LORegion: the registers are RES0. DDI0487 D19.2 (LORID_EL1).
  ...(
    [
      ['LORSA_EL1', 0],
      ['LOREA_EL1', 1],
      ['LORN_EL1', 2],
      ['LORC_EL1', 3],
    ] as const
  ).map(([name, op2]) => register(name, [3, 0, 10, 4, op2], ZERO, { feature: 'LOR', el2Traps: [TLOR] })),
  register('LORID_EL1', [3, 0, 10, 4, 7], ZERO, { access: 'ro', feature: 'LOR', el2Traps: [TLOR] }),
  register('AMAIR_EL1', [3, 0, 10, 3, 0], storage(0n), { host: 'AMAIR_EL2', el2Traps: VIRTUAL_MEMORY }),
  register('CONTEXTIDR_EL1', [3, 0, 13, 0, 1], storage(LOW32), {
    host: 'CONTEXTIDR_EL2',
    el2Traps: VIRTUAL_MEMORY,
  }),
  register('PAR_EL1', [3, 0, 7, 4, 0], storage()),

  // Exceptions
  register('SPSR_EL1', [3, 0, 4, 0, 0], storage(LOW32), { host: 'SPSR_EL2' }),
  register('ELR_EL1', [3, 0, 4, 0, 1], storage(), { host: 'ELR_EL2' }),
  register('SP_EL0', [3, 0, 4, 1, 0], PSTATE),
  register('SPSel', [3, 0, 4, 2, 0], PSTATE),
  register('CurrentEL', [3, 0, 4, 2, 2], PSTATE, { access: 'ro' }),
  register('AFSR0_EL1', [3, 0, 5, 1, 0], storage(0n), { host: 'AFSR0_EL2', el2Traps: VIRTUAL_MEMORY }),
  register('AFSR1_EL1', [3, 0, 5, 1, 1], storage(0n), { host: 'AFSR1_EL2', el2Traps: VIRTUAL_MEMORY }),
  register('ESR_EL1', [3, 0, 5, 2, 0], storage(LOW32), { host: 'ESR_EL2', el2Traps: VIRTUAL_MEMORY }),
  register('FAR_EL1', [3, 0, 6, 0, 0], storage(), { host: 'FAR_EL2', el2Traps: VIRTUAL_MEMORY }),
  register('VBAR_EL1', [3, 0, 12, 0, 0], storage(0xffff_ffff_ffff_f800n), { host: 'VBAR_EL2' }),
  register('RVBAR_EL1', [3, 0, 12, 0, 1], ZERO, { access: 'ro', absentWith: 'EL2' }),
  register('ISR_EL1', [3, 0, 12, 1, 0], PSTATE, { access: 'ro' }),
  register('PAN', [3, 0, 4, 2, 3], PSTATE, { feature: 'PAN' }),
  register('UAO', [3, 0, 4, 2, 4], PSTATE, { feature: 'UAO' }),

  // Process state
  register('NZCV', [3, 3, 4, 2, 0], PSTATE),
  register('DAIF', [3, 3, 4, 2, 1], PSTATE, { el0: UMA }),
  register('DIT', [3, 3, 4, 2, 5], PSTATE, { feature: 'DIT' }),
  register('SSBS', [3, 3, 4, 2, 6], PSTATE, { feature: 'SSBS2' }),
  // AHP, DN, FZ, RMode, Stride, Len. Enables of trapped exceptions are RAZ/WI: there are none.
  register('FPCR', [3, 3, 4, 4, 0], storage(0x07f7_0000n, 0n, { featureBits: { FP16: 1n << 19n } })),
  register('FPSR', [3, 3, 4, 4, 1], storage(0xf800_009fn)),

  // Thread registers
  register('TPIDR_EL0', [3, 3, 13, 0, 2], storage()),
  register('TPIDRRO_EL0', [3, 3, 13, 0, 3], storage(), { el0: 'read-only' }),
  register('TPIDR_EL1', [3, 0, 13, 0, 4], storage()),

  // Generic timers
  register('CNTKCTL_EL1', [3, 0, 14, 1, 0], storage(0x3ffn), { host: 'CNTHCTL_EL2' }),
  register('CNTFRQ_EL0', [3, 3, 14, 0, 0], EXTERNAL, { el0: EL0PCTEN_OR_EL0VCTEN }),
  register('CNTPCT_EL0', [3, 3, 14, 0, 1], EXTERNAL, { access: 'ro', el0: EL0PCTEN, el2Traps: [EL1PCTEN] }),
  register('CNTVCT_EL0', [3, 3, 14, 0, 2], EXTERNAL, { access: 'ro', el0: EL0VCTEN, host: 'CNTPCT_EL0' }),
  register('CNTP_TVAL_EL0', [3, 3, 14, 2, 0], EXTERNAL, {
    el0: EL0PTEN,
    host: 'CNTHP_TVAL_EL2',
    el2Traps: [EL1PCEN],
  }),
  register('CNTP_CTL_EL0', [3, 3, 14, 2, 1], EXTERNAL, {
    el0: EL0PTEN,
    host: 'CNTHP_CTL_EL2',
    el2Traps: [EL1PCEN],
  }),
  register('CNTP_CVAL_EL0', [3, 3, 14, 2, 2], EXTERNAL, {
    el0: EL0PTEN,
    host: 'CNTHP_CVAL_EL2',
    el2Traps: [EL1PCEN],
  }),
  register('CNTV_TVAL_EL0', [3, 3, 14, 3, 0], EXTERNAL, { el0: EL0VTEN, host: 'CNTHV_TVAL_EL2' }),
  register('CNTV_CTL_EL0', [3, 3, 14, 3, 1], EXTERNAL, { el0: EL0VTEN, host: 'CNTHV_CTL_EL2' }),
  register('CNTV_CVAL_EL0', [3, 3, 14, 3, 2], EXTERNAL, { el0: EL0VTEN, host: 'CNTHV_CVAL_EL2' }),

  // Performance monitors, PMUv3
  register('PMINTENSET_EL1', [3, 0, 9, 14, 1], EXTERNAL, { el2Traps: [TPM] }),
  register('PMINTENCLR_EL1', [3, 0, 9, 14, 2], EXTERNAL, { el2Traps: [TPM] }),
  monitor('PMCR_EL0', [9, 12, 0], PMU_EN, { el2Traps: [TPM_OR_TPMCR] }),
  monitor('PMCNTENSET_EL0', [9, 12, 1]),
  monitor('PMCNTENCLR_EL0', [9, 12, 2]),
  monitor('PMOVSCLR_EL0', [9, 12, 3]),
  monitor('PMSWINC_EL0', [9, 12, 4], PMU_SW, { access: 'wo' }),
  monitor('PMSELR_EL0', [9, 12, 5], PMU_ER),
  monitor('PMCEID0_EL0', [9, 12, 6], PMU_EN, { access: 'ro' }),
  monitor('PMCEID1_EL0', [9, 12, 7], PMU_EN, { access: 'ro' }),
  monitor('PMCCNTR_EL0', [9, 13, 0], PMU_CR),
  monitor('PMXEVTYPER_EL0', [9, 13, 1]),
  monitor('PMXEVCNTR_EL0', [9, 13, 2], PMU_ER_READS),
  register('PMUSERENR_EL0', [3, 3, 9, 14, 0], storage(0xfn), { el0: 'read-only', el2Traps: [TPM] }),
  monitor('PMOVSSET_EL0', [9, 14, 3]),
  ...numbered(EVENT_COUNTERS, (n) => monitor(`PMEVCNTR${n}_EL0`, [14, 8, n], PMU_ER_READS)),
  ...numbered(EVENT_COUNTERS, (n) => monitor(`PMEVTYPER${n}_EL0`, [14, 12, n])),
  monitor('PMCCFILTR_EL0', [14, 15, 7]),

  // GIC CPU interface, IHI0069 12.2, with 5 bits of priority. Undefined unless the machine has a GICv3.
  register('ICC_PMR_EL1', [3, 0, 4, 6, 0], EXTERNAL),
  register('ICC_IAR0_EL1', [3, 0, 12, 8, 0], EXTERNAL, { access: 'ro' }),
  register('ICC_EOIR0_EL1', [3, 0, 12, 8, 1], EXTERNAL, { access: 'wo' }),
  register('ICC_HPPIR0_EL1', [3, 0, 12, 8, 2], EXTERNAL, { access: 'ro' }),
  register('ICC_BPR0_EL1', [3, 0, 12, 8, 3], EXTERNAL),
  register('ICC_AP0R0_EL1', [3, 0, 12, 8, 4], EXTERNAL),
  register('ICC_AP1R0_EL1', [3, 0, 12, 9, 0], EXTERNAL),
  register('ICC_DIR_EL1', [3, 0, 12, 11, 1], EXTERNAL, { access: 'wo' }),
  register('ICC_RPR_EL1', [3, 0, 12, 11, 3], EXTERNAL, { access: 'ro' }),
  register('ICC_SGI1R_EL1', [3, 0, 12, 11, 5], EXTERNAL, { access: 'wo' }),
  register('ICC_ASGI1R_EL1', [3, 0, 12, 11, 6], EXTERNAL, { access: 'wo' }),
  register('ICC_SGI0R_EL1', [3, 0, 12, 11, 7], EXTERNAL, { access: 'wo' }),
  register('ICC_IAR1_EL1', [3, 0, 12, 12, 0], EXTERNAL, { access: 'ro' }),
  register('ICC_EOIR1_EL1', [3, 0, 12, 12, 1], EXTERNAL, { access: 'wo' }),
  register('ICC_HPPIR1_EL1', [3, 0, 12, 12, 2], EXTERNAL, { access: 'ro' }),
  register('ICC_BPR1_EL1', [3, 0, 12, 12, 3], EXTERNAL),
  register('ICC_CTLR_EL1', [3, 0, 12, 12, 4], EXTERNAL),
  register('ICC_SRE_EL1', [3, 0, 12, 12, 5], EXTERNAL),
  register('ICC_IGRPEN0_EL1', [3, 0, 12, 12, 6], EXTERNAL),
  register('ICC_IGRPEN1_EL1', [3, 0, 12, 12, 7], EXTERNAL),

  // EL2
  register('VPIDR_EL2', [3, 4, 0, 0, 0], storage(LOW32)),
  register('VMPIDR_EL2', [3, 4, 0, 0, 5], storage(0xff_c1ff_ffffn)),
  register(
    'SCTLR_EL2',
    [3, 4, 1, 0, 0],
    translation(SCTLR_EL2_WRITABLE, SCTLR_EL2_RES1, {
      featureBits: { VHE: SCTLR_EL2_OF_HOST, PAN: 1n << 23n, SSBS2: 1n << 44n, SPECRES: 1n << 10n },
      isDerivedFrom: true,
    }),
  ),
  register('ACTLR_EL2', [3, 4, 1, 0, 1], storage(0n)),
  register(
    'HCR_EL2',
    [3, 4, 1, 1, 0],
    storage(HCR_EL2_WRITABLE, 1n << 31n, {
      featureBits: { VHE: 1n << 34n, LOR: 1n << 35n },
      invalidates: 'translations',
      isDerivedFrom: true,
    }),
  ),
  // TPMCR, TPM, HPME, TDE, TDA, TDOSA, TDRA; HPMN, which is PMCR_EL0.N after reset.
  register('MDCR_EL2', [3, 4, 1, 1, 1], storage(0xfffn, BigInt(EVENT_COUNTERS), { isShown: true })),
  register(
    'CPTR_EL2',
    [3, 4, 1, 1, 2],
    storage(CPTR_EL2_WRITABLE, CPTR_EL2_RES1, {
      featureBits: { VHE: CPTR_EL2_OF_HOST },
      isDerivedFrom: true,
    }),
  ),
  // It traps accesses of AArch32 alone.
  register('HSTR_EL2', [3, 4, 1, 1, 3], storage(0n)),
  register('HACR_EL2', [3, 4, 1, 1, 7], storage(0n)),
  register('TTBR0_EL2', [3, 4, 2, 0, 0], addressSpace()),
  register('TTBR1_EL2', [3, 4, 2, 0, 1], addressSpace(), { feature: 'VHE' }),
  register(
    'TCR_EL2',
    [3, 4, 2, 0, 2],
    translation(TCR_EL2_WRITABLE, TCR_EL2_RES1, {
      featureBits: {
        VHE: TCR_WRITABLE,
        HAFDBS: (3n << 21n) | TCR_FEATURES.featureBits.HAFDBS,
        HPDS: (1n << 24n) | TCR_FEATURES.featureBits.HPDS,
        E0PD: TCR_FEATURES.featureBits.E0PD,
      },
    }),
  ),
  register('VTTBR_EL2', [3, 4, 2, 1, 0], storage()),
  register('VTCR_EL2', [3, 4, 2, 1, 2], storage(LOW32)),
  register('SPSR_EL2', [3, 4, 4, 0, 0], storage(LOW32)),
  register('ELR_EL2', [3, 4, 4, 0, 1], storage()),
  register('SP_EL1', [3, 4, 4, 1, 0], PSTATE),
  // Of AArch32's modes.
  register('SPSR_irq', [3, 4, 4, 3, 0], ZERO),
  register('SPSR_abt', [3, 4, 4, 3, 1], ZERO),
  register('SPSR_und', [3, 4, 4, 3, 2], ZERO),
  register('SPSR_fiq', [3, 4, 4, 3, 3], ZERO),
  register('AFSR0_EL2', [3, 4, 5, 1, 0], storage(0n)),
  register('AFSR1_EL2', [3, 4, 5, 1, 1], storage(0n)),
  register('ESR_EL2', [3, 4, 5, 2, 0], storage(LOW32)),
  register('FAR_EL2', [3, 4, 6, 0, 0], storage()),
  register('HPFAR_EL2', [3, 4, 6, 0, 4], storage(0xff_ffff_fff0n)),
  register('MAIR_EL2', [3, 4, 10, 2, 0], translation()),
  register('AMAIR_EL2', [3, 4, 10, 3, 0], storage(0n)),
  register('VBAR_EL2', [3, 4, 12, 0, 0], storage(0xffff_ffff_ffff_f800n)),
  register('RVBAR_EL2', [3, 4, 12, 0, 1], ZERO, { access: 'ro' }),
  register('CONTEXTIDR_EL2', [3, 4, 13, 0, 1], storage(LOW32), { feature: 'VHE' }),
  register('TPIDR_EL2', [3, 4, 13, 0, 2], storage()),
  register('CNTVOFF_EL2', [3, 4, 14, 0, 3], EXTERNAL),
  // EL1PCTEN, EL1PCEN, EVNTEN, EVNTDIR, EVNTI; with E2H the layout of CNTKCTL_EL1, and EL1PCTEN, EL1PTEN above it.
  register('CNTHCTL_EL2', [3, 4, 14, 1, 0], storage(0xffn, 3n, { featureBits: { VHE: 0xfffn } })),
  register('CNTHP_TVAL_EL2', [3, 4, 14, 2, 0], EXTERNAL),
  register('CNTHP_CTL_EL2', [3, 4, 14, 2, 1], EXTERNAL),
  register('CNTHP_CVAL_EL2', [3, 4, 14, 2, 2], EXTERNAL),
  register('CNTHV_TVAL_EL2', [3, 4, 14, 3, 0], EXTERNAL, { feature: 'VHE' }),
  register('CNTHV_CTL_EL2', [3, 4, 14, 3, 1], EXTERNAL, { feature: 'VHE' }),
  register('CNTHV_CVAL_EL2', [3, 4, 14, 3, 2], EXTERNAL, { feature: 'VHE' }),

  // Self-hosted debug
  register(
    'MDSCR_EL1',
    [2, 0, 0, 2, 2],
    storage(MDSCR_WRITABLE, 0n, { debug: 'control', writableUnderLock: MDSCR_OF_EXTERNAL_DEBUG }),
    { el2Traps: TDA },
  ),
  register('MDCCSR_EL0', [2, 3, 0, 1, 0], DEBUG, { access: 'ro', el0: TDCC, el2Traps: TDA }),
  // TX, RX: an interrupt that isn't wired.
  register('MDCCINT_EL1', [2, 0, 0, 2, 0], storage(0x6000_0000n), { el2Traps: TDA }),
  register('OSLAR_EL1', [2, 0, 1, 0, 4], DEBUG, { access: 'wo', el2Traps: TDOSA }),
  // OSLM: the OS Lock is there; OSLK: and set.
  register('OSLSR_EL1', [2, 0, 1, 1, 4], storage(0n, 0xan), { access: 'ro', el2Traps: TDOSA }),
  register('OSDLR_EL1', [2, 0, 1, 3, 4], storage(1n, 0n, { debug: 'control' }), { el2Traps: TDOSA }),
  register('OSDTRRX_EL1', [2, 0, 0, 0, 2], ZERO, { el2Traps: TDA }),
  register('OSDTRTX_EL1', [2, 0, 0, 3, 2], ZERO, { el2Traps: TDA }),
  register('OSECCR_EL1', [2, 0, 0, 6, 2], ZERO, { el2Traps: TDA }),
  // CORENPDRQ.
  register('DBGPRCR_EL1', [2, 0, 1, 4, 4], storage(1n, 0n, { debug: 'control' }), { el2Traps: TDOSA }),
  register('DBGCLAIMSET_EL1', [2, 0, 7, 8, 6], DEBUG, { el2Traps: TDA }),
  register('DBGCLAIMCLR_EL1', [2, 0, 7, 9, 6], DEBUG, { el2Traps: TDA }),
  // Non-secure debug by others is implemented and disabled: there is nobody.
  register('DBGAUTHSTATUS_EL1', [2, 0, 7, 14, 6], storage(0n, 0xan), { access: 'ro', el2Traps: TDA }),
  register('MDRAR_EL1', [2, 0, 1, 0, 0], ZERO, { access: 'ro', el2Traps: TDRA }),
  ...breakpoints(),
  ...watchpoints(),
];

/** `SCTLR_EL12`, `CNTP_CTL_EL02`: names for EL2 of what EL1's names mean to a guest. They differ in op1. */
function aliases(): SystemRegister[] {
  return ROWS.filter(({ host = '' }) => host.endsWith('_EL2')).map(({ name, encoding }) => ({
    name: `${name}2`,
    encoding: (encoding & ~(7 << 11)) | (5 << 11),
    access: 'rw',
    minEl: 2,
    feature: 'VHE',
    behind: { kind: 'alias', of: name },
    storageIndex: -1,
  }));
}

export const SYSTEM_REGISTERS: readonly SystemRegister[] = [...ROWS, ...aliases()];

/** Number of 64-bit storage cells the table asks for. */
export const STORAGE_COUNT = storageCount;

const BY_ENCODING = new Map(SYSTEM_REGISTERS.map((row, index) => [row.encoding, index]));
const BY_NAME = new Map(SYSTEM_REGISTERS.map((row) => [row.name, row]));

/** Index into `SYSTEM_REGISTERS`, or its length where nothing has the encoding. */
export function systemRegisterIndex(encoding: number): number {
  return BY_ENCODING.get(encoding) ?? SYSTEM_REGISTERS.length;
}

export function systemRegister(name: string): SystemRegister {
  const row = BY_NAME.get(name);
  invariant(row !== undefined, `no system register ${name}`);
  return row;
}

function operation(
  name: string,
  encoding: readonly [op1: number, crn: number, crm: number, op2: number],
  effect: SystemOperation['effect'],
  access: Partial<Access> = {},
): SystemOperation {
  const minEl = minElOf(encoding[0]);
  return {
    name,
    encoding: systemEncoding(1, ...encoding),
    minEl,
    ...(minEl === 2 ? { feature: 'EL2' } : {}),
    ...access,
    effect,
  };
}

/** TLBI operations: CRm 3 is Inner Shareable, 7 is this PE; those of stage 2 alone have 0 and 4. */
function tlbi(suffix: string, crm: number): SystemOperation[] {
  const all = (name: string, op1: number, op2: number, m = crm, access?: Partial<Access>): SystemOperation =>
    operation(`TLBI ${name}${suffix}`, [op1, 8, m, op2], 'invalidate translations', access);
  const byAddress = (name: string, op1: number, op2: number, access?: Partial<Access>): SystemOperation =>
    operation(`TLBI ${name}${suffix}`, [op1, 8, crm, op2], 'invalidate translations by address', access);
  const el1 = { el2Traps: [TTLB] };
  return [
    all('VMALLE1', 0, 0, crm, el1),
    byAddress('VAE1', 0, 1, el1),
    operation(`TLBI ASIDE1${suffix}`, [0, 8, crm, 2], 'invalidate translations by ASID', el1),
    byAddress('VAAE1', 0, 3, el1),
    byAddress('VALE1', 0, 5, el1),
    byAddress('VAALE1', 0, 7, el1),
    all('ALLE2', 4, 0),
    byAddress('VAE2', 4, 1),
    all('ALLE1', 4, 4),
    byAddress('VALE2', 4, 5),
    all('VMALLS12E1', 4, 6),
    all('IPAS2E1', 4, 1, crm - 3),
    all('IPAS2LE1', 4, 5, crm - 3),
  ];
}

/** AT S1E1R and its kind, for reads and for writes: the latter have 1 more in op2. */
function at(name: string, op1: number, op2: number, el: 0 | 1 | 2, ofGuest?: true): SystemOperation[] {
  return (['read', 'write'] as const).map((translate, write) =>
    operation(`AT ${name}${translate === 'read' ? 'R' : 'W'}`, [op1, 7, 8, op2 + write], {
      translate,
      el,
      ...(ofGuest ? { ofGuest } : {}),
    }),
  );
}

export const SYSTEM_OPERATIONS: readonly SystemOperation[] = [
  operation('IC IALLUIS', [0, 7, 1, 0], 'invalidate instructions', { el2Traps: [TPU] }),
  operation('IC IALLU', [0, 7, 5, 0], 'invalidate instructions', { el2Traps: [TPU] }),
  operation('IC IVAU', [3, 7, 5, 1], { maintain: 'read' }, { el0: UCI, el2Traps: [TPU] }),
  operation('DC IVAC', [0, 7, 6, 1], { maintain: 'write' }, { el2Traps: [TPCP] }),
  operation('DC ISW', [0, 7, 6, 2], 'none', { el2Traps: [TSW] }),
  operation('DC CSW', [0, 7, 10, 2], 'none', { el2Traps: [TSW] }),
  operation('DC CISW', [0, 7, 14, 2], 'none', { el2Traps: [TSW] }),
  operation('DC ZVA', [3, 7, 4, 1], 'zero block', { el0: DZE, el2Traps: [TDZ] }),
  operation('DC CVAC', [3, 7, 10, 1], { maintain: 'read' }, { el0: UCI, el2Traps: [TPCP] }),
  operation('DC CVAP', [3, 7, 12, 1], { maintain: 'read' }, { el0: UCI, el2Traps: [TPCP], feature: 'DPB' }),
  operation('DC CVAU', [3, 7, 11, 1], { maintain: 'read' }, { el0: UCI, el2Traps: [TPU] }),
  operation('DC CIVAC', [3, 7, 14, 1], { maintain: 'read' }, { el0: UCI, el2Traps: [TPCP] }),
  operation('CFP RCTX', [3, 7, 3, 4], 'none', { el0: ENRCTX, feature: 'SPECRES' }),
  operation('DVP RCTX', [3, 7, 3, 5], 'none', { el0: ENRCTX, feature: 'SPECRES' }),
  operation('CPP RCTX', [3, 7, 3, 7], 'none', { el0: ENRCTX, feature: 'SPECRES' }),
  ...at('S1E1', 0, 0, 1),
  operation('AT S1E1RP', [0, 7, 9, 0], { translate: 'read', el: 1, checksPan: true }, { feature: 'PAN2' }),
  operation('AT S1E1WP', [0, 7, 9, 1], { translate: 'write', el: 1, checksPan: true }, { feature: 'PAN2' }),
  ...at('S1E0', 0, 2, 0),
  ...at('S1E2', 4, 0, 2),
  ...at('S12E1', 4, 4, 1, true),
  ...at('S12E0', 4, 6, 0, true),
  ...tlbi('IS', 3),
  ...tlbi('', 7),
];

const OPERATION_BY_ENCODING = new Map(SYSTEM_OPERATIONS.map((row, index) => [row.encoding, index]));

/** Index into `SYSTEM_OPERATIONS`, or its length where nothing has the encoding. */
export function systemOperationIndex(encoding: number): number {
  return OPERATION_BY_ENCODING.get(encoding) ?? SYSTEM_OPERATIONS.length;
}

/** The register or operation with an encoding. */
export function findSystemEncoding(encoding: number): SystemRegister | SystemOperation | undefined {
  return SYSTEM_REGISTERS[systemRegisterIndex(encoding)] ?? SYSTEM_OPERATIONS[systemOperationIndex(encoding)];
}
