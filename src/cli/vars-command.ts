/** `v8a vars`. Each function carries out a command and returns its exit status; mistakes are thrown as `UserError`. */
import process from 'node:process';
import { hex, UserError } from '../base/index.js';
import { readInputFile } from '../host/node/input-file.js';
import { isSameFile, OutputFile } from '../host/node/output-file.js';
import { Attribute, DEFAULT_ATTRIBUTES, formatAttributes } from '../varstore/attributes.js';
import {
  changeBootSettings, formatNumber, readBootSettings, readLoadOption, readNumbers, type LoadOption,
} from '../varstore/boot-options.js'; // prettier-ignore
import { isFilledWith } from '../varstore/bytes.js';
import { formatDevicePath, printable } from '../varstore/device-path.js';
import type { Variable } from '../varstore/entries.js';
import { GLOBAL_VARIABLE, guidName } from '../varstore/guid.js';
import { formatJson, parseJson } from '../varstore/json.js';
import { repairStore } from '../varstore/repair.js';
import type { Problem } from '../varstore/store.js';
import { VariableStore } from '../varstore/variable-store.js';
import { ExitStatus } from './exit-status.js';
import { change, look, print, say, table, withHostErrors } from './image-file.js';
import type {
  BootOptions,
  ChangeOptions,
  GetOptions,
  ImportOptions,
  NameOptions,
  SetOptions,
} from './image-program.js';
import { quoteIfNeeded } from './parse.js';

export function list(file: string): number {
  return withHostErrors(() => {
    const store = read(file);
    const rows = store.variables.map(({ name, guid, attributes, data }) => [
      printable(name),
      guidName(guid),
      formatAttributes(attributes),
      `${data.length}`,
    ]);
    print(table([['NAME', 'VENDOR', 'ATTRIBUTES', 'BYTES'], ...rows], [3]));
    return ExitStatus.ok;
  });
}

export function get(file: string, name: string, options: GetOptions): number {
  return withHostErrors(() => {
    const variable = choose(file, read(file), name, options);
    if (!variable) return missing(file, name, options);
    if (options.raw) process.stdout.write(variable.data);
    else print(describe(variable));
    return ExitStatus.ok;
  });
}

export function set(file: string, name: string, options: SetOptions): number {
  return withHostErrors(() => {
    const given = (['hex', 'text', 'file'] as const).filter((option) => options[option] !== undefined);
    if (given.length !== 1) {
      throw new UserError(
        'option',
        given.length === 0
          ? 'the data is missing; accepted: --hex, --text or --file'
          : `${given.map((option) => `--${option}`).join(' and ')}: accepted: one of them`,
      );
    }
    const data = options.hex ?? options.text ?? readInputFile('--file', options.file!);
    return changeStore(file, (store) => {
      const before = choose(file, store, name, options);
      const guid = options.guid ?? before?.guid ?? (isGlobalName(name) ? GLOBAL_VARIABLE : undefined);
      if (guid === undefined) {
        throw new UserError(
          'option',
          `--guid is missing: there is no variable ${quoteIfNeeded(name)} yet; give its vendor`,
        );
      }
      const attributes = options.attributes ?? before?.attributes ?? DEFAULT_ATTRIBUTES;
      store.set({ name, guid, attributes, data }, { force: options.force ?? false });
      return ExitStatus.ok;
    });
  });
}

export function remove(file: string, name: string, options: ChangeOptions): number {
  return withHostErrors(() =>
    changeStore(file, (store) => {
      const variable = choose(file, store, name, options);
      if (!variable) return missing(file, name, options);
      store.delete(variable.name, variable.guid, { force: options.force ?? false });
      return ExitStatus.ok;
    }),
  );
}

export function boot(file: string, { order, next, timeout }: BootOptions): number {
  return withHostErrors(() => {
    if (order === undefined && next === undefined && timeout === undefined) {
      print(describeBoot(read(file)));
      return ExitStatus.ok;
    }
    return changeStore(file, (store) => {
      changeBootSettings(store, {
        ...(order === undefined ? {} : { order }),
        ...(next === undefined ? {} : { next }),
        ...(timeout === undefined ? {} : { timeoutSeconds: timeout }),
      });
      return ExitStatus.ok;
    });
  });
}

export function exportJson(file: string, json: string | undefined): number {
  return withHostErrors(() => {
    const text = formatJson(read(file).variables);
    if (json === undefined || json === '-') {
      print(text);
      return ExitStatus.ok;
    }
    if (isSameFile(file, json)) {
      throw new UserError('option', `${json}: is the flash image; accepted: another file`);
    }
    const output = new OutputFile('export to', json);
    try {
      output.begin();
      output.write(text);
    } finally {
      output.close();
    }
    return ExitStatus.ok;
  });
}

