/** `v8a flash`. */
import { hex, UserError } from '../base/index.js';
import { createFlashFile, MAX_IMAGE_BYTES } from '../host/node/flash-file.js';
import { describeBlocks } from '../varstore/describe-image.js';
import { ExitStatus } from './exit-status.js';
import { look, print, table, withHostErrors } from './image-file.js';
import type { BlockOptions } from './image-program.js';
import { accepted } from './option.js';
import { formatSize, parsePath, parseSize } from './parse.js';

export function create(file: string, size: string, { blockSize }: BlockOptions): number {
  return withHostErrors(() => {
    const sizeBytes = accepted(`<size> ${size}`, () => parseSize(size));
    accepted(`<file> ${file}`, () => parsePath(file));
    if (sizeBytes % blockSize !== 0) {
      throw new UserError(
        'option',
        `<size> ${size}: is no multiple of the erase block of ${formatSize(blockSize)}; --block-size gives another`,
      );
    }
    if (sizeBytes > MAX_IMAGE_BYTES) {
      throw new UserError(
        'option',
        `<size> ${size}: is too much; accepted: up to ${formatSize(MAX_IMAGE_BYTES)}`,
      );
    }
    createFlashFile(file, sizeBytes);
    return ExitStatus.ok;
  });
}

export function show(file: string, { blockSize }: BlockOptions): number {
  return withHostErrors(() =>
    look(file, (image) => {
      const { runs, found } = describeBlocks(image, blockSize);
      const blocks = Math.ceil(image.length / blockSize);
      print(
        `${file}: ${formatSize(image.length)}, ${blocks} ${blocks === 1 ? 'block' : 'blocks'} of ${formatSize(blockSize)}\n`,
      );
      const rest = image.length % blockSize;
      if (rest !== 0) print(`the last block has ${rest} bytes only; no machine has such a flash\n`);
      const rows = runs.map(({ first, last, contents, usedBytes }) => [
        first === last ? `${first}` : `${first}-${last}`,
        hex(first * blockSize, 8),
        contents,
        contents === 'used' ? `${usedBytes} bytes up to the last that is not erased` : '',
      ]);
      print(table([['BLOCKS', 'FROM', 'CONTENTS', ''], ...rows]));
      for (const { at, text } of found) print(`${hex(at, 8)}  ${text}\n`);
      if (found.length === 0) print('nothing in it is known: no firmware volume, no variable store\n');
      return ExitStatus.ok;
    }),
  );
}
