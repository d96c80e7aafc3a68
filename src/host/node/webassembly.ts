/** WebAssembly as Node's V8 compiles it. */
import { setFlagsFromString } from 'node:v8';

/**
 * What V8 shall do for code that is generated at run time:
 *
 * - take the branch hints of modules (a proposal that is behind a flag in all releases so far): the slow paths of memory
 *   accesses, which call out, then cost the fast ones no registers;
 * - optimise a function sooner, since most code that is translated stays hot. The unit is about a byte executed;
 * - validate and compile a function when it is called, and not all of the core module at the start.
 *
 * A V8 that doesn't know a flag says so on the standard error stream and goes on, so none may be misspelt here.
 */
const FLAGS = [
  '--experimental-wasm-branch-hinting',
  '--wasm-tiering-budget=1000000',
  '--wasm-lazy-validation',
  '--wasm-lazy-compilation',
] as const;

/** Before a core module is compiled: a thread that was ended inside `eagerly` has left its flag. */
export function tuneWebAssembly(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
}

/**
 * Has a module that `compile` makes compiled with all of its functions, which V8 else does as they are called. Flags are the
 * process's: what another thread compiles at the same time may be compiled so too, which only takes longer.
 */
export function eagerly<T>(compile: () => T): T {
  setFlagsFromString('--no-wasm-lazy-compilation');
  try {
    return compile();
  } finally {
    setFlagsFromString('--wasm-lazy-compilation');
  }
}
