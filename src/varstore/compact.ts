/** Reclaims the room of deleted variables, with the result that EDK2's `Reclaim` has. */
import {
  align4,
  encodeEntry,
  isLive,
  keyOf,
  setState,
  State,
  STORE,
  type Entry,
  type Variable,
} from './entries.js';
import type { StoreContents } from './store.js';

/** What is to be written in the same go. */
export interface Update {
  /** Entries that it replaces; they are left out. */
  readonly replaced: readonly Entry[];
  readonly variable: Variable;
}

/**
 * The volume with nothing but variables that are in use, in the order in which they were: those that were added, those
 * whose replacement did not happen, the one of `update`. Undefined where they don't fit.
 */
export function compact(store: StoreContents, update?: Update): Uint8Array | undefined {
  const bytes = store.bytes.slice();
  let at = align4(store.storeAt + STORE.bytes);
  bytes.fill(0xff, at, store.storeEnd);
  const kept = new Set<string>();
  const keep = (entry: Entry): void => {
    const key = keyOf(entry.guid, entry.name ?? '');
    if (update?.replaced.includes(entry) === true || kept.has(key)) return;
    kept.add(key);
    bytes.set(store.bytes.subarray(entry.at, entry.endsAt), at);
    setState(bytes, at, State.added);
    at = align4(at + entry.endsAt - entry.at);
  };
  const live = store.entries.filter(isLive);
  live.filter(({ state }) => state === State.added).forEach(keep);
  // Of several that were to be replaced, firmware uses the last.
  const unreplaced = new Map(
    live
      .filter(({ state }) => state !== State.added)
      .map((entry) => [keyOf(entry.guid, entry.name ?? ''), entry]),
  );
  live.filter((entry) => [...unreplaced.values()].includes(entry)).forEach(keep);
  if (!update) return bytes;
  const entry = encodeEntry(store.format, update.variable);
  if (at + entry.length > store.storeEnd) return undefined;
  bytes.set(entry, at);
  return bytes;
}
