/**
 * Finds and reads the variable store in a flash image, and tells what is wrong with it. Nothing here throws for what an
 * image contains, except where there is no store to speak of.
 */
import { hex, UserError } from '../base/index.js';
import { isFilledWith, plainBytes, viewOf } from './bytes.js';
import {
  FORMATS, hidesNoEntry, isLive, keyOf, KNOWN_STATES, readEntries, State, STORE, STORE_FORMATTED, STORE_HEALTHY,
  type Entry, type Format,
} from './entries.js'; // prettier-ignore
import {
  findInterrupted, findWorkingBlocks, finish, looksLikeWorkingBlock, type Interrupted, type WorkingBlock,
} from './fault-tolerant-write.js'; // prettier-ignore
import { readGuid } from './guid.js';
import { findVolumes, NV_DATA_VOLUME, readVolume, VOLUME_ALIGNMENT, type Volume } from './volume.js';

/** Something about a store that is not as firmware leaves it when it is at rest. */
export interface Problem {
  /**
   * `note`: harmless. `warning`: firmware copes with it. `error`: firmware doesn't, or reads something else than is
   * there; such a store is not edited.
   */
  readonly severity: 'note' | 'warning' | 'error';
  /** Where in the image. */
  readonly at: number;
  readonly text: string;
  /** What to do about it: `repair`, leave it to `firmware`, or nothing that is safe. */
  readonly remedy: 'repair' | 'firmware' | 'none';
  readonly kind: ProblemKind;
}

export type ProblemKind =
  | 'update-interrupted'
  | 'volume-header'
  | 'volume-checksum'
  | 'store-header'
  | 'overrun'
  | 'state'
  | 'name'
  | 'duplicate'
  | 'replaced'
  | 'unreplaced'
  | 'unfinished'
  | 'free-space'
  | 'stranded'
  | 'working-block';

/** What is in an image. Offsets of entries and sizes are within `bytes`, the volume. */
export interface StoreContents {
  /** Of the volume in the image. */
  readonly at: number;
  /** The volume, a copy, in which an interrupted update has been carried to its end. */
  readonly bytes: Uint8Array;
  readonly volume: Volume;
  readonly format: Format;
  readonly storeAt: number;
  readonly storeEnd: number;
  readonly entries: readonly Entry[];
  readonly freeAt: number;
  readonly problems: readonly Problem[];
}

/**
 * Reads the variable store in the image `given`, which is not changed.
 *
 * @throws UserError `vars-none` where there is none, `vars-several`, `vars-unknown` where its header tells nothing that
 * could be relied on.
 */
export function readStore(given: Uint8Array): StoreContents {
  const image = plainBytes(given);
  const problems: Problem[] = [];
  const blocks = findWorkingBlocks(image);
  const { at, volume, resolved } = findStoreVolume(image, blocks, problems);
  const bytes = resolved.slice(at, at + volume.lengthBytes);
  const storeAt = volume.headerBytes;
  const format = FORMATS.find(({ signature }) => signature === readGuid(bytes, storeAt));
  if (!format || storeAt + STORE.bytes > bytes.length) {
    throw new UserError(
      'vars-unknown',
      `the volume at ${hex(at)} holds no variable store in a format of EDK2's: its signature is ${readGuid(bytes, storeAt)}`,
    );
  }
  const view = viewOf(bytes);
  const storeEnd = storeAt + view.getUint32(storeAt + STORE.size, true);
  if (storeEnd < storeAt + STORE.bytes || storeEnd > bytes.length) {
    throw new UserError(
      'vars-unknown',
      `the variable store at ${hex(at + storeAt)} says to be ${storeEnd - storeAt} bytes long, and its volume has ${bytes.length - storeAt}`,
    );
  }
  const add = (problem: Problem): void => {
    problems.push({ ...problem, at: at + problem.at });
  };
  for (const fault of volume.faults) {
    add({
      kind: 'volume-header',
      severity: 'error',
      at: 0,
      text: `the volume header: ${fault}`,
      remedy: 'none',
    });
  }
  if (!volume.isChecksumRight) {
    add({
      kind: 'volume-checksum',
      severity: 'error',
      at: 0,
      text: "the volume header's checksum is wrong; firmware would format the store, and all variables be gone",
      remedy: volume.faults.length === 0 ? 'repair' : 'none',
    });
  }
  if (bytes[storeAt + STORE.format] !== STORE_FORMATTED || bytes[storeAt + STORE.state] !== STORE_HEALTHY) {
    add({
      kind: 'store-header',
      severity: 'error',
      at: storeAt,
      text: 'the store header does not say formatted and healthy; firmware would refuse it',
      remedy: 'none',
    });
  }
  const walk = readEntries(bytes, format, storeAt + STORE.bytes, storeEnd);
  const contents = { at, bytes, volume, format, storeAt, storeEnd, ...walk, problems };
  judgeEntries(contents, walk.overrunAt, add);
  judgeWorkingArea(
    bytes,
    storeEnd,
    blocks.filter((block) => block.at > at && block.at < at + bytes.length),
    at,
    add,
  );
  problems.sort((a, b) => a.at - b.at);
  return contents;
}

