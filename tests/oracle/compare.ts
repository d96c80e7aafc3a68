/** What differs between two runners' results of a batch, for people. */
import { hex, invariant } from '#v8a/base/index.js';
import type { Batch, Result } from './format.js';
import { AT, decodeResult, endingName, resultOffsets, startOf } from './format.js';

export interface Mismatch {
  /** Index of the run in its batch. */
  readonly run: number;
  /** `what ours, QEMU theirs`, each. */
  readonly differences: readonly string[];
  readonly ours: Result;
  readonly theirs: Result;
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
    const result = { ours: decodeResult(ours, fromA), theirs: decodeResult(theirs, fromB) };
    const differences = difference(startOf(batch, run), result.ours, result.theirs);
    return differences.length === 0 ? [] : [{ run: i, differences, ...result }];
  });
}
