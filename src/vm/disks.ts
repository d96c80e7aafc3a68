import { UserError } from '../base/index.js';
import { openDiskFile, type DiskEnvironment, type DiskFile } from '../host/node/disk/disk-file.js';
import { isSameFile } from '../host/node/output-file.js';

/** As many as a machine takes. */
export const MAX_DISKS = 8;
/** What the id of a virtio disk has room for (VIRTIO 1.2 5.2.6.1). */
export const MAX_SERIAL_CHARACTERS = 20;

/** A disk of a machine: a virtio block device and where its bytes are. */
export interface DiskOptions {
  /** The image, raw or qcow2, or a block device; locked against a second machine that writes it. */
  readonly file: string;
  /** The guest cannot write. Default: false. */
  readonly readOnly?: boolean;
  /**
   * The image stays as it is; what the guest writes goes to a temporary file that ends with the machine (`true`), or
   * to a file (its name), which is made when it isn't there and used again the next time. Default: false.
   */
  readonly overlay?: boolean | string;
  /** Told by the file's first bytes when left out. qcow2 images can only be read: `readOnly` or `overlay`. */
  readonly format?: 'raw' | 'qcow2';
  /** What the guest reads as the disk's serial number: up to 20 printable characters of ASCII. */
  readonly serial?: string;
}

/** Opens every disk, or none. */
export function openDisks(disks: readonly DiskOptions[], environment: DiskEnvironment): DiskFile[] {
  checkDisks(disks);
  const open: DiskFile[] = [];
  try {
    for (const { file, readOnly = false, overlay = false, format } of disks) {
      open.push(
        openDiskFile(
          { path: file, isReadOnly: readOnly, overlay, ...(format === undefined ? {} : { format }) },
          environment,
        ),
      );
    }
    return open;
  } catch (error) {
    for (const disk of open) disk.close();
    throw error;
  }
}

function checkDisks(disks: readonly DiskOptions[]): void {
  if (disks.length > MAX_DISKS) {
    throw new UserError('option', `${disks.length} disks: accepted: up to ${MAX_DISKS}`);
  }
  for (const [index, { file, readOnly, overlay, format, serial }] of disks.entries()) {
    const fail = (text: string): never => {
      throw new UserError('option', `disk ${file}: ${text}`);
    };
    if (readOnly === true && overlay !== undefined && overlay !== false) {
      fail('read-only with an overlay; accepted: one of the two');
    }
    if (format !== undefined && !['raw', 'qcow2'].includes(format)) {
      fail(`format ${String(format)}; accepted: raw, qcow2`);
    }
    const other = disks.slice(0, index).find((earlier) => isSameFile(earlier.file, file));
    const isWritten = (disk: DiskOptions): boolean =>
      disk.readOnly !== true && (disk.overlay ?? false) === false;
    if (other && (isWritten(other) || isWritten(disks[index]!))) {
      fail('given twice; accepted: another file, or both with ro or overlay');
    }
    if (serial !== undefined && !isSerial(serial)) {
      fail(`serial ${serial}; accepted: 1 to ${MAX_SERIAL_CHARACTERS} printable characters of ASCII`);
    }
  }
}

export function isSerial(text: string): boolean {
  return text.length <= MAX_SERIAL_CHARACTERS && /^[\x20-\x7e]+$/.test(text);
}
