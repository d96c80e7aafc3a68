/** Runs the command as a user does: another process, its files, its exit status. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { endWithTests } from './child.js';

/** The compiled command, whose modules tests see as they are. */
export const V8A_MAIN = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
/** The command that users have: the same in one file. */
export const V8A_BUNDLE = fileURLToPath(new URL('../../bin/v8a.cjs', import.meta.url));

/** A process that hangs must not hang the tests; this is far more than any of them takes. */
const RUN_LIMIT_MS = 10 * 60_000;

export interface CliResult {
  /** Null after a signal. */
  readonly status: number | null;
  /** The guest's console. */
  readonly stdout: string;
  readonly stderr: string;
}

/** What makes root bound by file permissions as everybody is; empty for everybody else. */
const BOUND_BY_PERMISSIONS =
  process.platform === 'linux' && process.geteuid?.() === 0
    ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search']
    : [];

/** Starts `v8a` with `args`, no terminal and nothing on stdin. */
export function startV8a(args: readonly string[]): ChildProcess {
  const [program = '', ...rest] = [...BOUND_BY_PERMISSIONS, process.execPath, V8A_MAIN, ...args];
  return endWithTests(spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** Everything that `child` prints and how it ends. */
export async function finished(child: ChildProcess): Promise<CliResult> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const limit = setTimeout(() => child.kill('SIGKILL'), RUN_LIMIT_MS);
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    return { status, stdout, stderr };
  } finally {
    clearTimeout(limit);
  }
}

export async function v8a(args: readonly string[]): Promise<CliResult> {
  return finished(startV8a(args));
}

/** `--expect`/`--send` options for a dialogue: what to wait for, what to type then, and so on. */
export function dialogue(...steps: readonly { expect: string; send?: string }[]): string[] {
  return steps.flatMap(({ expect, send }) => [
    '--expect',
    expect,
    ...(send === undefined ? [] : ['--send', send]),
  ]);
}

/** The `name: value` lines of `--stats`. */
export function statistics(stderr: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const line of stderr.split('\n')) {
    const match = /^([a-z][a-z0-9 _-]*): (\d+(?:\.\d+)?)$/.exec(line);
    if (match?.[1] !== undefined) found.set(match[1], Number(match[2]));
  }
  return found;
}

/** What the guest printed, without the terminal control sequences between. */
export function plain(console: string): string {
  return console.replace(/\x1b\[[=?]?[\d;]*[A-Za-z]/g, '').replaceAll('\r', '');
}
