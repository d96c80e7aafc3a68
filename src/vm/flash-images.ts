/** The images that flash banks hold, wherever their bytes are. */
import { UserError } from '../base/index.js';
import type { FlashStorage } from '../bus/index.js';
import type { FlashBank } from '../boards/ports.js';
import { openFirmwareFile, openFlashFile, trimFlash, type FlashFile } from '../host/node/flash-file.js';

/** What is in a bank of the board. */
export interface FlashImage {
  /** Size of the bank. */
  readonly bankBytes: number;
  /** Where changes go, if they outlive the machine. */
  readonly storage: FlashStorage | undefined;
  /** The guest can change what is wholly below; what lies beyond would be lost. */
  readonly writableBytes: number;
  /** What the user should know, one line each. */
  readonly notices: readonly string[];
  /** Hands over the bytes in parts, with the offset of each. Once. */
  load(into: FlashBank['load']): void;
  /** Calling it again does nothing. */
  close(): void;
}

/** Firmware that is never written; it may be smaller than its bank. Empty when left out. */
export function openFirmwareBank(
  given: string | Uint8Array = new Uint8Array(),
  bankBytes: number,
): FlashImage {
  if (typeof given !== 'string') return { ...imageOf('firmware', given, bankBytes), writableBytes: 0 };
  const file = openFirmwareFile(given, bankBytes);
  return {
    bankBytes,
    storage: undefined,
    writableBytes: 0,
    notices: [],
    load: (into) => {
      file.load(into);
      file.close();
    },
    close: () => {
      file.close();
    },
  };
}

/** Variables in a bank of blocks, which the file or the bytes may fill in part. Erased when left out. */
export function openVariablesBank(
  given: string | Uint8Array = new Uint8Array(),
  { sizeBytes: bankBytes, blockBytes }: { readonly sizeBytes: number; readonly blockBytes: number },
): FlashImage {
  if (typeof given !== 'string') return imageOf('flash', given, bankBytes);
  const file = openFlashFile({ path: given, bankBytes, blockBytes, sizing: 'blocks' });
  return { ...imageOfFile(file), bankBytes };
}

/** A bank as large as the greatest power of two in the image, up to `mostBytes`; the rest of it is left alone. */
export function openTrimmedBank(
  given: string | Uint8Array,
  mostBytes: number,
  blockBytes: number,
): FlashImage {
  if (typeof given === 'string') {
    const file = openFlashFile({ path: given, bankBytes: mostBytes, blockBytes, sizing: 'power-of-two' });
    return { ...imageOfFile(file), bankBytes: file.sizeBytes };
  }
  const { sizeBytes, notices } = trimFlash('flash', given.length, mostBytes, blockBytes);
  return { ...imageOf('flash', given.subarray(0, sizeBytes), sizeBytes), notices };
}

function imageOfFile(file: FlashFile): Omit<FlashImage, 'bankBytes'> {
  return {
    storage: file,
    writableBytes: file.sizeBytes,
    notices: file.notices,
    load: (into) => {
      file.load(into);
    },
    close: () => {
      file.close();
    },
  };
}

function imageOf(option: string, bytes: Uint8Array, bankBytes: number): FlashImage {
  if (bytes.length > bankBytes) {
    throw new UserError(
      'option',
      `${option} of ${bytes.length} bytes: accepted: at most ${bankBytes}, the size of its flash bank`,
    );
  }
  return {
    bankBytes,
    storage: undefined,
    writableBytes: bankBytes,
    notices: [],
    load: (into) => {
      into(0, bytes);
    },
    close: () => undefined,
  };
}
