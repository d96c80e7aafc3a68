/** What takes minutes to make: in a folder of its own, which is gone in the end, and with lines that tell how far it is. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** One line for each program that this machine lacks; `tools` has the packages that bring them. */
export function missingTools(what: string, tools: Readonly<Record<string, string>>): string[] {
  return Object.entries(tools)
    .filter(([tool]) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).error !== undefined)
    .map(([tool, name]) => `${what} needs ${tool} (package ${name})`);
}

/**
 * Calls `make` with a new folder in `parent`, on the file system of what is made in the end, and removes the folder
 * however that ends. Returns why it failed, in one line.
 */
export async function makeInCache(
  what: string,
  parent: string,
  make: (work: string, progress: Progress) => Promise<void>,
): Promise<string[]> {
  mkdirSync(parent, { recursive: true });
  const work = mkdtempSync(join(parent, '.make-'));
  const remove = (): void => {
    rmSync(work, { recursive: true, force: true });
  };
  process.once('exit', remove);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  const progress = new Progress();
  try {
    await make(work, progress);
    return [];
  } catch (error) {
    return [`${what}: ${error instanceof Error ? error.message : String(error)}`];
  } finally {
    remove();
    progress.end();
  }
}

/** Lines that tell what takes so long: on a terminal one that changes, elsewhere one for each step. */
export class Progress {
  readonly #start = performance.now();
  #shown = '';

  step(text: string): void {
    if (!process.stderr.isTTY) console.error(`${text} (${this.#seconds()} s)`);
    else this.show(text);
  }

  show(text: string): void {
    if (!process.stderr.isTTY || text === this.#shown) return;
    this.#shown = text;
    process.stderr.write(`\r\x1b[K${text} (${this.#seconds()} s)`);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\n');
  }

  #seconds(): number {
    return Math.round((performance.now() - this.#start) / 1000);
  }
}
