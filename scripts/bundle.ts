/**
 * Puts the command into one file, `dist/bin/v8a.cjs`, and what its translating threads run into another beside it; part of
 * `npm run build`. Finding and parsing some two hundred modules takes longer than starting Node does. CommonJS, since the loader of ES modules is slower even for a single one; what is
 * loaded by `import()` is in the file too, and evaluated when it is asked for.
 *
 * The file is as deep in `dist` as a module in a folder, so that paths beside `import.meta.url` hold.
 */
import { chmodSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

const BUNDLE = path('../bin/v8a.cjs');

const PREAMBLE = `// With commander: copyright (c) 2011 TJ Holowaychuk, MIT license, https://github.com/tj/commander.js
const moduleUrl = require('node:url').pathToFileURL(__filename).href;`;

const SHARED = {
  bundle: true,
  platform: 'node',
  target: 'node20.20',
  // Names stay, for reports of bugs.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
} as const;

await build({
  ...SHARED,
  entryPoints: [path('../cli/main.js')],
  outfile: BUNDLE,
  format: 'cjs',
  define: { 'import.meta.url': 'moduleUrl' },
  banner: { js: PREAMBLE },
});
await build({
  ...SHARED,
  entryPoints: [path('../vm/translation-worker.js')],
  outfile: path('../bin/translation-worker.js'),
  format: 'esm',
});
chmodSync(BUNDLE, 0o755);
