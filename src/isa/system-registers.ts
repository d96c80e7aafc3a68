/**
 * System registers and system operations: the one table. MRS, MSR and SYS rows, their text, the CPU's storage, reset and
 * trap checks derive from it.
 *
 * DDI0487 (Arm ARM), D19 for registers, C5.3 to C5.5 for operations.
 *
 * @deviation Self-hosted debug is registers alone: they hold what is written, and no breakpoint, watchpoint or single
 * step ever comes of it. The OS lock does not exist: OSLSR_EL1 reads as locked whatever is written to OSLAR_EL1.
 * Claim tags cannot be set.
 *
 * @deviation Caches are not modelled. Their identification registers describe those of the part, their maintenance is
 * a permission check, and instructions are what memory holds, maintained or not.
 */
import { invariant } from '../base/index.js';

/** What stands behind a register. */
export type SystemRegisterKind =
  /** 64 bits of state. Bits outside `writable` keep their reset value. */
  | {
      readonly kind: 'storage';
      readonly reset: bigint;
      readonly writable: bigint;
      /** What must be forgotten when it changes: cached translations, all of them or those of one address space. */
      readonly invalidates?: 'translations' | 'address space';
    }
  /** Identification: the CPU model gives the value. Read-only. */
  | { readonly kind: 'identification' }
  /** Served outside the CPU, by the interrupt controller or the timers. */
  | { readonly kind: 'external' }
  /** A view of PSTATE or of a stack pointer. */
  | { readonly kind: 'pstate' }
  /** Reads as zero, ignores writes. */
  | { readonly kind: 'zero' };

/** EL0's accesses trap to EL1 unless one of these bits of a storage register is set. */
interface El0Trap {
  readonly register: string;
  readonly bits: readonly number[];
  /** Writes are undefined at EL0. */
  readonly isReadOnly?: true;
}

export interface SystemRegister {
  readonly name: string;
  /** op0:op1:CRn:CRm:op2, 2 + 3 + 4 + 4 + 3 bits. */
  readonly encoding: number;
  readonly access: 'rw' | 'ro' | 'wo';
  /** Lowest exception level with access; 0 where `trap` says when EL0 is kept out. */
  readonly minEl: 0 | 1;
  /** What EL0 may do: only read; or everything, but it traps to EL1 unless a bit of a storage register is set. */
  readonly el0?: 'read-only' | El0Trap;
  readonly behind: SystemRegisterKind;
  /** Position among registers with storage, else −1. */
  readonly storageIndex: number;
}

export interface SystemOperation {
  readonly name: string;
  readonly encoding: number;
  readonly minEl: 0 | 1;
  readonly el0?: SystemRegister['el0'];
  readonly effect:
    /** Cache maintenance: caches are not modelled, so nothing beyond the permission check. */
    | 'none'
    | 'zero block'
    | 'invalidate instructions'
    | 'invalidate translations'
    | 'invalidate translations by address'
    /** Cache maintenance by address: the address must translate, with permission to read or write it. */
    | { readonly maintain: 'read' | 'write' }
    /** AT: translate for a read or a write with the privilege of EL1 or EL0, and report in PAR_EL1. */
    | { readonly translate: 'read' | 'write'; readonly el: 0 | 1 };
}

export function systemEncoding(op0: number, op1: number, crn: number, crm: number, op2: number): number {
  return (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}

type Encoding = readonly [op0: number, op1: number, crn: number, crm: number, op2: number];
interface Options {
  readonly access?: SystemRegister['access'];
  readonly minEl?: 0 | 1;
  readonly el0?: SystemRegister['el0'];
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
  return {
    name,
    encoding: systemEncoding(...encoding),
    access: options.access ?? (behind.kind === 'identification' ? 'ro' : 'rw'),
    minEl: options.minEl ?? (encoding[1] === 3 ? 0 : 1),
    ...(options.el0 !== undefined ? { el0: options.el0 } : {}),
    behind,
    storageIndex: behind.kind === 'storage' ? storageCount++ : -1,
  };
}

function storage(writable = ALL, reset = 0n): SystemRegisterKind {
  return { kind: 'storage', reset, writable };
}

const translation = (writable = ALL, reset = 0n): SystemRegisterKind => ({
  kind: 'storage',
  reset,
  writable,
  invalidates: 'translations',
});
const addressSpace = (): SystemRegisterKind => ({
  kind: 'storage',
  reset: 0n,
  writable: ALL,
  invalidates: 'address space',
});
const IDENTIFICATION: SystemRegisterKind = { kind: 'identification' };
const EXTERNAL: SystemRegisterKind = { kind: 'external' };
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
        rows.push(register(`S3_0_C0_C${crm}_${op2}`, [3, 0, 0, crm, op2], ZERO, { access: 'ro' }));
  return rows;
}

