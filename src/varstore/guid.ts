/** GUIDs as text, and the names that EDK2 gives to those that variables have. */

/** A GUID in lower case: `8be4df61-93ca-11d2-aa0d-00e098032b8c`. */
export type Guid = string;

export const GUID_BYTES = 16;

/** `EFI_GLOBAL_VARIABLE` (UEFI 2.10, 3.3): boot options, consoles, languages. */
export const GLOBAL_VARIABLE: Guid = '8be4df61-93ca-11d2-aa0d-00e098032b8c';

/** `EFI_IMAGE_SECURITY_DATABASE_GUID` (UEFI 2.10, 32.4.1): db, dbx, dbt, dbr. */
export const IMAGE_SECURITY_DATABASE: Guid = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';

/** Names without EDK2's `g` in front and `Guid` behind. */
const NAMES: ReadonlyMap<Guid, string> = new Map([
  [GLOBAL_VARIABLE, 'EfiGlobalVariable'],
  [IMAGE_SECURITY_DATABASE, 'EfiImageSecurityDatabase'],
  ['f0a30bc7-af08-4556-99c4-001009c93a44', 'EfiSecureBootEnableDisable'],
  ['c076ec0c-7028-4399-a072-71ee5c448b9f', 'EfiCustomModeEnable'],
  ['9073e4e0-60ec-4b6e-9903-4c223c260f3c', 'EfiVendorKeysNv'],
  ['d9bee56e-75dc-49d9-b4d7-b534210f637a', 'EfiCertDb'],
  ['04b37fe8-f6ae-480b-bdd5-37d98c5e89aa', 'EdkiiVarErrorFlag'],
  ['4c19049f-4137-4dd3-9c10-8b97a83ffdfa', 'EfiMemoryTypeInformation'],
  ['eb704011-1402-11d3-8e77-00a0c969723b', 'MtcVendor'],
  ['158def5a-f656-419c-b027-7a3192c079d2', 'ShellVariable'],
  ['59324945-ec44-4c0d-b1cd-9db139df070c', 'EfiIScsiInitiatorNameProtocol'],
  ['4b47d616-a8d6-4552-9d44-ccad2e0f4cf9', 'IScsiConfig'],
  ['fd2340d0-3dab-4349-a6c7-3b4f12b48eae', 'EfiTlsCaCertificate'],
  ['937fe521-95ae-4d1a-8929-48bcd90ad31a', 'EfiIp6ConfigProtocol'],
  ['605dab50-e046-4300-abb6-3dd810dd8b23', 'Shim'],
]);

/** The well-known name of `guid`, or its text. */
export function guidName(guid: Guid): string {
  return NAMES.get(guid) ?? guid;
}

/** A GUID as text in any case, or a well-known name with or without EDK2's `g…Guid`; undefined for anything else. */
export function parseGuid(text: string): Guid | undefined {
  const lower = text.trim().toLowerCase();
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(lower)) return lower;
  for (const [guid, name] of NAMES) {
    const known = name.toLowerCase();
    if (lower === known || lower === `g${known}guid` || lower === `g${known}`) return guid;
  }
  return undefined;
}

/** Where the bytes of the text are in memory: three little-endian numbers, then eight bytes (UEFI 2.10, appendix A). */
const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

/** The GUID in the first 16 bytes of `bytes`. */
export function readGuid(bytes: Uint8Array, at: number): Guid {
  const digits = ORDER.map((index) => (bytes[at + index] ?? 0).toString(16).padStart(2, '0')).join('');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

export function writeGuid(bytes: Uint8Array, at: number, guid: Guid): void {
  const digits = guid.replaceAll('-', '');
  ORDER.forEach((index, position) => {
    bytes[at + index] = parseInt(digits.slice(2 * position, 2 * position + 2), 16);
  });
}
