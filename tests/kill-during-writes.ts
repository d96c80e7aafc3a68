/**
 * `npm run test:kill`: what is left of a variable store when v8a is killed (SIGKILL) while firmware writes it.
 *
 * Each round copies a prepared store, sets variables one after the other from the UEFI shell, and kills v8a at a
 * random moment soon after one of the commands was typed, when the flash is being erased and programmed. Then it
 * boots again and lists what is there. With the commit policy `quiet`, the next boot must reach the shell, the
 * store must not have been lost, and only variables whose command had ended less than 50 ms before the kill may
 * be missing. `immediate` tears as the flash itself would; its column is a figure, not a requirement.
 *
 * Options: `--rounds N` (100), `--seed N` (1), `--jobs N` (rounds at a time; one per processor).
 */
import { copyFileSync, constants, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

import { fetchGuests } from '../scripts/fetch-guests.js';
import { dialogue, finished, plain, startV8a, v8a } from './support/cli.js';
import { AAVMF_CODE, newVariableStore, scratch } from './support/guests.js';

const POLICIES = ['quiet', 'immediate'] as const;
type Policy = (typeof POLICIES)[number];

const VENDOR = '6b1f6f0e-3c55-4a35-9f2b-0c2f5d5a12ff';

/** Set when the store is prepared, so that losing it means that the store was lost. */
const SENTINEL = 'sentinel';

/** Variables that a round sets if it is not killed before. */
const VARIABLES = Array.from({ length: 12 }, (_, index) => `v${String(index).padStart(2, '0')}`);

/** What the policy `quiet` may lose: 20 ms without a flash command, the commit, and the way of the output here. */
const MAY_LOSE_MS = 50;

/** The kill comes this long after the last letter of a command, at most. */
const KILL_WITHIN_MS = 150;

/** Long enough for a busy host; a boot that takes longer counts as lost. */
const BOOT_TIMEOUT = '300s';

interface Outcome {
  /** The killed v8a left more than the image beside it, so it died while committing. */
  readonly leftJournal: boolean;
  readonly reachedShell: boolean;
  readonly keptSentinel: boolean;
  /** Variables whose command had ended, and that are gone. */
  readonly missingRecent: number;
  readonly missingOld: number;
}

/** mulberry32: numbers in [0, 1) that are the same for the same seed. */
function randomSequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const setVariable = (name: string): string => `setvar ${name} -guid ${VENDOR} -nv -bs =0x5a`;

const options = (flash: string, policy: Policy, clock: 'real' | 'virtual'): string[] => [
  ...['run', '--firmware', AAVMF_CODE ?? '', '--flash', flash, '--flash-commit', policy, '-m', '512M'],
  ...['--clock', clock, '--timeout', BOOT_TIMEOUT],
];

/**
 * Sets variables until killed, `delayMs` after the command that sets variable number `target` was echoed.
 * Returns for each variable whose command ended how long before the kill that was.
 */
async function writeAndKill(
  flash: string,
  policy: Policy,
  target: number,
  delayMs: number,
): Promise<Map<string, number>> {
  const child = startV8a([
    // Real time, because the quiet time of the policy is guest time and the limit is the user's.
    ...options(flash, policy, 'real'),
    ...dialogue(...VARIABLES.map((name) => ({ expect: 'Shell>', send: `${setVariable(name)}\r` }))),
    ...dialogue({ expect: 'Shell>' }),
  ]);
  const endedAt: number[] = [];
  let text = '';
  let killAt: number | undefined;
  child.stdout?.on('data', (chunk: string) => {
    text = plain(text + chunk);
    // The first prompt is the shell's start; each further one ends a command.
    const prompts = text.split('Shell>').length - 1;
    while (endedAt.length < prompts - 1) endedAt.push(performance.now());
    if (killAt === undefined && text.includes(setVariable(VARIABLES[target] ?? ''))) {
      killAt = performance.now() + delayMs;
      setTimeout(() => child.kill('SIGKILL'), delayMs);
    }
  });
  await finished(child);
  const kill = killAt;
  if (kill === undefined) throw new Error(`the shell never came:\n${text.slice(-1000)}`);
  return new Map(endedAt.map((time, index): [string, number] => [VARIABLES[index] ?? '', kill - time]));
}

/** The names of our variables in the store, or undefined where the shell is not reached. */
async function variablesAfterBoot(flash: string, policy: Policy): Promise<Set<string> | undefined> {
  const { status, stdout } = await v8a([
    ...options(flash, policy, 'virtual'),
    ...dialogue(
      { expect: 'Shell>', send: `dmpstore -guid ${VENDOR}\r` },
      { expect: 'Shell>', send: 'reset -s\r' },
    ),
  ]);
  if (status !== 0) return undefined;
  return new Set(
    [...plain(stdout).matchAll(/Variable NV\+BS '[-0-9A-F]+:(\w+)'/g)].map((match) => match[1] ?? ''),
  );
}

async function playRound(round: number, policy: Policy, prepared: string, seed: number): Promise<Outcome> {
  // Each round has numbers of its own, so that the order in which rounds end changes nothing.
  const random = randomSequence(seed * 1_000_003 + round * 7919 + POLICIES.indexOf(policy));
  const files = scratch();
  try {
    const flash = files.path('vars.fd');
    copyFileSync(prepared, flash, constants.COPYFILE_FICLONE);
    const target = Math.floor(random() * VARIABLES.length);
    const ages = await writeAndKill(flash, policy, target, Math.floor(random() * KILL_WITHIN_MS));
    const leftJournal = readdirSync(files.path('.')).some((name) => /journal/i.test(name));
    const kept = await variablesAfterBoot(flash, policy);
    const missing = [...ages].filter(([name]) => kept?.has(name) !== true);
    return {
      leftJournal,
      reachedShell: kept !== undefined,
      keptSentinel: kept?.has(SENTINEL) === true,
      missingRecent: missing.filter(([, age]) => age <= MAY_LOSE_MS).length,
      missingOld: missing.filter(([, age]) => age > MAY_LOSE_MS).length,
    };
  } finally {
    files.remove();
  }
}

/** Runs `jobs` at a time; the results are in the order of the input. */
async function inParallel<T>(count: number, jobs: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) results[index] = await work(index);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results;
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(availableParallelism()) },
  },
});
const problems = fetchGuests();
if (AAVMF_CODE === undefined) {
  console.error(`kill-during-writes: skipped: ${problems.join('; ')}`);
  process.exit(0);
}