function numbered(count: number, make: (n: number) => SystemRegister): SystemRegister[] {
  return Array.from({ length: count }, (_, n) => make(n));
}

const UCT: El0Trap = { register: 'SCTLR_EL1', bits: [15] };
const UCI: El0Trap = { register: 'SCTLR_EL1', bits: [26] };
const UMA: El0Trap = { register: 'SCTLR_EL1', bits: [9] };
const DZE: El0Trap = { register: 'SCTLR_EL1', bits: [14] };
const EL0PCTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [0] };
const EL0VCTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [1] };
/** The frequency may be read with either counter. */
const EL0PCTEN_OR_EL0VCTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [0, 1], isReadOnly: true };
const EL0VTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [8] };
const EL0PTEN: El0Trap = { register: 'CNTKCTL_EL1', bits: [9] };

/**
 * RES1 bits of SCTLR_EL1 where nothing beyond Armv8.0 is implemented: 29, 28, 23, 22, 20, 11; 8 (SED) and 7 (ITD)
 * because EL0 is AArch64 only. Big-endian data (EE, E0E) is not implemented and stays 0.
 */
const SCTLR_EL1_RES1 = 0x30d0_0980n;
/** M, A, C, SA, SA0, UMA, I, DZE, UCT, nTWI, nTWE, WXN, UCI. */
const SCTLR_EL1_WRITABLE = 0x040d_d21fn;
/** nTWE, nTWI, SA0 and SA are set, as firmware finds them on the Cortex-A57. */
const SCTLR_EL1_RESET = SCTLR_EL1_RES1 | 0x5_0018n;

