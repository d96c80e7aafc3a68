/** Rows that programs under qemu-aarch64 cannot judge, why, and what does instead. */
import type { Row } from '#v8a/isa/row.js';

interface Exemption {
  readonly names: RegExp;
  readonly why: string;
  /** The tests that cover the rows. */
  readonly instead: string;
}

const EXEMPTIONS: readonly Exemption[] = [
  {
    names: /^(SVC|HVC|SMC|BRK|HLT)\b/,
    why: 'reach the operating system, the firmware or a debugger',
    instead: 'tests/system: exceptions, psci',
  },
  {
    names: /^ERET\b/,
    why: 'undefined at EL0',
    instead: 'tests/system: exceptions; every case here begins with it',
  },
  {
    names: /^(MSR|MRS|SYS|SYSL)\b/,
    why: 'Linux traps and emulates part of the registers, most of the others are undefined at EL0',
    instead: 'tests/system; a subject of its own has those that are EL0’s',
  },
  { names: /^(YIELD|HINT)\b/, why: 'may wait or give way', instead: 'tests/system: interrupts' },
];

/** Why a row isn't compared, or undefined where it is. */
export function notComparedBecause(row: Row): Exemption | undefined {
  return EXEMPTIONS.find(({ names }) => names.test(row.name));
}
