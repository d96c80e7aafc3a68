import { UserError } from '../base/index.js';
import { SharedFolder } from '../host/node/shared-folder.js';
import { isTag, MAX_SHARES, TAG_RULE, type ShareOptions } from './share-options.js';

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
