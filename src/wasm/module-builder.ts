/** Assembles functions into a module. WebAssembly Core Specification 2.0, 5.5. */
import { invariant } from '../base/index.js';
import { ByteWriter } from './byte-writer.js';
import type { ValType } from './expr.js';
import { FunctionBuilder } from './function-builder.js';
import type { FunctionRef } from './function-ref.js';

export class ModuleBuilder {
  readonly #types = new ByteWriter();
  readonly #typeIndex = new Map<string, number>();
  readonly #imports = new ByteWriter();
  #importCount = 0;
  readonly #functionTypes: number[] = [];
  readonly #bodies: (FunctionBuilder | undefined)[] = [];
  readonly #exports = new ByteWriter();
  #exportCount = 0;
  readonly #names: string[] = [];
  readonly #table: FunctionRef[] = [];
  readonly #data: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #importedFunctions = 0;

  /** Any memory of at least `minimumPages` of 64 KiB, whose size is bounded. */
  importMemory(module: string, name: string, minimumPages: number): void {
    const out = this.#import(module, name, 2);
    out.u8(1);
    out.u32(minimumPages);
    out.u32(0x1_0000);
  }

  importFunction<R extends ValType | 'none'>(
    module: string,
    name: string,
    params: readonly ValType[],
    result: R,
  ): FunctionRef<R> {
    invariant(this.#bodies.length === 0, 'imports come before functions');
    this.#import(module, name, 0).u32(this.#type(params, result));
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
    this.#export(name, 0).u32(f.index);
  }

  /** The function table, for others to put functions into. */
  exportTable(name: string): void {
    this.#export(name, 1).u32(0);
  }

  #import(module: string, name: string, kind: number): ByteWriter {
    this.#importCount++;
    this.#imports.name(module);
    this.#imports.name(name);
    this.#imports.u8(kind);
    return this.#imports;
  }

  #export(name: string, kind: number): ByteWriter {
    this.#exportCount++;
    this.#exports.name(name);
    this.#exports.u8(kind);
    return this.#exports;
  }

  #type(params: readonly ValType[], result: ValType | 'none'): number {
    const key = `${params.join()}>${result}`;
    let index = this.#typeIndex.get(key);
    if (index === undefined) {
      index = this.#typeIndex.size;
      this.#typeIndex.set(key, index);
      this.#types.u8(0x60);
      this.#types.u32(params.length);
      for (const type of params) this.#types.valType(type);
      this.#types.u32(result === 'none' ? 0 : 1);
      if (result !== 'none') this.#types.valType(result);
    }
    return index;
  }

  /** The module. `names` of functions are for profilers and stack traces: without them it is smaller. */
  build({ names = true }: { readonly names?: boolean } = {}): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter();
    out.bytes([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    /** A section of `count` entries. */
    const section = (id: number, count: number, entries: ByteWriter): void => {
      if (count === 0) return;
      const head = new ByteWriter();
      head.u32(count);
      out.u8(id);
      out.u32(head.length + entries.length);
      out.append(head);
      out.append(entries);
    };
    const written = <T>(
      items: readonly T[],
      write: (to: ByteWriter, item: T, index: number) => void,
    ): ByteWriter => {
      const to = new ByteWriter();
      items.forEach((item, index) => {
        write(to, item, index);
      });
      return to;
    };
    section(1, this.#typeIndex.size, this.#types);
    section(2, this.#importCount, this.#imports);
    section(
      3,
      this.#functionTypes.length,
      written(this.#functionTypes, (to, type) => {
        to.u32(type);
      }),
    );
    if (this.#table.length > 0) {
      const table = new ByteWriter();
      // Functions, and it may grow.
      table.bytes([0x70, 0]);
      table.u32(this.#table.length);
      section(4, 1, table);
    }
    section(7, this.#exportCount, this.#exports);
    if (this.#table.length > 0) {
      const segment = new ByteWriter();
      // Active, of table 0, from index 0.
      segment.bytes([0, 0x41, 0, 0x0b]);
      segment.u32(this.#table.length);
      for (const f of this.#table) segment.u32(f.index);
      section(9, 1, segment);
    }
    const hinted = this.#bodies.flatMap((builder, i) => (builder?.hasHints === true ? [{ builder, i }] : []));
    if (hinted.length > 0) {
      // WebAssembly branch hinting proposal: before the code.
      const hints = new ByteWriter();
      hints.name('metadata.code.branch_hint');
      hints.u32(hinted.length);
      for (const { builder, i } of hinted) {
        hints.u32(this.#importedFunctions + i);
        builder.writeHintsTo(hints);
      }
      out.u8(0);
      out.u32(hints.length);
      out.append(hints);
    }
    section(
      10,
      this.#bodies.length,
      written(this.#bodies, (to, builder, i) => {
        if (!builder) invariant(false, `function ${this.#names[this.#importedFunctions + i]} is not defined`);
        builder.writeTo(to);
      }),
    );
    section(
      11,
      this.#data.length,
      written(this.#data, (to, { at, bytes }) => {
        to.bytes([0, 0x41]);
        to.s32(at);
        to.u8(0x0b);
        to.u32(bytes.length);
        to.bytes(bytes);
      }),
    );
    if (names) this.#writeNames(out);
    return out.toBytes();
  }

  /** The custom section of function names. Core Specification, appendix A.4. */
  #writeNames(out: ByteWriter): void {
    const map = new ByteWriter();
    map.u32(this.#names.length);
    this.#names.forEach((name, i) => {
      map.u32(i);
      map.name(name);
    });
    const body = new ByteWriter();
    body.name('name');
    body.u8(1);
    body.u32(map.length);
    body.append(map);
    out.u8(0);
    out.u32(body.length);
    out.append(body);
  }
}
