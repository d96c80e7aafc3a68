/** Exit statuses, documented in the commands' help from the lists below. */
export const ExitStatus = {
  ok: 0,
  notMet: 1,
  usage: 2,
  guestReset: 3,
  halted: 4,
  hostError: 5,
  /** `EX_SOFTWARE` of sysexits(3). */
  internalError: 70,
  /** A process that a signal ends has this plus the signal's number, as in a shell. */
  signalBase: 128,
} as const;

/** What a process dies of when it writes to a pipe that nobody reads (signal(7)). */
export const SIGPIPE = 13;

type StatusHelp = readonly (readonly [status: string, meaning: string])[];

const USAGE = [
  `${ExitStatus.usage}`,
  'a mistake in the command or in a file it names; nothing was changed',
] as const;
const FAILURES: StatusHelp = [
  [`${ExitStatus.hostError}`, 'the host failed, for instance its disk is full'],
  [`${ExitStatus.internalError}`, 'a bug in v8a'],
];

export const EXIT_STATUS_HELP: StatusHelp = [
  [`${ExitStatus.ok}`, 'the guest powered off, every --expect and --send was done, or Ctrl-A x'],
  [`${ExitStatus.notMet}`, 'an --expect was not met, or --timeout passed'],
  USAGE,
  [`${ExitStatus.guestReset}`, 'the guest reset, with --no-reboot'],
  [`${ExitStatus.halted}`, 'the guest halted: it waits, and nothing can wake it'],
  ...FAILURES,
  [`${ExitStatus.signalBase}+n`, 'ended by signal n: 130 is SIGINT, 141 means nobody read the output'],
];

export const VARS_EXIT_STATUS_HELP: StatusHelp = [
  [`${ExitStatus.ok}`, 'done; check, repair: the store is sound now'],
  [`${ExitStatus.notMet}`, 'get, delete: there is no such variable; check, repair: the store is not sound'],
  USAGE,
  ...FAILURES,
];

export const FLASH_EXIT_STATUS_HELP: StatusHelp = [[`${ExitStatus.ok}`, 'done'], USAGE, ...FAILURES];
