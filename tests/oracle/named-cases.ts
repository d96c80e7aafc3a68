/**
 * Cases as people write them: a program, the registers and memory that matter before, and what it changes. Everything
 * that isn't named is zero, except SP and the register that a case leaves alone.
 */
import { invariant } from '#v8a/base/index.js';
import type { Batch, Result, State, Word } from './format.js';
import { AT, DATA_PAGES, ENDING, MEMORY_WORDS, PAGE_BYTES, STATE_WORDS, programAddress } from './format.js';

/** `x0` … `x30`, `sp`, `v0` … `v31`, `nzcv`, `fpcr`, `fpsr`; `[0x808]` is the doubleword there in the data pages. */
export type Values = Readonly<Record<string, bigint>>;

export interface NamedCase {
  /** What it shows. */
  readonly title: string;
  readonly words: readonly number[];
  readonly before: Values;
  /** What is different afterwards. */
  readonly after: Values;
  /** How it ends, and at which byte of the program, where it doesn't run to its end. */
  readonly ending?: keyof typeof ENDING;
  readonly stopsAt?: number;
  /** The CPU models it is for, by name; all where absent. */
  readonly cpus?: readonly string[];
  /** Where QEMU does otherwise: the clause that it departs from. */
  readonly departure?: string;
}

/** Programs of named cases are in the first slot. */
const SLOT = 0;
export const DEFAULT_SP = DATA_PAGES + BigInt(PAGE_BYTES / 2);

function wordsOf(name: string, value: bigint): Word[] {
  const numbered = /^([xv])(\d+)$/.exec(name);
  const n = Number(numbered?.[2]);
  if (numbered?.[1] === 'x') return [{ at: AT.x + n, value }];
  if (numbered?.[1] === 'v')
    return [
      { at: AT.v + 2 * n, value: BigInt.asUintN(64, value) },
      { at: AT.v + 2 * n + 1, value: value >> 64n },
    ];
  const offset = /^\[(0x[0-9a-f]+)\]$/.exec(name)?.[1];
  if (offset !== undefined) return [{ at: AT.memory + Number(offset) / 8, value }];
  invariant(name === 'sp' || name === 'nzcv' || name === 'fpcr' || name === 'fpsr', `a register: ${name}`);
  return [{ at: AT[name], value }];
}

function wordsOfAll(values: Values): Word[] {
  return Object.entries(values).flatMap(([name, value]) => wordsOf(name, value));
}

function baseState(): State {
  const state = new BigUint64Array(STATE_WORDS);
  state[AT.sp] = DEFAULT_SP;
  return state;
}

/** One run for each of the cases. */
export function batchOfNamed({ words, before }: NamedCase): Batch {
  return {
    programs: [{ slot: SLOT, words }],
    states: [baseState()],
    memory: new BigUint64Array(MEMORY_WORDS),
    runs: [{ program: 0, state: 0, overrides: wordsOfAll(before) }],
  };
}

/** What a runner should say of the case. */
export function expectedResult({ words, before, after, ending, stopsAt }: NamedCase): Result {
  const start = new Map(wordsOfAll(before).map(({ at, value }) => [at, value]));
  return {
    ending: ENDING[ending ?? 'end'],
    pc: programAddress(SLOT) + BigInt(stopsAt ?? 4 * words.length),
    changes: wordsOfAll(after)
      // A vector register is named whole when half of it changes.
      .filter(({ at, value }) => value !== (start.get(at) ?? (at === AT.sp ? DEFAULT_SP : 0n)))
      .sort((a, b) => a.at - b.at),
  };
}

function valuesOf(
  words: ReadonlyMap<number, bigint>,
  isWanted: (at: number) => boolean,
): Map<string, bigint> {
  const values = new Map<string, bigint>();
  for (const at of [...words.keys()].sort((a, b) => a - b)) {
    if (!isWanted(at)) continue;
    if (at < AT.sp) values.set(`x${at}`, words.get(at) ?? 0n);
    else if (at === AT.sp) values.set('sp', words.get(at) ?? 0n);
    else if (at < AT.nzcv) {
      const low = at - ((at - AT.v) & 1);
      values.set(`v${(low - AT.v) >> 1}`, ((words.get(low + 1) ?? 0n) << 64n) | (words.get(low) ?? 0n));
    } else if (at >= AT.memory) values.set(`[0x${(8 * (at - AT.memory)).toString(16)}]`, words.get(at) ?? 0n);
    else
      for (const name of ['nzcv', 'fpcr', 'fpsr'] as const)
        if (AT[name] === at) values.set(name, words.get(at) ?? 0n);
  }
  return values;
}

function literal(values: ReadonlyMap<string, bigint>): string {
  const text = [...values].map(
    ([name, value]) => `${name.startsWith('[') ? `'${name}'` : name}: 0x${value.toString(16)}n`,
  );
  return text.length === 0 ? '{}' : `{ ${text.join(', ')} }`;
}

/** A line for `cases.ts`. `start` has the words before, as `startOf` gives them. */
export function namedCaseLine(
  title: string,
  words: readonly number[],
  start: BigUint64Array,
  result: Result,
): string {
  const before = new Map<number, bigint>();
  start.forEach((value, at) => {
    if (value !== (at === AT.sp ? DEFAULT_SP : 0n)) before.set(at, value);
  });
  const after = new Map(before);
  for (const { at, value } of result.changes) after.set(at, value);
  const changed = new Set(result.changes.map(({ at }) => at));
  const ending = Object.entries(ENDING).find(([, number]) => number === result.ending)?.[0] ?? 'unexpected';
  const stop =
    result.ending === ENDING.end ? '' : `, ending: '${ending}', stopsAt: ${result.pc - programAddress(SLOT)}`;
  const hexWords = words.map((word) => `0x${word.toString(16).padStart(8, '0')}`).join(', ');
  return (
    `{ title: '${title}', words: [${hexWords}], before: ${literal(valuesOf(before, () => true))}, ` +
    `after: ${literal(valuesOf(after, (at) => changed.has(at)))}${stop} },`
  );
}
