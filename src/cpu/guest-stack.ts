/**
 * Where the guest is, for profilers: read between two instructions, and nothing that the guest could notice is touched.
 * Calls are followed by frame records (AAPCS64 6.4.6), which compilers keep unless they are told otherwise.
 */
import type { GuestMemory } from './guest-memory.js';
import { PAGE_SIZE, STATE } from './layout.js';
import { sysregAddress } from './state.js';

/** Memory of the guest, and where the host has it. */
export interface GuestRegion {
  readonly base: number;
  readonly sizeBytes: number;
  readonly hostAddress: number;
}

export interface GuestStack {
  readonly cpu: number;
  readonly exceptionLevel: number;
  /** The table that translates the lower half of addresses, as a process has one of its own; 0 where nothing is translated. */
  readonly space: bigint;
  readonly pc: bigint;
  /** The instruction before the one that X30 points to: the call of this function, unless it has made calls itself. */
  readonly link: bigint;
  /** The call instructions that led here, the innermost first, without that of a function that has no frame record. */
  readonly calls: readonly bigint[];
}

/** Frame records that are followed at the most. */
const MAX_CALLS = 96;
const INSTRUCTION_BYTES = 4n;
const FP = 29;
const LR = 30;

const SCTLR_M = 1n;
/** TCR_ELx, DDI0487 D19.2.142: sizes of granules, by the values of TG0 and TG1. */
const GRANULE_SHIFTS_0 = [12, 16, 14] as const;
const GRANULE_SHIFTS_1 = [undefined, 14, 12, 16] as const;
const TABLE_ADDRESS = 0xffff_ffff_fffen;
const DESCRIPTOR_BYTES = 8;
/** Descriptors of kinds: DDI0487 D8.3. */
const VALID = 1;
const TABLE_OR_PAGE = 2;
/** The half of a descriptor that has bits 47:32 of an address, and the bits of the other half that have the rest. */
const ADDRESS_HIGH = 0xffff;
const ADDRESS_LOW = 0xffff_f000;

export class GuestStackReader {
  readonly #view: DataView;
  readonly #regions: readonly GuestRegion[];
  /** Host addresses of pages that the current stack has needed. */
  readonly #pages = new Map<bigint, number | undefined>();

  /** `regions` may grow. */
  constructor({ view }: GuestMemory, regions: readonly GuestRegion[]) {
    this.#view = view;
    this.#regions = regions;
  }

  /** Of the CPU whose turn it is; `executing` is the host address of an instruction that the interpreter is at, if it is. */
  read(executing?: number): GuestStack {
    this.#pages.clear();
    const calls: bigint[] = [];
    for (let record = this.#x(FP); record !== 0n && record % 8n === 0n && calls.length < MAX_CALLS;) {
      const at = this.hostAddress(record);
      if (at === undefined || (at % PAGE_SIZE) + 16 > PAGE_SIZE) break;
      const returnAddress = this.#view.getBigUint64(at + 8, true);
      if (returnAddress === 0n) break;
      calls.push(returnAddress - INSTRUCTION_BYTES);
      const next = this.#view.getBigUint64(at, true);
      if (next === record) break;
      record = next;
    }
    return {
      cpu: this.#view.getInt32(STATE.CPU.at, true),
      exceptionLevel: this.#exceptionLevel,
      space: this.#isTranslated ? this.#register('TTBR0') & TABLE_ADDRESS : 0n,
      pc:
        executing === undefined
          ? this.#view.getBigUint64(STATE.PC.at, true)
          : BigInt.asUintN(64, this.#view.getBigUint64(STATE.DELTA.at, true) + BigInt(executing)),
      link: BigInt.asUintN(64, this.#x(LR) - INSTRUCTION_BYTES),
      calls,
    };
  }

  /** The instruction word at a virtual address, as the CPU sees it since the last `read`. */
  word(address: bigint): number | undefined {
    const at = address % INSTRUCTION_BYTES === 0n ? this.hostAddress(address) : undefined;
    return at === undefined ? undefined : this.#view.getUint32(at, true);
  }

  /** Where the host has what is at a virtual address; undefined where there is no memory. */
  hostAddress(address: bigint): number | undefined {
    const offset = Number(address % BigInt(PAGE_SIZE));
    const page = address - BigInt(offset);
    if (!this.#pages.has(page)) this.#pages.set(page, this.#hostPage(page));
    const host = this.#pages.get(page);
    return host === undefined ? undefined : host + offset;
  }

  #hostPage(page: bigint): number | undefined {
    const address = this.#isTranslated ? this.#walk(page) : Number(page);
    return address === undefined ? undefined : this.#hostOf(address);
  }

  #x(index: number): bigint {
    return this.#view.getBigUint64(STATE.X.at + index * 8, true);
  }

  get #exceptionLevel(): number {
    return this.#view.getInt32(STATE.EL.at, true);
  }

