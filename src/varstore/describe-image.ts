/** What a flash image has in it, for those who look at one. */
import { UserError } from '../base/index.js';
import { isFilledWith, plainBytes } from './bytes.js';
import { findWorkingBlocks } from './fault-tolerant-write.js';
import { VariableStore } from './variable-store.js';
import { fileSystemName, findVolumes, NV_DATA_VOLUME } from './volume.js';

/** Blocks in a row that have the same kind of contents. */
export interface BlockRun {
  readonly first: number;
  readonly last: number;
  readonly contents: 'erased' | 'zeros' | 'used';
  /** From the start of the first to the last byte that is not erased. */
  readonly usedBytes: number;
}

export interface ImageDescription {
  readonly runs: readonly BlockRun[];
  /** What is known, and where. */
  readonly found: readonly { readonly at: number; readonly text: string }[];
}

/** `blockBytes`: of the erase blocks to look at. */
export function describeBlocks(given: Uint8Array, blockBytes: number): ImageDescription {
  const image = plainBytes(given);
  const runs: BlockRun[] = [];
  for (let block = 0; block * blockBytes < image.length; block++) {
    const bytes = image.subarray(block * blockBytes, (block + 1) * blockBytes);
    const contents = isFilledWith(bytes, 0xff) ? 'erased' : isFilledWith(bytes, 0) ? 'zeros' : 'used';
    const previous = runs.at(-1);
    const isMore = previous?.contents === contents;
    if (isMore) runs.pop();
    const first = isMore ? previous.first : block;
    const used = (block - first) * blockBytes + lastUsed(bytes);
    runs.push({ first, last: block, contents, usedBytes: contents === 'used' ? used : 0 });
  }
  const found: { at: number; text: string }[] = [];
  for (const { at, volume } of findVolumes(image)) {
    const kind =
      volume.fileSystem === NV_DATA_VOLUME ? variables(image, at) : fileSystemName(volume.fileSystem);
    found.push({ at, text: `firmware volume of ${volume.lengthBytes} bytes: ${kind}` });
  }
  for (const { at, endsAt } of findWorkingBlocks(image)) {
    found.push({ at, text: `working block of fault tolerant writes, ${endsAt - at} bytes` });
  }
  return { runs, found: found.sort((a, b) => a.at - b.at) };
}

function lastUsed(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0xff) end--;
  return end;
}

function variables(image: Uint8Array, at: number): string {
  try {
    const store = VariableStore.read(image);
    if (store.part.offset !== at) return 'a copy of a variable store';
    const { freeBytes } = store.space;
    const isSound = store.problems.every(({ severity }) => severity === 'note');
    return `${store.format} variable store with ${store.variables.length} variables, ${freeBytes} bytes free${isSound ? '' : ', not sound'}`;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return `variables that cannot be read: ${error.message}`;
  }
}
