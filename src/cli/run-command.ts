import { basename } from 'node:path';
import process from 'node:process';
import { hex, UserError, type TraceChannel } from '../base/index.js';
import { nodeLoop } from '../host/node/event-loop.js';
import { TERMINAL_HELP } from '../host/node/escape-parser.js';
import type { LineSocket } from '../host/node/line-socket.js';
import { isSameFile, OutputFile } from '../host/node/output-file.js';
import { ENDING_SIGNALS, Terminal } from '../host/node/terminal.js';
import { createMachine } from '../vm/index.js';
import type { ConsoleSize, Machine, TraceEvent } from '../vm/index.js';
import type { RunOptions, ScriptStep } from './program.js';
import { quoteIfNeeded } from './parse.js';
import { ExitStatus } from './exit-status.js';
import { Session } from './session.js';
import { formatStatistics } from './statistics.js';

const HELP_TEXT = ['', 'v8a:', ...TERMINAL_HELP.map((line) => `  ${line}`), ''].join('\n');

/**
 * `v8a run`. Returns the exit status.
 *
 * @throws {UserError} for a mistake; nothing on disk has changed then.
 */
export async function run(options: RunOptions, script: readonly ScriptStep[]): Promise<number> {
  refuseOverlaps(options);
  refuseOtherMachines(options);
  const channels = tracedChannels(options);
  if (options.traceFile !== undefined && channels.length === 0) {
    throw new UserError(
      'option',
      `--trace-file ${options.traceFile}: needs --trace with the events to write`,
    );
  }
  if (options.firmware === undefined && options.kernel === undefined && options.dumpDtb === undefined) {
    throw new UserError(
      'option',
      '--firmware is missing: give the image to run, such as AAVMF_CODE.fd, or a --kernel',
    );
  }
  if (options.symbols !== undefined && options.profile === undefined) {
    throw new UserError('option', `--symbols ${options.symbols[0]!.file}: needs --profile`);
  }
  for (const name of ['initrd', 'append'] as const) {
    if (options[name] === undefined || options.kernel !== undefined) continue;
    if (name === 'append' && options.machine === 'kvmtool') continue;
    throw new UserError('option', `--${name} ${quoteIfNeeded(options[name])}: needs --kernel`);
  }

  // Output files are made only when everything else is known to be right.
  let reportEvent: (event: TraceEvent) => void = () => undefined;
  const machine = await createMachine({
    machine: options.machine,
    ...(options.firmware !== undefined
      ? { firmware: options.firmware }
      : // The device tree alone is wanted: what doesn't run may be anything.
        options.kernel === undefined
        ? { firmware: new Uint8Array(1) }
        : {}),
    ...(options.kernel === undefined ? {} : { kernel: options.kernel }),
    ...(options.initrd === undefined ? {} : { initrd: options.initrd }),
    ...(options.append === undefined ? {} : { commandLine: options.append }),
    isCommandLineComplete: options.nodefaults ?? false,
    ...(options.kaslrSeed === undefined ? {} : { kaslrSeed: options.kaslrSeed }),
    ...(options.flash === undefined ? {} : { flash: options.flash }),
    flashCommit: options.flashCommit,
    ...(options.flashDirect === undefined ? {} : { flashDirect: options.flashDirect === 'on' }),
    memoryBytes: options.mem.bytes,
    ...(options.mem.base === undefined ? {} : { memoryBase: options.mem.base }),
    ...(options.firmwareAddress === undefined ? {} : { firmwareAddress: options.firmwareAddress }),
    cpu: options.cpu,
    cpus: options.cpus,
    el2: options.nested ?? false,
    jit: options.jit,
    ...(options.irqchip === undefined ? {} : { irqchip: options.irqchip }),
    ...(options.acpi === undefined ? {} : { acpi: options.acpi === 'on' }),
    disks: options.disk ?? [],
    shares: options['9p'] ?? [],
    console: options.console,
    ...(process.stdout.isTTY ? { consoleSize: terminalSize() } : {}),
    ports: options.port ?? [],
    ...(options.network === 'none' ? {} : { network: options.network }),
    rng: options.rng ?? false,
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.virtioTransport === undefined ? {} : { virtioTransport: options.virtioTransport }),
    virtioAccessPlatform: options.virtioAccessPlatform ?? false,
    devices: options.device ?? [],
    clock: options.clock ?? (process.stdin.isTTY ? 'real' : 'virtual'),
    onReset: options.reboot ? 'restart' : 'stop',
    ...(options.profile === undefined ? {} : { profile: { symbols: options.symbols ?? [] } }),
    ...(channels.length > 0
      ? {
          trace: {
            channels,
            onEvent: (event) => {
              reportEvent(event);
            },
          },
        }
      : {}),
  });
  const files: OutputFile[] = [];
  const sockets: LineSocket[] = [];
  try {
    const notify = (notice: string) => {
      if (options.loglevel !== 'error') say(`v8a: ${notice}\n`);
    };
    for (const notice of machine.notices) notify(notice);
    machine.on('notice', notify);
    const open = (option: string, path: string | undefined) => {
      if (path === undefined) return undefined;
      const file = new OutputFile(option, path);
      files.push(file);
      return file;
    };
    const dtb = open('--dump-dtb', options.dumpDtb);
    const log = open('--log', options.log);
    for (const { name, kind, path } of options.port ?? []) {
      if (kind === 'socket') continue;
      const line = machine.ports.get(name)!;
      const output = open('--port', path)!;
      line.onOutput((bytes) => {
        output.write(bytes);
      });
      // Nothing goes the other way.
      line.end();
    }
    const traceFile = open('--trace-file', options.traceFile);
    const profile = open('--profile', options.profile);
    for (const { name, kind, path } of options.port ?? []) {
      if (kind === 'socket' && dtb === undefined) sockets.push(await connectPort(machine, name, path));
    }
    for (const file of files) file.begin();
    if (dtb) {
      dtb.write(machine.deviceTree);
      return ExitStatus.ok;
    }
    reportEvent = ({ guestNs, channel, text }) => {
      const line = `${(guestNs / 1e9).toFixed(9)} ${channel}: ${text}\n`;
      if (traceFile) traceFile.write(line);
      else say(line);
    };
    const status = await runInTerminal(machine, options, script, log);
    return profile && !(await writeProfile(machine, options, profile)) ? ExitStatus.hostError : status;
  } finally {
    for (const file of files) file.close();
    for (const socket of sockets) socket.close();
    await machine.close();
  }
}