  /** A register of the translation regime in use. */
  #register(name: 'SCTLR' | 'TCR' | 'TTBR0' | 'TTBR1'): bigint {
    const isOfEl2 = this.#exceptionLevel === 2 || this.#view.getInt32(STATE.HOST.at, true) !== 0;
    return this.#view.getBigUint64(sysregAddress(`${name}_EL${isOfEl2 ? 2 : 1}`), true);
  }

  get #isTranslated(): boolean {
    return (this.#register('SCTLR') & SCTLR_M) !== 0n;
  }

  #hostOf(address: number): number | undefined {
    for (const { base, sizeBytes, hostAddress } of this.#regions) {
      const offset = address - base;
      if (offset >= 0 && offset < sizeBytes) return hostAddress + offset;
    }
    return undefined;
  }

  /** Physical address of a page. Permissions don't matter: what the guest has made reachable is shown. */
  #walk(page: bigint): number | undefined {
    const tcr = this.#register('TCR');
    const isUpper = ((page >> 55n) & 1n) === 1n;
    // EL2 without a host has no upper half.
    if (isUpper && this.#exceptionLevel === 2 && this.#view.getInt32(STATE.E2H.at, true) === 0)
      return undefined;
    const field = (at: bigint, bits: bigint): number => Number((tcr >> at) & ((1n << bits) - 1n));
    const granuleShift = isUpper ? GRANULE_SHIFTS_1[field(30n, 2n)] : GRANULE_SHIFTS_0[field(14n, 2n)];
    if (granuleShift === undefined) return undefined;
    const inputBits = 64 - field(isUpper ? 16n : 0n, 6n);
    const levelBits = granuleShift - 3;
    const levels = Math.ceil((inputBits - granuleShift) / levelBits);
    let shift = granuleShift + (levels - 1) * levelBits;
    // 48 bits at the most.
    let rest = Number(BigInt.asUintN(inputBits, page));
    let table = Number(this.#register(isUpper ? 'TTBR1' : 'TTBR0') & TABLE_ADDRESS);
    for (;;) {
      const size = 2 ** shift;
      const index = Math.floor(rest / size);
      rest -= index * size;
      const at = this.#hostOf(table + index * DESCRIPTOR_BYTES);
      if (at === undefined) return undefined;
      const low = this.#view.getUint32(at, true);
      if ((low & VALID) === 0) return undefined;
      const high = this.#view.getUint32(at + 4, true) & ADDRESS_HIGH;
      const address = high * 2 ** 32 + ((low & ADDRESS_LOW) >>> 0);
      if (shift === granuleShift || (low & TABLE_OR_PAGE) === 0) {
        // Blocks are on the other levels.
        if (shift === granuleShift && (low & TABLE_OR_PAGE) === 0) return undefined;
        return address - (address % size) + rest;
      }
      table = address - (address % 2 ** granuleShift);
      shift -= levelBits;
    }
  }
}
