/**
 * `npm run test:mutants`: breaks one definition after the other in a copy of the compiled code and runs the tests that
 * should notice, until one does.
 *
 *     --only TEXT   only mutants whose name contains it
 *     --jobs N      copies that are tested side by side (1)
 *
 * The exit status is 1 where a mutant is missed.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Mutant } from './mutants.js';
import { MUTANTS } from './mutants.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** The tests of instructions and of the processor, the likeliest first. */
const TESTS = [
  'tests/oracle.test.js',
  'tests/named-cases.test.js',
  'tests/sweep.test.js',
  'isa/a64.test.js',
  'cpu/flags.test.js',
  'tests/system.test.js',
] as const;

/** A test that takes longer has gone in circles. */
const TIMEOUT_MS = 10 * 60_000;

/** A copy of what is compiled, with the sources that tests read. */
function makeCopy(): string {
  const folder = mkdtempSync(join(tmpdir(), 'v8a-mutants-'));
  cpSync(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  for (const name of ['tests', 'src', 'node_modules']) symlinkSync(join(ROOT, name), join(folder, name));
  return folder;
}

/** Matches `text` with any white space where it has some. */
function pattern(text: string): RegExp {
  const words = text
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(words.join('\\s+'), 'g');
}

function mutate(source: string, { name, file, find, replace }: Mutant): string {
  const found = source.match(pattern(find))?.length ?? 0;
  if (found !== 1) throw new Error(`${name}: dist/${file} has the text ${found} times, once is needed`);
  return source.replace(pattern(find), () => replace);
}

/** Exit status; null where it ended by a signal or took too long. */
function node(folder: string, ...args: string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: folder, stdio: 'ignore', timeout: TIMEOUT_MS });
    child.on('error', reject);
    child.on('close', resolve);
  });
}

/** The test that noticed, `the build`, or nothing. */
async function whoCatches(folder: string, mutant: Mutant): Promise<string | undefined> {
  const path = join(folder, 'dist', mutant.file);
  const original = readFileSync(path, 'utf8');
  try {
    writeFileSync(path, mutate(original, mutant));
    // Otherwise each of the processes would generate it.
    if ((await node(folder, 'dist/scripts/build-core.js')) !== 0) return 'the build';
    for (const test of TESTS) if ((await node(folder, '--test', join('dist', test))) !== 0) return test;
    return undefined;
  } finally {
    writeFileSync(path, original);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { only: { type: 'string', default: '' }, jobs: { type: 'string', default: '1' } },
  });
  const selected = MUTANTS.filter(({ name }) => name.includes(values.only));
  // A mutant whose text has changed is found before the long run.
  for (const mutant of selected) mutate(readFileSync(join(ROOT, 'dist', mutant.file), 'utf8'), mutant);
  let next = 0;
  let caught = 0;
  const work = async (): Promise<void> => {
    const folder = makeCopy();
    try {
      for (let mutant = selected[next++]; mutant; mutant = selected[next++]) {
        const by = await whoCatches(folder, mutant);
        if (by !== undefined) caught++;
        console.log(
          `${by === undefined ? 'MISSED' : 'caught'}  ${mutant.name}${by === undefined ? '' : ` (${by})`}`,
        );
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  console.log(`${caught} of ${selected.length} caught`);
  if (caught < selected.length) process.exitCode = 1;
}

await main();