const files = scratch();
try {
  // A first boot formats the store; the rounds start from a store with something to lose.
  const prepared = newVariableStore(files.path('prepared.fd'));
  const preparation = await v8a([
    ...options(prepared, 'quiet', 'virtual'),
    ...dialogue(
      { expect: 'Shell>', send: `${setVariable(SENTINEL)}\r` },
      { expect: 'Shell>', send: 'reset -s\r' },
    ),
  ]);
  if (preparation.status !== 0) throw new Error(`preparing a store failed: ${preparation.stderr}`);

  const rounds = Number(values.rounds);
  console.log(`${rounds} rounds each, seed ${values.seed}`);
  console.log(`${'policy'.padEnd(12)}journal left  shell reached  store kept  missing <50 ms  missing older`);
  for (const policy of POLICIES) {
    const outcomes = await inParallel(rounds, Number(values.jobs), (round) =>
      playRound(round, policy, prepared, Number(values.seed)),
    );
    const count = (pick: (outcome: Outcome) => boolean): number => outcomes.filter(pick).length;
    const sum = (pick: (outcome: Outcome) => number): number =>
      outcomes.reduce((total, outcome) => total + pick(outcome), 0);
    const shells = count((outcome) => outcome.reachedShell);
    const stores = count((outcome) => outcome.keptSentinel);
    const missingOld = sum((outcome) => outcome.missingOld);
    console.log(
      policy.padEnd(12) +
        [
          `${count((outcome) => outcome.leftJournal)}`.padStart(12),
          `${shells}`.padStart(15),
          `${stores}`.padStart(12),
          `${sum((outcome) => outcome.missingRecent)}`.padStart(16),
          `${missingOld}`.padStart(15),
        ].join(''),
    );
    if (policy === 'quiet' && (shells < rounds || stores < rounds || missingOld > 0)) process.exitCode = 1;
  }
} finally {
  files.remove();
}
