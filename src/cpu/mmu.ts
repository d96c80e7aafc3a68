/**
 * VMSAv8-64 stage 1 translation, TLB refill and the slow paths of memory accesses, generated. DDI0487 D8.
 *
 * Implemented: EL1&0, EL2 and EL2&0 regimes, 4K, 16K and 64K granules, 48-bit addresses, blocks and contiguous entries
 * (cached page by page), hierarchical permissions, access flag and dirty state (by hardware where the CPU has
 * FEAT_HAFDBS), AP, UXN, PXN, WXN, PAN, top byte ignore, Device and Normal memory with the alignment faults that follow.
 * Where the manual leaves it open: hardware updates a descriptor only for an access that is permitted, AT among them, and
 * tables in flash can't be updated, which is an unsupported atomic hardware update fault. Physical addresses have 44 bits (ID_AA64MMFR0_EL1.PARange).
 *
 * A CPU caches the translations of several address spaces, each in TLBs of its own (`ADDRESS_SPACES`), so that going from
 * one to another and back costs nothing.
 *
 * @deviation Cached translations are forgotten more often than asked for, which the architecture allows at any time:
 * TLBI by ASID forgets global ones too; TLBI by address disregards regime, ASID and VMID and, where blocks or granules
 * above 4 KiB are in use nearby (`LARGE`), forgets all of the address space; all other TLBIs forget everything. TLBI of this PE
 * alone reaches every PE.
 *
 * @deviation There is no stage 2: HCR_EL2.VM, VTTBR_EL2 and VTCR_EL2 keep what is written and have no effect, so a guest
 * of a hypervisor sees physical addresses.
 */
import type { I32, I64, LoadKind, StoreKind } from '../wasm/expr.js';
import {
  add, and, convert, divU, eq, eqz, extU, geU, gtU, i32, i64, leU, load, ltU, mul, ne, not, or, select, shl, shrS, shrU, sub, v128, wrap, xor,
} from '../wasm/expr.js'; // prettier-ignore
import type { FunctionBuilder } from '../wasm/function-builder.js';
import type { FunctionRef } from '../wasm/function-ref.js';
import { call } from '../wasm/function-ref.js';
import type { ModuleBuilder } from '../wasm/module-builder.js';
import type { DebugFunctions } from './debug.js';
import { DC_ACCESS } from './debug.js';
import type { ExceptionFunctions } from './exceptions.js';
import { EC, HCR, hcrBit, sctlr as sctlrInForce, syndrome } from './exceptions.js';
import {
  ADDRESS_SPACES, BANK_ASID, CODE_TLB, CODE_TLB_OFFSET, CPU_COUNT, CPU_TLBS_SIZE, ERASED, ERASED_PAGE, LARGE, MODE, MODE_STRIDE, NO_ASID, PAGE_MAP_BASE,
  PAGE_SHIFT, PAGE_SIZE, REGIME, REGIONS, REGION_COUNT, REGION_READ_ONLY, SIDE_TRANSLATED, STATE, TLB, TLB_BANK_SIZE, TLB_FLAGS, tlbOfMode, tlbsOf,
} from './layout.js'; // prettier-ignore
import type { CpuModel } from './models.js';
import { hasFeature } from './models.js';
import {
  codeTlbEntry,
  codeTlbEntryOffset,
  field32,
  field64,
  modeOfTlb,
  setField32,
  setField64,
  setSysreg,
  sysreg,
  tlbEntryOffset,
} from './state.js';

/**
 * Kinds of access, as `walk` takes them; those with bit 0 need permission to write. `checkWrite` asks for it and writes
 * nothing, as cache maintenance and address translation do: it leaves a page clean. DDI0487 D8.4.
 */
export const ACCESS = { read: 0, write: 1, execute: 2, checkWrite: 3 } as const;

/** Fault status codes, the level to be added to those of a walk. DDI0487 D19.2.37, ISS for Data Aborts. */
const FSC = {
  addressSize: 0x00,
  translation: 0x04,
  accessFlag: 0x08,
  permission: 0x0c,
  external: 0x10,
  externalOnWalk: 0x14,
  alignment: 0x21,
  /** The memory of the tables is none that hardware could update. */
  unsupportedUpdate: 0x31,
} as const;
/** ISS.WnR of a Data Abort. */
const ISS_WRITE = 1 << 6;
/** ISS.CM: a cache maintenance or address translation instruction. */
const ISS_CACHE = 1 << 8;

/** Bits of a physical address: the TLB keeps page numbers in 32 bits. */
const PA_BITS = 44;

/** What a slow path is asked: bits of its `request` operand. */
export const REQUEST = {
  /** log2 of the access's bytes, bits 0 … 2; 4 is a vector, as two doublewords. */
  sizeMask: 7,
  /** With EL0's permissions. */
  unprivileged: 8,
  /** Must be aligned. */
  aligned: 16,
  /** A cache maintenance or address translation instruction: ISS.CM. */
  cache: 32,
  /** A load that no watchpoint sees. */
  unwatched: 64,
  /** log2 of the alignment that is asked for where alignment matters, from this bit up. */
  alignmentShift: 8,
} as const;

export interface HostFunctions {
  /** `(address, bytes)`: reads a device; the data is in EXCHANGE. Non-zero: nothing is there. */
  readonly deviceRead: FunctionRef<'i32'>;
  readonly deviceWrite: FunctionRef<'i32'>;
  /** `(host page)`: makes the page a code page and returns its handler table. */
  readonly makeCodePage: FunctionRef<'i32'>;
  /** `(host address, bytes)`: drops translated code that covers them. */
  readonly dropTranslations: FunctionRef<'none'>;
}

export interface MmuFunctions {
  /** `(va, request, pc)`: the value, zero-extended; on a fault FAULT is set. 16 bytes come in EXCHANGE. */
  readonly slowLoad: FunctionRef<'i64'>;
  /** `(va, request, value, pc)`; 16 bytes are taken from EXCHANGE. */
  readonly slowStore: FunctionRef<'none'>;
  /** `(va, request, pc)`: faults where an atomic access may not reach the address, before anything is accessed. */
  readonly checkAtomic: FunctionRef<'none'>;
  /** `(va, request, pc)`: faults where a store of that size may not reach the address, which is aligned. */
  readonly checkStore: FunctionRef<'none'>;
  /** `(va, pc)`: DC ZVA. */
  readonly zeroBlock: FunctionRef<'none'>;
  /** `(target)`: fills the code TLB for the address, without its tag in PC; 0 where an exception was raised instead. */
  readonly fetch: FunctionRef<'i32'>;
  /** Uses the TLBs of the address space that the ASIDs in force name. */
  readonly selectAddressSpace: FunctionRef<'none'>;
  /** `(target)`: the address that a branch there gets into PC. */
  readonly branchAddress: FunctionRef<'i64'>;
  /** Forgets all translations of this CPU. */
  readonly flushAll: FunctionRef<'none'>;
  /** Forgets all translations. */
  readonly flushEveryCpu: FunctionRef<'none'>;
  /** `(va)`: forgets what covers the page, on every CPU. */
  readonly flushAddress: FunctionRef<'none'>;
  /** `(asid)`: forgets the translations of an address space, on every CPU. */
  readonly flushAsid: FunctionRef<'none'>;
  /** `(host page)`: stores to the page take the slow path from now on, on every CPU. */
  readonly dropWriteTags: FunctionRef<'none'>;
  /** `(va, access, pc)`: faults where a cache maintenance instruction may not reach the address. */
  readonly checkMaintenance: FunctionRef<'none'>;
  /** `(va, access, mode, pc)`: AT; writes PAR_EL1. */
  readonly translate: FunctionRef<'none'>;
}

/** Where `hostPage` leaves a region's flags. */
const REGION_FLAGS = STATE.EXCHANGE.at + 8;

/** Loads by size, zero-extended to 64 bits. */
const LOAD_KINDS: readonly LoadKind[] = ['i64_8u', 'i64_16u', 'i64_32u', 'i64'];
const STORE_KINDS: readonly StoreKind[] = ['i64_8', 'i64_16', 'i64_32', 'i64'];

