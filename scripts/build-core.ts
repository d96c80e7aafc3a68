/** Generates the core modules beside the compiled code; part of `npm run build`. See src/vm/core-image.ts. */
import { writeFileSync } from 'node:fs';
import { generateCore } from '#v8a/cpu/interpreter.js';
import { CPU_MODELS, withEl2 } from '#v8a/cpu/models.js';
import { A64 } from '#v8a/isa/a64.js';
import { coreImagePaths, isBuilt } from '#v8a/vm/core-image.js';

for (const model of CPU_MODELS.flatMap((plain) => [plain, withEl2(plain)])) {
  if (isBuilt(model)) continue;
  const paths = coreImagePaths(model);
  const { bytes, handlers } = generateCore(A64, model);
  writeFileSync(paths.module, bytes);
  writeFileSync(paths.handlers, JSON.stringify(handlers));
}
