/** Compares a part of a subject's cases. */
import type { CpuModel } from '#v8a/cpu/models.js';
import { CPU_MODELS } from '#v8a/cpu/models.js';
import { compareResults } from './compare.js';
import { departureOf } from './departures.js';
import { runOf } from './format.js';
import { QemuUser } from './qemu-user.js';
import type { Subject } from './random-cases.js';
import { batchSeed } from './random-cases.js';
import type { Pair } from './reduce.js';
import { programText, reduceRun } from './reduce.js';
import type { OracleJit } from './v8a.js';
import { V8a } from './v8a.js';

/** The CPU models that are compared; QEMU has them under the same names. */
export { CPU_MODELS as MODELS };

export interface Outcome {
  readonly cases: number;
  /** Cases with a difference that nothing explains. */
  readonly mismatches: number;
  /** The first of them. */
  readonly examples: readonly Example[];
  /** Cases in which QEMU departs from the Arm ARM, by title. */
  readonly departures: Readonly<Record<string, number>>;
}

export interface Example {
  readonly differences: readonly string[];
  /** For `cases.ts`, with what QEMU does; or why there is none. */
  readonly line: string;
}

const NOT_ALONE = 'different only after the runs before it: something was left behind';

/** Differences that are told in full. */
const EXAMPLES = 3;

export function openPair(model: CpuModel, jit: OracleJit = 'off'): Pair {
  return { model, v8a: new V8a(model, jit), qemu: new QemuUser(model) };
}

/** `runs` cases; `chunk` numbers the parts of a subject. */
export async function check(
  pair: Pair,
  subject: Subject,
  seed: number,
  chunk: number,
  runs: number,
): Promise<Outcome> {
  const batch = subject.batch(batchSeed(seed, subject.name, chunk), runs);
  // QEMU works while v8a does.
  const theirs = pair.qemu.run(batch);
  const ours = pair.v8a.run(batch);
  const departures: Record<string, number> = {};
  const unexplained = compareResults(batch, ours, await theirs).filter((mismatch) => {
    const departure = departureOf(batch, mismatch);
    if (departure) departures[departure.title] = (departures[departure.title] ?? 0) + 1;
    return !departure;
  });
  const examples: Example[] = [];
  for (const { run, differences } of unexplained.slice(0, EXAMPLES))
    examples.push({
      differences,
      line: (await reduceRun(pair, batch, run)) ?? `${programText(runOf(batch, run).words)}: ${NOT_ALONE}`,
    });
  return { cases: runs, mismatches: unexplained.length, examples, departures };
}
