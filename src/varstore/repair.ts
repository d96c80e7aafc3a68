import { invariant } from '../base/index.js';
import { areEqual } from './bytes.js';
import { compact } from './compact.js';
import { clearStateBits, DELETED } from './entries.js';
import { readStore, type Problem, type ProblemKind, type StoreContents } from './store.js';
import { holdSame, VariableStore, type ImagePart } from './variable-store.js';
import { fixChecksum } from './volume.js';

export interface Repair {
  /** What was put right. */
  readonly repaired: readonly Problem[];
  /** What is still there. */
  readonly left: readonly Problem[];
  /** The repaired volume; undefined where nothing was to be done. */
  readonly part: ImagePart | undefined;
}

/** Problems after which only a store written anew is a sound one. */
const NEED_COMPACTING: ReadonlySet<ProblemKind> = new Set(['duplicate', 'unreplaced', 'free-space']);

/**
 * Puts right what can be without guessing: the variables are those that firmware would have seen, before and after.
 * `image` is not changed.
 *
 * @throws UserError as `VariableStore.read`.
 */
export function repairStore(image: Uint8Array): Repair {
  const contents = readStore(image);
  const bytes = repairedVolume(contents);
  const original = image.subarray(contents.at, contents.at + contents.bytes.length);
  if (areEqual(bytes, original)) return { repaired: [], left: contents.problems, part: undefined };

  const repairedImage = new Uint8Array(image);
  repairedImage.set(bytes, contents.at);
  const after = VariableStore.read(repairedImage);
  invariant(
    holdSame(VariableStore.read(image).variables, after.variables),
    'a repaired store has the variables that it had',
  );
  const left = after.problems;
  invariant(left.length < contents.problems.length, 'a repaired store has fewer problems');
  // Compacting moves what is left, so kinds are compared, not places.
  const repaired = contents.problems.filter(({ kind }) => !left.some((problem) => problem.kind === kind));
  return { repaired, left, part: { offset: contents.at, bytes } };
}

function repairedVolume(contents: StoreContents): Uint8Array {
  const { problems, entries, volume } = contents;
  const errors = problems.filter(({ severity }) => severity === 'error');
  const original = contents.bytes;
  if (errors.some(({ remedy }) => remedy === 'firmware')) return original;
  const has = (kind: ProblemKind): boolean =>
    problems.some((problem) => problem.kind === kind && problem.remedy === 'repair');
  let bytes: Uint8Array = original.slice();
  // Where something isn't understood, entries stay as they are.
  if (errors.every(({ remedy }) => remedy === 'repair')) {
    if (problems.some(({ kind }) => NEED_COMPACTING.has(kind))) bytes = compact(contents) ?? bytes;
    else {
      for (const { kind, at } of problems) {
        const entry = kind === 'replaced' && entries.find((candidate) => candidate.at === at - contents.at);
        if (entry !== false && entry !== undefined) clearStateBits(bytes, entry, DELETED);
      }
    }
  }
  if (has('volume-checksum')) fixChecksum(bytes, volume.headerBytes);
  return bytes;
}
