/** What shared folders a machine may have. Opening them is `shares.ts`, which is loaded where there is one. */

/** As many as a machine takes. */
export const MAX_SHARES = 8;
const MAX_TAG_CHARACTERS = 31;

/** A folder of the host in the guest: a virtio 9P device. */
export interface ShareOptions {
  /** The folder. Nothing outside it can be reached, by symbolic links neither. */
  readonly directory: string;
  /** What the guest mounts it by (`mount -t 9p -o trans=virtio,version=9p2000.L TAG /mnt`): 1 to 31 letters, digits, or `_ - .` */
  readonly tag: string;
  /** The guest cannot write. Default: false. */
  readonly readOnly?: boolean;
}

export const TAG_RULE = `1 to ${MAX_TAG_CHARACTERS} letters, digits, or _ - .`;

export function isTag(text: string): boolean {
  return text.length <= MAX_TAG_CHARACTERS && /^[\w.-]+$/.test(text);
}
