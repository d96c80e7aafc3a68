/**
 * `npm run test:kill`: what is left of a variable store when v8a is killed (SIGKILL) while firmware writes it.
 *
 * All rounds of a policy work on one flash file. Each boots to the UEFI shell, which is the next boot after the
 * kill of the round before, lists the variables, sets each of them to the round's value, one `setvar` after the
 * other, and is killed at a random instant between the first and the last. Then the file is looked at by a reader of
 * our own, after v8a's recovery, and in the next round by the firmware. With the commit policy `quiet`,
 *
 * - every boot must reach the shell,
 * - the store must be whole in the file, and the variable that was set before the first round must be kept,
 * - each variable must have the round's value if its command had ended more than 50 ms before the kill, and the
 *   value before if it had not been given; in between, either.
 *
 * `immediate` tears as the flash itself would; its line is a figure, not a requirement. AAVMF 2022.11 erases the
 * block and programs it from the start for a variable: a kill in between loses what comes behind. After such a kill
 * the rounds go on with a new store.
 *
 * Options: `--rounds N` (100), `--seed N` (1), `--policy quiet|immediate` (both), `--clock virtual|real` (virtual:
 * boots don't wait; with real, a round takes 15 seconds instead of 5).
 */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { VIRT_FLASH_GEOMETRY } from '#v8a/boards/virt.js';
import { openFlashFile } from '#v8a/host/node/flash-file.js';
import { randomSource } from '#v8a/isa/random-encoder.js';

import { fetchGuests } from '../scripts/fetch-guests.js';
import { dialogue, finished, plain, startV8a } from './support/cli.js';
import { AAVMF_CODE, newVariableStore, scratch } from './support/guests.js';
import { readVariableStore } from './support/variable-store.js';

const POLICIES = ['quiet', 'immediate'] as const;
type Policy = (typeof POLICIES)[number];

const VENDOR = '6b1f6f0e-3c55-4a35-9f2b-0c2f5d5a12ff';

/** Set once, before the first round, so that losing it means that the store was lost. */
const SENTINEL = 'sentinel';
const SENTINEL_VALUE = 0x5a5a;

/** Variables that a round sets if it is not killed before. */
const VARIABLES = Array.from({ length: 24 }, (_, index) => `v${String(index).padStart(2, '0')}`);

/** Two bytes that no other round writes. */
const valueOfRound = (round: number): number => 0x1000 + round;

/** What the policy `quiet` may lose: 20 ms without a flash command, the commit, and the way of the output here. */
const MAY_LOSE_MS = 50;

/** Long enough for a busy host; a boot that takes longer counts as lost. */
const BOOT_TIMEOUT = '300s';

/** Names to values, hexadecimal. */
type Listing = ReadonlyMap<string, string>;

const littleEndian = (value: number): string => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes.toString('hex');
};

const setVariable = (name: string, value: number): string =>
  `setvar ${name} -guid ${VENDOR} -nv -bs =0x${value.toString(16)}\\r`;

interface Session {
  readonly flash: string;
  readonly policy: Policy;
  readonly clock: string;
}

interface Boot {
  /** What the firmware lists before anything is set; undefined where the shell was not reached. */
  readonly listing: Listing | undefined;
  /** The number of commands that had been typed, in part or whole. */
  readonly given: number;
  /** When each command that ended did, by `performance.now()`. */
  readonly endedAt: readonly number[];
  /** When the first command could be typed. */
  readonly beganAt: number;
  /** When the kill was sent. */
  readonly killedAt: number;
}