export function importJson(file: string, json: string, options: ImportOptions): number {
  return withHostErrors(() => {
    const force = options.force ?? false;
    const variables = readJson(json);
    const kept = variables.filter(({ attributes }) => (attributes & Attribute.nonVolatile) !== 0);
    return changeStore(file, (store) => {
      let [changed, unchanged, deleted] = [0, 0, 0];
      if (options.replace) {
        const isWanted = (variable: Variable): boolean =>
          kept.some(({ name, guid }) => name === variable.name && guid === variable.guid);
        for (const { name, guid } of store.variables.filter((variable) => !isWanted(variable))) {
          store.delete(name, guid, { force });
          deleted++;
        }
      }
      for (const variable of kept) {
        if (store.set(variable, { force }) === 'unchanged') unchanged++;
        else changed++;
      }
      const skipped = variables.length - kept.length;
      say(
        `v8a: ${changed} set, ${unchanged} as they were` +
          (options.replace ? `, ${deleted} deleted` : '') +
          (skipped > 0 ? `, ${skipped} left out that are not NV` : '') +
          '\n',
      );
      return ExitStatus.ok;
    });
  });
}

export function check(file: string): number {
  return withHostErrors(() =>
    look(file, (image) => {
      const store = VariableStore.read(image);
      const { sizeBytes, liveBytes, deletedBytes, freeBytes } = store.space;
      const { offset, bytes } = store.part;
      print(
        `${file}: ${store.format} variable store in the volume at ${hex(offset, 8)}, ${bytes.length} bytes long\n` +
          `${store.variables.length} variables in ${liveBytes} of ${sizeBytes} bytes, ${deletedBytes} bytes of deleted ones, ${freeBytes} bytes free\n`,
      );
      print(formatProblems(store.problems));
      const isSound = !store.problems.some(isTrouble);
      if (isSound) print('sound\n');
      return isSound ? ExitStatus.ok : ExitStatus.notMet;
    }),
  );
}

export function repair(file: string): number {
  return withHostErrors(() => {
    const { repaired, left } = change(file, (image) => {
      const result = repairStore(image);
      return { part: result.part, result };
    });
    for (const { at, text } of repaired) print(`repaired  ${hex(at, 8)}  ${text}\n`);
    const trouble = left.filter(isTrouble);
    print(formatProblems(trouble));
    if (trouble.length > 0) return ExitStatus.notMet;
    print(repaired.length > 0 ? 'sound now\n' : 'sound; nothing to repair\n');
    return ExitStatus.ok;
  });
}

/** Reads a store; that it isn't sound is said beside whatever else is. */
function read(file: string): VariableStore {
  const store = look(file, (image) => VariableStore.read(image));
  const count = store.problems.filter(isTrouble).length;
  if (count > 0) {
    say(`v8a: flash image ${file}: not sound; 'v8a vars check ${quoteIfNeeded(file)}' says what is wrong\n`);
  }
  return store;
}

function changeStore(file: string, edit: (store: VariableStore) => number): number {
  return change(file, (image) => {
    const store = VariableStore.read(image);
    const result = edit(store);
    return { part: store.part, result };
  });
}

/** The variable that is meant; undefined where there is none. */
function choose(
  file: string,
  store: VariableStore,
  name: string,
  { guid }: NameOptions,
): Variable | undefined {
  const [variable, another] = store.find(name, guid);
  if (variable && another) {
    const guids = store.find(name).map((found) => guidName(found.guid));
    throw new UserError(
      'option',
      `flash image ${file}: several vendors have a variable ${quoteIfNeeded(name)}; accepted: --guid with ${guids.join(' or ')}`,
    );
  }
  return variable;
}

function missing(file: string, name: string, { guid }: NameOptions): number {
  const vendor = guid === undefined ? '' : ` of ${guidName(guid)}`;
  say(`v8a: flash image ${file}: there is no variable ${quoteIfNeeded(name)}${vendor}\n`);
  return ExitStatus.notMet;
}

function readJson(json: string): Variable[] {
  const text = new TextDecoder().decode(readInputFile('import of', json));
  try {
    return parseJson(text);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.code, `import of ${json}: ${error.message}`, { cause: error });
  }
}

function isTrouble({ severity }: Problem): boolean {
  return severity !== 'note';
}

const REMEDIES: Readonly<Record<Problem['remedy'], string>> = {
  repair: "'v8a vars repair' puts it right",
  firmware: 'left to firmware',
  none: 'cannot be put right without guessing',
};

function formatProblems(problems: readonly Problem[]): string {
  return problems
    .map(({ severity, at, text, remedy }) => {
      const what = severity === 'note' ? '' : ` (${REMEDIES[remedy]})`;
      return `${severity.padEnd(8)}  ${hex(at, 8)}  ${text}${what}\n`;
    })
    .join('');
}

/** Those that UEFI defines and that are set by hand (UEFI 2.10, 3.3). */
function isGlobalName(name: string): boolean {
  return (
    /^(Boot|Driver|SysPrep|Key|PlatformRecovery)[0-9A-F]{4}$/.test(name) ||
    ['BootOrder', 'BootNext', 'DriverOrder', 'SysPrepOrder', 'Timeout', 'PlatformLang', 'Lang'].includes(
      name,
    ) ||
    ['ConIn', 'ConOut', 'ErrOut', 'OsIndications', 'PK', 'KEK'].includes(name)
  );
}