/** False when the host's disk fails. */
async function writeProfile(machine: Machine, options: RunOptions, to: OutputFile): Promise<boolean> {
  const guest = options.kernel ?? options.firmware ?? '';
  const { file, summary } = await machine.takeProfile(`v8a run ${basename(guest)}`);
  say(`${summary.join('\n')}\n`);
  try {
    to.write(file);
    return true;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`v8a: ${error.message}\n`);
    return false;
  }
}

function tracedChannels({ trace = [], debugMmio, loglevel }: RunOptions): readonly TraceChannel[] {
  const reportsErrors = debugMmio === true || loglevel === 'debug';
  return [...new Set([...trace, ...(reportsErrors ? (['guest-errors'] as const) : [])])];
}

async function runInTerminal(
  machine: Machine,
  options: RunOptions,
  script: readonly ScriptStep[],
  log: OutputFile | undefined,
): Promise<number> {
  const { console, serial } = machine;
  const session = new Session({
    machine,
    script,
    ...(options.timeout === undefined ? {} : { timeoutMs: options.timeout }),
    delay: nodeLoop.delay,
  });
  const input = console.input().getWriter();
  // A script in a pipeline must not depend on what else is in the pipe.
  const readsInput = script.length === 0 || process.stdin.isTTY;
  const terminal = new Terminal(
    { input: process.stdin, output: process.stdout, process },
    {
      onInput: async (bytes) => {
        await input.write(bytes);
      },
      onInputEnd: () => {
        console.end();
      },
      onCommand: (command) => {
        if (command === 'quit') session.quit();
        else if (command === 'power') machine.pressPowerKey();
        else say(HELP_TEXT);
      },
      onOutputClosed: () => {
        session.outputClosed();
      },
      onSignal: (signal) => {
        session.signalled(signal, ENDING_SIGNALS[signal]);
      },
    },
    readsInput,
  );
  if (!readsInput) console.end();
  // What is not the user's console may still have something to say, firmware for instance.
  if (console !== serial) serial.end();
  for (const line of new Set([serial, console])) {
    line.onOutput((bytes) => {
      log?.write(bytes);
      return terminal.write(bytes);
    });
  }
  const resized = () => {
    machine.resizeConsole(terminalSize());
  };
  process.stdout.on('resize', resized);
  try {
    let outcome = await session.run();
    await machine.stop();
    // What the flash held back is written last of all, and must not fail in silence.
    const reason = await machine.stopped();
    if (reason.kind === 'error') outcome = session.afterStop(reason);
    terminal.close();
    if (outcome.message !== undefined) say(`v8a: ${outcome.message}\n`);
    if (outcome.showsOutput) say(lastLines(console.lastLines()));
    if (options.stats) say(formatStatistics(machine.stats()));
    return outcome.status;
  } finally {
    process.stdout.off('resize', resized);
    terminal.close();
  }
}