export const SYSTEM_REGISTERS: readonly SystemRegister[] = [
  // Identification
  register('MIDR_EL1', [3, 0, 0, 0, 0], IDENTIFICATION),
  register('MPIDR_EL1', [3, 0, 0, 0, 5], IDENTIFICATION),
  register('REVIDR_EL1', [3, 0, 0, 0, 6], IDENTIFICATION),
  ...ID_REGISTERS.map(([name, crm, op2]) => register(name, [3, 0, 0, crm, op2], IDENTIFICATION)),
  ...reservedIds(),
  register('CCSIDR_EL1', [3, 1, 0, 0, 0], IDENTIFICATION),
  register('CLIDR_EL1', [3, 1, 0, 0, 1], IDENTIFICATION),
  register('AIDR_EL1', [3, 1, 0, 0, 7], IDENTIFICATION),
  register('CSSELR_EL1', [3, 2, 0, 0, 0], storage(0xfn)),
  register('CTR_EL0', [3, 3, 0, 0, 1], IDENTIFICATION, { el0: UCT }),
  register('DCZID_EL0', [3, 3, 0, 0, 7], IDENTIFICATION),

  // Control and translation
  register('SCTLR_EL1', [3, 0, 1, 0, 0], translation(SCTLR_EL1_WRITABLE, SCTLR_EL1_RESET)),
  register('ACTLR_EL1', [3, 0, 1, 0, 1], storage(0n)),
  register('CPACR_EL1', [3, 0, 1, 0, 2], storage(0x0030_0000n)),
  register('TTBR0_EL1', [3, 0, 2, 0, 0], addressSpace()),
  register('TTBR1_EL1', [3, 0, 2, 0, 1], addressSpace()),
  register('TCR_EL1', [3, 0, 2, 0, 2], translation(0x7f_ffff_ffffn)),
  register('MAIR_EL1', [3, 0, 10, 2, 0], translation()),
  register('AMAIR_EL1', [3, 0, 10, 3, 0], storage(0n)),
  register('CONTEXTIDR_EL1', [3, 0, 13, 0, 1], storage(LOW32)),
  register('PAR_EL1', [3, 0, 7, 4, 0], storage()),

  // Exceptions
  register('SPSR_EL1', [3, 0, 4, 0, 0], storage(LOW32)),
  register('ELR_EL1', [3, 0, 4, 0, 1], storage()),
  register('SP_EL0', [3, 0, 4, 1, 0], PSTATE),
  register('SPSel', [3, 0, 4, 2, 0], PSTATE),
  register('CurrentEL', [3, 0, 4, 2, 2], PSTATE, { access: 'ro' }),
  register('AFSR0_EL1', [3, 0, 5, 1, 0], storage(0n)),
  register('AFSR1_EL1', [3, 0, 5, 1, 1], storage(0n)),
  register('ESR_EL1', [3, 0, 5, 2, 0], storage(LOW32)),
  register('FAR_EL1', [3, 0, 6, 0, 0], storage()),
  register('VBAR_EL1', [3, 0, 12, 0, 0], storage(0xffff_ffff_ffff_f800n)),
  register('RVBAR_EL1', [3, 0, 12, 0, 1], ZERO, { access: 'ro' }),
  register('ISR_EL1', [3, 0, 12, 1, 0], PSTATE, { access: 'ro' }),

  // Process state
  register('NZCV', [3, 3, 4, 2, 0], PSTATE),
  register('DAIF', [3, 3, 4, 2, 1], PSTATE, { el0: UMA }),
  // AHP, DN, FZ, RMode, Stride, Len. Enables of trapped exceptions are RAZ/WI: there are none.
  register('FPCR', [3, 3, 4, 4, 0], storage(0x07f7_0000n)),
  register('FPSR', [3, 3, 4, 4, 1], storage(0xf800_009fn)),

  // Thread registers
  register('TPIDR_EL0', [3, 3, 13, 0, 2], storage()),
  register('TPIDRRO_EL0', [3, 3, 13, 0, 3], storage(), { el0: 'read-only' }),
  register('TPIDR_EL1', [3, 0, 13, 0, 4], storage()),

  // Generic timers
  register('CNTKCTL_EL1', [3, 0, 14, 1, 0], storage(0x3ffn)),
  register('CNTFRQ_EL0', [3, 3, 14, 0, 0], EXTERNAL, { el0: EL0PCTEN_OR_EL0VCTEN }),
  register('CNTPCT_EL0', [3, 3, 14, 0, 1], EXTERNAL, { access: 'ro', el0: EL0PCTEN }),
  register('CNTVCT_EL0', [3, 3, 14, 0, 2], EXTERNAL, { access: 'ro', el0: EL0VCTEN }),
  register('CNTP_TVAL_EL0', [3, 3, 14, 2, 0], EXTERNAL, { el0: EL0PTEN }),
  register('CNTP_CTL_EL0', [3, 3, 14, 2, 1], EXTERNAL, { el0: EL0PTEN }),
  register('CNTP_CVAL_EL0', [3, 3, 14, 2, 2], EXTERNAL, { el0: EL0PTEN }),
  register('CNTV_TVAL_EL0', [3, 3, 14, 3, 0], EXTERNAL, { el0: EL0VTEN }),
  register('CNTV_CTL_EL0', [3, 3, 14, 3, 1], EXTERNAL, { el0: EL0VTEN }),
  register('CNTV_CVAL_EL0', [3, 3, 14, 3, 2], EXTERNAL, { el0: EL0VTEN }),

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

  // Self-hosted debug: registers hold their values, nothing acts on them yet.
  register('MDSCR_EL1', [2, 0, 0, 2, 2], storage(0xffff_ffffn)),
  register('MDCCSR_EL0', [2, 3, 0, 1, 0], ZERO, { access: 'ro' }),
  register('MDCCINT_EL1', [2, 0, 0, 2, 0], storage(LOW32)),
  register('OSLAR_EL1', [2, 0, 1, 0, 4], ZERO, { access: 'wo' }),
  register('OSLSR_EL1', [2, 0, 1, 1, 4], storage(0n, 0xan), { access: 'ro' }),
  register('OSDLR_EL1', [2, 0, 1, 3, 4], storage(1n)),
  register('OSDTRRX_EL1', [2, 0, 0, 0, 2], ZERO),
  register('OSDTRTX_EL1', [2, 0, 0, 3, 2], ZERO),
  register('OSECCR_EL1', [2, 0, 0, 6, 2], ZERO),
  register('DBGPRCR_EL1', [2, 0, 1, 4, 4], ZERO),
  register('DBGCLAIMSET_EL1', [2, 0, 7, 8, 6], storage(0n, 0xffn)),
  register('DBGCLAIMCLR_EL1', [2, 0, 7, 9, 6], ZERO),
  register('DBGAUTHSTATUS_EL1', [2, 0, 7, 14, 6], ZERO, { access: 'ro' }),
  register('MDRAR_EL1', [2, 0, 1, 0, 0], ZERO, { access: 'ro' }),
  ...numbered(6, (n) => register(`DBGBVR${n}_EL1`, [2, 0, 0, n, 4], storage())),
  ...numbered(6, (n) => register(`DBGBCR${n}_EL1`, [2, 0, 0, n, 5], storage(LOW32))),
  ...numbered(4, (n) => register(`DBGWVR${n}_EL1`, [2, 0, 0, n, 6], storage())),
  ...numbered(4, (n) => register(`DBGWCR${n}_EL1`, [2, 0, 0, n, 7], storage(LOW32))),
];

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
  el0?: SystemRegister['el0'],
): SystemOperation {
  return {
    name,
    encoding: systemEncoding(1, ...encoding),
    minEl: encoding[0] === 3 ? 0 : 1,
    ...(el0 !== undefined ? { el0 } : {}),
    effect,
  };
}

