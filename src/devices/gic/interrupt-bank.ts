import type { AccessSize } from '../../bus/index.js';
import { PRIORITY_MASK } from './priority.js';

/**
 * What a GIC keeps about each interrupt of a group of 32 × n: the SGIs and PPIs of one CPU, or all SPIs.
 * One bit each, 32 to a word, so that a word with nothing pending costs one test.
 */
export interface InterruptBank {
  readonly enabled: Uint32Array;
  /** Pending by an edge or by a register write; what an acknowledge clears. */
  readonly latched: Uint32Array;
  /** The input lines as they are now. */
  readonly level: Uint32Array;
  readonly active: Uint32Array;
  /** Edge-triggered (1) or level-sensitive (0). */
  readonly edge: Uint32Array;
  readonly group: Uint32Array;
  /** One byte each. */
  readonly priority: Uint8Array;
}

export function makeBank(words: number): InterruptBank {
  return {
    enabled: new Uint32Array(words),
    latched: new Uint32Array(words),
    level: new Uint32Array(words),
    active: new Uint32Array(words),
    edge: new Uint32Array(words),
    group: new Uint32Array(words),
    priority: new Uint8Array(words * 32),
  };
}

export function copyBank(bank: InterruptBank): InterruptBank {
  return {
    enabled: bank.enabled.slice(),
    latched: bank.latched.slice(),
    level: bank.level.slice(),
    active: bank.active.slice(),
    edge: bank.edge.slice(),
    group: bank.group.slice(),
    priority: bank.priority.slice(),
  };
}

/** The SGIs and PPIs of one CPU as after reset: SGIs are edge-triggered for good. */
export function makePrivateBank(): InterruptBank {
  const bank = makeBank(1);
  bank.edge[0] = SGI_BITS;
  return bank;
}

/** INTIDs 0–15 in the first word of a private bank. */
export const SGI_BITS = 0xffff;

/** A bank after reset that is still wired to the same lines. */
export function resetBank(fresh: InterruptBank, wired: InterruptBank): InterruptBank {
  return { ...fresh, level: wired.level.slice() };
}

/** Which interrupts of `word` are pending; a level-sensitive one also while its line is high. */
function pendingBits(bank: InterruptBank, word: number): number {
  return (bank.latched[word]! | (bank.level[word]! & ~bank.edge[word]!)) >>> 0;
}

/**
 * Which interrupts of `word` the distributor forwards: pending, enabled, not active, and of a group whose bit
 * in `groups` is set.
 */
export function forwardedBits(bank: InterruptBank, word: number, groups: number): number {
  const group = bank.group[word]!;
  const ofGroups = ((groups & 1) !== 0 ? ~group : 0) | ((groups & 2) !== 0 ? group : 0);
  return (pendingBits(bank, word) & bank.enabled[word]! & ~bank.active[word]! & ofGroups) >>> 0;
}

/** Takes a line's new level; true if the interrupt may have become or ceased to be pending. */
export function setLevel(bank: InterruptBank, index: number, level: boolean): boolean {
  const word = index >>> 5;
  const bit = 1 << (index & 31);
  if (((bank.level[word]! & bit) !== 0) === level) return false;
  bank.level[word]! ^= bit;
  const isEdge = (bank.edge[word]! & bit) !== 0;
  if (isEdge && level) bank.latched[word]! |= bit;
  return !isEdge || level;
}

export function groupOf(bank: InterruptBank, index: number): 0 | 1 {
  return ((bank.group[index >>> 5]! >>> (index & 31)) & 1) as 0 | 1;
}

export function setLatch(bank: InterruptBank, index: number, latched: boolean): void {
  setBit(bank.latched, index, latched);
}

export function setActive(bank: InterruptBank, index: number, active: boolean): void {
  setBit(bank.active, index, active);
}

function setBit(words: Uint32Array, index: number, value: boolean): void {
  if (value) words[index >>> 5]! |= 1 << (index & 31);
  else words[index >>> 5]! &= ~(1 << (index & 31));
}

