/**
 * An independent reader of the variable store that EDK2 keeps in flash: a firmware volume (PI specification 1.8,
 * volume 3, 3.2.1) whose body starts with EDK2's VARIABLE_STORE_HEADER (MdeModulePkg/Include/Guid/VariableFormat.h).
 */

/** `EFI_FIRMWARE_VOLUME_HEADER`. */
const VOLUME = { signatureAt: 0x28, headerLengthAt: 0x30 } as const;
const VOLUME_SIGNATURE = '_FVH';

/** `VARIABLE_STORE_HEADER`. */
const STORE = { sizeAt: 16, formatAt: 20, stateAt: 21, bytes: 28 } as const;
/** `gEfiAuthenticatedVariableGuid`, as its bytes lie in memory. */
const STORE_GUID = '782cf3aa7b949a43a1802e144ec37792';
const STORE_FORMATTED = 0x5a;
const STORE_HEALTHY = 0xfe;

/** `AUTHENTICATED_VARIABLE_HEADER`. */
const VARIABLE = { stateAt: 2, nameSizeAt: 36, dataSizeAt: 40, vendorAt: 44, bytes: 60 } as const;
const VARIABLE_START = 0x55aa;
/** State bits are cleared one after the other: header valid, added, about to be deleted, deleted. */
const STATE_ADDED = 0x3f;
const STATE_IN_DELETED_TRANSITION = 0x3e;
const VARIABLE_STATES: readonly number[] = [0x7f, STATE_ADDED, STATE_IN_DELETED_TRANSITION, 0x3d, 0x3c];
const ERASED_16 = 0xffff;

const align4 = (offset: number): number => Math.ceil(offset / 4) * 4;

/** A GUID as it is written, `6b1f6f0e-…`, from its 16 bytes: three little-endian numbers and 8 bytes. */
function guidText(bytes: Buffer): string {
  const hex = (part: Buffer): string => part.toString('hex');
  const swapped = (from: number, to: number): string => hex(Buffer.from(bytes.subarray(from, to)).reverse());
  return [
    swapped(0, 4),
    swapped(4, 6),
    swapped(6, 8),
    hex(bytes.subarray(8, 10)),
    hex(bytes.subarray(10)),
  ].join('-');
}

/**
 * The variables of `vendor` (a GUID in lower case) in the flash image `bank`, name to data; undefined where the
 * store is not whole: a header that is none, or a variable whose header or size is.
 */
export function readVariableStore(bank: Buffer, vendor: string): Map<string, Buffer> | undefined {
  const isVolume =
    bank.toString('latin1', VOLUME.signatureAt, VOLUME.signatureAt + VOLUME_SIGNATURE.length) ===
    VOLUME_SIGNATURE;
  if (!isVolume) return undefined;
  const store = bank.subarray(bank.readUInt16LE(VOLUME.headerLengthAt));
  if (
    store.toString('hex', 0, STORE_GUID.length / 2) !== STORE_GUID ||
    store[STORE.formatAt] !== STORE_FORMATTED ||
    store[STORE.stateAt] !== STORE_HEALTHY
  ) {
    return undefined;
  }
  const end = store.readUInt32LE(STORE.sizeAt);
  const found = new Map<string, Buffer>();
  const replaced = new Map<string, Buffer>();
  let at: number = STORE.bytes;
  while (at + VARIABLE.bytes <= end) {
    const start = store.readUInt16LE(at);
    if (start === ERASED_16) break;
    const state = store[at + VARIABLE.stateAt] ?? 0;
    const nameAt = at + VARIABLE.bytes;
    const dataAt = nameAt + store.readUInt32LE(at + VARIABLE.nameSizeAt);
    const dataEnd = dataAt + store.readUInt32LE(at + VARIABLE.dataSizeAt);
    if (start !== VARIABLE_START || !VARIABLE_STATES.includes(state) || dataEnd > end) return undefined;
    const variables =
      state === STATE_ADDED ? found : state === STATE_IN_DELETED_TRANSITION ? replaced : undefined;
    if (variables && guidText(store.subarray(at + VARIABLE.vendorAt, nameAt)) === vendor) {
      const name = store.toString('utf16le', nameAt, dataAt).replace(/\0$/, '');
      variables.set(name, Buffer.from(store.subarray(dataAt, dataEnd)));
    }
    at = align4(dataEnd);
  }
  // A variable that was being replaced counts until its successor is there.
  return new Map([...replaced, ...found]);
}
