/**
 * The WebAssembly memory of a machine: CPU state, TLBs, decoder tables, then guest memory. Every address that
 * generated code and TypeScript share is stated here and nowhere else.
 *
 * CPU state stands at fixed addresses, so generated code reaches a register with a constant. Several CPUs on one thread
 * take turns: what is below `STATE_USED` is copied out and in (`parkedStateOf`). Each has TLBs of its own, which stay
 * where they are. A CPU on a worker thread gets code generated for another base.
 */
import { KIB } from '../base/index.js';
import { STORAGE_COUNT } from '../isa/system-registers.js';

/** A field of the CPU's state. */
interface Cell {
  readonly at: number;
  readonly width: 4 | 8 | 16;
}

let next = 0;

function cell(width: 4 | 8 | 16, count = 1): Cell & { readonly count: number } {
  next = Math.ceil(next / width) * width;
  const at = next;
  next += width * count;
  return { at, width, count };
}

/** Architectural and engine state of the running CPU. Order matters only for X, which starts at 0. */
export const STATE = {
  /** X0 … X30; entry 31 is the zero register and always holds 0. */
  X: cell(8, 32),
  /** The stack pointer in use: SP_EL0 or SP_ELx, as PSTATE.SP says. */
  SP: cell(8),
  /** Stack pointers not in use; entry `n` is SP_ELn. */
  SP_BANK: cell(8, 4),
  V: cell(16, 32),
  /** Address of the next instruction, valid whenever generated code isn't running. */
  PC: cell(8),
  /**
   * The condition flags, not yet computed: those of FLAG_A − FLAG_B (kind 0), of FLAG_A + FLAG_B (1), or NZCV itself
   * in the low bits of FLAG_A (2). 32-bit operands are shifted to the top of the word.
   */
  FLAG_A: cell(8),
  FLAG_B: cell(8),
  FLAG_KIND: cell(4),
  /** PSTATE.D, A, I, F in bits 3 … 0. */
  DAIF: cell(4),
  /** PSTATE.EL. */
  EL: cell(4),
  /** PSTATE.SP. */
  SPSEL: cell(4),
  /** PSTATE.PAN. */
  PAN: cell(4),
  /** PSTATE.UAO. */
  UAO: cell(4),
  /** PSTATE.DIT and PSTATE.SSBS, in their places in SPSR_ELx. */
  DIT_SSBS: cell(4),
  /** Virtual address minus host address, for the page that is executing. */
  DELTA: cell(8),
  /** PSTATE.IL in bit 0, PSTATE.SS in bit 1: their order in SPSR_ELx. With the next, what `run` looks at as one word. */
  IL_SS: cell(4),
  /** What self-hosted debug wants to see before instructions: bits of `DEBUG_REQUEST`. */
  DEBUG_REQUEST: cell(4),
  /** Non-zero where a breakpoint on an address, where a watchpoint is enabled. */
  BREAKPOINTS: cell(4),
  WATCHPOINTS: cell(4),
  /** Claim tags: DBGCLAIMCLR_EL1. */
  CLAIM_TAGS: cell(4),
  /** Non-zero where Advanced SIMD and FP instructions trap at the current exception level. */
  SIMD_TRAP: cell(4),
  /** MPIDR_EL1 of this CPU. */
  MPIDR: cell(8),
  /** ID_AA64PFR0_EL1.GIC: 1 where the interrupt controller has system registers. */
  GIC: cell(4),
  /** Index of this CPU. */
  CPU: cell(4),
  /** Start of the TLBs of the address space in use. */
  TLB_BANK: cell(4),
  /** Which of this CPU's address spaces gives way to the next new one. */
  NEXT_VICTIM: cell(4),
  /** TLBs of the current translation regime and privilege. */
  TLB: cell(4),
  /** TLBs of the privilege that LDTR, STTR and their kind access memory with. */
  TLB_UNPRIVILEGED: cell(4),
  /** With EL2: low half of the effective HCR_EL2, as DDI0487 D19.2.48 defines it for TGE and E2H. */
  HCR: cell(4),
  /** With EL2: HCR_EL2.E2H. */
  E2H: cell(4),
  /** With EL2: non-zero where the translation regime in use is EL2&0, at EL2 as well as at EL0. */
  HOST: cell(4),
  /** With EL2: low half of the SCTLR_ELx in force. */
  SCTLR: cell(4),
  /** Instructions left of the budget; less than or equal to 0 ends the run at the next branch. */
  BUDGET: cell(4),
  /** Non-zero after a slow path raised an exception: PC is the handler's address. */
  FAULT: cell(4),
  /** Non-zero after translated code was dropped: what is executing may be outdated. */
  STALE: cell(4),
  /** Calls in translated code that haven't returned, and `DROPPED` where code was dropped meanwhile. */
  CALL_DEPTH: cell(4),
  /** Instructions that used up budget and were not executed: undefined, trapped, ended by an abort. */
  UNRETIRED: cell(8),
  /** Where changes of the exception level are to be told: one more than the level told last. Else 0. */
  LEVEL_WATCH: cell(4),
  /** Interrupt inputs: bit 0 FIQ, bit 1 IRQ, bit 2 SError, as in DAIF. */
  PENDING: cell(4),
  /** Why `run` came back: a value of `EXIT`. */
  EXIT: cell(4),
  /** The event register: set by SEV and exception returns, consumed by WFE. */
  EVENT: cell(4),
  /** The exclusive monitor: address, one more than the binary logarithm of the size (0 where it is open), value loaded. */
  EXCLUSIVE_ADDRESS: cell(8),
  EXCLUSIVE_SIZE: cell(4),
  EXCLUSIVE_LOW: cell(8),
  EXCLUSIVE_HIGH: cell(8),
  /** Results of a translation table walk. */
  WALK_PAGE: cell(4),
  WALK_FLAGS: cell(4),
  /** The attribute byte of MAIR_EL1; the descriptor's shareability in bits 9:8. */
  WALK_ATTRIBUTES: cell(4),
  /** Of a mapping larger than 4 KiB: where it is, as bits of `LARGE`. */
  WALK_PARTS: cell(8),
  /** Data of accesses and system registers that TypeScript serves, 16 bytes. */
  EXCHANGE: cell(16),
  /** Non-zero where the `exceptions` channel is traced. */
  TRACE_EXCEPTIONS: cell(4),
  /** System registers with storage, in the order of `storageIndex`. */
  SYSREG: cell(8, STORAGE_COUNT),
} as const;

