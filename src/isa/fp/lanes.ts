/** Floating-point elements of vectors: reading, writing, and an operation on one done on all. */
import { add, and, i32, wrap } from '../../wasm/expr.js';
import type { Int, V128 } from '../../wasm/expr.js';
import type { Local } from '../../wasm/function-builder.js';
import { extractLane, replaceLane, shuffle } from '../../wasm/simd.js';
import type { HelperBody } from '../helper.js';
import type { VecField } from '../row.js';
import type { SizeLog2, Stage } from '../stage.js';
import type { Format } from './format.js';

/** log2 of the bytes of an element. */
export const SIZE = { half: 1, single: 2, double: 3 } as const satisfies Record<Format, SizeLog2>;

/** Of the bit `sz`. */
export function formatOf(sz: number): Format {
  return sz === 1 ? 'double' : 'single';
}

/** May be used any number of times. */
export function readElement(s: Stage, format: Format, register: VecField, index = i32(0)): Int {
  const bits = s.lane(register, SIZE[format], index);
  return s.let<'i32' | 'i64'>(format === 'double' ? bits : wrap(bits));
}

/** Writes the lowest element and zeroes the rest. */
export function writeElement(s: Stage, format: Format, register: VecField, value: Int): void {
  if (value.type === 'i64') s.setD(register, value);
  else s.setS(register, format === 'half' ? and(value, i32(0xffff)) : value);
}

const EXTRACT = {
  half: 'i16x8.extract_lane_u',
  single: 'i32x4.extract_lane',
  double: 'i64x2.extract_lane',
} as const;

const REPLACE = {
  half: 'i16x8.replace_lane',
  single: 'i32x4.replace_lane',
  double: 'i64x2.replace_lane',
} as const;

/** Every element one place down, the lowest to the top. */
function rotated(format: Format, vector: V128): V128 {
  const bytes = 1 << SIZE[format];
  const from = Array.from({ length: 16 }, (_, i) => (i + bytes) % 16);
  return shuffle(vector, vector, from);
}

/**
 * Calls `compute` for each element of `vectors`, from the lowest on; the vectors are used up. Where results are wider
 * than elements, the low half of the vectors is taken; where they are narrower, both halves of the result are alike.
 */
export function eachElement(
  { fb }: HelperBody,
  { from, to }: { readonly from: Format; readonly to: Format },
  vectors: readonly Local<'v128'>[],
  compute: (elements: readonly Int[]) => Int,
): V128 {
  const result = fb.local('v128');
  const round = fb.local('i32');
  const rounds = 16 >> Math.max(SIZE[from], SIZE[to]);
  fb.set(round, i32(-rounds));
  fb.loop('elements', (next) => {
    const elements = vectors.map((vector) => fb.let(extractLane(EXTRACT[from], fb.get(vector), 0)));
    for (const vector of vectors) fb.set(vector, rotated(from, fb.get(vector)));
    const value = fb.let(compute(elements));
    // As many rounds bring the lowest element to its place; narrow ones only half the way.
    const replaced = replaceLane(REPLACE[to], fb.get(result), 0, value);
    const isNarrower = SIZE[to] < SIZE[from];
    const both = isNarrower ? replaceLane(REPLACE[to], replaced, rounds, value) : replaced;
    fb.set(result, rotated(to, both));
    fb.set(round, add(fb.get(round), i32(1)));
    fb.brIf(next, fb.get(round));
  });
  return fb.get(result);
}
