/** Timing of whole processes, v8a and QEMU in turns, and what the figures are printed with. */
import { spawn } from 'node:child_process';

import { statistics } from '../tests/support/cli.js';
import { Steps, type Step } from '../tests/support/steps.js';

/** One process from start to end. */
export interface Run {
  /** Until its last step was met, or its end where it has none. */
  readonly wallSeconds: number;
  /** User and system time of all its threads, start to end: what a host with other work to do pays. */
  readonly cpuSeconds: number;
  /** When each step with a `mark` was met, in seconds of the wall from the start. */
  readonly marks: Readonly<Record<string, number>>;
  readonly output: string;
  /** v8a's own count; QEMU has none. */
  readonly instructions?: number;
}

/** Alternating runs: `ours[i]` and `theirs[i]` had the same neighbours on the host. */
export interface Pairs {
  readonly ours: Run[];
  readonly theirs: Run[];
}

/** A step of a dialogue; `mark` names the moment at which it was met. */
export type MarkedStep = Step & { readonly mark?: string };

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? NaN)) / 2;
}

export function fail(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(1);
}

/** `0.98 (0.95–1.02)`: the median and the range. */
export function spread(values: readonly number[], digits = 2): string {
  const range = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(digits));
  return `${median(values).toFixed(digits)} (${range.join('–')})`;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Runs to the end under the shell's `time`, which also counts threads that are gone. */
export async function timed(command: readonly string[], steps: readonly MarkedStep[] = []): Promise<Run> {
  const child = spawn('bash', ['-c', 'TIMEFORMAT="cpu %U %S"; time "$@"', 'bench', ...command], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const start = performance.now();
  let end: number | undefined;
  let errors = '';
  const marks: Record<string, number> = {};
  const dialogue = new Steps(steps, ({ mark, send }) => {
    const now = performance.now();
    if (mark !== undefined) marks[mark] = (now - start) / 1000;
    if (dialogue.areAllMet) end = now;
    if (send !== undefined) child.stdin.write(send);
  });
  child.stdin.on('error', () => undefined);
  if (steps.length === 0) child.stdin.end();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    dialogue.printed(text);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const { output } = dialogue;
  const wallSeconds = ((end ?? performance.now()) - start) / 1000;
  if (status !== 0) fail(`${command.join(' ')} ended with ${status}:\n${output.slice(-1000)}\n${errors}`);
  const cpu = /^cpu ([\d.]+) ([\d.]+)$/m.exec(errors);
  const instructions = statistics(errors).get('instructions');
  return {
    wallSeconds,
    cpuSeconds: Number(cpu?.[1]) + Number(cpu?.[2]),
    marks,
    output,
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/** Ours and theirs in turns, after one of each that is not counted, so that both find their files cached. */
export async function alternate(
  runs: number,
  ours: () => Promise<Run>,
  theirs: () => Promise<Run>,
): Promise<Pairs> {
  await ours();
  await theirs();
  const pairs: Pairs = { ours: [], theirs: [] };
  for (let run = 0; run < runs; run++) {
    pairs.ours.push(await ours());
    pairs.theirs.push(await theirs());
    process.stderr.write('.');
  }
  process.stderr.write('\n');
  return pairs;
}

/** Room for `v8a, node v20.20.2, --jit sync`. */
const NAME_WIDTH = 32;

/** The lines that every pair of runs has. */
export function summary(pairs: Pairs, names: readonly [ours: string, theirs: string]): string[] {
  const { ours, theirs } = pairs;
  const instructions = ours[0]?.instructions ?? NaN;
  const mips = (seconds: readonly number[]): string =>
    `${Math.round(instructions / 1e6 / median(seconds))}`.padStart(6);
  const line = (name: string, runs: readonly Run[]): string => {
    const wall = runs.map((run) => run.wallSeconds);
    const cpu = runs.map((run) => run.cpuSeconds);
    return [
      name.padEnd(NAME_WIDTH),
      spread(wall).padEnd(22),
      spread(cpu).padEnd(22),
      `${mips(wall)} by wall ${mips(cpu)} by cpu`,
    ].join('');
  };
  const ratio = (pick: (run: Run) => number): string =>
    spread(ours.map((run, index) => pick(theirs[index] ?? run) / pick(run)));
  return [
    `${instructions.toLocaleString('en')} guest instructions (counted by v8a)`,
    `${''.padEnd(NAME_WIDTH)}${'wall s'.padEnd(22)}${'cpu s'.padEnd(22)}  MIPS`,
    line(names[0], ours),
    line(names[1], theirs),
    `speed, QEMU = 1: ${ratio((run) => run.wallSeconds)} by wall, ${ratio((run) => run.cpuSeconds)} by cpu`,
    ...Object.keys(ours[0]?.marks ?? {}).map((mark) => {
      const [our = [], their = []] = [ours, theirs].map((runs) => runs.map((run) => run.marks[mark] ?? NaN));
      return `  ${mark.padEnd(NAME_WIDTH - 2)}${spread(our).padEnd(22)}${spread(their).padEnd(22)}  wall s, v8a and QEMU`;
    }),
  ];
}
