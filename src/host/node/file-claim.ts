/**
 * Keeps two processes from writing one file.
 *
 * Node offers no file locks of the kernel's, so a claim is a small file beside the claimed one that names its
 * process: `<file>.v8a-lock.<pid>.<nonce>`. It appears as a whole, renamed from a draft, so one that cannot be read is
 * nobody's. Why this and not something else:
 * - An abstract unix socket would be freed by the kernel, but it is bound to a network namespace: two containers
 *   with one image between them would both get it, in silence.
 * - One `O_EXCL` lock file has a hole where a stale one is taken over: between finding the owner dead and removing
 *   its file, somebody else may have done so and put their own there.
 *
 * Here each process announces itself first and looks around afterwards, and it owns the file only if it looked,
 * with its own claim in place, and saw no other live claim. Of two processes, the one that announced itself later
 * sees the other, so both can never own the file. Claims are never taken over: each has a name of its own, and one
 * of a dead process is only ever removed. Of several that start together, the one whose claim sorts first stays
 * and waits for the others to step back.
 *
 * A claim is dead when its process is: gone, a zombie, started at another time than the claim says (the pid was
 * used again), or from before the last boot. Of a process in another pid namespace or on another host nothing can
 * be told: its claim counts, and the error names the file to delete. A file claimed under one of its names is not
 * protected under another hard link in another directory; symbolic links are no problem where the caller resolves
 * them.
 *
 * Claims of those who only read are `shared`: they are in the way of writers, and writers in theirs, but they are not
 * in each other's.
 */
import * as fs from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

const CLAIM_SUFFIX = '.v8a-lock.';
const DRAFT_SUFFIX = '.v8a-lock-draft.';

/** How long to wait for those who start at the same moment before believing that the file is in use. */
const PATIENCE_MS = 300;
const STANDING_POLL_MS = 2;
const STEP_BACK_MS = 20;

/** Who claims. */
interface Claimant {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process; empty where the host does not tell. */
  readonly startTime: string;
  readonly bootId: string;
  readonly pidNamespace: string;
  readonly host: string;
  readonly mode: ClaimMode;
}

/** Whether the claimant writes the file, or reads it and needs it to stay as it is. */
export type ClaimMode = 'exclusive' | 'shared';

/** Somebody else has the file. */
export class ClaimedError extends Error {
  override readonly name = 'ClaimedError';
  readonly pid: number;
  /** Set where the owner's life cannot be judged from here: the file to delete if it is known to be gone. */
  readonly doubtfulClaim: string | undefined;

  constructor(pid: number, doubtfulClaim: string | undefined) {
    super(`in use by process ${pid}`);
    this.pid = pid;
    this.doubtfulClaim = doubtfulClaim;
  }
}

/**
 * Claims `path`, whose directory must be writable. Where it isn't, a `shared` claim is only a look for writers.
 *
 * @returns a function that gives the claim up.
 * @throws ClaimedError when another machine, in this process or another, has the file; errors of the file system.
 */
export function claimFile(path: string, mode: ClaimMode = 'exclusive'): () => void {
  const self = { ...thisProcess(), mode };
  const name = `${self.pid}.${Math.random().toString(16).slice(2, 10)}`;
  const claim = `${path}${CLAIM_SUFFIX}${name}`;
  let announce = (): void => put(claim, `${path}${DRAFT_SUFFIX}${name}`, self);
  const deadline = performance.now() + PATIENCE_MS;
  let withdraw = (): void => fs.rmSync(claim, { force: true });
  try {
    announce();
  } catch (error) {
    if (mode === 'exclusive' || !UNWRITABLE.has(errorCode(error) ?? '')) throw error;
    announce = withdraw = () => undefined;
  }
  for (;;) {
    let others: Claim[];
    try {
      others = liveClaims(path, claim, self);
    } catch (error) {
      withdraw();
      throw error;
    }
    const [owner] = others;
    if (!owner) return withdraw;
    const isFirst = others.every((other) => claim < other.path);
    if (performance.now() >= deadline) {
      withdraw();
      throw new ClaimedError(owner.pid, owner.isDoubtful ? owner.path : undefined);
    }
    if (isFirst) pause(STANDING_POLL_MS);
    else {
      withdraw();
      pause(STEP_BACK_MS * (1 + Math.random()));
      announce();
    }
  }
}

/** Why a claim cannot be put into a directory whose files can be read. */
const UNWRITABLE: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);

interface Claim {
  readonly path: string;
  readonly pid: number;
  readonly isDoubtful: boolean;
}