/** A port of the guest's whose other end is a socket. */
async function connectPort(machine: Machine, name: string, path: string): Promise<LineSocket> {
  const line = machine.ports.get(name)!;
  const input = line.input().getWriter();
  const { LineSocket } = await import('../host/node/line-socket.js');
  const socket = await LineSocket.open('--port', path, (bytes) => input.write(bytes));
  line.onOutput((bytes) => socket.write(bytes));
  return socket;
}

function terminalSize(): ConsoleSize {
  return { columns: process.stdout.columns, rows: process.stdout.rows };
}

function lastLines(lines: readonly string[]): string {
  if (lines.length === 0) return 'The guest printed nothing.\n';
  return ['Last lines of the guest:', ...lines.map((line) => `    | ${line}`), ''].join('\n');
}

/** Options that only one machine has. */
function refuseOtherMachines({ machine, mem, firmwareAddress, firmware, kernel, acpi }: RunOptions): void {
  const refuse = (option: string, accepted: string): never => {
    throw new UserError('option', `${option}: not with --machine ${machine}; accepted: ${accepted}`);
  };
  if (machine === 'virt') {
    if (mem.base !== undefined) refuse(`--mem ...@${hex(mem.base)}`, '--mem <size>, or --machine kvmtool');
    if (firmwareAddress !== undefined) {
      refuse(`--firmware-address ${hex(firmwareAddress)}`, 'with --machine kvmtool');
    }
    return;
  }
  if (acpi === 'on') refuse('--acpi on', 'with --machine virt; EDK2 makes tables of its own on this one');
  if (firmware !== undefined && kernel !== undefined) {
    refuse(`--firmware ${firmware} with --kernel ${kernel}`, 'one of the two');
  }
  if (firmwareAddress !== undefined && firmware === undefined) {
    throw new UserError('option', `--firmware-address ${hex(firmwareAddress)}: needs --firmware`);
  }
}

/** A file that is written must not be one that is read, or another that is written. */
function refuseOverlaps(options: RunOptions): void {
  const read = [
    ['--firmware', options.firmware],
    ['--flash', options.flash],
    ...(options.disk ?? []).map(({ file }) => ['--disk', file] as const),
    ...(options.disk ?? []).map(
      ({ overlay }) => ['--disk', typeof overlay === 'string' ? overlay : undefined] as const,
    ),
    ['--kernel', options.kernel],
    ['--initrd', options.initrd],
    ...(options.symbols ?? []).map(({ file }) => ['--symbols', file] as const),
  ] as const;
  const written = [
    ['--network pcap', options.network === 'none' ? undefined : options.network.pcap],
    ['--log', options.log],
    ['--trace-file', options.traceFile],
    ['--profile', options.profile],
    ['--dump-dtb', options.dumpDtb],
    ...(options.port ?? []).map(({ path }) => ['--port', path] as const),
  ] as const;
  written.forEach(([option, path], i) => {
    for (const [otherOption, otherPath] of [...read, ...written.slice(0, i)]) {
      if (path === undefined || otherPath === undefined || !isSameFile(path, otherPath)) continue;
      throw new UserError(
        'option',
        `${option} ${path}: is the file of ${otherOption}; accepted: another file`,
      );
    }
  });
}

/** To standard error; Node writes it before it goes on, to a terminal, a pipe or a file. */
function say(text: string): void {
  process.stderr.write(text);
}
