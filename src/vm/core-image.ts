/**
 * The core module of a CPU model, generated when v8a is built (`scripts/build-core.ts`) and read when a machine is made: generating it
 * takes several hundred milliseconds. Where the file is missing or older than the code that makes it, it is generated.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { HandlerIndex } from '../cpu/handler-finder.js';
import type { CoreImage } from '../cpu/interpreter.js';
import { generateCore } from '../cpu/interpreter.js';
import type { CpuModel } from '../cpu/models.js';
import { hasFeature } from '../cpu/models.js';
import { tuneWebAssembly } from '../host/node/webassembly.js';
import { A64 } from '../isa/a64.js';

const DIST = fileURLToPath(new URL('..', import.meta.url));

/** The compiled folders that the core module is a function of. */
const SOURCES = ['wasm', 'isa', 'isa/fp', 'isa/groups', 'cpu'];

export function coreImagePaths(model: CpuModel): { readonly module: string; readonly handlers: string } {
  const name = `${DIST}cpu/core-${model.name}${hasFeature(model, 'EL2') ? '-el2' : ''}`;
  return { module: `${name}.wasm`, handlers: `${name}.json` };
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity;
}

function newestSource(): number {
  let newest = -Infinity;
  for (const folder of SOURCES)
    for (const name of readdirSync(`${DIST}${folder}`))
      if (name.endsWith('.js') && !name.includes('.test.'))
        newest = Math.max(newest, modified(`${DIST}${folder}/${name}`));
  return newest;
}

/** The files are there, and not older than what makes them. */
export function isBuilt(model: CpuModel): boolean {
  const { module, handlers } = coreImagePaths(model);
  return Math.min(modified(module), modified(handlers)) >= newestSource();
}

export function coreImage(model: CpuModel): CoreImage {
  tuneWebAssembly();
  if (!isBuilt(model)) return generateCore(A64, model);
  const { module, handlers } = coreImagePaths(model);
  return {
    bytes: new Uint8Array(readFileSync(module)),
    handlers: JSON.parse(readFileSync(handlers, 'utf8')) as HandlerIndex,
  };
}
