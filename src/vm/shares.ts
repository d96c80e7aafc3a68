import { UserError } from '../base/index.js';
import { SharedFolder } from '../host/node/shared-folder.js';

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

/** Opens every folder, or none. */
export function openShares(shares: readonly ShareOptions[]): SharedFolder[] {
  if (shares.length > MAX_SHARES) {
    throw new UserError('option', `${shares.length} shared folders: accepted: up to ${MAX_SHARES}`);
  }
  const open: SharedFolder[] = [];
  try {
    for (const [index, { directory, tag, readOnly = false }] of shares.entries()) {
      const fail = (text: string): never => {
        throw new UserError('option', `shared folder ${directory}: ${text}`);
      };
      if (!isTag(tag)) fail(`tag ${JSON.stringify(tag)}; accepted: ${TAG_RULE}`);
      if (shares.slice(0, index).some((other) => other.tag === tag)) {
        fail(`tag ${tag} is another folder's; accepted: another tag`);
      }
      open.push(new SharedFolder({ directory, isReadOnly: readOnly }));
    }
    return open;
  } catch (error) {
    for (const share of open) share.close();
    throw error;
  }
}

export const TAG_RULE = `1 to ${MAX_TAG_CHARACTERS} letters, digits, or _ - .`;

export function isTag(text: string): boolean {
  return text.length <= MAX_TAG_CHARACTERS && /^[\w.-]+$/.test(text);
}
