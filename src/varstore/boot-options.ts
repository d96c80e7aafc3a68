/** The boot manager's variables (UEFI 2.10, 3.1 and 3.3): Boot####, BootOrder, BootNext, Timeout. */
import { UserError } from '../base/index.js';
import { DEFAULT_ATTRIBUTES } from './attributes.js';
import { readUcs2Z, viewOf } from './bytes.js';
import { formatDevicePath } from './device-path.js';
import { GLOBAL_VARIABLE } from './guid.js';
import type { VariableStore } from './variable-store.js';

/** `EFI_LOAD_OPTION` (UEFI 2.10, 3.1.3). */
export interface LoadOption {
  readonly isActive: boolean;
  readonly isHidden: boolean;
  /** Started from a menu or by a key, not in the order of booting. */
  readonly isApplication: boolean;
  readonly description: string;
  /** As text. */
  readonly path: string;
  /** Behind the path: what is given to the loaded image. */
  readonly optionalDataBytes: number;
}

const LOAD_OPTION = { pathBytes: 4, description: 6 } as const;
const ACTIVE = 0x01;
const HIDDEN = 0x08;
const CATEGORY = 0x1f00;
const CATEGORY_APPLICATION = 0x0100;

/** Undefined where `data` is none. */
export function readLoadOption(data: Uint8Array): LoadOption | undefined {
  if (data.length < LOAD_OPTION.description) return undefined;
  const view = viewOf(data);
  const attributes = view.getUint32(0, true);
  const description = readUcs2Z(data, LOAD_OPTION.description, data.length);
  if (!description) return undefined;
  const pathEnd = description.end + view.getUint16(LOAD_OPTION.pathBytes, true);
  if (pathEnd > data.length) return undefined;
  return {
    isActive: (attributes & ACTIVE) !== 0,
    isHidden: (attributes & HIDDEN) !== 0,
    isApplication: (attributes & CATEGORY) === CATEGORY_APPLICATION,
    description: description.text,
    path: formatDevicePath(data.subarray(description.end, pathEnd)),
    optionalDataBytes: data.length - pathEnd,
  };
}

/** A list of 16-bit numbers, such as BootOrder; undefined where a byte is left over. */
export function readNumbers(data: Uint8Array): readonly number[] | undefined {
  if (data.length % 2 !== 0) return undefined;
  const view = viewOf(data);
  return Array.from({ length: data.length / 2 }, (_, index) => view.getUint16(2 * index, true));
}

function encodeNumbers(numbers: readonly number[]): Uint8Array {
  const data = new Uint8Array(2 * numbers.length);
  const view = viewOf(data);
  numbers.forEach((number, index) => view.setUint16(2 * index, number, true));
  return data;
}

/** `0001`, as in `Boot0001`. */
export function formatNumber(number: number): string {
  return number.toString(16).toUpperCase().padStart(4, '0');
}

/** What the boot manager finds. Undefined: not set, or not of the form that it must have. */
export interface BootSettings {
  readonly order: readonly number[] | undefined;
  readonly next: number | undefined;
  /** Seconds; 0xffff waits for a key. */
  readonly timeoutSeconds: number | undefined;
  /** Boot####, by number. `option` is undefined where its data is no load option. */
  readonly options: readonly { readonly number: number; readonly option: LoadOption | undefined }[];
}

const BOOT_OPTION = /^Boot([0-9A-F]{4})$/;

export function readBootSettings(store: VariableStore): BootSettings {
  const variables = store.variables.filter(({ guid }) => guid === GLOBAL_VARIABLE);
  const numbers = (name: string): readonly number[] | undefined => {
    const data = variables.find((variable) => variable.name === name)?.data;
    return data && readNumbers(data);
  };
  const one = (name: string): number | undefined => {
    const found = numbers(name);
    return found?.length === 1 ? found[0] : undefined;
  };
  return {
    order: numbers('BootOrder'),
    next: one('BootNext'),
    timeoutSeconds: one('Timeout'),
    options: variables
      .flatMap(({ name, data }) => {
        const digits = BOOT_OPTION.exec(name)?.[1];
        return digits === undefined ? [] : [{ number: parseInt(digits, 16), option: readLoadOption(data) }];
      })
      .sort((a, b) => a.number - b.number),
  };
}

/** What is to be changed; `none` deletes. */
export interface BootChanges {
  readonly order?: readonly number[] | 'none';
  readonly next?: number | 'none';
  /** Seconds, 0 to 0xffff. */
  readonly timeoutSeconds?: number | 'none';
}

/**
 * Changes the boot manager's variables.
 *
 * @throws UserError `vars-boot-option` for a number without its Boot####; as `VariableStore.set`.
 */
export function changeBootSettings(store: VariableStore, changes: BootChanges): void {
  const known = readBootSettings(store).options.map(({ number }) => number);
  const asList = (value: readonly number[] | number | 'none' | undefined): readonly number[] =>
    value === undefined || value === 'none' ? [] : typeof value === 'number' ? [value] : value;
  const { order, next, timeoutSeconds } = changes;
  for (const number of [...asList(order), ...asList(next)]) {
    if (known.includes(number)) continue;
    throw new UserError(
      'vars-boot-option',
      `there is no Boot${formatNumber(number)}; accepted: ${known.length > 0 ? known.map(formatNumber).join(', ') : 'none, as there are no boot options'}`,
    );
  }
  const change = (name: string, value: readonly number[] | number | 'none' | undefined): void => {
    if (value === undefined) return;
    if (value === 'none') store.delete(name, GLOBAL_VARIABLE);
    else {
      store.set({
        name,
        guid: GLOBAL_VARIABLE,
        attributes: store.find(name, GLOBAL_VARIABLE)[0]?.attributes ?? DEFAULT_ATTRIBUTES,
        data: encodeNumbers(asList(value)),
      });
    }
  };
  change('BootOrder', order);
  change('BootNext', next);
  change('Timeout', timeoutSeconds);
}
