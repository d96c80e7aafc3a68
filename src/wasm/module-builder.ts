/** Assembles functions into a module. WebAssembly Core Specification 2.0, 5.5. */
import { invariant } from '../base/index.js';
import { pushName, pushS32, pushU32, valType } from './encode.js';
import type { ValType } from './expr.js';
import { FunctionBuilder } from './function-builder.js';
import type { FunctionRef } from './function-ref.js';

interface Import {
  readonly bytes: number[];
}

export class ModuleBuilder {
  readonly #types: number[][] = [];
  readonly #typeIndex = new Map<string, number>();
  readonly #imports: Import[] = [];
  readonly #functionTypes: number[] = [];
  readonly #bodies: (FunctionBuilder | undefined)[] = [];
  readonly #exports: number[][] = [];
  readonly #names: string[] = [];
  readonly #table: FunctionRef[] = [];
  readonly #data: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #importedFunctions = 0;

  /** Any memory of at least `minimumPages` of 64 KiB, whose size is bounded. */
  importMemory(module: string, name: string, minimumPages: number): void {
    const bytes: number[] = [];
    pushName(bytes, module);
    pushName(bytes, name);
    bytes.push(2, 1);
    pushU32(bytes, minimumPages);
    pushU32(bytes, 0x1_0000);
    this.#imports.push({ bytes });
  }

  importFunction<R extends ValType | 'none'>(
    module: string,
    name: string,
    params: readonly ValType[],
    result: R,
  ): FunctionRef<R> {
    invariant(this.#bodies.length === 0, 'imports come before functions');
    const bytes: number[] = [];
    pushName(bytes, module);
    pushName(bytes, name);
    bytes.push(0);
    pushU32(bytes, this.#type(params, result));
    this.#imports.push({ bytes });
    this.#names.push(name);
    return { name, index: this.#importedFunctions++, params, result };
  }

  /** Reserves an index, so that functions can call each other in any order. `define` it before `build`. */
  declare<R extends ValType | 'none'>(name: string, params: readonly ValType[], result: R): FunctionRef<R> {
    this.#functionTypes.push(this.#type(params, result));
    this.#bodies.push(undefined);
    this.#names.push(name);
    return { name, index: this.#importedFunctions + this.#bodies.length - 1, params, result };
  }

  define(f: FunctionRef, body: (fb: FunctionBuilder) => void): void {
    const builder = new FunctionBuilder(f.params, f.result === 'none' ? [] : [f.result]);
    body(builder);
    this.#bodies[f.index - this.#importedFunctions] = builder;
  }

  function<R extends ValType | 'none'>(
    name: string,
    params: readonly ValType[],
    result: R,
    body: (fb: FunctionBuilder) => void,
  ): FunctionRef<R> {
    const f = this.declare(name, params, result);
    this.define(f, body);
    return f;
  }

  /** A function whose body is complete. */
  add<R extends ValType | 'none'>(name: string, builder: FunctionBuilder, result: R): FunctionRef<R> {
    const f = this.declare(name, builder.params, result);
    this.#bodies[f.index - this.#importedFunctions] = builder;
    return f;
  }

  /** Appends `f` to the module's function table and returns its index there, for `FunctionBuilder.callIndirect`. */
  addToTable(f: FunctionRef): number {
    return this.#table.push(f) - 1;
  }

  /** Memory contents that every instantiation puts at `at`. */
  addData(at: number, bytes: Uint8Array): void {
    this.#data.push({ at, bytes });
  }

  /** Index of a function type, for indirect calls. */
  typeIndex(params: readonly ValType[], result: ValType | 'none'): number {
    return this.#type(params, result);
  }

  export(name: string, f: FunctionRef): void {
    const bytes: number[] = [];
    pushName(bytes, name);
    bytes.push(0);
    pushU32(bytes, f.index);
    this.#exports.push(bytes);
  }

  /** The function table, for others to put functions into. */
  exportTable(name: string): void {
    const bytes: number[] = [];
    pushName(bytes, name);
    bytes.push(1, 0);
    this.#exports.push(bytes);
  }

  #type(params: readonly ValType[], result: ValType | 'none'): number {
    const key = `${params.join(',')}>${result}`;
    let index = this.#typeIndex.get(key);
    if (index === undefined) {
      index = this.#types.length;
      const bytes = [0x60];
      pushU32(bytes, params.length);
      for (const type of params) bytes.push(valType(type));
      if (result === 'none') bytes.push(0);
      else bytes.push(1, valType(result));
      this.#types.push(bytes);
      this.#typeIndex.set(key, index);
    }
    return index;
  }

  build(): Uint8Array<ArrayBuffer> {
    /** Pieces of the module, in order. */
    const pieces: (readonly number[])[] = [[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]];
    const section = (id: number, entries: readonly (readonly number[])[]): void => {
      if (entries.length === 0) return;
      const count: number[] = [];
      pushU32(count, entries.length);
      const head = [id];
      pushU32(
        head,
        entries.reduce((sum, { length }) => sum + length, count.length),
      );
      pieces.push(head, count, ...entries);
    };
    section(1, this.#types);
    section(
      2,
      this.#imports.map((entry) => entry.bytes),
    );
    section(
      3,
      this.#functionTypes.map((type) => {
        const bytes: number[] = [];
        pushU32(bytes, type);
        return bytes;
      }),
    );
    if (this.#table.length > 0) {
      // It may grow.
      const table = [0x70, 0];
      pushU32(table, this.#table.length);
      section(4, [table]);
    }
    section(7, this.#exports);
    if (this.#table.length > 0) {
      // Active segment of table 0, from index 0.
      const segment = [0, 0x41, 0, 0x0b];
      pushU32(segment, this.#table.length);
      for (const f of this.#table) pushU32(segment, f.index);
      section(9, [segment]);
    }
    section(
      10,
      this.#bodies.map((builder, i) => {
        invariant(
          builder !== undefined,
          `function ${this.#names[this.#importedFunctions + i]} is not defined`,
        );
        const body = builder.encode();
        const entry: number[] = [];
        pushU32(entry, body.length);
        for (const byte of body) entry.push(byte);
        return entry;
      }),
    );
    section(
      11,
      this.#data.map(({ at, bytes }) => {
        const segment = [0, 0x41];
        pushS32(segment, at);
        segment.push(0x0b);
        pushU32(segment, bytes.length);
        for (const byte of bytes) segment.push(byte);
        return segment;
      }),
    );
    pieces.push(this.#nameSection());
    const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Function names, for profilers and stack traces. Core Specification, appendix A.4. */
  #nameSection(): number[] {
    const names: number[] = [];
    pushU32(names, this.#names.length);
    this.#names.forEach((name, i) => {
      pushU32(names, i);
      pushName(names, name);
    });
    const body: number[] = [];
    pushName(body, 'name');
    body.push(1);
    pushU32(body, names.length);
    for (const byte of names) body.push(byte);
    const section = [0];
    pushU32(section, body.length);
    for (const byte of body) section.push(byte);
    return section;
  }
}