/** Boots, lists the variables, gives `commands`, and kills v8a `killAfterMs` after the first could be typed. */
async function boot(
  { flash, policy, clock }: Session,
  commands: readonly string[],
  killAfterMs: number | 'when done',
): Promise<Boot> {
  const child = startV8a([
    ...['run', '--firmware', AAVMF_CODE ?? '', '--flash', flash, '--flash-commit', policy, '-m', '512M'],
    ...['--clock', clock, '--timeout', BOOT_TIMEOUT],
    ...dialogue(
      { expect: 'or any other key to continue', send: '\\r' },
      { expect: 'Shell>', send: `dmpstore -guid ${VENDOR}\\r` },
      ...commands.map((command) => ({ expect: 'Shell>', send: command })),
      // Exit would write back what is held back: only the kill ends the run.
      { expect: 'Shell>' },
      { expect: 'never printed' },
    ),
  ]);
  const promptAt: number[] = [];
  let text = '';
  let killedAt = NaN;
  let isKilling = false;
  const kill = (): void => {
    killedAt = performance.now();
    child.kill('SIGKILL');
  };
  child.stdout?.on('data', (chunk: string) => {
    text = plain(text + chunk);
    const prompts = text.split('Shell>').length - 1;
    while (promptAt.length < prompts) promptAt.push(performance.now());
    const isDue = promptAt.length >= (killAfterMs === 'when done' ? commands.length + 2 : 2);
    if (!isDue || isKilling) return;
    isKilling = true;
    setTimeout(kill, killAfterMs === 'when done' ? QUIET_MS : killAfterMs);
  });
  await finished(child);
  const [, listing] = text.split('Shell>');
  return {
    listing: promptAt.length < 2 || listing === undefined ? undefined : parseListing(listing),
    given: Math.min(commands.length, promptAt.length - 1),
    endedAt: promptAt.slice(2),
    beganAt: promptAt[1] ?? NaN,
    killedAt,
  };
}

/** After the last command of a boot that is not to lose any. */
const QUIET_MS = 500;

/** What `dmpstore` prints. Our values are so short that each has one line. */
function parseListing(text: string): Listing {
  return new Map(
    [...text.matchAll(/'[-0-9A-F]+:(\w+)' DataSize = 0x\w+\n +0+: ((?:[0-9A-F]{2}[ -])+)/g)].map((match) => [
      match[1] ?? '',
      (match[2] ?? '').replace(/[ -]/g, '').toLowerCase(),
    ]),
  );
}

/** What the file holds, once v8a has finished or dropped a commit that was killed. */
function readStore(path: string): Listing | undefined {
  const { sizeBytes: bankBytes, blockBytes } = VIRT_FLASH_GEOMETRY;
  openFlashFile({ path, bankBytes, blockBytes, sizing: 'blocks' }).close();
  const store = readVariableStore(readFileSync(path), VENDOR);
  return store && new Map([...store].map(([name, data]) => [name, data.toString('hex')]));
}

const isSame = (a: Listing, b: Listing): boolean =>
  a.size === b.size && [...a].every(([name, value]) => b.get(name) === value);

/** Counts over all kills of a policy. */
interface Tally {
  /** Kills that hit the writing of a commit. */
  journalLeft: number;
  /** Our reader found the store whole in the file. */
  fileWhole: number;
  shellReached: number;
  /** The firmware still had the variable that was set before the first round. */
  storeKept: number;
  /** The firmware listed what our reader found. */
  listedTheSame: number;
  /** Variables whose command had ended, and that do not have its value, by how long before the kill it ended. */
  missingRecent: number;
  missingOlder: number;
  /** Variables with neither the value before the round nor the round's: lost with what was torn around them. */
  damaged: number;
}

/** A round that has ended with a kill. */
interface Killed extends Boot {
  readonly listing: Listing;
  /** What the round wrote. */
  readonly value: string;
  readonly leftJournal: boolean;
  /** What our reader found in the file. */
  readonly left: Listing | undefined;
}

const isKept = (listing: Listing | undefined): listing is Listing =>
  listing?.get(SENTINEL) === littleEndian(SENTINEL_VALUE);

/**
 * Compares what the firmware lists at the next boot with what it had been told to write. False where it found
 * something broken: more kills on the same file would count that again.
 */
function judge(tally: Tally, killed: Killed, now: Listing | undefined): boolean {
  const { listing, value, left, given, endedAt, killedAt } = killed;
  if (killed.leftJournal) tally.journalLeft++;
  if (left) tally.fileWhole++;
  if (now) tally.shellReached++;
  if (!isKept(now)) return false;
  tally.storeKept++;
  const isListed = left !== undefined && isSame(left, now);
  if (isListed) tally.listedTheSame++;
  const damagedBefore = tally.damaged + tally.missingOlder;
  VARIABLES.forEach((name, index) => {
    const isWritten = now.get(name) === value;
    const isAsBefore = now.get(name) === listing.get(name);
    const ended = endedAt[index];
    if (!isAsBefore && !(index < given && isWritten)) tally.damaged++;
    else if (ended !== undefined && !isWritten) {
      if (killedAt - ended > MAY_LOSE_MS) tally.missingOlder++;
      else tally.missingRecent++;
    }
  });
  return isListed && tally.damaged + tally.missingOlder === damagedBefore;
}