/** TLBI operations of EL1: CRm 3 is Inner Shareable, 7 is this PE. */
function tlbi(suffix: string, crm: number): SystemOperation[] {
  return [
    operation(`TLBI VMALLE1${suffix}`, [0, 8, crm, 0], 'invalidate translations'),
    operation(`TLBI VAE1${suffix}`, [0, 8, crm, 1], 'invalidate translations by address'),
    operation(`TLBI ASIDE1${suffix}`, [0, 8, crm, 2], 'invalidate translations'),
    operation(`TLBI VAAE1${suffix}`, [0, 8, crm, 3], 'invalidate translations by address'),
    operation(`TLBI VALE1${suffix}`, [0, 8, crm, 5], 'invalidate translations by address'),
    operation(`TLBI VAALE1${suffix}`, [0, 8, crm, 7], 'invalidate translations by address'),
  ];
}

export const SYSTEM_OPERATIONS: readonly SystemOperation[] = [
  operation('IC IALLUIS', [0, 7, 1, 0], 'invalidate instructions'),
  operation('IC IALLU', [0, 7, 5, 0], 'invalidate instructions'),
  operation('IC IVAU', [3, 7, 5, 1], { maintain: 'read' }, UCI),
  operation('DC IVAC', [0, 7, 6, 1], { maintain: 'write' }),
  operation('DC ISW', [0, 7, 6, 2], 'none'),
  operation('DC CSW', [0, 7, 10, 2], 'none'),
  operation('DC CISW', [0, 7, 14, 2], 'none'),
  operation('DC ZVA', [3, 7, 4, 1], 'zero block', DZE),
  operation('DC CVAC', [3, 7, 10, 1], { maintain: 'read' }, UCI),
  operation('DC CVAU', [3, 7, 11, 1], { maintain: 'read' }, UCI),
  operation('DC CIVAC', [3, 7, 14, 1], { maintain: 'read' }, UCI),
  operation('AT S1E1R', [0, 7, 8, 0], { translate: 'read', el: 1 }),
  operation('AT S1E1W', [0, 7, 8, 1], { translate: 'write', el: 1 }),
  operation('AT S1E0R', [0, 7, 8, 2], { translate: 'read', el: 0 }),
  operation('AT S1E0W', [0, 7, 8, 3], { translate: 'write', el: 0 }),
  ...tlbi('IS', 3),
  ...tlbi('', 7),
];

const OPERATION_BY_ENCODING = new Map(SYSTEM_OPERATIONS.map((row, index) => [row.encoding, index]));

/** Index into `SYSTEM_OPERATIONS`, or its length where nothing has the encoding. */
export function systemOperationIndex(encoding: number): number {
  return OPERATION_BY_ENCODING.get(encoding) ?? SYSTEM_OPERATIONS.length;
}