export type StateField = keyof typeof STATE;

const STATE_SIZE = 4 * KIB;
/** Bytes of the state that hold something. */
export const STATE_USED = next;
if (next > STATE_SIZE) throw new Error('CPU state outgrew its page');

if (STATE.IL_SS.at % 8 !== 0 || STATE.DEBUG_REQUEST.at !== STATE.IL_SS.at + 4)
  throw new Error('IL_SS and DEBUG_REQUEST are one doubleword');

/** Bits of DEBUG_REQUEST: MDSCR_EL1.SS; a breakpoint on a context alone is enabled. */
export const DEBUG_REQUEST = { step: 1, context: 2 } as const;

/** Values of the EXIT cell. */
export const EXIT = { budget: 0, waitForInterrupt: 1, waitForEvent: 2, yield: 3 } as const;

/** CPUs of a machine at the most. */
export const MAX_CPUS = 8;

// ---- guest memory regions, as the page walker sees them

/** Direct memory: first page, pages, host address, flags; 4 words each. */
export const REGIONS = { at: STATE_SIZE, capacity: 32, stride: 16 } as const;
export const REGION_COUNT = REGIONS.at + REGIONS.capacity * REGIONS.stride;

/** How many CPUs there are on this thread. */
export const CPU_COUNT = REGION_COUNT + 4;
/** Flag of a region: stores go to the device. */
export const REGION_READ_ONLY = 1;

