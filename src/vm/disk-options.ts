/** What disks a machine may have. Opening them is `disks.ts`, which is loaded where there is one. */

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

export function isSerial(text: string): boolean {
  return text.length <= MAX_SERIAL_CHARACTERS && /^[\x20-\x7e]+$/.test(text);
}
