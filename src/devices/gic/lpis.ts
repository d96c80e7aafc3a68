/**
 * Locality-specific peripheral interrupts as a redistributor has them: Arm IHI 0069H, 5.1.
 *
 * Which LPIs are enabled and at which priority is in a table in guest memory; it is read when an LPI becomes pending and
 * when it is invalidated. Which are pending is kept here while LPIs are enabled, for one INTID each at most, and in the
 * guest's pending table before and after.
 */
import { deepCopy } from '../../base/index.js';
import type { DmaPort } from '../../bus/index.js';
import * as bank from './interrupt-bank.js';
import { PRIORITY_MASK } from './priority.js';

/** INTIDs of LPIs, from 8,192 to what GICD_TYPER.IDbits says (2.2). */
export const FIRST_LPI = 8192;
export const INTID_BITS = 16;

/** What an ITS does with LPIs. CPUs by processor number, as in GICR_TYPER. */
export interface LpiPort {
  readonly cpuCount: number;
  setPending(cpu: number, intid: number, isPending: boolean): void;
  /** One that is pending for one CPU is for another. */
  move(from: number, to: number, intid: number): void;
  moveAll(from: number, to: number): void;
  /** The guest has changed the configuration. */
  invalidate(cpu: number, intid: number): void;
  invalidateAll(cpu: number): void;
  /** Signals to the CPUs what the calls before have changed. */
  update(): void;
}

/** A 64-bit register, low word first. */
type Pair = [low: number, high: number];

export interface LpiState {
  /** GICR_CTLR.EnableLPIs. */
  isEnabled: boolean;
  /** GICR_PROPBASER, GICR_PENDBASER. */
  readonly configurationBase: Pair;
  readonly pendingBase: Pair;
  /** INTIDs to the byte of their configuration. */
  pending: Map<number, number>;
  /** These bytes have to be read again. */
  isStale: boolean;
}

/** Bits of GICR_PROPBASER and GICR_PENDBASER that can be read back (12.11). */
export const CONFIGURATION_BASE_MASKS = [0xffff_ff9f, 0x070f_ffff] as const;
export const PENDING_BASE_MASKS = [0xffff_0f80, 0x070f_ffff] as const;

/** A byte of the configuration table (5.1.1). */
const CONFIGURATION_ENABLE = 1;

export function makeLpiState(): LpiState {
  return {
    isEnabled: false,
    configurationBase: [0, 0],
    pendingBase: [0, 0],
    pending: new Map(),
    isStale: false,
  };
}

export function copyLpiState(state: LpiState): LpiState {
  return deepCopy(state);
}

/** GICR_CTLR.EnableLPIs: takes the pending state from memory, or puts it there. */
export function enableLpis(state: LpiState, isEnabled: boolean, dma: DmaPort): void {
  if (state.isEnabled === isEnabled) return;
  const bits = new Uint8Array(lpiCount(state) / 8);
  // The first INTIDs are no LPIs; what is in their place in the table is nobody's.
  const address =
    (state.pendingBase[1] & 0xf_ffff) * 2 ** 32 + maskedLow(state.pendingBase, 16) + FIRST_LPI / 8;
  if (isEnabled) {
    state.pending.clear();
    if (bits.length > 0 && dma.read(address, bits)) {
      for (const [index, byte] of bits.entries()) {
        for (let bit = 0; bit < 8; bit++) {
          if (((byte >>> bit) & 1) !== 0) state.pending.set(FIRST_LPI + 8 * index + bit, 0);
        }
      }
    }
    state.isStale = true;
  } else {
    for (const intid of state.pending.keys()) bits[(intid - FIRST_LPI) >>> 3]! |= 1 << (intid & 7);
    if (bits.length > 0) dma.write(address, bits);
    state.pending.clear();
  }
  state.isEnabled = isEnabled;
}

/** Whether the redistributor takes the LPI. */
export function isLpi(state: LpiState, intid: number): boolean {
  return state.isEnabled && intid >= FIRST_LPI && intid < FIRST_LPI + lpiCount(state);
}

export function setLpiPending(state: LpiState, intid: number, isPending: boolean, dma: DmaPort): void {
  if (!isPending) state.pending.delete(intid);
  else if (isLpi(state, intid) && !state.pending.has(intid)) {
    state.pending.set(intid, readConfiguration(state, intid, dma));
  }
}

export function moveLpi(from: LpiState, to: LpiState, intid: number, dma: DmaPort): void {
  if (!isLpi(from, intid) || !isLpi(to, intid) || !from.pending.delete(intid)) return;
  setLpiPending(to, intid, true, dma);
}

export function moveAllLpis(from: LpiState, to: LpiState, dma: DmaPort): void {
  if (from === to || !from.isEnabled || !to.isEnabled) return;
  if (to.pending.size === 0 && lpiCount(from) === lpiCount(to)) {
    // However many there are, and however often: no work.
    [from.pending, to.pending] = [to.pending, from.pending];
    to.isStale = true;
    return;
  }
  for (const intid of from.pending.keys()) setLpiPending(to, intid, true, dma);
  from.pending.clear();
}

export function invalidateLpi(state: LpiState, intid: number, dma: DmaPort): void {
  if (state.pending.has(intid)) state.pending.set(intid, readConfiguration(state, intid, dma));
}

/** The pending and enabled LPI of the highest priority, as a candidate, or `none`. */
export function bestLpi(state: LpiState, none: number, dma: DmaPort): number {
  if (state.isStale) refresh(state, dma);
  let best = none;
  for (const [intid, configuration] of state.pending) {
    if ((configuration & CONFIGURATION_ENABLE) === 0) continue;
    best = Math.min(best, bank.candidate(configuration & PRIORITY_MASK, intid));
  }
  return best;
}

function refresh(state: LpiState, dma: DmaPort): void {
  const table = new Uint8Array(lpiCount(state));
  const isWhole = state.pending.size > 0 && dma.read(configurationAddress(state), table);
  for (const intid of state.pending.keys()) {
    state.pending.set(intid, isWhole ? table[intid - FIRST_LPI]! : readConfiguration(state, intid, dma));
  }
  state.isStale = false;
}

/** Zero, not enabled, where it is no memory. */
function readConfiguration(state: LpiState, intid: number, dma: DmaPort): number {
  const byte = new Uint8Array(1);
  return dma.read(configurationAddress(state) + intid - FIRST_LPI, byte) ? byte[0]! : 0;
}

function configurationAddress({ configurationBase }: LpiState): number {
  return (configurationBase[1] & 0xf_ffff) * 2 ** 32 + maskedLow(configurationBase, 12);
}

/** How many LPIs GICR_PROPBASER.IDbits leaves: none below 14 bits (12.11). */
function lpiCount({ configurationBase }: LpiState): number {
  const idBits = Math.min((configurationBase[0] & 0x1f) + 1, INTID_BITS);
  return Math.max(0, 2 ** idBits - FIRST_LPI);
}

function maskedLow([low]: Pair, zeros: number): number {
  return Math.floor(low / 2 ** zeros) * 2 ** zeros;
}
