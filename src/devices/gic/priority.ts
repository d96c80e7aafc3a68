import { lowestSetBit } from '../../base/index.js';

/**
 * Interrupt prioritisation in a CPU interface, the same in GICv2 and GICv3: IHI0048B 3.3, IHI0069 4.8.
 * Five bits of priority, as GIC-400 and the Cortex-A57's GICv3 interface have: 32 levels, one active
 * priorities register for each group.
 */
const PRIORITY_BITS = 5;

/** The implemented bits of a priority field; the others are RAZ/WI (IHI0048B 3.3.1, IHI0069 4.8). */
export const PRIORITY_MASK = (0xff << (8 - PRIORITY_BITS)) & 0xff;

/** ICC_CTLR_EL1.PRIbits is the number of bits less one. */
export const PRI_BITS_FIELD = PRIORITY_BITS - 1;

/** The smallest binary points that still have all implemented bits in the group priority. */
const MIN_BPR0 = 7 - PRIORITY_BITS;
const MIN_BPR1 = MIN_BPR0 + 1;

/** Lower than every priority: nothing is active. */
export const IDLE_PRIORITY = 0x100;

export interface PriorityState {
  /** Only interrupts of a priority above (numerically below) this one are signalled. */
  mask: number;
  /** GICC_BPR, ICC_BPR0_EL1. */
  bpr0: number;
  /** GICC_ABPR, ICC_BPR1_EL1. */
  bpr1: number;
  /** Active group priorities, one bit for each level, of Group 0. */
  apr0: number;
  apr1: number;
}

export function makePriorityState(): PriorityState {
  return { mask: 0, bpr0: MIN_BPR0, bpr1: MIN_BPR1, apr0: 0, apr1: 0 };
}

export function writeBinaryPoint(state: PriorityState, group: 0 | 1, value: number): void {
  if (group === 0) state.bpr0 = Math.max(value & 7, MIN_BPR0);
  else state.bpr1 = Math.max(value & 7, MIN_BPR1);
}

/** The part of a priority that decides about preemption. Group 1's own binary point counts from one higher. */
function groupPriority(state: PriorityState, group: 0 | 1, isCommonBpr: boolean, priority: number): number {
  const binaryPoint = group === 1 && !isCommonBpr ? state.bpr1 - 1 : state.bpr0;
  return priority & (0xff << (binaryPoint + 1));
}

/** The highest active group priority, or `IDLE_PRIORITY`. */
function runningPriority(state: PriorityState): number {
  const active = state.apr0 | state.apr1;
  return active === 0 ? IDLE_PRIORITY : lowestSetBit(active) << (8 - PRIORITY_BITS);
}

/** What the running priority registers show: 0xff when idle. */
export function runningPriorityField(state: PriorityState): number {
  return Math.min(runningPriority(state), 0xff);
}

/** Whether a pending interrupt is to be signalled, over the mask and over what is active. */
export function isSufficient(
  state: PriorityState,
  group: 0 | 1,
  isCommonBpr: boolean,
  priority: number,
): boolean {
  if (priority >= state.mask) return false;
  // Both sides by the pending interrupt's binary point, or a coarse one would let it preempt higher priorities.
  const running = groupPriority(state, group, isCommonBpr, runningPriority(state));
  return groupPriority(state, group, isCommonBpr, priority) < running;
}

/** An interrupt is acknowledged: its group priority becomes active. */
export function activatePriority(
  state: PriorityState,
  group: 0 | 1,
  isCommonBpr: boolean,
  priority: number,
): void {
  const bit = 1 << (groupPriority(state, group, isCommonBpr, priority) >>> (8 - PRIORITY_BITS));
  if (group === 0) state.apr0 = (state.apr0 | bit) >>> 0;
  else state.apr1 = (state.apr1 | bit) >>> 0;
}

/** Priority drop: the highest active priority of `group` ceases to be active. False if there is none. */
export function dropPriority(state: PriorityState, group: 0 | 1): boolean {
  const active = group === 0 ? state.apr0 : state.apr1;
  if (active === 0) return false;
  const remaining = (active & (active - 1)) >>> 0;
  if (group === 0) state.apr0 = remaining;
  else state.apr1 = remaining;
  return true;
}

/** The group of the highest active priority; Group 0 at equal ones. */
export function highestActiveGroup(state: PriorityState): 0 | 1 | undefined {
  if ((state.apr0 | state.apr1) === 0) return undefined;
  if (state.apr1 === 0) return 0;
  return state.apr0 !== 0 && lowestSetBit(state.apr0) <= lowestSetBit(state.apr1) ? 0 : 1;
}