/** Puts a claim into place. Who takes the draft for that of a dead process makes us write it again. */
function put(claim: string, draft: string, self: Claimant): void {
  for (;;) {
    try {
      fs.writeFileSync(draft, `${JSON.stringify(self)}\n`, { flag: 'wx' });
    } catch (error) {
      fs.rmSync(draft, { force: true });
      throw error;
    }
    try {
      fs.renameSync(draft, claim);
      return;
    } catch (error) {
      fs.rmSync(draft, { force: true });
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
}

/** Claims of others that are in the way and live or may live. Those of the dead are removed on the way. */
function liveClaims(path: string, own: string, self: Claimant): Claim[] {
  const directory = dirname(path);
  const file = basename(path);
  const found: Claim[] = [];
  for (const name of namesIn(directory, self.mode).sort()) {
    const claim = join(directory, name);
    const draftPid = pidIn(name, file + DRAFT_SUFFIX);
    if (draftPid !== undefined && isGone(draftPid)) removeDead(claim);
    const pid = pidIn(name, file + CLAIM_SUFFIX);
    if (pid === undefined || claim === own) continue;
    const { life, mode } = examine(claim, pid, self);
    if (life === 'dead') removeDead(claim);
    else if (life !== 'withdrawn' && (mode === 'exclusive' || self.mode === 'exclusive'))
      found.push({ path: claim, pid, isDoubtful: life === 'unknown' });
  }
  return found;
}

/** A reader may not even be allowed to see who else is there. */
function namesIn(directory: string, mode: ClaimMode): string[] {
  try {
    return fs.readdirSync(directory);
  } catch (error) {
    if (mode === 'shared' && UNWRITABLE.has(errorCode(error) ?? '')) return [];
    throw error;
  }
}

/** The process in the name of a claim or a draft. */
function pidIn(name: string, prefix: string): number | undefined {
  const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : 0;
  return pid > 0 ? pid : undefined;
}

type Life = 'alive' | 'dead' | 'unknown';

function examine(
  claim: string,
  pid: number,
  self: Claimant,
): { readonly life: Life | 'withdrawn'; readonly mode: ClaimMode } {
  const claimant = readClaimant(claim, pid, self);
  return typeof claimant === 'string'
    ? { life: claimant, mode: 'exclusive' }
    : { life: judge(claimant, self), mode: claimant.mode };
}

function readClaimant(claim: string, pid: number, self: Claimant): Claimant | 'withdrawn' | 'dead' {
  let text: string;
  try {
    text = fs.readFileSync(claim, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 'withdrawn';
    // Another user's: the name still tells the pid.
    return { ...self, pid, startTime: '', mode: 'exclusive' };
  }
  try {
    const { startTime, bootId, pidNamespace, host, mode } = JSON.parse(text) as Partial<
      Record<keyof Claimant, unknown>
    >;
    if (typeof startTime !== 'string' || typeof bootId !== 'string') return 'dead';
    if (typeof pidNamespace !== 'string' || typeof host !== 'string') return 'dead';
    return {
      pid,
      startTime,
      bootId,
      pidNamespace,
      host,
      mode: mode === 'shared' ? 'shared' : 'exclusive',
    };
  } catch {
    // What a crash of the host has left of one.
    return 'dead';
  }
}

/** Whether no process here has that number. */
function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    // Anything but ESRCH, EPERM above all, means that the process is there.
    return errorCode(error) === 'ESRCH';
  }
}

function judge(claimant: Claimant, self: Claimant): Life {
  if (claimant.bootId !== self.bootId) return claimant.host === self.host ? 'dead' : 'unknown';
  if (claimant.pidNamespace !== self.pidNamespace) return 'unknown';
  if (isGone(claimant.pid)) return 'dead';
  const { state, startTime } = processStat(claimant.pid);
  if (state === 'Z' || state === 'X') return 'dead';
  const isSame = startTime === '' || claimant.startTime === '' || startTime === claimant.startTime;
  return isSame ? 'alive' : 'dead';
}

function removeDead(claim: string): void {
  try {
    fs.rmSync(claim, { force: true });
  } catch {
    // In a directory where only its owner may remove it. It does no harm.
  }
}

function thisProcess(): Omit<Claimant, 'mode'> {
  return {
    pid: process.pid,
    startTime: processStat(process.pid).startTime,
    bootId: readOr('/proc/sys/kernel/random/boot_id').trim(),
    pidNamespace: linkOr('/proc/self/ns/pid'),
    host: hostname(),
  };
}

/** Fields 3 and 22 of `/proc/<pid>/stat` (proc(5)); empty where there is none. */
function processStat(pid: number): { state: string; startTime: string } {
  const stat = readOr(`/proc/${pid}/stat`);
  // The second field, the command in parentheses, may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', startTime: fields[19] ?? '' };
}

function readOr(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function linkOr(path: string): string {
  try {
    return fs.readlinkSync(path);
  } catch {
    return '';
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
