/**
 * Variables as JSON, in the form that virt-fw-vars of python3-virt-firmware reads (`--set-json`) and writes
 * (`--output-json`): `{"version": 2, "variables": [{"name", "guid", "attr", "data", "time"}]}`, `attr` a number, `data`
 * and `time` (EFI_TIME, where there is one) in hexadecimal.
 */
import { UserError } from '../base/index.js';
import { fromHex, isFilledWith, toHex } from './bytes.js';
import { TIME_BYTES, type Variable } from './entries.js';
import { parseGuid } from './guid.js';

const VERSION = 2;

/** Four spaces and a line end, as virt-fw-vars writes it. */
export function formatJson(variables: readonly Variable[]): string {
  const json = {
    version: VERSION,
    variables: variables.map(({ name, guid, attributes, data, time }) => ({
      name,
      guid,
      attr: attributes,
      data: toHex(data),
      ...(isFilledWith(time, 0) ? {} : { time: toHex(time) }),
    })),
  };
  return `${JSON.stringify(json, undefined, 4)}\n`;
}

/**
 * Reads what `formatJson` or virt-fw-vars wrote.
 *
 * @throws UserError `vars-json`, one line that says where it is not what it should be.
 */
export function parseJson(text: string): Variable[] {
  let json: unknown;
  try {
    // A byte order mark is none of JSON's, and some editors write one.
    json = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    return fail(`is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isObject(json) || !Array.isArray(json.variables)) return fail('has no "variables"; accepted: a list');
  if (json.version !== undefined && json.version !== VERSION) {
    return fail(`"version" is ${JSON.stringify(json.version)}; accepted: ${VERSION}`);
  }
  const variables = json.variables.map(parseVariable);
  const keys = new Set<string>();
  for (const { name, guid } of variables) {
    const key = JSON.stringify([guid, name]);
    if (keys.has(key)) return fail(`has ${JSON.stringify(name)} of ${guid} twice`);
    keys.add(key);
  }
  return variables;
}

function parseVariable(json: unknown, index: number): Variable {
  const at = `"variables"[${index}]`;
  if (!isObject(json)) return fail(`${at} is no object`);
  const { name, guid, attr, data, time } = json;
  if (typeof name !== 'string' || name === '' || name.includes('\0')) {
    return fail(`${at} has no "name"; accepted: a string, not empty`);
  }
  const where = `${at} (${JSON.stringify(name)})`;
  const knownGuid = typeof guid === 'string' ? parseGuid(guid) : undefined;
  if (knownGuid === undefined)
    return fail(`${where}: "guid" is none; accepted: 8be4df61-93ca-11d2-aa0d-00e098032b8c`);
  if (typeof attr !== 'number' || !Number.isInteger(attr) || attr < 0 || attr > 0xffff_ffff) {
    return fail(`${where}: "attr" is no number of 32 bits`);
  }
  const bytes = (field: string, value: unknown): Uint8Array =>
    (typeof value === 'string' ? fromHex(value) : undefined) ??
    fail(`${where}: "${field}" is not in hexadecimal`);
  const timeBytes = time === undefined || time === null ? new Uint8Array(TIME_BYTES) : bytes('time', time);
  if (timeBytes.length !== TIME_BYTES)
    return fail(`${where}: "time" has ${timeBytes.length} bytes; accepted: 16`);
  return { name, guid: knownGuid, attributes: attr, data: bytes('data', data), time: timeBytes };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fail(text: string): never {
  throw new UserError('vars-json', text);
}
