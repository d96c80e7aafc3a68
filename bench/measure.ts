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

/** v8a's variants and QEMU in turns: the runs of a round had the same neighbours on the host. */
export interface Rounds {
  /** By variant, then by round. */
  readonly ours: readonly (readonly Run[])[];
  readonly theirs: readonly Run[];
}

/** What QEMU is called beside the variants' names. */
export const QEMU_NAME = 'QEMU TCG';

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
  if (status !== 0 || !dialogue.areAllMet)
    fail(
      `${command.join(' ')} ended with ${status}, after ${dialogue.met} of ${steps.length} steps:\n` +
        `${output.slice(-1000)}\n${errors}`,
    );
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

/** A round of each, in turns, after one that is not counted, so that all find their files cached. */
export async function alternate(
  runs: number,
  ours: readonly (() => Promise<Run>)[],
  theirs: () => Promise<Run>,
): Promise<Rounds> {
  const rounds: { ours: Run[]; theirs: Run }[] = [];
  for (let round = 0; round <= runs; round++) {
    const variants: Run[] = [];
    for (const variant of ours) variants.push(await variant());
    rounds.push({ ours: variants, theirs: await theirs() });
    process.stderr.write('.');
  }
  process.stderr.write('\n');
  const counted = rounds.slice(1);
  return {
    ours: ours.map((_, variant) => counted.flatMap((round) => round.ours[variant] ?? [])),
    theirs: counted.map((round) => round.theirs),
  };
}

/** QEMU's seconds over ours, round by round. */
function speeds(
  ours: readonly Run[],
  theirs: readonly Run[],
  pick: (run: Run) => number | undefined,
): number[] {
  return ours.map((run, round) => {
    const other = theirs[round];
    return (other ? (pick(other) ?? NaN) : NaN) / (pick(run) ?? NaN);
  });
}

/** Text in columns: the first has room for `v8a, node v20.20.2, --jit sync`, the others for a `spread`. */
export function columns(first: string, ...others: readonly string[]): string {
  return [first.padEnd(31), ...others.map((text) => text.padEnd(20))].join(' ').trimEnd();
}

/** The lines that every section has, `names` those of the variants. */
export function summary({ ours, theirs }: Rounds, names: readonly string[]): string[] {
  const instructions = ours[0]?.[0]?.instructions ?? NaN;
  const lines = (name: string, runs: readonly Run[]): string[] => {
    const wall = runs.map((run) => run.wallSeconds);
    const mips = Math.round(instructions / 1e6 / median(wall));
    const compared = (pick: (run: Run) => number | undefined): string =>
      runs === theirs ? '' : spread(speeds(runs, theirs, pick));
    return [
      columns(
        ...([name, spread(wall), spread(runs.map((run) => run.cpuSeconds))] as const),
        ...[`${mips}`, compared((run) => run.wallSeconds), compared((run) => run.cpuSeconds)],
      ),
      ...Object.keys(runs[0]?.marks ?? {}).map((mark) => {
        const pick = (run: Run): number | undefined => run.marks[mark];
        return columns(`  to ${mark}`, spread(runs.map((run) => pick(run) ?? NaN)), '', '', compared(pick));
      }),
    ];
  };
  return [
    `${instructions.toLocaleString('en')} guest instructions (counted by v8a)`,
    columns('', 'wall s', 'cpu s', 'MIPS by wall', 'speed by wall', 'speed by cpu'),
    ...names.flatMap((name, variant) => lines(name, ours[variant] ?? [])),
    ...lines(QEMU_NAME, theirs),
  ];
}