type Add = (problem: Problem) => void;

interface Found {
  readonly at: number;
  readonly volume: Volume;
  readonly resolved: Uint8Array;
}

/** The one volume with variables, and the image as it is when an interrupted update has been carried to its end. */
function findStoreVolume(image: Uint8Array, blocks: readonly WorkingBlock[], problems: Problem[]): Found {
  // A spare area may hold a copy of a volume's first blocks.
  const spares = new Set(blocks.map(({ endsAt }) => endsAt));
  const volumes = findVolumes(image).filter(
    ({ at, volume }) => volume.fileSystem === NV_DATA_VOLUME && !spares.has(at),
  );
  const found: Found[] = [];
  for (const { at, volume } of volumes) {
    const last = found.at(-1);
    const isInside = last !== undefined && at < last.at + last.volume.lengthBytes;
    if (!isInside) found.push({ at, volume, resolved: image });
  }
  for (const block of blocks) {
    const interrupted = findInterrupted(image, block);
    if (interrupted) resolve(image, block, interrupted, found, problems);
  }
  const [only, another] = found;
  if (only && another) {
    throw new UserError(
      'vars-several',
      `several variable stores, at ${found.map(({ at }) => hex(at)).join(' and ')}; accepted: an image with one`,
    );
  }
  if (!only) throw new UserError('vars-none', `no variable store of EDK2's in it${whatElse(image)}`);
  if (only.at + only.volume.lengthBytes > image.length) {
    throw new UserError(
      'vars-unknown',
      `the volume at ${hex(only.at)} says to be ${only.volume.lengthBytes} bytes long, and the image ends before; is it cut off?`,
    );
  }
  return only;
}

/** Replaces the volume of `found` that an interrupted update belongs to, or adds it where its header was gone. */
function resolve(
  image: Uint8Array,
  block: WorkingBlock,
  interrupted: Interrupted,
  found: Found[],
  problems: Problem[],
): void {
  let isHeaderGone = false;
  const report = (text: string, isFinished: boolean): void => {
    problems.push({
      kind: 'update-interrupted',
      severity: 'error',
      at: interrupted.headerAt,
      text,
      remedy: isFinished ? 'repair' : 'firmware',
    });
  };
  let index = found.findIndex(({ at, volume }) => block.at > at && block.at < at + volume.lengthBytes);
  let owner = found[index];
  if (!owner && interrupted.kind === 'copy') {
    // The target was the first block, which was erased: its header is in the spare area.
    const copy = readVolume(image, block.endsAt);
    const at = interrupted.targetAt;
    if (copy?.fileSystem !== NV_DATA_VOLUME || interrupted.block !== 0) return;
    if (!(block.at > at && block.endsAt < at + copy.lengthBytes)) return;
    owner = { at, volume: copy, resolved: image };
    index = found.length;
    isHeaderGone = true;
  }
  if (!owner) return;
  const { at, volume } = owner;
  const isHere =
    interrupted.kind !== 'copy' || interrupted.targetAt === at + interrupted.block * volume.blockBytes;
  const resolved = owner.resolved.slice();
  const isFinished =
    isHere && finish(resolved, block, interrupted, volume.blockBytes, at + volume.lengthBytes);
  const now = readVolume(resolved, at);
  const isSameVolume =
    now?.fileSystem === NV_DATA_VOLUME &&
    now.lengthBytes === volume.lengthBytes &&
    now.headerBytes === volume.headerBytes;
  if (!isFinished || interrupted.kind === 'unclear' || !isSameVolume) {
    report('an update of the flash was interrupted in a way that only firmware should finish', false);
    return;
  }
  const all = 'an update of the flash was interrupted; its new contents are whole in the spare area';
  report(
    interrupted.kind === 'close'
      ? `an update of the flash was interrupted ${interrupted.hasChanged ? 'when all was done but to note it' : 'before it changed anything'}`
      : isHeaderGone
        ? `${all}, but the volume header is erased, upon which AAVMF would format the store`
        : all,
    true,
  );
  found[index] = { at, volume: now, resolved };
}

function whatElse(image: Uint8Array): string {
  const first = image[0] ?? 0;
  if ((first === 0 || first === 0xff) && isFilledWith(image, first)) {
    return `, it is ${first === 0 ? 'all zeros' : 'erased'}; firmware formats it in its first run`;
  }
  const [other] = findVolumes(image);
  return other ? `, but a firmware volume; is it the image of the firmware itself?` : '';
}

