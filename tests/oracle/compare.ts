/** What differs between two runners' results of a batch, for people. */
import { hex, invariant } from '#v8a/base/index.js';
import { disassemble } from '#v8a/isa/disassemble.js';
import type { Batch, Result } from './format.js';
import { AT, decodeResult, endingName, programAddress, resultOffsets, runOf, startOf } from './format.js';

export interface Mismatch {
  /** Index of the run in its batch. */
  readonly run: number;
  /** `what ours, QEMU theirs`, each. */
  readonly differences: readonly string[];
}

function wordName(at: number): string {
  if (at < AT.sp) return `x${at}`;
  if (at === AT.sp) return 'sp';
  if (at < AT.nzcv) return `v${(at - AT.v) >> 1}.d[${at & 1}]`;
  if (at === AT.nzcv) return 'nzcv';
  if (at === AT.fpcr) return 'fpcr';
  if (at === AT.fpsr) return 'fpsr';
  return `[${hex(8 * (at - AT.memory))}]`;
}

function difference(start: BigUint64Array, ours: Result, theirs: Result): string[] {
  const found: string[] = [];
  if (ours.ending !== theirs.ending)
    found.push(`ends with ${endingName(ours.ending)}, QEMU ${endingName(theirs.ending)}`);
  if (ours.pc !== theirs.pc) found.push(`pc ${hex(ours.pc)}, QEMU ${hex(theirs.pc)}`);
  const after = (result: Result): Map<number, bigint> =>
    new Map(result.changes.map(({ at, value }) => [at, value]));
  const [a, b] = [after(ours), after(theirs)];
  for (const at of [...new Set([...a.keys(), ...b.keys()])].sort((x, y) => x - y)) {
    const value = (changes: Map<number, bigint>): bigint => changes.get(at) ?? start[at] ?? 0n;
    if (value(a) !== value(b)) found.push(`${wordName(at)} ${hex(value(a))}, QEMU ${hex(value(b))}`);
  }
  return found;
}

/** The runs with different results. */
export function compareResults(batch: Batch, ours: Uint8Array, theirs: Uint8Array): Mismatch[] {
  if (Buffer.compare(ours, theirs) === 0) return [];
  const [a, b] = [resultOffsets(ours, batch.runs.length), resultOffsets(theirs, batch.runs.length)];
  return batch.runs.flatMap((run, i) => {
    const [fromA, toA, fromB, toB] = [a[i], a[i + 1], b[i], b[i + 1]];
    invariant(fromA !== undefined && fromB !== undefined, 'a result for each run');
    if (Buffer.compare(ours.subarray(fromA, toA), theirs.subarray(fromB, toB)) === 0) return [];
    const differences = difference(
      startOf(batch, run),
      decodeResult(ours, fromA),
      decodeResult(theirs, fromB),
    );
    return differences.length === 0 ? [] : [{ run: i, differences }];
  });
}

/** The program and the registers that it names. */
export function describeRun(batch: Batch, index: number): string {
  const run = runOf(batch, index);
  const slot = batch.programs[run.program]?.slot ?? 0;
  const start = startOf(batch, run);
  const text = run.words
    .map((word, i) => `${hex(word)} ${disassemble(word, programAddress(slot) + 4n * BigInt(i))}`)
    .join('; ');
  const named = (pattern: RegExp): number[] =>
    [...new Set([...text.matchAll(pattern)].map((match) => match[1]))].map(Number);
  const word = (at: number): string => hex(start[at] ?? 0n);
  const values = [
    ...named(/\b[xw](\d+)\b/g).map((n) => `x${n}=${word(AT.x + n)}`),
    ...named(/\b[vqdshb](\d+)\b/g).map((n) => `v${n}=${word(AT.v + 2 * n)}, ${word(AT.v + 2 * n + 1)}`),
    `nzcv=${word(AT.nzcv)}`,
    `fpcr=${word(AT.fpcr)}`,
    `fpsr=${word(AT.fpsr)}`,
  ];
  return `${text.replaceAll('\t', ' ')} (${values.join(' ')})`;
}
