/**
 * `npm run test:oracle`: compares instructions with QEMU in random cases, by as many worker processes as the host has
 * cores.
 *
 *     --cases N       cases of each definition and CPU model (2000)
 *     --rows TEXT     only definitions whose name contains it, upper or lower case
 *     --cpu MODEL     only this CPU model
 *     --seed N        other cases
 *     --jit always    translated code instead of the interpreter; random: regions of random extent, and the interpreter between them
 *     --jobs N        worker processes
 *     --state FOLDER  where to keep what has been done (v8a-oracle in the folder for temporary files)
 *     --resume        go on where a run with the same options was interrupted
 *     --report FILE   write what came out: FILE.json for programs, any other name for people; may be repeated
 *
 * Every difference is told with a line for `cases.ts`. The exit status is 1 where there is one.
 */
import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { coreImage } from '#v8a/vm/core-image.js';
import type { Outcome } from './check.js';
import { MODELS } from './check.js';
import { missingTool } from './qemu-user.js';
import { MAX_RUNS, subjectsOf } from './random-cases.js';
import { report, reportTable, summary } from './report.js';
import type { OracleJit } from './v8a.js';
import { ORACLE_JITS } from './v8a.js';
import type { Answer, Assignment, Unit } from './worker.js';

class Mistake extends Error {}

const OPTIONS = {
  cases: { type: 'string', default: '2000' },
  rows: { type: 'string', default: '' },
  cpu: { type: 'string' },
  seed: { type: 'string', default: '1' },
  jit: { type: 'string', default: 'off' },
  jobs: { type: 'string', default: `${availableParallelism()}` },
  state: { type: 'string', default: join(tmpdir(), 'v8a-oracle') },
  resume: { type: 'boolean', default: false },
  report: { type: 'string', multiple: true, default: [] as string[] },
} as const;

function parse(): ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'] {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    throw new Mistake(error instanceof Error ? error.message : String(error));
  }
}

function count(name: string, text: string | undefined, least: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least)
    throw new Mistake(`--${name} ${text}: a number from ${least}`);
  return value;
}

/** What has been done, line by line: first the options, then units with their outcomes. */
interface Done {
  readonly unit: Unit;
  readonly outcome: Outcome;
}

function unitKey({ cpu, subject, chunk }: Unit): string {
  return `${cpu}\n${subject}\n${chunk}`;
}

/** Changes when what is compared does. */
function fingerprint(): string {
  const hash = createHash('sha256');
  for (const model of MODELS) hash.update(coreImage(model).bytes);
  return hash.digest('hex').slice(0, 16);
}

class Journal {
  readonly #file: string;
  readonly done: Done[] = [];