export function defineMmu(
  mb: ModuleBuilder,
  model: CpuModel,
  exceptions: ExceptionFunctions,
  debug: DebugFunctions,
  host: HostFunctions,
): MmuFunctions {
  const hasEl2 = hasFeature(model, 'EL2');
  const regimes = hasEl2 ? [REGIME.el1, REGIME.el2] : [REGIME.el1];
  const modes = regimes.flatMap(({ first, count }) => Array.from({ length: count }, (_, n) => first + n));

  /** The register of the regime that `mode` belongs to. */
  const ofRegime = (mode: I32, name: 'SCTLR' | 'TCR' | 'TTBR0' | 'TTBR1' | 'MAIR'): I64 => {
    if (!hasEl2 || (name === 'TTBR1' && !hasFeature(model, 'VHE'))) return sysreg(`${name}_EL1`);
    return select(geU(mode, i32(REGIME.el2.first)), sysreg(`${name}_EL2`), sysreg(`${name}_EL1`));
  };
  /** The EL2 regime has a single range of addresses and no EL0. */
  const isSingleRange = (mode: I32): I32 => (hasEl2 ? eq(mode, i32(MODE.el2)) : i32(0));

  /** `(mode)`: TCR_ELx in the layout of TCR_EL1. */
  const tcrOf = hasEl2
    ? mb.function('tcrOf', ['i32'], 'i64', (fb) => {
        const mode = fb.get(fb.param(0, 'i32'));
        const tcr = fb.let(ofRegime(mode, 'TCR'));
        fb.if(isSingleRange(mode), () => {
          const field = (from: number, width: number, to: number): I64 =>
            shl(and(shrU(tcr, i64(from)), i64((1 << width) - 1)), i64(to));
          // T0SZ to TG0; PS; TBI, for both halves, as it concerns branches whatever bit 55 is; HA and HD; HPD.
          fb.return(
            [
              field(0, 16, 0),
              field(16, 3, 32),
              field(20, 1, 37),
              field(20, 1, 38),
              field(21, 2, 39),
              field(24, 1, 41),
            ].reduce((all, part) => or(all, part)),
          );
        });
        fb.return(tcr);
        fb.unreachable();
      })
    : undefined;
  const tcrOfMode = (mode: I32): I64 => (tcrOf ? call(tcrOf, mode) : sysreg('TCR_EL1'));

  const bit = (value: I64, n: I64): I64 => and(shrU(value, n), i64(1));
  const needsWrite = (access: I32): I32 => and(access, i32(ACCESS.write));

  /** Entry of the page map. */
  const codeTable = (page: I32): I32 => load('i32', shl(shrU(page, i32(PAGE_SHIFT)), i32(2)), PAGE_MAP_BASE);

  /** Drops the decoded form of the words that a store of `bytes` at host address `at` touches. */
  const dropCode = (fb: FunctionBuilder, at: I32, bytes: I32): void => {
    const table = fb.let(codeTable(at));
    fb.if(load('i32_16u', table, SIDE_TRANSLATED), () => {
      fb.call(host.dropTranslations, at, bytes);
    });
    const word = fb.local('i32');
    fb.set(word, shrU(and(at, i32(PAGE_SIZE - 1)), i32(2)));
    const last = fb.let(shrU(sub(add(and(at, i32(PAGE_SIZE - 1)), bytes), i32(1)), i32(2)));
    fb.loop('words', (next) => {
      fb.store('i32_16', add(table, shl(fb.get(word), i32(1))), 0, i32(0));
      fb.set(word, add(fb.get(word), i32(1)));
      fb.brIf(next, leU(fb.get(word), last));
    });
  };

  /** Host address of the physical page, or 0; the region's flags are in REGION_FLAGS then. */
  const hostPage = mb.function('hostPage', ['i32'], 'i32', (fb) => {
    const page = fb.param(0, 'i32');
    const at = fb.local('i32');
    const end = fb.local('i32');
    fb.set(at, i32(REGIONS.at));
    fb.set(end, add(i32(REGIONS.at), mul(load('i32', i32(0), REGION_COUNT), i32(REGIONS.stride))));
    fb.loop('regions', (next) => {
      fb.if(ltU(fb.get(at), fb.get(end)), () => {
        const offset = fb.let(sub(fb.get(page), load('i32', fb.get(at), 0)));
        fb.if(ltU(offset, load('i32', fb.get(at), 4)), () => {
          fb.store('i32', i32(0), REGION_FLAGS, load('i32', fb.get(at), 12));
          const host = fb.let(add(load('i32', fb.get(at), 8), shl(offset, i32(PAGE_SHIFT))));
          fb.return(select(eq(codeTable(host), i32(ERASED)), i32(ERASED_PAGE), host));
        });
        fb.set(at, add(fb.get(at), i32(REGIONS.stride)));
        fb.br(next);
      });
    });
    fb.return(i32(0));
    fb.unreachable();
  });

  /**
   * Walks the tables for `va`. Returns 0 with WALK_PAGE and WALK_FLAGS set, or the fault status code plus 0x40
   * (so that "address size, level 0" isn't 0).
   */
  const walk = mb.function('walk', ['i64', 'i32', 'i32'], 'i32', (fb) => {
    const va = fb.param(0, 'i64');
    const access = fb.param(1, 'i32');
    const mode = fb.param(2, 'i32');
    const fault = (code: I32): void => {
      fb.return(or(code, i32(0x40)));
    };
    const isMode = (...of: number[]): I32 =>
      of.map((m) => eq(fb.get(mode), i32(m))).reduce((a, b) => or(a, b));
    const sctlr = fb.let(ofRegime(fb.get(mode), 'SCTLR'));
    const tcr = fb.let(tcrOfMode(fb.get(mode)));
    const isSingle = fb.let(isSingleRange(fb.get(mode)));
    const high = fb.let(
      hasEl2 ? select(isSingle, i64(0), bit(fb.get(va), i64(55))) : bit(fb.get(va), i64(55)),
    );
    const tbi = fb.let(wrap(bit(tcr, add(high, i64(37)))));
    // SCTLR_EL1.A
    const strict = fb.let(select(wrap(bit(sctlr, i64(1))), i32(TLB_FLAGS.strict), i32(0)));

    // HCR_EL2.TGE and DC turn the EL1&0 regime off, and DC makes it Normal memory then.
    const isEl1Regime = ltU(fb.get(mode), i32(REGIME.el2.first));
    const dc = hasEl2 ? fb.let(and(isEl1Regime, hcrBit(HCR.DC))) : i32(0);
    const isTurnedOff = hasEl2 ? or(dc, and(isEl1Regime, hcrBit(HCR.TGE))) : i32(0);
    // MMU off: flat, Device-nGnRnE for data. DDI0487 D8.2.10.
    fb.if(or(eqz(bit(sctlr, i64(0))), isTurnedOff), () => {
      const address = fb.let(select(tbi, shrU(shl(fb.get(va), i64(8)), i64(8)), fb.get(va)));
      fb.if(ne(shrU(address, i64(PA_BITS)), i64(0)), () => {
        fault(i32(FSC.addressSize));
      });
      setField32(fb, 'WALK_PAGE', wrap(shrU(address, i64(PAGE_SHIFT))));
      const { readable, writable, executable, device, large } = TLB_FLAGS;
      const always = readable | writable | executable | large;
      setField64(fb, 'WALK_PARTS', i64(-1));
      setField32(fb, 'WALK_ATTRIBUTES', select(dc, i32(0xff), i32(0)));
      setField32(
        fb,
        'WALK_FLAGS',
        select(dc, or(i32(always), strict), i32(always | TLB_FLAGS.strict | device)),
      );
      fb.return(i32(0));
    });

    const ttbr = fb.let(select(wrap(high), ofRegime(fb.get(mode), 'TTBR1'), ofRegime(fb.get(mode), 'TTBR0')));
    const regime = fb.let(select(wrap(high), shrU(tcr, i64(16)), tcr)); // T1SZ … as T0SZ …
    // Granule: log2 of its bytes. TG0 0 is 4K, 1 is 64K, 2 is 16K; TG1 2 is 4K, 3 is 64K, 1 is 16K.
    const tg = fb.let(wrap(and(select(wrap(high), shrU(tcr, i64(30)), shrU(tcr, i64(14))), i64(3))));
    const grain = fb.let(
      select(
        wrap(high),
        select(eq(tg, i32(3)), i64(16), select(eq(tg, i32(1)), i64(14), i64(12))),
        select(eq(tg, i32(1)), i64(16), select(eq(tg, i32(2)), i64(14), i64(12))),
      ),
    );
    const stride = fb.let(sub(grain, i64(3)));
    // TnSZ outside 16 … 39 behaves as the nearest valid one (constrained unpredictable).
    const tsz = fb.local('i64');
    fb.set(tsz, and(regime, i64(63)));
    fb.set(tsz, select(ltU(fb.get(tsz), i64(16)), i64(16), fb.get(tsz)));
    fb.set(tsz, select(gtU(fb.get(tsz), i64(39)), i64(39), fb.get(tsz)));
    const inputSize = fb.let(sub(i64(64), fb.get(tsz)));
    const canonical = fb.let(select(tbi, shrS(shl(fb.get(va), i64(8)), i64(8)), fb.get(va)));
    fb.if(
      or(
        // All bits above the input are copies of bit 55.
        ne(shrS(canonical, inputSize), sub(i64(0), high)),
        // EPDn, bit 7 of the regime's half
        wrap(bit(regime, i64(7))),
      ),
      () => {
        fault(i32(FSC.translation));
      },
    );

    // E0PDn, bits 55 and 56: EL0 sees nothing of that half. DDI0487 D8.4 (FEAT_E0PD).
    const isEl0 = fb.let(hasEl2 ? isMode(MODE.el0, MODE.hostEl0) : isMode(MODE.el0));
    if (hasFeature(model, 'E0PD'))
      fb.if(and(isEl0, wrap(bit(tcr, add(high, i64(55))))), () => {
        fault(i32(FSC.translation));
      });

    const level = fb.local('i64');
    fb.set(level, sub(i64(4), divU(sub(inputSize, i64(4)), stride)));
    const grainMask = fb.let(sub(shl(i64(1), grain), i64(1)));
    /** Offset within the next table, in bytes. */
    const indexMask = fb.local('i64');
    fb.set(indexMask, sub(shl(i64(1), sub(inputSize, mul(stride, sub(i64(4), fb.get(level))))), i64(1)));
    const descriptorAddress = fb.local('i64');
    fb.set(descriptorAddress, and(and(ttbr, i64(0x0000_ffff_ffff_fffen)), not(fb.get(indexMask))));
    const descriptor = fb.local('i64');
    const output = fb.local('i64');
    const tableAttributes = fb.local('i64');
    fb.set(tableAttributes, i64(0));
    // Output addresses are limited by TCR_EL1.IPS and by what is implemented. DDI0487 D8.2.8.
    const ips = fb.let(and(shrU(tcr, i64(32)), i64(7)));
    const outputBits = fb.local('i64');
    fb.set(outputBits, i64(PA_BITS));
    [32, 36, 40, 42].forEach((bits, value) => {
      fb.set(outputBits, select(eq(ips, i64(value)), i64(bits), fb.get(outputBits)));
    });
    const levelFault = (code: number): void => {
      fault(add(i32(code), wrap(fb.get(level))));
    };
    fb.if(ne(shrU(fb.get(descriptorAddress), fb.get(outputBits)), i64(0)), () => {
      fault(i32(FSC.addressSize));
    });

    fb.loop('levels', (next) => {
      fb.set(
        descriptorAddress,
        and(
          or(
            fb.get(descriptorAddress),
            and(shrU(canonical, mul(stride, sub(i64(4), fb.get(level)))), fb.get(indexMask)),
          ),
          i64(~7n),
        ),
      );
      const page = fb.let(call(hostPage, wrap(shrU(fb.get(descriptorAddress), i64(PAGE_SHIFT)))));
      fb.if(eqz(page), () => {
        levelFault(FSC.externalOnWalk);
      });
      fb.set(descriptor, load('i64', add(page, wrap(and(fb.get(descriptorAddress), i64(PAGE_SIZE - 1))))));
      const isLast = eq(fb.get(level), i64(3));
      const isTable = wrap(bit(fb.get(descriptor), i64(1)));
      fb.if(or(eqz(bit(fb.get(descriptor), i64(0))), and(isLast, eqz(isTable))), () => {
        levelFault(FSC.translation);
      });
      // Blocks: at level 1 with 4K, at level 2 with any granule.
      fb.if(
        and(eqz(isTable), or(eqz(fb.get(level)), and(eq(fb.get(level), i64(1)), ne(grain, i64(12))))),
        () => {
          levelFault(FSC.translation);
        },
      );
      fb.set(output, and(and(fb.get(descriptor), i64(0x0000_ffff_ffff_f000n)), not(grainMask)));
      fb.if(ne(shrU(fb.get(output), fb.get(outputBits)), i64(0)), () => {
        levelFault(FSC.addressSize);
      });
      fb.if(and(isTable, ne(fb.get(level), i64(3))), () => {
        fb.set(tableAttributes, or(fb.get(tableAttributes), fb.get(descriptor)));
        fb.set(descriptorAddress, fb.get(output));
        fb.set(indexMask, grainMask);
        fb.set(level, add(fb.get(level), i64(1)));
        fb.br(next);
      });
    });

    // What hardware makes of the descriptor: TCR_ELx.HA is bit 39, HD bit 40.
    const hasUpdates = hasFeature(model, 'HAFDBS');
    const updated = fb.local('i64');
    fb.set(updated, fb.get(descriptor));
    const ha = hasUpdates ? wrap(bit(tcr, i64(39))) : i32(0);
    // Access flag, bit 10.
    fb.if(eqz(bit(fb.get(descriptor), i64(10))), () => {
      fb.if(eqz(ha), () => {
        levelFault(FSC.accessFlag);
      });
      fb.set(updated, or(fb.get(updated), i64(1 << 10)));
    });
    const offsetMask = fb.let(sub(shl(i64(1), add(mul(stride, sub(i64(4), fb.get(level))), i64(3))), i64(1)));
    fb.set(output, or(and(fb.get(output), not(offsetMask)), and(canonical, offsetMask)));

    const d = fb.get(descriptor);
    // TCR_ELx.HPD0 is bit 41, HPD1 bit 42: tables take nothing away.
    if (hasFeature(model, 'HPDS'))
      fb.if(wrap(bit(tcr, add(high, i64(41)))), () => {
        fb.set(tableAttributes, i64(0));
      });
    const t = fb.get(tableAttributes);
    // A clean page: DBM, bit 51, with AP[2]. It is writable, and the first store clears AP[2].
    const isClean = fb.let(
      hasUpdates ? and(and(ha, wrap(bit(tcr, i64(40)))), wrap(and(bit(d, i64(51)), bit(d, i64(7))))) : i32(0),
    );
    const is = (value: I32): I32 => ne(value, i32(0));
    // AP[1] grants EL0 access, AP[2] takes writes away; APTable only takes away. Table bits: 62 RO, 61 no EL0, 60 UXN, 59 PXN.
    const user = fb.let(and(and(wrap(bit(d, i64(6))), eqz(bit(t, i64(61)))), eqz(isSingle)));
    const readOnly = fb.let(or(and(wrap(bit(d, i64(7))), eqz(isClean)), wrap(bit(t, i64(62)))));
    const uxn = fb.let(or(wrap(bit(d, i64(54))), wrap(bit(t, i64(60)))));
    // The EL2 regime has one bit, XN, in UXN's place.
    const pxn = fb.let(select(isSingle, uxn, or(wrap(bit(d, i64(53))), wrap(bit(t, i64(59))))));
    // PAN: data on pages that EL0 may access is out of bounds for the level above.
    const panned = and(hasEl2 ? isMode(MODE.el1Pan, MODE.hostEl2Pan) : isMode(MODE.el1Pan), user);
    const r = fb.let(select(isEl0, user, eqz(panned)));
    const w = fb.let(and(r, eqz(readOnly)));
    // What EL0 can write the level above cannot execute; with WXN (SCTLR_EL1 bit 19) what is writable cannot be executed.
    const el0Writable = and(user, eqz(readOnly));
    const writableHere = fb.let(select(isEl0, el0Writable, eqz(readOnly)));
    const x = fb.let(
      and(
        select(isEl0, eqz(uxn), and(eqz(pxn), eqz(el0Writable))),
        eqz(and(wrap(bit(sctlr, i64(19))), writableHere)),
      ),
    );
    const isAllowed = select(
      eq(fb.get(access), i32(ACCESS.read)),
      r,
      select(needsWrite(fb.get(access)), w, x),
    );
    fb.if(eqz(isAllowed), () => {
      levelFault(FSC.permission);
    });
    const staysClean = fb.temp('i32');
    fb.set(staysClean, isClean);
    if (hasUpdates) {
      fb.if(and(isClean, eq(fb.get(access), i32(ACCESS.write))), () => {
        fb.set(updated, and(fb.get(updated), i64(~(1n << 7n))));
        fb.set(staysClean, i32(0));
      });
      fb.if(ne(fb.get(updated), fb.get(descriptor)), () => {
        // No other CPU has its turn meanwhile: the descriptor is what was read.
        const page = call(hostPage, wrap(shrU(fb.get(descriptorAddress), i64(PAGE_SHIFT))));
        const at = fb.let(add(page, wrap(and(fb.get(descriptorAddress), i64(PAGE_SIZE - 1)))));
        fb.if(and(load('i32', i32(0), REGION_FLAGS), i32(REGION_READ_ONLY)), () => {
          fault(i32(FSC.unsupportedUpdate));
        });
        fb.if(codeTable(at), () => {
          dropCode(fb, at, i32(8));
        });
        fb.store('i64', at, 0, fb.get(updated));
      });
    }
    // MAIR: attribute 0b0000xxxx is Device.
    const attributes = fb.let(
      wrap(and(shrU(ofRegime(fb.get(mode), 'MAIR'), shl(and(shrU(d, i64(2)), i64(7)), i64(3))), i64(0xff))),
    );
    const device = fb.let(ltU(attributes, i32(0x10)));
    setField32(fb, 'WALK_ATTRIBUTES', or(attributes, and(wrap(d), i32(3 << 8))));
    const flagIf = (condition: I32, flag: number): I32 => mul(is(condition), i32(flag));
    const isLarge = fb.let(gtU(offsetMask, i64(PAGE_SIZE - 1)));
    fb.if(isLarge, () => {
      // A block has 1 GiB at the most: 16 parts.
      const more = fb.let(shrU(offsetMask, i64(LARGE.shift)));
      const parts = sub(shl(i64(2), more), i64(1));
      setField64(fb, 'WALK_PARTS', shl(parts, and(shrU(canonical, i64(LARGE.shift)), not(more))));
    });
    setField32(fb, 'WALK_PAGE', wrap(shrU(fb.get(output), i64(PAGE_SHIFT))));
    setField32(
      fb,
      'WALK_FLAGS',
      [
        flagIf(r, TLB_FLAGS.readable),
        // A store to a clean page comes back for another walk.
        flagIf(and(w, eqz(fb.get(staysClean))), TLB_FLAGS.writable),
        flagIf(x, TLB_FLAGS.executable),
        flagIf(device, TLB_FLAGS.device | TLB_FLAGS.strict),
        flagIf(isLarge, TLB_FLAGS.large),
        strict,
      ].reduce((all, flag) => or(all, flag)),
    );
    fb.return(i32(0));
    fb.unreachable();
  });

  /** Raises the abort for a fault code. `(va, code, access, pc, request)`. */
  const abort = mb.function('abort', ['i64', 'i32', 'i32', 'i64', 'i32'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const code = fb.get(fb.param(1, 'i32'));
    const access = fb.get(fb.param(2, 'i32'));
    const pc = fb.get(fb.param(3, 'i64'));
    const request = fb.get(fb.param(4, 'i32'));
    const fromEl0 = eqz(field32('EL'));
    const ec = select(
      eq(access, i32(ACCESS.execute)),
      select(fromEl0, syndrome(EC.instructionAbortLower), syndrome(EC.instructionAbort)),
      select(fromEl0, syndrome(EC.dataAbortLower), syndrome(EC.dataAbort)),
    );
    const iss = or(
      and(code, i32(0x3f)),
      or(
        select(eq(access, i32(ACCESS.write)), i32(ISS_WRITE), i32(0)),
        // WnR is set too, whatever permission is missing.
        select(and(request, i32(REQUEST.cache)), i32(ISS_CACHE | ISS_WRITE), i32(0)),
      ),
    );
    fb.call(exceptions.raise, or(ec, iss), va, i32(1), pc);
  });

  const halfOf = (va: I64): I32 => select(wrap(bit(va, i64(55))), i32(LARGE.high), i32(LARGE.low));
  /** The bit of the part of its half that an address is in. */
  const partOf = (va: I64): I64 => shl(i64(1), shrU(va, i64(LARGE.shift)));

  const noteLarge = (fb: FunctionBuilder, va: I64, mode: I32): void => {
    fb.if(and(field32('WALK_FLAGS'), i32(TLB_FLAGS.large)), () => {
      const regime = geU(mode, i32(REGIME.el2.first));
      const half = hasEl2 ? add(halfOf(va), mul(regime, i32(LARGE.stride))) : halfOf(va);
      const at = fb.let(add(field32('TLB_BANK'), half));
      fb.store('i64', at, LARGE.at, or(load('i64', at, LARGE.at), field64('WALK_PARTS')));
    });
  };

  /** Refills the data TLB entry at `entry` after a walk for an access that is allowed. `(va, entry, mode)`. */
  const fillData = mb.function('fillData', ['i64', 'i32', 'i32'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const entry = fb.get(fb.param(1, 'i32'));
    const page = fb.let(and(va, i64(-PAGE_SIZE)));
    // A tag whose index is another entry's: no address that is looked up here can match it.
    const never = fb.let(xor(page, i64(PAGE_SIZE)));
    noteLarge(fb, va, fb.get(fb.param(2, 'i32')));
    const flags = fb.local('i32');
    fb.set(flags, field32('WALK_FLAGS'));
    const direct = fb.let(call(hostPage, field32('WALK_PAGE')));
    fb.if(
      direct,
      () => {
        fb.set(flags, or(fb.get(flags), i32(TLB_FLAGS.direct)));
        fb.if(and(load('i32', i32(0), REGION_FLAGS), i32(REGION_READ_ONLY)), () => {
          fb.set(flags, or(fb.get(flags), i32(TLB_FLAGS.readOnly)));
        });
        fb.if(codeTable(direct), () => {
          fb.set(flags, or(fb.get(flags), i32(TLB_FLAGS.code)));
        });
        fb.store('i32', entry, TLB.host, sub(direct, wrap(page)));
      },
      () => {
        fb.store('i32', entry, TLB.host, field32('WALK_PAGE'));
      },
    );
    fb.if(field32('WATCHPOINTS'), () => {
      fb.if(call(debug.isWatchedPage, va), () => {
        fb.set(flags, or(fb.get(flags), i32(TLB_FLAGS.watched)));
      });
    });
    const plain = (mask: number, wanted: number): I32 => eq(and(fb.get(flags), i32(mask)), i32(wanted));
    const { readable, writable, strict, direct: isDirect, readOnly, code, watched } = TLB_FLAGS;
    fb.store(
      'i64',
      entry,
      TLB.read,
      select(plain(readable | strict | isDirect | watched, readable | isDirect), page, never),
    );
    fb.store(
      'i64',
      entry,
      TLB.write,
      select(
        plain(writable | strict | isDirect | readOnly | code | watched, writable | isDirect),
        page,
        never,
      ),
    );
    fb.store('i64', entry, TLB.any, page);
    fb.store('i32', entry, TLB.flags, fb.get(flags));
  });

  /** The TLBs that a request goes through. */
  const tlbOf = (request: I32): I32 =>
    select(and(request, i32(REQUEST.unprivileged)), field32('TLB_UNPRIVILEGED'), field32('TLB'));

  /** `(va, access, request, pc)`: the TLB entry for an access that is allowed, or 0 after an abort. */
  const probe = mb.function('probe', ['i64', 'i32', 'i32', 'i64'], 'i32', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const access = fb.get(fb.param(1, 'i32'));
    const request = fb.get(fb.param(2, 'i32'));
    const pc = fb.get(fb.param(3, 'i64'));
    const tlb = fb.let(tlbOf(request));
    const entry = fb.let(add(tlb, tlbEntryOffset(va)));
    const wanted = fb.let(select(needsWrite(access), i32(TLB_FLAGS.writable), i32(TLB_FLAGS.readable)));
    fb.if(
      and(
        eq(load('i64', entry, TLB.any), and(va, i64(-PAGE_SIZE))),
        ne(and(load('i32', entry, TLB.flags), wanted), i32(0)),
      ),
      () => {
        fb.return(entry);
      },
    );
    const mode = fb.let(modeOfTlb(tlb));
    const code = fb.let(call(walk, va, access, mode));
    fb.if(code, () => {
      fb.call(abort, va, code, access, pc, request);
      fb.return(i32(0));
    });
    fb.call(fillData, va, entry, mode);
    fb.return(entry);
    fb.unreachable();
  });

  /** Where the page of an access's last byte starts. */
  const lastPage = (va: I64, bytes: I32): I64 => and(add(va, extU(sub(bytes, i32(1)))), i64(-PAGE_SIZE));
  const pageOffset = (va: I64): I32 => and(wrap(va), i32(PAGE_SIZE - 1));

  /** Physical address of a device access, as a float: exact, and without the cost of a BigInt. */
  const physical = (entry: I32, va: I64): ReturnType<typeof convert> =>
    convert('f64', or(shl(extU(load('i32', entry, TLB.host)), i64(PAGE_SHIFT)), extU(pageOffset(va))), false);

  /** An aligned piece of at most 8 bytes within a page whose entry allows it. `(va, size, entry, pc, request)`. */
  const loadPiece = mb.function('loadPiece', ['i64', 'i32', 'i32', 'i64', 'i32'], 'i64', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const size = fb.get(fb.param(1, 'i32'));
    const entry = fb.get(fb.param(2, 'i32'));
    const pc = fb.get(fb.param(3, 'i64'));
    const request = fb.get(fb.param(4, 'i32'));
    fb.if(and(load('i32', entry, TLB.flags), i32(TLB_FLAGS.direct)), () => {
      const at = fb.let(add(load('i32', entry, TLB.host), wrap(va)));
      fb.switch(
        size,
        LOAD_KINDS.map((kind) => () => {
          fb.return(load(kind, at));
        }),
      );
    });
    fb.if(call(host.deviceRead, physical(entry, va), shl(i32(1), size)), () => {
      fb.call(abort, va, i32(FSC.external), i32(ACCESS.read), pc, request);
      fb.return(i64(0));
    });
    fb.return(load('i64', i32(0), STATE.EXCHANGE.at));
    fb.unreachable();
  });

  const storePiece = mb.function('storePiece', ['i64', 'i32', 'i64', 'i32', 'i64', 'i32'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const size = fb.get(fb.param(1, 'i32'));
    const value = fb.get(fb.param(2, 'i64'));
    const entry = fb.get(fb.param(3, 'i32'));
    const pc = fb.get(fb.param(4, 'i64'));
    const request = fb.get(fb.param(5, 'i32'));
    const flags = fb.let(load('i32', entry, TLB.flags));
    fb.if(eq(and(flags, i32(TLB_FLAGS.direct | TLB_FLAGS.readOnly)), i32(TLB_FLAGS.direct)), () => {
      const at = fb.let(add(load('i32', entry, TLB.host), wrap(va)));
      fb.if(and(flags, i32(TLB_FLAGS.code)), () => {
        dropCode(fb, at, shl(i32(1), size));
      });
      fb.switch(
        size,
        STORE_KINDS.map((kind) => () => {
          fb.store(kind, at, 0, value);
          fb.return();
        }),
      );
    });
    // A read-only mapped device: the entry has the host address, the walk knows the physical one.
    const address = fb.local('f64');
    fb.if(
      and(flags, i32(TLB_FLAGS.direct)),
      () => {
        fb.drop(call(walk, va, i32(ACCESS.write), modeOfTlb(tlbOf(request))));
        fb.set(
          address,
          convert('f64', or(shl(extU(field32('WALK_PAGE')), i64(PAGE_SHIFT)), extU(pageOffset(va))), false),
        );
      },
      () => {
        fb.set(address, physical(entry, va) as ReturnType<typeof convert<'f64'>>);
      },
    );
    fb.store('i64', i32(0), STATE.EXCHANGE.at, value);
    fb.if(call(host.deviceWrite, fb.get(address), shl(i32(1), size)), () => {
      fb.call(abort, va, i32(FSC.external), i32(ACCESS.write), pc, request);
    });
  });

  /** Non-zero where `va` is not aligned as the request says. */
  const misalignment = (va: I64, request: I32): I32 =>
    and(wrap(va), sub(shl(i32(1), shrU(request, i32(REQUEST.alignmentShift))), i32(1)));

  /** Alignment faults that come before translation; `leave` returns from the function after one. */
  const checkAlignment = (
    fb: FunctionBuilder,
    va: I64,
    request: I32,
    access: number,
    pc: I64,
    leave: () => void,
  ): void => {
    fb.if(misalignment(va, request), () => {
      // SCTLR_ELx.A is bit 1.
      fb.if(or(and(request, i32(REQUEST.aligned)), and(sctlrInForce(model), i32(2))), () => {
        fb.call(abort, va, i32(FSC.alignment), i32(access), pc, request);
        leave();
      });
    });
  };

  /** Watchpoints on what is accessed; `leave` returns from the function after an exception. */
  const checkWatchpoints = (
    fb: FunctionBuilder,
    va: I64,
    request: I32,
    access: number,
    pc: I64,
    leave: () => void,
  ): void => {
    fb.if(eqz(and(request, i32(REQUEST.unwatched))), () => {
      const bytes = shl(i32(1), and(request, i32(REQUEST.sizeMask)));
      // LDTR and STTR are EL0's where they have a TLB of its own.
      const isOfEl0 = and(
        ne(and(request, i32(REQUEST.unprivileged)), i32(0)),
        ne(tlbOf(request), field32('TLB')),
      );
      fb.if(call(debug.checkWatchpoints, va, bytes, i32(access), isOfEl0, pc, i32(0), i64(0)), leave);
    });
  };

  /**
   * What the page asks for: alignment, as Device memory does, then watchpoints; `leave` returns from the function after
   * an exception.
   */
  const checkPage = (
    fb: FunctionBuilder,
    va: I64,
    entry: I32,
    request: I32,
    access: number,
    pc: I64,
    leave: () => void,
  ): void => {
    const flags = fb.let(load('i32', entry, TLB.flags));
    fb.if(and(flags, i32(TLB_FLAGS.strict | TLB_FLAGS.watched)), () => {
      fb.if(
        and(and(flags, i32(TLB_FLAGS.strict)), select(misalignment(va, request), i32(-1), i32(0))),
        () => {
          fb.call(abort, va, i32(FSC.alignment), i32(access), pc, request);
          leave();
        },
      );
      fb.if(and(flags, i32(TLB_FLAGS.watched)), () => {
        checkWatchpoints(fb, va, request, access, pc, leave);
      });
    });
  };

  const slowLoad = mb.function('slowLoad', ['i64', 'i32', 'i64'], 'i64', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const request = fb.get(fb.param(1, 'i32'));
    const pc = fb.get(fb.param(2, 'i64'));
    const leave = (): void => {
      fb.return(i64(0));
    };
    const leaveIfFaulted = (): void => {
      fb.if(field32('FAULT'), leave);
    };
    const size = fb.let(and(request, i32(REQUEST.sizeMask)));
    checkAlignment(fb, va, request, ACCESS.read, pc, leave);
    const entry = fb.let(call(probe, va, i32(ACCESS.read), request, pc));
    fb.if(eqz(entry), leave);
    checkPage(fb, va, entry, request, ACCESS.read, pc, leave);
    const bytes = fb.let(shl(i32(1), size));
    const isSplit = fb.let(gtU(add(pageOffset(va), bytes), i32(PAGE_SIZE)));
    const isUnalignedDevice = and(
      ne(and(wrap(va), sub(bytes, i32(1))), i32(0)),
      eqz(and(load('i32', entry, TLB.flags), i32(TLB_FLAGS.direct))),
    );
    fb.if(or(isSplit, isUnalignedDevice), () => {
      fb.if(field32('WATCHPOINTS'), () => {
        fb.if(eqz(call(probe, lastPage(va, bytes), i32(ACCESS.read), request, pc)), leave);
        checkWatchpoints(fb, va, request, ACCESS.read, pc, leave);
      });
      // Byte by byte, each with its own page. The result of 16 bytes is put together in two halves.
      const low = fb.local('i64');
      const high = fb.local('i64');
      const n = fb.local('i32');
      fb.set(low, i64(0));
      fb.set(high, i64(0));
      fb.set(n, i32(0));
      fb.loop('bytes', (next) => {
        const at = fb.let(add(va, extU(fb.get(n))));
        const piece = fb.let(call(probe, at, i32(ACCESS.read), request, pc));
        fb.if(eqz(piece), leave);
        const byte = fb.let(call(loadPiece, at, i32(0), piece, pc, request));
        leaveIfFaulted();
        const shifted = shl(byte, extU(shl(fb.get(n), i32(3))));
        fb.if(
          ltU(fb.get(n), i32(8)),
          () => {
            fb.set(low, or(fb.get(low), shifted));
          },
          () => {
            fb.set(high, or(fb.get(high), shifted));
          },
        );
        fb.set(n, add(fb.get(n), i32(1)));
        fb.brIf(next, ltU(fb.get(n), bytes));
      });
      fb.store('i64', i32(0), STATE.EXCHANGE.at, fb.get(low));
      fb.store('i64', i32(0), STATE.EXCHANGE.at + 8, fb.get(high));
      fb.return(fb.get(low));
    });
    fb.if(eq(size, i32(4)), () => {
      const low = fb.let(call(loadPiece, va, i32(3), entry, pc, request));
      leaveIfFaulted();
      const high = fb.let(call(loadPiece, add(va, i64(8)), i32(3), entry, pc, request));
      leaveIfFaulted();
      fb.store('i64', i32(0), STATE.EXCHANGE.at, low);
      fb.store('i64', i32(0), STATE.EXCHANGE.at + 8, high);
      fb.return(low);
    });
    fb.return(call(loadPiece, va, size, entry, pc, request));
    fb.unreachable();
  });

  const slowStore = mb.function('slowStore', ['i64', 'i32', 'i64', 'i64'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const request = fb.get(fb.param(1, 'i32'));
    const value = fb.get(fb.param(2, 'i64'));
    const pc = fb.get(fb.param(3, 'i64'));
    const leave = (): void => {
      fb.return();
    };
    const size = fb.let(and(request, i32(REQUEST.sizeMask)));
    const high = fb.local('i64');
    fb.set(high, load('i64', i32(0), STATE.EXCHANGE.at + 8));
    checkAlignment(fb, va, request, ACCESS.write, pc, leave);
    const entry = fb.let(call(probe, va, i32(ACCESS.write), request, pc));
    fb.if(eqz(entry), leave);
    checkPage(fb, va, entry, request, ACCESS.write, pc, leave);
    const bytes = fb.let(shl(i32(1), size));
    const isSplit = fb.let(gtU(add(pageOffset(va), bytes), i32(PAGE_SIZE)));
    const plainRam = eq(
      and(load('i32', entry, TLB.flags), i32(TLB_FLAGS.direct | TLB_FLAGS.readOnly)),
      i32(TLB_FLAGS.direct),
    );
    fb.if(or(isSplit, and(ne(and(wrap(va), sub(bytes, i32(1))), i32(0)), eqz(plainRam))), () => {
      // Both pages are checked before anything is written.
      fb.if(isSplit, () => {
        fb.if(eqz(call(probe, lastPage(va, bytes), i32(ACCESS.write), request, pc)), leave);
        fb.if(field32('WATCHPOINTS'), () => {
          checkWatchpoints(fb, va, request, ACCESS.write, pc, leave);
        });
      });
      const n = fb.local('i32');
      fb.set(n, i32(0));
      fb.loop('bytes', (next) => {
        const at = fb.let(add(va, extU(fb.get(n))));
        const piece = fb.let(call(probe, at, i32(ACCESS.write), request, pc));
        fb.if(eqz(piece), leave);
        const half = select(ltU(fb.get(n), i32(8)), value, fb.get(high));
        fb.call(
          storePiece,
          at,
          i32(0),
          shrU(half, extU(and(shl(fb.get(n), i32(3)), i32(63)))),
          piece,
          pc,
          request,
        );
        fb.if(field32('FAULT'), leave);
        fb.set(n, add(fb.get(n), i32(1)));
        fb.brIf(next, ltU(fb.get(n), bytes));
      });
      fb.return();
    });
    fb.if(eq(size, i32(4)), () => {
      fb.call(storePiece, va, i32(3), value, entry, pc, request);
      fb.if(field32('FAULT'), leave);
      fb.call(storePiece, add(va, i64(8)), i32(3), fb.get(high), entry, pc, request);
      fb.return();
    });
    fb.call(storePiece, va, size, value, entry, pc, request);
  });

  const checkAtomic = mb.function('checkAtomic', ['i64', 'i32', 'i64'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const request = fb.get(fb.param(1, 'i32'));
    const pc = fb.get(fb.param(2, 'i64'));
    const leave = (): void => {
      fb.return();
    };
    // ISS.WnR is set only where reading would have been allowed. DDI0487 D19.2.37 (ISS for Data Aborts).
    checkAlignment(fb, va, request, ACCESS.read, pc, leave);
    const entry = fb.temp('i32');
    for (const access of [ACCESS.read, ACCESS.write]) {
      fb.set(entry, call(probe, va, i32(access), request, pc));
      fb.if(eqz(fb.get(entry)), leave);
    }
    for (const access of [ACCESS.read, ACCESS.write])
      checkPage(fb, va, fb.get(entry), request, access, pc, leave);
  });

  const checkStore = mb.function('checkStore', ['i64', 'i32', 'i64'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const request = fb.get(fb.param(1, 'i32'));
    const pc = fb.get(fb.param(2, 'i64'));
    const leave = (): void => {
      fb.return();
    };
    const entry = fb.let(call(probe, va, i32(ACCESS.write), request, pc));
    fb.if(eqz(entry), leave);
    checkPage(fb, va, entry, request, ACCESS.write, pc, leave);
  });

  const zeroBlock = mb.function('zeroBlock', ['i64', 'i64'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const pc = fb.get(fb.param(1, 'i64'));
    const block = fb.let(and(va, i64(-ZVA_BYTES)));
    const request = i32(3);
    const entry = fb.let(call(probe, va, i32(ACCESS.write), request, pc));
    fb.if(eqz(entry), () => {
      fb.return();
    });
    const flags = fb.let(load('i32', entry, TLB.flags));
    // On Device memory DC ZVA is an alignment fault. DDI0487 C5.3 (DC ZVA).
    fb.if(and(flags, i32(TLB_FLAGS.device)), () => {
      fb.call(abort, va, i32(FSC.alignment), i32(ACCESS.write), pc, i32(0));
      fb.return();
    });
    fb.if(and(flags, i32(TLB_FLAGS.watched)), () => {
      const isHit = call(
        debug.checkWatchpoints,
        block,
        i32(ZVA_BYTES),
        i32(1),
        i32(0),
        pc,
        i32(DC_ACCESS.zero),
        va,
      );
      fb.if(isHit, () => {
        fb.return();
      });
    });
    const isRam = eq(and(flags, i32(TLB_FLAGS.direct | TLB_FLAGS.readOnly)), i32(TLB_FLAGS.direct));
    fb.if(isRam, () => {
      const at = fb.let(add(load('i32', entry, TLB.host), wrap(block)));
      fb.if(and(flags, i32(TLB_FLAGS.code)), () => {
        dropCode(fb, at, i32(ZVA_BYTES));
      });
      zeroBlockAt(fb, at);
      fb.return();
    });
    const n = fb.local('i32');
    fb.set(n, i32(0));
    fb.loop('doublewords', (next) => {
      fb.call(storePiece, add(block, extU(fb.get(n))), i32(3), i64(0), entry, pc, request);
      fb.if(field32('FAULT'), () => {
        fb.return();
      });
      fb.set(n, add(fb.get(n), i32(8)));
      fb.brIf(next, ltU(fb.get(n), i32(ZVA_BYTES)));
    });
  });

  // A tag never gets into PC. DDI0487 D8.8.2 (address tagging and branches), AArch64.BranchAddr.
  const branchAddress = mb.function('branchAddress', ['i64'], 'i64', (fb) => {
    const target = fb.get(fb.param(0, 'i64'));
    const mode = fb.let(modeOfTlb(field32('TLB')));
    const tbi = wrap(bit(tcrOfMode(mode), add(bit(target, i64(55)), i64(37))));
    const untagged = shl(target, i64(8));
    const signExtended = shrS(untagged, i64(8));
    const address = hasEl2 ? select(isSingleRange(mode), shrU(untagged, i64(8)), signExtended) : signExtended;
    fb.return(select(tbi, address, target));
    fb.unreachable();
  });

  const fetch = mb.function('fetch', ['i64'], 'i32', (fb) => {
    const tlb = fb.let(field32('TLB'));
    const mode = fb.let(modeOfTlb(tlb));
    const va = fb.let(call(branchAddress, fb.get(fb.param(0, 'i64'))));
    setField64(fb, 'PC', va);
    // A misaligned PC is reported before its translation.
    fb.if(and(wrap(va), i32(3)), () => {
      fb.call(exceptions.raise, syndrome(EC.pcAlignment), va, i32(1), va);
      fb.return(i32(0));
    });
    const code = fb.let(call(walk, va, i32(ACCESS.execute), mode));
    fb.if(code, () => {
      fb.call(abort, va, code, i32(ACCESS.execute), va, i32(0));
      fb.return(i32(0));
    });
    noteLarge(fb, va, mode);
    const page = fb.let(call(hostPage, field32('WALK_PAGE')));
    fb.if(eqz(page), () => {
      fb.call(abort, va, i32(FSC.external), i32(ACCESS.execute), va, i32(0));
      fb.return(i32(0));
    });
    const table = fb.local('i32');
    fb.set(table, codeTable(page));
    fb.if(eqz(fb.get(table)), () => {
      fb.set(table, call(host.makeCodePage, page));
    });
    fb.if(field32('BREAKPOINTS'), () => {
      fb.call(debug.markBreakpoints, va, page);
    });
    const entry = fb.let(codeTlbEntry(tlb, va));
    fb.store('i64', entry, CODE_TLB.tag, and(va, i64(-PAGE_SIZE)));
    fb.store('i32', entry, CODE_TLB.host, page);
    fb.store('i32', entry, CODE_TLB.side, sub(fb.get(table), shrU(page, i32(1))));
    fb.return(i32(1));
    fb.unreachable();
  });

  /** `(bank)`: forgets the translations of an address space, whoever's it is. */
  const clearBank = mb.function('clearBank', ['i32'], 'none', (fb) => {
    const bank = fb.get(fb.param(0, 'i32'));
    for (const { first, count, index } of regimes) {
      fb.memoryFill(add(bank, i32(tlbOfMode(first))), i32(0xff), i32(count * MODE_STRIDE));
      // All ones is an address of the last entry: give those the tag of entry 0.
      for (let mode = first; mode < first + count; mode++) {
        const last = tlbOfMode(mode) + (TLB.entries - 1) * TLB.stride;
        for (const tag of [TLB.read, TLB.write, TLB.any]) fb.store('i64', bank, last + tag, i64(0));
        const lastCode = tlbOfMode(mode) + CODE_TLB_OFFSET + (CODE_TLB.entries - 1) * CODE_TLB.stride;
        fb.store('i64', bank, lastCode + CODE_TLB.tag, i64(0));
      }
      for (const half of [LARGE.low, LARGE.high])
        fb.store('i64', bank, LARGE.at + index * LARGE.stride + half, i64(0));
    }
  });

  /**
   * `(bank)`: forgets the translations of an address space: at once where it is in use, else before it is used. A CPU
   * that waits for its turn looks for an address space when that begins.
   */
  const forget = mb.function('forget', ['i32'], 'none', (fb) => {
    const bank = fb.get(fb.param(0, 'i32'));
    fb.if(
      eq(bank, field32('TLB_BANK')),
      () => {
        fb.call(clearBank, bank);
      },
      () => {
        fb.store('i64', bank, BANK_ASID, i64(NO_ASID));
      },
    );
  });

  /** Goes through the address spaces of some CPUs. */
  const forEachBank = (fb: FunctionBuilder, from: I32, cpus: I32, body: (bank: I32) => void): void => {
    const bank = fb.temp('i32');
    fb.set(bank, from);
    const end = fb.let(add(fb.get(bank), mul(cpus, i32(CPU_TLBS_SIZE))));
    fb.loop('banks', (next) => {
      body(fb.get(bank));
      fb.set(bank, add(fb.get(bank), i32(TLB_BANK_SIZE)));
      fb.brIf(next, ltU(fb.get(bank), end));
    });
  };
  const ownTlbs = (): I32 => add(i32(tlbsOf(0)), mul(field32('CPU'), i32(CPU_TLBS_SIZE)));
  const cpuCount = (): I32 => load('i32', i32(0), CPU_COUNT);
  const asidsOf = (bank: I32): I64 => load('i64', bank, BANK_ASID);

  const selectAddressSpace = mb.function('selectAddressSpace', [], 'none', (fb) => {
    /** TCR_ELx.A1, bit 22, tells which register holds the ASID; AS, bit 36, whether it has 16 bits. */
    const asidOf = (el: string, hasTtbr1: boolean): I64 => {
      const tcr = sysreg(`TCR_${el}`);
      const ttbr0 = sysreg(`TTBR0_${el}`);
      const ttbr = hasTtbr1 ? select(wrap(bit(tcr, i64(22))), sysreg(`TTBR1_${el}`), ttbr0) : ttbr0;
      return and(shrU(ttbr, i64(48)), select(wrap(bit(tcr, i64(36))), i64(0xffff), i64(0xff)));
    };
    const el1 = asidOf('EL1', true);
    const asids = fb.let(hasEl2 ? or(el1, shl(asidOf('EL2', hasFeature(model, 'VHE')), i64(16))) : el1);
    const use = (bank: I32): void => {
      setField32(fb, 'TLB_BANK', bank);
      fb.call(exceptions.stateChanged);
    };
    fb.if(eq(asidsOf(field32('TLB_BANK')), asids), () => {
      fb.return();
    });
    forEachBank(fb, ownTlbs(), i32(1), (bank) => {
      fb.if(eq(asidsOf(bank), asids), () => {
        use(bank);
        fb.return();
      });
    });
    const victim = fb.let(add(ownTlbs(), mul(field32('NEXT_VICTIM'), i32(TLB_BANK_SIZE))));
    setField32(fb, 'NEXT_VICTIM', and(add(field32('NEXT_VICTIM'), i32(1)), i32(ADDRESS_SPACES - 1)));
    fb.call(clearBank, victim);
    fb.store('i64', victim, BANK_ASID, asids);
    use(victim);
  });

  const flushAll = mb.function('flushAll', [], 'none', (fb) => {
    forEachBank(fb, ownTlbs(), i32(1), (bank) => {
      fb.call(forget, bank);
    });
  });

  const flushEveryCpu = mb.function('flushEveryCpu', [], 'none', (fb) => {
    forEachBank(fb, i32(tlbsOf(0)), cpuCount(), (bank) => {
      fb.call(forget, bank);
    });
  });

  const flushAsid = mb.function('flushAsid', ['i32'], 'none', (fb) => {
    const asid = fb.get(fb.param(0, 'i32'));
    forEachBank(fb, i32(tlbsOf(0)), cpuCount(), (bank) => {
      // The upper half of an ASID may be out of use: what agrees in the lower half goes.
      const differing = fb.let(xor(wrap(asidsOf(bank)), or(asid, shl(asid, i32(16)))));
      const isIt = (mask: number): I32 => eqz(and(differing, i32(mask)));
      fb.if(hasEl2 ? or(isIt(0xff), isIt(0xff_0000)) : isIt(0xff), () => {
        fb.call(forget, bank);
      });
    });
  });

  /** Makes the data entry at `entry` (of index `index(va)`) match nothing. */
  const dropEntry = (fb: FunctionBuilder, entry: I32, never: I64): void => {
    for (const tag of [TLB.read, TLB.write, TLB.any]) fb.store('i64', entry, tag, never);
  };

  const flushAddress = mb.function('flushAddress', ['i64'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const never = fb.let(xor(and(va, i64(-PAGE_SIZE)), i64(PAGE_SIZE)));
    const index = fb.let(tlbEntryOffset(va));
    const codeIndex = fb.let(codeTlbEntryOffset(va));
    const half = fb.let(halfOf(va));
    const part = fb.let(partOf(va));
    forEachBank(fb, i32(tlbsOf(0)), cpuCount(), (bank) => {
      fb.if(ne(asidsOf(bank), i64(NO_ASID)), () => {
        const large = regimes
          .map((regime) => load('i64', add(bank, half), LARGE.at + regime.index * LARGE.stride))
          .reduce((a, b) => or(a, b));
        fb.if(
          ne(and(large, part), i64(0)),
          () => {
            // A large mapping stands in many entries, and a top byte may differ.
            fb.call(forget, bank);
          },
          () => {
            for (const mode of modes) {
              dropEntry(fb, add(add(bank, index), i32(tlbOfMode(mode))), never);
              const code = add(add(bank, codeIndex), i32(tlbOfMode(mode) + CODE_TLB_OFFSET));
              fb.store('i64', code, CODE_TLB.tag, never);
            }
          },
        );
      });
    });
  });

  const dropWriteTags = mb.function('dropWriteTags', ['i32'], 'none', (fb) => {
    const page = fb.get(fb.param(0, 'i32'));
    const entry = fb.temp('i32');
    const index = fb.temp('i32');
    forEachBank(fb, i32(tlbsOf(0)), cpuCount(), (bank) => {
      fb.if(ne(asidsOf(bank), i64(NO_ASID)), () => {
        for (const mode of modes) {
          fb.set(entry, add(bank, i32(tlbOfMode(mode))));
          fb.set(index, i32(0));
          fb.loop('entries', (next) => {
            // The tag of the neighbouring index matches nothing here; the next slow path fills the entry anew.
            const tag = wrap(load('i64', fb.get(entry), TLB.any));
            fb.if(eq(add(load('i32', fb.get(entry), TLB.host), tag), page), () => {
              dropEntry(fb, fb.get(entry), shl(extU(xor(fb.get(index), i32(1))), i64(PAGE_SHIFT)));
            });
            fb.set(entry, add(fb.get(entry), i32(TLB.stride)));
            fb.set(index, add(fb.get(index), i32(1)));
            fb.brIf(next, ltU(fb.get(index), i32(TLB.entries)));
          });
        }
      });
    });
  });

  const checkMaintenance = mb.function('checkMaintenance', ['i64', 'i32', 'i64'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const access = fb.get(fb.param(1, 'i32'));
    const pc = fb.get(fb.param(2, 'i64'));
    const entry = fb.let(call(probe, va, access, i32(REQUEST.cache), pc));
    fb.if(eqz(entry), () => {
      fb.return();
    });
    // DC IVAC is a store to the whole line; cleaning is no access. DDI0488 10.3.4 (watchpoints).
    fb.if(and(access, ne(and(load('i32', entry, TLB.flags), i32(TLB_FLAGS.watched)), i32(0))), () => {
      const line = and(va, i64(-LINE_BYTES));
      fb.drop(
        call(
          debug.checkWatchpoints,
          line,
          i32(LINE_BYTES),
          i32(1),
          i32(0),
          pc,
          i32(DC_ACCESS.maintenance),
          va,
        ),
      );
    });
  });

  const translate = mb.function('translate', ['i64', 'i32', 'i32', 'i64'], 'none', (fb) => {
    const va = fb.get(fb.param(0, 'i64'));
    const access = fb.get(fb.param(1, 'i32'));
    const code = fb.let(call(walk, va, access, fb.get(fb.param(2, 'i32'))));
    // An external abort on the walk is taken instead of reported. DDI0487 D8.14 (AT).
    const externalOnWalk = i32((FSC.externalOnWalk | 0x40) & ~3);
    fb.if(eq(and(code, i32(~3)), externalOnWalk), () => {
      fb.call(abort, va, code, access, fb.get(fb.param(3, 'i64')), i32(REQUEST.cache));
      fb.return();
    });
    fb.if(
      code,
      () => {
        // PAR_EL1.F, FST, and RES1 bit 11.
        setSysreg(fb, 'PAR_EL1', extU(or(shl(and(code, i32(0x3f)), i32(1)), i32(0x801))));
      },
      () => {
        // Device and non-cacheable memory is reported as outer shareable. DDI0487 D19.2.109 (PAR_EL1).
        const memory = fb.let(and(field32('WALK_ATTRIBUTES'), i32(0xff)));
        const isOuter = or(ltU(memory, i32(0x10)), eq(memory, i32(0x44)));
        const shareability = select(isOuter, i32(2), shrU(field32('WALK_ATTRIBUTES'), i32(8)));
        setSysreg(
          fb,
          'PAR_EL1',
          or(
            or(shl(extU(field32('WALK_PAGE')), i64(PAGE_SHIFT)), i64(1 << 11)),
            or(shl(extU(memory), i64(56)), shl(extU(shareability), i64(7))),
          ),
        );
      },
    );
  });

  return {
    slowLoad,
    slowStore,
    checkAtomic,
    checkStore,
    zeroBlock,
    fetch,
    selectAddressSpace,
    branchAddress,
    flushAll,
    flushEveryCpu,
    flushAddress,
    flushAsid,
    dropWriteTags,
    checkMaintenance,
    translate,
  };
}

/** log2 of the words of a DC ZVA block, as DCZID_EL0.BS has it. */
export const ZVA_LOG2_WORDS = 4;
/** Bytes of a DC ZVA block. */
export const ZVA_BYTES = 4 << ZVA_LOG2_WORDS;

/** Zeroes a DC ZVA block in host memory. */
export function zeroBlockAt(fb: FunctionBuilder, at: I32, displacement = 0): void {
  for (let n = 0; n < ZVA_BYTES; n += 16) fb.store('v128', at, displacement + n, v128(new Uint8Array(16)));
}
/** Bytes of a cache line, as CTR_EL0 has it. */
const LINE_BYTES = 64;
