/** Little-endian numbers in byte arrays. */

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A UINT64 as a number; `Infinity` where it is beyond what a number holds, so that every comparison refuses it. */
export function uint64(view: DataView, at: number): number {
  const value = Number(view.getBigUint64(at, true));
  return Number.isSafeInteger(value) ? value : Infinity;
}

/** The same bytes as a plain array: `slice` of a Node `Buffer` would not copy. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function isFilledWith(bytes: Uint8Array, value: number): boolean {
  return bytes.every((byte) => byte === value);
}

export function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** UCS-2 up to `units` characters, without looking for an end. */
export function readUcs2(bytes: Uint8Array, at: number, units: number): string {
  const view = viewOf(bytes);
  let text = '';
  for (let unit = 0; unit < units; unit++) text += String.fromCharCode(view.getUint16(at + 2 * unit, true));
  return text;
}

/** Up to a NUL, or undefined where there is none before `end`. */
export function readUcs2Z(
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly text: string; readonly end: number } | undefined {
  const view = viewOf(bytes);
  let text = '';
  for (let from = at; from + 2 <= end; from += 2) {
    const unit = view.getUint16(from, true);
    if (unit === 0) return { text, end: from + 2 };
    text += String.fromCharCode(unit);
  }
  return undefined;
}

/** `text` and a NUL. */
export function ucs2Z(text: string): Uint8Array {
  const bytes = new Uint8Array(2 * text.length + 2);
  const view = viewOf(bytes);
  for (let unit = 0; unit < text.length; unit++) view.setUint16(2 * unit, text.charCodeAt(unit), true);
  return bytes;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Bytes from pairs of digits, between which may be white space; undefined where that is not what it is. */
export function fromHex(text: string): Uint8Array | undefined {
  const digits = text.replace(/^0x/i, '').replaceAll(/\s/g, '');
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) return undefined;
  return Uint8Array.from({ length: digits.length / 2 }, (_, index) =>
    parseInt(digits.slice(2 * index, 2 * index + 2), 16),
  );
}