// ---- TLBs

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;

/**
 * An entry of the data TLB:
 *
 * | at | holds |
 * |---|---|
 * | 0 | page address where plain loads may use the entry, else one that never matches |
 * | 8 | the same for stores |
 * | 16 | page address where the entry is valid at all |
 * | 24 | host address minus the low half of the virtual one, or the physical page number where it isn't direct |
 * | 28 | flags: `TLB_FLAGS` |
 */
export const TLB = { entries: 512, stride: 32, read: 0, write: 8, any: 16, host: 24, flags: 28 } as const;
/** An entry of the code TLB: page address, host address, distance to the handler table. */
export const CODE_TLB = { entries: 256, stride: 16, tag: 0, host: 8, side: 12 } as const;

export const TLB_FLAGS = {
  readable: 0x1,
  writable: 0x2,
  executable: 0x4,
  /** Accesses must be aligned: Device memory, MMU off, SCTLR_EL1.A. */
  strict: 0x8,
  device: 0x10,
  /** Backed by host memory: `host` is its address. */
  direct: 0x40,
  /** Direct, but stores go to the device. */
  readOnly: 0x80,
  /** Holds decoded instructions: a store must drop them. */
  code: 0x100,
  /** Cached from a block, or from a granule above 4 KiB. */
  large: 0x200,
  /** A watchpoint may be on it: every access takes the slow path. */
  watched: 0x800,
} as const;

/**
 * Translation regimes and privileges that see different permissions; each has TLBs of its own. `host` is the EL2&0
 * regime, of a host at EL2 and its EL0.
 */
export const MODE = { el0: 0, el1: 1, el1Pan: 2, el2: 3, hostEl0: 4, hostEl2: 5, hostEl2Pan: 6 } as const;
const MODES = 7;

/** The modes of a translation regime: EL1&0, and those of EL2. */
export const REGIME = {
  el1: { first: MODE.el0, count: 3, index: 0 },
  el2: { first: MODE.el2, count: 4, index: 1 },
} as const;

const DATA_TLB_SIZE = TLB.entries * TLB.stride;
/** Distance from a mode's data TLB to its code TLB. */
export const CODE_TLB_OFFSET = DATA_TLB_SIZE;
export const MODE_STRIDE = DATA_TLB_SIZE + CODE_TLB.entries * CODE_TLB.stride;
const TLB_BASE = 16 * KIB;

/** Distance of a mode's TLBs from the start of a CPU's TLBs. */
export function tlbOfMode(mode: number): number {
  return mode * MODE_STRIDE;
}

/**
 * Behind the TLBs of an address space, for each regime and half: which parts of the half have mappings cached that are
 * larger than 4 KiB, a bit for each 64 MiB, modulo 4 GiB.
 */
export const LARGE = { at: MODES * MODE_STRIDE, stride: 16, low: 0, high: 8, shift: 26 } as const;
/** Behind that: the ASIDs that the TLBs belong to (EL1&0 in bits 15:0, EL2&0 in 31:16), or `NO_ASID`. */
export const BANK_ASID = LARGE.at + 2 * LARGE.stride;
export const NO_ASID = -1n;
export const TLB_BANK_SIZE = BANK_ASID + 8;

/**
 * Each CPU has TLBs for so many address spaces, told apart by their ASIDs: a kernel that isolates its page tables uses
 * two for each process.
 */
export const ADDRESS_SPACES = 16;
export const CPU_TLBS_SIZE = ADDRESS_SPACES * TLB_BANK_SIZE;
const TLB_END = TLB_BASE + MAX_CPUS * CPU_TLBS_SIZE;

/** Where the TLBs of a CPU start. */
export function tlbsOf(cpu: number): number {
  return TLB_BASE + cpu * CPU_TLBS_SIZE;
}

/** Where the state of a CPU is while another one has its turn. */
const PARKED_BASE = Math.ceil(TLB_END / PAGE_SIZE) * PAGE_SIZE;