function judgeEntries(contents: StoreContents, overrunAt: number | undefined, add: Add): void {
  const { entries, format, bytes, freeAt, storeEnd } = contents;
  const added = new Map<string, Entry>();
  for (const entry of entries) {
    const { at, state, name, guid } = entry;
    if (isLive(entry) && name === undefined) {
      add({ kind: 'name', severity: 'error', at, text: 'a variable has no proper name', remedy: 'none' });
    } else if (!KNOWN_STATES.includes(state)) {
      add({
        kind: 'state',
        severity: 'error',
        at,
        text: `a variable${name === undefined ? '' : ` ${shown(name)}`} is in state ${hex(state, 2)}, which is none that an update leads to; firmware passes over it`,
        remedy: 'none',
      });
    } else if (state === State.erased || state === State.headerValid) {
      add({
        kind: 'unfinished',
        severity: 'note',
        at,
        text: 'a variable that was never written to its end; firmware passes over it, and drops it in time',
        remedy: 'firmware',
      });
    } else if (state === State.added) {
      const key = keyOf(guid, name!);
      if (added.has(key)) {
        add({
          kind: 'duplicate',
          severity: 'error',
          at,
          text: `a second ${shown(name!)}; firmware uses the first`,
          remedy: 'repair',
        });
      } else added.set(key, entry);
    }
  }
  const unreplaced = new Set<string>();
  for (const { at, state, name, guid } of entries) {
    if (state !== State.inDeletedTransition || name === undefined) continue;
    const key = keyOf(guid, name);
    if (added.has(key)) {
      add({
        kind: 'replaced',
        severity: 'warning',
        at,
        text: `${shown(name)} has been replaced, but the old one was not marked deleted`,
        remedy: 'repair',
      });
    } else {
      add({
        kind: 'unreplaced',
        severity: unreplaced.has(key) ? 'error' : 'warning',
        at,
        text: unreplaced.has(key)
          ? `a second ${shown(name)} that was to be replaced; firmware uses the last`
          : `${shown(name)} was to be replaced, which did not happen; firmware uses it as it is`,
        remedy: 'repair',
      });
      unreplaced.add(key);
    }
  }
  if (overrunAt !== undefined) {
    add({
      kind: 'overrun',
      severity: 'error',
      at: overrunAt,
      text: 'a variable says to be longer than the store; what follows it cannot be read',
      remedy: 'none',
    });
  } else if (!hidesNoEntry(bytes, format, freeAt, storeEnd)) {
    add({
      kind: 'stranded',
      severity: 'error',
      at: freeAt,
      text: 'behind the last variable there is something, and in it what looks like variables; firmware sees none of it',
      remedy: 'none',
    });
  } else if (!isFilledWith(bytes.subarray(freeAt, storeEnd), 0xff)) {
    add({
      kind: 'free-space',
      severity: 'warning',
      at: freeAt,
      text: 'the free space is not erased',
      remedy: 'repair',
    });
  }
}

function judgeWorkingArea(
  bytes: Uint8Array,
  storeEnd: number,
  blocks: readonly WorkingBlock[],
  volumeAt: number,
  add: Add,
): void {
  const volumeEnd = bytes.length;
  const [first] = blocks;
  // The last thing in a volume that is a working block is a copy of one: there is no room for a spare area.
  if (first && volumeAt + volumeEnd - first.endsAt >= storeEnd) return;
  if (first) {
    add({
      kind: 'working-block',
      severity: 'error',
      at: first.at - volumeAt,
      text: 'the working block of fault tolerant writes is not where its spare area could follow; an update of itself was interrupted',
      remedy: 'firmware',
    });
    return;
  }
  const firstBlock = Math.ceil(storeEnd / VOLUME_ALIGNMENT) * VOLUME_ALIGNMENT;
  for (let at = firstBlock; at < volumeEnd; at += VOLUME_ALIGNMENT) {
    if (!looksLikeWorkingBlock(bytes, at)) continue;
    add({
      kind: 'working-block',
      severity: 'warning',
      at,
      text: 'the working block of fault tolerant writes is damaged; firmware formats it when it starts',
      remedy: 'firmware',
    });
    return;
  }
  if (storeEnd < volumeEnd) {
    add({
      kind: 'working-block',
      severity: 'note',
      at: storeEnd,
      text: 'there is no working block of fault tolerant writes yet; firmware makes one when it starts',
      remedy: 'firmware',
    });
  }
}

/** A name for messages: in quotes, on one line. */
export function shown(name: string): string {
  return JSON.stringify(name);
}
