/** Scratch files for a test, and the guests it runs. */
import { copyFileSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { guestFile } from '../../scripts/fetch-guests.js';
import { kvmtoolFirmware } from '../../scripts/make-kvmtool-firmware.js';

const MIB = 1024 * 1024;

/** Size of each of the two flash banks of `virt`. */
export const FLASH_BANK_BYTES = 64 * MIB;

/** Debian's UEFI firmware and the empty variable store that comes with it. */
export const AAVMF_CODE = guestFile('AAVMF_CODE.fd');
export const AAVMF_VARS = guestFile('AAVMF_VARS.fd');
export const U_BOOT = guestFile('u-boot.bin');

/** Firmware that prints `A` on the PL011 and stays: movz x0, #0x900, lsl #16; mov w1, #'A'; str w1, [x0]; b . */
export const LETTER_A = new Uint32Array([0xd2a1_2000, 0x5280_0821, 0xb900_0001, 0x1400_0000]);

/** A reason for `skip` where one of the files is missing, else false. */
export function skipWithout(...files: readonly (string | undefined)[]): string | false {
  return files.includes(undefined) && 'guest files are missing and could not be fetched: npm run guests';
}

/** A reason for `skip` without EDK2's firmware for kvmtool, else false. */
export const skipWithoutKvmtool =
  kvmtoolFirmware() === undefined &&
  'EDK2’s firmware for kvmtool has not been built: npm run guests -- --kvmtool';

/** A new directory in the system's temporary one, and its removal. */
export function scratch(): { readonly path: (name: string) => string; readonly remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'v8a-test-'));
  return {
    path: (name) => join(directory, name),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A variable store as a user starts with: a copy of the template, 64 MiB, sharing its blocks where it can. */
export function newVariableStore(path: string): string {
  if (AAVMF_VARS === undefined) throw new Error('no AAVMF_VARS.fd');
  copyFileSync(AAVMF_VARS, path, constants.COPYFILE_FICLONE);
  return path;
}

/** An erased flash bank. */
export function newErasedBank(path: string): string {
  writeFileSync(path, new Uint8Array(FLASH_BANK_BYTES).fill(0xff));
  return path;
}
