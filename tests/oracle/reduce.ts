/** Makes of a run with a difference the smallest one that still shows it: a line for `cases.ts`. */
import type { CpuModel } from '#v8a/cpu/models.js';
import { disassemble } from '#v8a/isa/disassemble.js';
import { compareResults } from './compare.js';
import type { Batch, Word } from './format.js';
import { AT, STATE_WORDS, decodeResult, programAddress, runOf, startOf } from './format.js';
import { DEFAULT_SP, namedCaseLine } from './named-cases.js';
import type { QemuUser } from './qemu-user.js';
import type { V8a } from './v8a.js';

/** Both runners, for the same CPU model. */
export interface Pair {
  readonly model: CpuModel;
  readonly v8a: V8a;
  readonly qemu: QemuUser;
}

/** Runs of the program from `start`, changed as each of `variants` says. */
function variantsOf(
  words: readonly number[],
  start: BigUint64Array,
  variants: readonly (readonly Word[])[],
): Batch {
  return {
    programs: [{ slot: 0, words }],
    states: [start.slice(0, STATE_WORDS)],
    memory: start.slice(AT.memory),
    runs: variants.map((overrides) => ({ program: 0, state: 0, overrides })),
  };
}

/** The variants that still show a difference. */
async function stillDifferent({ v8a, qemu }: Pair, batch: Batch): Promise<Set<number>> {
  const theirs = await qemu.run(batch);
  return new Set(compareResults(batch, v8a.run(batch), theirs).map(({ run }) => run));
}

/** What a word is in a named case that doesn't mention it. */
function usual(at: number): bigint {
  return at === AT.sp ? DEFAULT_SP : 0n;
}

export function programText(words: readonly number[]): string {
  return words
    .map((word, i) => disassemble(word, programAddress(0) + 4n * BigInt(i)).replaceAll('\t', ' '))
    .join('; ');
}

/** The line, with what QEMU does; undefined where the run shows no difference without those before it. */
export async function reduceRun(pair: Pair, batch: Batch, index: number): Promise<string | undefined> {
  const run = runOf(batch, index);
  let start = startOf(batch, run);
  const candidates = [...start.keys()].filter((at) => start[at] !== usual(at));
  const without = candidates.map((at): readonly Word[] => [{ at, value: usual(at) }]);
  const alone = await stillDifferent(pair, variantsOf(run.words, start, [[], ...without]));
  if (!alone.has(0)) return undefined;
  // First all that matter to none, then one after the other.
  const idle = candidates.filter((_, i) => alone.has(i + 1));
  const together = idle.map((at) => ({ at, value: usual(at) }));
  const isEnough = (await stillDifferent(pair, variantsOf(run.words, start, [together]))).has(0);
  for (const at of idle) {
    const reduced = start.slice();
    reduced[at] = usual(at);
    if (isEnough || (await stillDifferent(pair, variantsOf(run.words, reduced, [[]]))).has(0))
      start = reduced;
  }
  const result = decodeResult(await pair.qemu.run(variantsOf(run.words, start, [[]])), 0);
  return namedCaseLine(programText(run.words), run.words, start, result);
}
