/** Files of a kernel that is started without a boot loader, or handed to firmware: read whole, unpacked. */
import * as fs from 'node:fs';
import process from 'node:process';
import { MIB, UserError } from '../../base/index.js';
import type { HostFiles, ImageKind } from './image-file.js';
import { openImage, readFully, reasonOf } from './image-file.js';

const KERNEL: ImageKind = {
  code: 'kernel',
  noun: 'kernel image',
  advice:
    'Debian has kernels for arm64 in its packages linux-image-arm64 and debian-installer-12-netboot-arm64',
};
const INITRD: ImageKind = {
  code: 'initrd',
  noun: 'initial RAM disk',
  advice: 'give the file that belongs to the kernel',
};

const FIRMWARE: ImageKind = {
  code: 'firmware',
  noun: 'firmware image',
  advice: "give one that starts in RAM, such as EDK2's KVMTOOL_EFI.fd",
};

/** More than any kernel; a file that unpacks to more is a mistake or an attack. */
const MAX_BYTES = 512 * MIB;

/** RFC 1952, 2.3.1. */
const GZIP_MAGIC = 0x8b1f;

/** EFI zboot (Linux drivers/firmware/efi/libstub/zboot-header.S): an EFI program with the packed kernel in it. */
const ZBOOT = {
  magic: 0x676d_697a,
  magicAt: 4,
  payloadAt: 8,
  sizeAt: 12,
  compressionAt: 24,
  bytes: 56,
} as const;

/**
 * The kernel in a file: the bytes themselves, or what gzip or EFI zboot have packed.
 *
 * @throws UserError: `kernel-missing`, `-directory`, `-not-a-file`, `-unreadable`, `-empty`, `-too-large`, `-packed`,
 *   `-io`.
 */
export function readKernelFile(path: string, files: HostFiles = fs): Uint8Array {
  return unpackKernel(readWhole(KERNEL, path, files), path);
}

/** Firmware that starts in RAM. @throws UserError: `firmware-missing` and the others. */
export function readFirmwareFile(path: string, files: HostFiles = fs): Uint8Array {
  return readWhole(FIRMWARE, path, files);
}

/** @throws UserError: `initrd-missing` and the others. */
export function readInitrdFile(path: string, files: HostFiles = fs): Uint8Array {
  return readWhole(INITRD, path, files);
}

function readWhole(kind: ImageKind, path: string, files: HostFiles): Uint8Array {
  const { fd, sizeBytes } = openImage(files, kind, path, false);
  try {
    if (sizeBytes > MAX_BYTES) {
      throw new UserError(
        `${kind.code}-too-large`,
        `${kind.noun} ${path}: ${sizeBytes} bytes: accepted: at most ${MAX_BYTES}`,
      );
    }
    const bytes = new Uint8Array(sizeBytes);
    readFully(files, fd, bytes, 0);
    return bytes;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${kind.code}-io`, `${kind.noun} ${path}: cannot be read: ${reasonOf(error)}`);
  } finally {
    files.closeSync(fd);
  }
}

/** `name` is for messages. `bytes` themselves where nothing is packed. */
export function unpackKernel(bytes: Uint8Array, name: string): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length >= 2 && view.getUint16(0, true) === GZIP_MAGIC) return gunzip(bytes, name);
  if (bytes.length < ZBOOT.bytes || view.getUint32(ZBOOT.magicAt, true) !== ZBOOT.magic) return bytes;
  const compression = Buffer.from(bytes.subarray(ZBOOT.compressionAt, ZBOOT.bytes))
    .toString('latin1')
    .replace(/\0.*$/s, '');
  const at = view.getUint32(ZBOOT.payloadAt, true);
  const sizeBytes = view.getUint32(ZBOOT.sizeAt, true);
  if (compression !== 'gzip') {
    throw packed(name, `an EFI zboot image packed with ${JSON.stringify(compression)}: accepted: gzip`);
  }
  if (at + sizeBytes > bytes.length) throw packed(name, 'an EFI zboot image that is cut off');
  return gunzip(bytes.subarray(at, at + sizeBytes), name);
}

function gunzip(bytes: Uint8Array, name: string): Uint8Array {
  // Most kernels aren't packed, and loading it takes time.
  const { gunzipSync } = process.getBuiltinModule('node:zlib');
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_BYTES });
  } catch (error) {
    throw packed(name, `cannot be unpacked: ${reasonOf(error)}`);
  }
}

function packed(name: string, what: string): UserError {
  return new UserError('kernel-packed', `kernel image ${name}: ${what}`);
}
