/** The examples of the library's documentation compile, and do what they say. */
import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { endWithTests } from './support/child.js';
import { finished } from './support/cli.js';
import { AAVMF_CODE, AAVMF_VARS, newVariableStore, scratch, skipWithout } from './support/guests.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Inside the package, so that `import 'v8a'` finds it by its own name. */
const COMPILED = join(ROOT, 'dist', 'tests', 'examples');

/** Each text with an example of booting AAVMF, and how its lines begin. */
const SOURCES = [
  { name: 'readme', path: 'README.md', margin: '' },
  { name: 'create-machine', path: 'src/vm/create-machine.ts', margin: ' *' },
] as const;

/** The one fenced block of TypeScript in `text`. */
function example(text: string, margin: string): string {
  const lines = text.split('\n').map((line) => (line.startsWith(margin) ? line.slice(margin.length) : line));
  const blocks = [...lines.join('\n').matchAll(/^ ?```ts\n(.*?)^ ?```$/gms)];
  assert.equal(blocks.length, 1, 'one example');
  return blocks[0]?.[1] ?? '';
}

const files = scratch();
after(() => files.remove());

suite('examples of the library', { skip: skipWithout(AAVMF_CODE, AAVMF_VARS) }, () => {
  symlinkSync(AAVMF_CODE ?? '', files.path('AAVMF_CODE.fd'));

  for (const { name, path, margin } of SOURCES) {
    test(`the example in ${path} compiles, boots and powers off`, async () => {
      const source = join(COMPILED, `${name}.ts`);
      mkdirSync(COMPILED, { recursive: true });
      writeFileSync(source, example(readFileSync(join(ROOT, path), 'utf8'), margin));
      const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
      const flags = [
        '--strict',
        '--module',
        'nodenext',
        '--target',
        'es2023',
        '--types',
        'node',
        '--skipLibCheck',
      ];
      const compilation = spawnSync(process.execPath, [compiler, '--ignoreConfig', ...flags, source], {
        cwd: ROOT,
        encoding: 'utf8',
      });
      assert.equal(compilation.status, 0, compilation.stdout);

      newVariableStore(files.path('vars.fd'));
      const child = spawn(process.execPath, [join(COMPILED, `${name}.js`)], {
        cwd: files.path('.'),
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const { status, stdout, stderr } = await finished(endWithTests(child));
      assert.equal(status, 0, stderr);
      assert.equal(stdout.trimEnd().split('\n').at(-1), 'power-off');
    });
  }
});