/**
 * A pending interrupt as one number that is smaller the sooner it is to be taken: priority, then INTID.
 * 16 bits of INTID leave room for LPIs.
 */
export function candidate(priority: number, intid: number): number {
  return (priority << 16) | intid;
}

export function candidateIntid(value: number): number {
  return value & 0xffff;
}

export function candidatePriority(value: number): number {
  return value >>> 16;
}

/** The aspects of an interrupt that arrays of registers show, in both versions of the architecture alike. */
export type BankAspect =
  | 'group'
  | 'setEnable'
  | 'clearEnable'
  | 'setPending'
  | 'clearPending'
  | 'setActive'
  | 'clearActive'
  | 'priority'
  | 'configuration';

/** How many 32-bit registers it takes to show an aspect of 32 interrupts: bits of a field for each. */
export function registersPer32(aspect: BankAspect): number {
  if (aspect === 'priority') return 8;
  return aspect === 'configuration' ? 2 : 1;
}

/** Register `index` of an aspect of `bank`; zero past its end. */
export function readAspect(bank: InterruptBank, aspect: BankAspect, index: number): number {
  switch (aspect) {
    case 'group':
      return bank.group[index] ?? 0;
    case 'setEnable':
    case 'clearEnable':
      return bank.enabled[index] ?? 0;
    case 'setPending':
    case 'clearPending':
      return index < bank.latched.length ? pendingBits(bank, index) : 0;
    case 'setActive':
    case 'clearActive':
      return bank.active[index] ?? 0;
    case 'priority':
      return readFields(bank.priority, index * 4);
    case 'configuration': {
      const edge = ((bank.edge[index >>> 1] ?? 0) >>> ((index & 1) * 16)) & 0xffff;
      let value = 0;
      for (let i = 0; i < 16; i++) value |= ((edge >>> i) & 1) << (2 * i + 1);
      return value >>> 0;
    }
  }
}

/**
 * Writes the `size` bytes from byte `at` of an aspect of `bank`, whole registers of any but the priorities; does
 * nothing past its end (typed arrays drop such stores).
 */
export function writeAspect(
  bank: InterruptBank,
  aspect: BankAspect,
  at: number,
  size: AccessSize,
  value: number,
): void {
  const index = at >>> 2;
  switch (aspect) {
    case 'group':
      bank.group[index] = value;
      break;
    case 'setEnable':
      bank.enabled[index]! |= value;
      break;
    case 'clearEnable':
      bank.enabled[index]! &= ~value;
      break;
    case 'setPending':
      bank.latched[index]! |= value;
      break;
    case 'clearPending':
      bank.latched[index]! &= ~value;
      break;
    case 'setActive':
      bank.active[index]! |= value;
      break;
    case 'clearActive':
      bank.active[index]! &= ~value;
      break;
    case 'priority':
      writeFields(bank.priority, at, size, value, PRIORITY_MASK);
      break;
    case 'configuration': {
      const shift = (index & 1) * 16;
      let edge = 0;
      for (let i = 0; i < 16; i++) edge |= ((value >>> (2 * i + 1)) & 1) << i;
      const word = index >>> 1;
      bank.edge[word] = (bank.edge[word]! & ~(0xffff << shift)) | (edge << shift);
      break;
    }
  }
}

/** Four byte-sized fields of an array from `at`, as a word; zero past its end. */
export function readFields(fields: Uint8Array, at: number): number {
  let value = 0;
  for (let i = 3; i >= 0; i--) value = (value << 8) | (fields[at + i] ?? 0);
  return value >>> 0;
}

/** Writes the `size` fields from `at`, each masked; those past the end of the array are dropped. */
export function writeFields(
  fields: Uint8Array,
  at: number,
  size: AccessSize,
  value: number,
  mask: number,
): void {
  for (let i = 0; i < size; i++) fields[at + i] = (value >>> (8 * i)) & mask;
}
