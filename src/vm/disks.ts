import { UserError } from '../base/index.js';
import { openDiskFile, type DiskEnvironment, type DiskFile } from '../host/node/disk/disk-file.js';
import { isSameFile } from '../host/node/output-file.js';
import { isSerial, MAX_DISKS, MAX_SERIAL_CHARACTERS, type DiskOptions } from './disk-options.js';

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