function describe(variable: Variable): string {
  const { name, guid, attributes, data, time } = variable;
  const known = guidName(guid);
  const rows = [
    ['Name', printable(name)],
    ['Vendor', known === guid ? guid : `${known} (${guid})`],
    ['Attributes', formatAttributes(attributes)],
    ...(isFilledWith(time, 0) ? [] : [['Time', formatTime(time)]]),
    ...decode(variable),
    ['Data', `${data.length} bytes`],
  ];
  return table(rows) + hexDump(data);
}

/** What the data means, where that is known. */
function decode({ name, guid, data }: Variable): string[][] {
  if (guid !== GLOBAL_VARIABLE) return [];
  if (/^(Boot|Driver|SysPrep|PlatformRecovery)[0-9A-F]{4}$/.test(name)) {
    const option = readLoadOption(data);
    if (!option) return [['Meaning', 'none: it is no load option']];
    const { description, path, optionalDataBytes } = option;
    return [
      ['Title', printable(description)],
      ['Flags', flagsOf(option)],
      ['Path', path],
      ...(optionalDataBytes > 0 ? [['Behind it', `${optionalDataBytes} bytes for what is loaded`]] : []),
    ];
  }
  if (['BootOrder', 'BootNext', 'DriverOrder', 'SysPrepOrder'].includes(name)) {
    return [['Meaning', readNumbers(data)?.map(formatNumber).join(', ') ?? 'none: it is no list of numbers']];
  }
  if (name === 'Timeout' && data.length === 2) return [['Meaning', formatTimeout(readNumbers(data)?.[0])]];
  if (['ConIn', 'ConOut', 'ErrOut'].includes(name)) return [['Path', formatDevicePath(data)]];
  if (['PlatformLang', 'Lang'].includes(name)) {
    return [['Meaning', printable(String.fromCharCode(...data).replace(/\0$/, ''))]];
  }
  return [];
}

function flagsOf({ isActive, isHidden, isApplication }: LoadOption): string {
  return [
    isActive ? 'active' : 'not active',
    ...(isHidden ? ['hidden'] : []),
    ...(isApplication ? ['application'] : []),
  ].join(', ');
}

function describeBoot(store: VariableStore): string {
  const { order, next, timeoutSeconds, options } = readBootSettings(store);
  const placed = options.map((option) => ({ ...option, place: (order ?? []).indexOf(option.number) + 1 }));
  // Those that are in no order come last, by number.
  const rank = ({ place, number }: { place: number; number: number }): number =>
    place === 0 ? 0x10000 + number : place;
  const inOrder = placed.sort((a, b) => rank(a) - rank(b));
  const rows = inOrder.map(({ number, option, place }) => {
    return [
      place === 0 ? '-' : `${place}.`,
      `Boot${formatNumber(number)}`,
      ...(option
        ? [printable(option.description), flagsOf(option), option.path]
        : ['?', '', 'is no load option']),
    ];
  });
  const lost = (order ?? []).filter((number) => !options.some((option) => option.number === number));
  return (
    table([
      ['BootOrder', order ? order.map(formatNumber).join(', ') : 'not set'],
      ['BootNext', next === undefined ? 'not set' : formatNumber(next)],
      ['Timeout', timeoutSeconds === undefined ? 'not set' : formatTimeout(timeoutSeconds)],
    ]) +
    (rows.length > 0 ? '\n' : '') +
    table(rows, [0]) +
    lost.map((number) => `BootOrder names Boot${formatNumber(number)}, which does not exist\n`).join('')
  );
}

function formatTimeout(seconds: number | undefined): string {
  return seconds === 0xffff ? 'waits for a key' : `${seconds} s`;
}

/** `EFI_TIME` (UEFI 2.10, 8.3). */
function formatTime(time: Uint8Array): string {
  const view = new DataView(time.buffer, time.byteOffset, time.length);
  const two = (at: number): string => String(view.getUint8(at)).padStart(2, '0');
  return `${view.getUint16(0, true)}-${two(2)}-${two(3)} ${two(4)}:${two(5)}:${two(6)}`;
}

function hexDump(data: Uint8Array): string {
  let text = '';
  for (let at = 0; at < data.length; at += 16) {
    const row = data.subarray(at, at + 16);
    const digits = Array.from(row, (byte) => byte.toString(16).padStart(2, '0'));
    const halves = [digits.slice(0, 8).join(' '), digits.slice(8).join(' ')].join('  ');
    const characters = Array.from(row, (byte) =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.',
    );
    text += `${at.toString(16).padStart(8, '0')}  ${halves.padEnd(48)}  |${characters.join('')}|\n`;
  }
  return text;
}
