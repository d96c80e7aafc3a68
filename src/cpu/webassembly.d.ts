/**
 * The part of the WebAssembly JavaScript interface that v8a uses. TypeScript declares it only together with the DOM,
 * which code below `host` must not see.
 */
declare namespace WebAssembly {
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
  const Memory: new (descriptor: { initial: number; maximum?: number }) => Memory;
  interface Module {
    readonly __module: never;
  }
  const Module: new (bytes: Uint8Array<ArrayBuffer>) => Module;
  interface Instance {
    readonly exports: Record<string, unknown>;
  }
  const Instance: new (module: Module, imports: Record<string, Record<string, unknown>>) => Instance;
  class RuntimeError extends Error {}
}