export function parkedStateOf(cpu: number): number {
  return PARKED_BASE + cpu * STATE_SIZE;
}

// ---- decoder tables

/** Tables of `Stage.lookup`, 8 bytes an entry. */
export const LOOKUP_BASE = PARKED_BASE + MAX_CPUS * STATE_SIZE;
export const LOOKUP_SIZE = 320 * KIB;

/** How often each handler was executed, 32 bits by handler index. Touched only by a core that counts. */
export const HANDLER_COUNTS = { at: LOOKUP_BASE + LOOKUP_SIZE, capacity: 0x1_0000 } as const;

/**
 * How often the interpreter went to an address by a jump, or back by a branch: 16 bits for the word at host address `p`,
 * shared with the words that are a multiple of `words` away.
 */
export const JUMP_COUNTS = {
  at: HANDLER_COUNTS.at + HANDLER_COUNTS.capacity * 4,
  words: 0x1_0000,
} as const;

/** Of each in `JUMP_COUNTS`, 32 bits: how often before it was counted anew. */
export const EARLIER_JUMPS = JUMP_COUNTS.at + JUMP_COUNTS.words * 2;
export function earlierJumpsTo(p: number): number {
  return EARLIER_JUMPS + ((p >>> 2) % JUMP_COUNTS.words) * 4;
}
/** Instead of such a count: it was enough, and what address it is of is known at the next jump there. */
export const SLOWLY_HOT = -1;

/**
 * Handler indices: 16 bits a code word and one more for running off the page's end. Pages get one when code on them is
 * first executed.
 */
export const SIDE_TABLE = { words: PAGE_SIZE / 4, stride: PAGE_SIZE / 2 + 8, capacity: 8192 } as const;
/** Behind a handler table's words: 16 bits that are not zero where code of the page is translated. */
export const SIDE_TRANSLATED = (SIDE_TABLE.words + 1) * 2;
export const SIDE_BASE = EARLIER_JUMPS + JUMP_COUNTS.words * 4;
const SIDE_END = SIDE_BASE + SIDE_TABLE.capacity * SIDE_TABLE.stride;

/** A page of ones: what the CPU sees of every page that is marked `ERASED`. */
export const ERASED_PAGE = Math.ceil(SIDE_END / PAGE_SIZE) * PAGE_SIZE;

/** For each page of the memory itself: the address of its handler table, 0, or `ERASED`. */
export const PAGE_MAP_BASE = ERASED_PAGE + PAGE_SIZE;
/** Marks a page that is all ones for the guest but has not been filled, so that it costs the host nothing. */
export const ERASED = 1;

const WASM_PAGE = 64 * KIB;
export const MAX_MEMORY = 2 ** 32;

export interface MemoryPlan {
  /** Pages of 64 KiB. */
  readonly wasmPages: number;
  /** Host address of each block, in the order asked for. */
  readonly blocks: readonly number[];
}

/** Places blocks of guest memory (sizes in bytes) behind the tables. Undefined where they don't fit. */
export function planMemory(sizes: readonly number[]): MemoryPlan | undefined {
  const guest = sizes.reduce((sum, size) => sum + Math.ceil(size / WASM_PAGE) * WASM_PAGE, 0);
  const pageMapBytes = ((PAGE_MAP_BASE + guest) / PAGE_SIZE) * 4 + WASM_PAGE;
  let at = Math.ceil((PAGE_MAP_BASE + pageMapBytes) / WASM_PAGE) * WASM_PAGE;
  const blocks: number[] = [];
  for (const size of sizes) {
    blocks.push(at);
    at += Math.ceil(size / WASM_PAGE) * WASM_PAGE;
  }
  // The last page stays empty, so that no access can run past the end.
  at += WASM_PAGE;
  if (at > MAX_MEMORY) return undefined;
  return { wasmPages: at / WASM_PAGE, blocks };
}
