/**
 * The part of the WebAssembly JavaScript interface that v8a uses. TypeScript declares it only together with the DOM,
 * which code below `host` must not see.
 */

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** A table of functions. */
export interface WasmTable {
  readonly length: number;
  /** Adds empty entries at its end; the length it had. */
  grow(entries: number): number;
  set(index: number, value: unknown): void;
}

export interface WasmModule {
  readonly __module: never;
}

interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

interface WebAssemblyInterface {
  /** Sizes in pages of 64 KiB. */
  readonly Memory: new (descriptor: { initial: number; maximum?: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports?: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => WasmInstance;
}

export const webAssembly = (globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface })
  .WebAssembly;