  constructor(folder: string, options: Readonly<Record<string, unknown>>, isResumed: boolean) {
    mkdirSync(folder, { recursive: true });
    this.#file = join(folder, 'oracle.jsonl');
    const head = JSON.stringify(options);
    if (!isResumed) {
      writeFileSync(this.#file, `${head}\n`);
      return;
    }
    if (!existsSync(this.#file)) throw new Mistake(`--resume: there is no ${this.#file}`);
    const [first, ...lines] = readFileSync(this.#file, 'utf8').split('\n');
    if (first !== head)
      throw new Mistake(`--resume: ${this.#file} is of a run with ${first}, this one has ${head}`);
    // The last line ends early where the run was killed.
    for (const line of lines) if (line.endsWith('}')) this.done.push(JSON.parse(line) as Done);
  }

  add(done: Done): void {
    this.done.push(done);
    appendFileSync(this.#file, `${JSON.stringify(done)}\n`);
  }
}

function unitsOf(cpu: string | undefined, filter: string, cases: number): Unit[] {
  const models = MODELS.filter(({ name }) => cpu === undefined || name === cpu);
  if (models.length === 0) throw new Mistake(`--cpu ${cpu}: ${MODELS.map(({ name }) => name).join(' or ')}`);
  const units = models.flatMap((model) =>
    subjectsOf(model)
      .filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()))
      .flatMap(({ name }) =>
        Array.from({ length: Math.ceil(cases / MAX_RUNS) }, (_, chunk) => ({
          cpu: model.name,
          subject: name,
          chunk,
          cases: Math.min(MAX_RUNS, cases - chunk * MAX_RUNS),
        })),
      ),
  );
  if (units.length === 0)
    throw new Mistake(`--rows ${filter}: no definition that is compared has it in its name`);
  return units;
}

interface Progress {
  readonly total: number;
  readonly startMs: number;
  readonly before: number;
  done: number;
  mismatches: number;
}

function show(progress: Progress): void {
  if (!process.stderr.isTTY) return;
  const { total, done, before, mismatches, startMs } = progress;
  const seconds = (Date.now() - startMs) / 1000;
  const rate = (done - before) / Math.max(seconds, 0.001);
  const left = Math.ceil((total - done) / Math.max(rate, 1));
  process.stderr.write(
    `\r\x1b[K${done} of ${total} cases, ${Math.round(rate)} a second, ${left} s left, ${mismatches} mismatches`,
  );
}

/** Runs the units; comes back early with false when interrupted. */
async function runAll(
  units: readonly Unit[],
  seed: number,
  jit: OracleJit,
  jobs: number,
  onDone: (done: Done) => void,
): Promise<boolean> {
  let next = 0;
  let isInterrupted = false;
  process.once('SIGINT', () => (isInterrupted = true));
  process.once('SIGTERM', () => (isInterrupted = true));
  const workers: ChildProcess[] = [];
  const runWorker = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = fork(fileURLToPath(new URL('worker.js', import.meta.url)));
      workers.push(worker);
      let unit: Unit | undefined;
      const assign = (): void => {
        unit = isInterrupted ? undefined : units[next++];
        if (unit) worker.send({ seed, jit, unit } satisfies Assignment);
        else worker.disconnect();
      };
      worker.on('message', (message) => {
        const answer = message as Answer;
        if ('error' in answer) {
          reject(new Error(`${unit?.cpu} ${unit?.subject}: ${answer.error}`));
          return;
        }
        if (unit) onDone({ unit, outcome: answer.outcome });
        assign();
      });
      worker.on('error', reject);
      worker.on('exit', (code) => {
        if (code === 0) resolve();
        else reject(new Error(`a worker ended with ${code}`));
      });
      assign();
    });
  try {
    await Promise.all(Array.from({ length: Math.min(jobs, units.length) }, runWorker));
  } finally {
    for (const worker of workers) if (worker.connected) worker.disconnect();
  }
  return !isInterrupted;
}

async function main(): Promise<number> {
  const options = parse();
  const missing = missingTool();
  if (missing !== undefined) throw new Mistake(`${missing} is not installed`);
  const cases = count('cases', options.cases, 1);
  const seed = count('seed', options.seed, 0);
  const jit = ORACLE_JITS.find((policy) => policy === options.jit);
  if (jit === undefined) throw new Mistake(`--jit ${options.jit}: ${ORACLE_JITS.join(', ')}`);
  const jobs = count('jobs', options.jobs, 1);
  const filter = options.rows ?? '';
  const folder = options.state ?? '';
  const units = unitsOf(options.cpu, filter, cases);
  const core = fingerprint();
  const journal = new Journal(
    folder,
    { cases, seed, jit, rows: filter, cpu: options.cpu, core },
    options.resume === true,
  );
  const finished = new Set(journal.done.map(({ unit }) => unitKey(unit)));
  const casesOf = (some: readonly { readonly cases: number }[]): number =>
    some.reduce((sum, unit) => sum + unit.cases, 0);

  const before = casesOf(journal.done.map(({ outcome }) => outcome));
  const progress: Progress = {
    total: casesOf(units),
    done: before,
    before,
    mismatches: 0,
    startMs: Date.now(),
  };
  const rest = units.filter((unit) => !finished.has(unitKey(unit)));
  const isComplete = await runAll(rest, seed, jit, jobs, (done) => {
    journal.add(done);
    const { unit, outcome } = done;
    progress.done += outcome.cases;
    progress.mismatches += outcome.mismatches;
    if (outcome.examples.length > 0 && process.stderr.isTTY) process.stderr.write('\r\x1b[K');
    for (const { differences, line } of outcome.examples)
      console.log(`${unit.subject}, ${unit.cpu}: ${differences.join('; ')}\n    ${line}`);
    show(progress);
  });
  if (process.stderr.isTTY) process.stderr.write('\n');

  const results = report(journal.done);
  for (const file of options.report ?? [])
    writeFileSync(
      file,
      file.endsWith('.json') ? `${JSON.stringify(results, undefined, 1)}\n` : reportTable(results),
    );
  console.log(summary(results, (Date.now() - progress.startMs) / 1000, progress.done - before));
  if (!isComplete) console.log(`interrupted; go on with --resume`);
  return results.some(({ mismatches }) => mismatches > 0) || !isComplete ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof Mistake)) throw error;
  console.error(`test:oracle: ${error.message}`);
  process.exitCode = 2;
}
