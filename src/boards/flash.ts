/** A flash bank with what keeps it. */
import { CfiFlash, type CfiFlashGeometry, type CfiFlashQuirks } from '../devices/cfi-flash/cfi-flash.js';
import { FlashCommit, type FlashCommitPolicy } from '../devices/cfi-flash/commit.js';
import type { BoardPorts, FlashBank } from './ports.js';

export interface FlashConfig {
  /** The guest can change blocks that lie wholly below this offset; 0 for none. */
  readonly writableBytes: number;
  readonly commitPolicy: FlashCommitPolicy;
  readonly quirks?: CfiFlashQuirks;
  /** Whether the CPU sees the array as memory; default: it does. */
  readonly isDirect?: boolean;
}

export function buildFlash(
  name: string,
  base: number,
  geometry: CfiFlashGeometry,
  { writableBytes, commitPolicy, quirks = {}, isDirect = true }: FlashConfig,
  ports: BoardPorts,
  storage: BoardPorts['flashStorage'][number],
): FlashBank {
  const { clock, trace } = ports;
  const map = ports.directMap(base, geometry.sizeBytes);
  const commit =
    storage &&
    new FlashCommit({
      policy: commitPolicy,
      name,
      map,
      storage,
      clock,
      onStorageError: (error) => ports.onStorageError(error),
    });
  const device = new CfiFlash({
    name,
    geometry,
    map,
    writableBytes,
    quirks,
    isDirect,
    trace,
    ...(commit ? { changes: commit } : {}),
  });
  const load: FlashBank['load'] = (offset, bytes) => {
    map.load(offset, bytes);
  };
  return { device, load, commit };
}
