/** A worker process of `npm run test:oracle`: gets a part of the work at a time, answers with its outcome. */
import type { Outcome } from './check.js';
import { MODELS, check, openPair } from './check.js';
import type { Subject } from './random-cases.js';
import { subjectsOf } from './random-cases.js';
import type { Pair } from './reduce.js';
import type { OracleJit } from './v8a.js';

/** A part of a subject's cases. */
export interface Unit {
  readonly cpu: string;
  readonly subject: string;
  readonly chunk: number;
  readonly cases: number;
}

export interface Assignment {
  readonly seed: number;
  readonly jit: OracleJit;
  readonly unit: Unit;
}

export type Answer = { readonly outcome: Outcome } | { readonly error: string };

interface Bench {
  readonly pair: Pair;
  readonly subjects: ReadonlyMap<string, Subject>;
}

function openBench(cpu: string, jit: OracleJit): Bench {
  const model = MODELS.find(({ name }) => name === cpu);
  if (!model) throw new Error(`no CPU model ${cpu}`);
  return { pair: openPair(model, jit), subjects: new Map(subjectsOf(model).map((s) => [s.name, s])) };
}

function work(): void {
  const benches = new Map<string, Bench>();
  const run = async ({ seed, jit, unit }: Assignment): Promise<Answer> => {
    const bench = benches.get(unit.cpu) ?? openBench(unit.cpu, jit);
    benches.set(unit.cpu, bench);
    const subject = bench.subjects.get(unit.subject);
    if (!subject) return { error: `nothing is called ${unit.subject}` };
    try {
      return { outcome: await check(bench.pair, subject, seed, unit.chunk, unit.cases) };
    } catch (error) {
      // The next unit gets a new QEMU; this one would keep the worker alive.
      benches.delete(unit.cpu);
      void bench.pair.qemu.close();
      return { error: String(error) };
    }
  };
  process.on('message', (message) => {
    void run(message as Assignment).then((answer) => process.send?.(answer));
  });
  process.on('disconnect', () => {
    for (const { pair } of benches.values()) void pair.qemu.close();
  });
  // The parent decides what an interrupt means.
  process.on('SIGINT', () => undefined);
}

if (process.send) work();