async function play(policy: Policy, rounds: number, seed: number, clock: string): Promise<Tally> {
  const random = randomSource(seed);
  const files = scratch();
  const tally: Tally = {
    journalLeft: 0,
    fileWhole: 0,
    shellReached: 0,
    storeKept: 0,
    listedTheSame: 0,
    missingRecent: 0,
    missingOlder: 0,
    damaged: 0,
  };
  const flash = files.path('vars.fd');
  const session = { flash, policy, clock };
  const commandsOf = (round: number): string[] =>
    VARIABLES.map((name) => setVariable(name, valueOfRound(round)));
  /** A store with something to lose; returns how long writing all variables took. */
  const prepare = async (): Promise<number> => {
    newVariableStore(flash);
    const commands = [setVariable(SENTINEL, SENTINEL_VALUE), ...commandsOf(-1)];
    const { endedAt, beganAt } = await boot(session, commands, 'when done');
    const last = endedAt[commands.length - 1];
    if (last === undefined || !isKept(readStore(flash))) throw new Error('preparing a store failed');
    return last - beganAt;
  };
  try {
    let writingMs = await prepare();
    let killed: Killed | undefined;
    // The boot of a round is the one that shows what the kill before it did; the last one only shows.
    for (let kills = 0; ;) {
      const isLast = kills === rounds;
      const killAfterMs = (random() / 2 ** 32) * writingMs;
      const result = await boot(session, isLast ? [] : commandsOf(kills), isLast ? 'when done' : killAfterMs);
      const { listing } = result;
      const isSound = killed === undefined || judge(tally, killed, listing);
      killed = undefined;
      if (isLast) return tally;
      if (!isSound || !isKept(listing)) {
        writingMs = await prepare();
        continue;
      }
      const leftJournal = existsSync(`${flash}.v8a-journal`);
      const value = littleEndian(valueOfRound(kills));
      killed = { ...result, listing, value, leftJournal, left: readStore(flash) };
      kills++;
      if (kills % 10 === 0) process.stderr.write(`${policy}: ${kills} of ${rounds}\n`);
    }
  } finally {
    files.remove();
  }
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    policy: { type: 'string' },
    clock: { type: 'string', default: 'virtual' },
  },
});
const problems = fetchGuests();
if (AAVMF_CODE === undefined) {
  console.error(`kill-during-writes: skipped: ${problems.join('; ')}`);
  process.exit(0);
}
const rounds = Number(values.rounds);
const COLUMNS: Readonly<Record<keyof Tally, string>> = {
  journalLeft: 'killed in a commit',
  fileWhole: 'file whole',
  shellReached: 'shell reached',
  storeKept: 'store kept',
  listedTheSame: 'firmware agrees',
  missingRecent: `missing <${MAY_LOSE_MS} ms`,
  missingOlder: 'missing older',
  damaged: 'damaged',
};
console.log(`${rounds} kills each, ${values.clock} clock, seed ${values.seed}`);
console.log(`${''.padEnd(12)}${Object.values(COLUMNS).join('  ')}`);
for (const policy of POLICIES) {
  if (values.policy !== undefined && values.policy !== policy) continue;
  const tally = await play(policy, rounds, Number(values.seed), values.clock);
  const cells = Object.entries(COLUMNS).map(([counter, title]) =>
    `${tally[counter as keyof Tally]}`.padStart(title.length),
  );
  console.log(policy.padEnd(12) + cells.join('  '));
  const { fileWhole, shellReached, storeKept, listedTheSame, missingOlder, damaged } = tally;
  const isSound = [fileWhole, shellReached, storeKept, listedTheSame].every((count) => count === rounds);
  if (policy === 'quiet' && (!isSound || missingOlder + damaged > 0)) process.exitCode = 1;
}
