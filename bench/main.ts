/**
 * `npm run bench`: v8a beside QEMU's TCG on the same machine at the same time. What is run and how to read the
 * figures: bench/README.md.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { DEFAULT_JIT } from '#v8a/cpu/translation-policy.js';

import { fetchGuests } from '../scripts/fetch-guests.js';
import { V8A_BUNDLE } from '../tests/support/cli.js';
import { QEMU } from '../tests/support/qemu.js';
import { type Bench, type Variant, aavmf, debian, linux } from './boots.js';
import { inputOutput } from './input-output.js';
import { kernels } from './kernels.js';
import { fail } from './measure.js';
import { programs } from './programs.js';
import { startup } from './startup.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Each returns what goes into the result file. */
const SECTIONS = { startup, kernels, aavmf, linux, debian, guest: programs, io: inputOutput } as const;
type Section = keyof typeof SECTIONS;
const NAMES = Object.keys(SECTIONS) as Section[];

const { values } = parseArgs({
  options: {
    node: { type: 'string', multiple: true, default: [process.execPath] },
    runs: { type: 'string', default: '5' },
    only: { type: 'string' },
    kernel: { type: 'string' },
    scale: { type: 'string', default: '1' },
    jit: { type: 'string', default: DEFAULT_JIT },
    json: { type: 'string', default: join(ROOT, 'dist', 'bench', 'result.json') },
  },
});
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) fail(`--runs takes a count from 1, not ${values.runs}`);
const percent = Math.round(100 * Number(values.scale));
if (!(percent >= 1)) fail(`--scale takes a factor from 0.01, not ${values.scale}`);
const chosen = values.only?.split(',') ?? (values.kernel === undefined ? NAMES : ['kernels']);
const unknown = chosen.find((name) => !(name in SECTIONS));
if (unknown !== undefined) fail(`--only takes some of ${NAMES.join(',')}, not ${unknown}`);

const version = (program: string): string => {
  const result = spawnSync(program, ['--version'], { encoding: 'utf8' });
  if (result.status !== 0) fail(`${program} does not run`);
  return result.stdout.split('\n')[0] ?? '';
};
/** Each Node with each kind of translation. */
const variants = values.node.flatMap((node) =>
  values.jit.split(',').map((jit): Variant & { readonly jit: string } => ({
    ...{ node, jit },
    name: `v8a, node ${version(node)}, --jit ${jit}`,
    v8a: (...args) => [node, V8A_BUNDLE, 'run', '--jit', jit, ...args, '--stats'],
  })),
);
const bench: Bench = {
  runs,
  variants,
  kernels: { percent, ...(values.kernel === undefined ? {} : { names: values.kernel.split(',') }) },
};
const result: Record<string, unknown> = {
  host: cpus()[0]?.model,
  cpus: cpus().length,
  qemu: version(QEMU),
  runs,
  variants,
};
console.log(
  `${cpus().length} × ${cpus()[0]?.model ?? '?'}; ${version(QEMU)}; median (range) of ${runs} runs each`,
);

if (chosen.some((name) => name !== 'kernels' && name !== 'startup'))
  for (const problem of fetchGuests()) console.error(`bench: ${problem}`);
for (const name of NAMES.filter((section) => chosen.includes(section))) {
  result[name] = await SECTIONS[name](bench);
  // The consoles are not measurements. Written after each section: those behind it take long.
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(
    values.json,
    `${JSON.stringify(result, (key, value: unknown) => (key === 'output' ? undefined : value), 2)}\n`,
  );
}
console.log(`\n${values.json}`);
