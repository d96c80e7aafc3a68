import { Command, Option } from 'commander';
import { TRACE_CHANNELS, UserError } from '../base/index.js';
import type { TraceChannel } from '../base/index.js';
import { EXIT_STATUS_HELP } from './exit-status.js';
import { formatSize, listOf, oneOf, parseDuration, parseMemory, parseScriptText } from './parse.js';
import { DEFAULT_MEMORY_BYTES } from '../vm/limits.js';

/** One `--expect` or `--send`, in the order of the command line. */
export type ScriptStep =
  { readonly kind: 'expect'; readonly text: string } | { readonly kind: 'send'; readonly bytes: Uint8Array };

/** The options of `v8a run` as commander stores them; what was left out has its default or is absent. */
export interface RunOptions {
  readonly machine: 'virt';
  readonly firmware?: string;
  readonly flash?: string;
  readonly flashCommit: 'quiet' | 'immediate';
  /** Bytes. */
  readonly mem: number;
  readonly cpus: '1';
  readonly irqchip: 'gicv2' | 'gicv3';
  readonly clock?: 'real' | 'virtual';
  readonly reboot: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly log?: string;
  readonly trace?: readonly TraceChannel[];
  readonly traceFile?: string;
  readonly stats?: true;
  readonly dumpDtb?: string;
}

const EXAMPLES = `
Examples:
  Boot firmware to its shell, keeping its variables in vars.fd:
    cp /usr/share/AAVMF/AAVMF_VARS.fd vars.fd
    v8a run --firmware /usr/share/AAVMF/AAVMF_CODE.fd --flash vars.fd

  Boot, type a command, and succeed when the guest has powered off:
    v8a run -f AAVMF_CODE.fd -F vars.fd --clock virtual --timeout 2m \\
        --expect 'Shell>' --send 'reset -s\\r'

  See what the firmware does with its flash, apart from its output:
    v8a run -f AAVMF_CODE.fd -F vars.fd --trace flash --trace-file flash.txt
`;

const KEYS = `
Keys on a terminal:
  Ctrl-A x   quit               Ctrl-A a   send Ctrl-A to the guest
  Ctrl-A h   help               everything else goes to the guest, Ctrl-C too`;

/**
 * The command line of v8a. `run` carries out `v8a run` and returns the exit status, which goes to `exit`.
 * Mistakes are thrown as commander's errors.
 */
export function buildProgram(
  version: string,
  run: (options: RunOptions, script: readonly ScriptStep[]) => Promise<number>,
  exit: (status: number) => void,
): Command {
  const program = new Command('v8a')
    .description('An arm64 virtual machine that boots UEFI firmware, anywhere JavaScript runs.')
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .usage('<command> [options]')
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText('after', "\n'v8a <command> --help' tells all about a command.")
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });

  const script: ScriptStep[] = [];
  const runCommand = program
    .command('run')
    .summary('run a virtual machine')
    .description(
      'Runs a virtual machine with this terminal as its serial console.\n' +
        'Of the files given, only the one of --flash is ever written.',
    )
    .usage('--firmware <file> [options]')
    .addHelpOption(new Option('-h, --help', 'show this help').helpGroup('Looking inside:'))
    .configureHelp({ helpWidth: 100 })

    .optionsGroup('Machine:')
    .option('--machine <name>', 'board: virt, as in QEMU', oneOf('virt'), 'virt')
    .option('-f, --firmware <file>', 'firmware image, such as AAVMF_CODE.fd; may be smaller than its bank')
    .option('-F, --flash <file>', 'image of the flash for variables, read and written, such as AAVMF_VARS.fd')
    .option(
      '--flash-commit <policy>',
      'quiet: commit when the guest has finished an update, all or nothing; immediate: every command at once',
      oneOf('quiet', 'immediate'),
      'quiet',
    )
    .option(
      '-m, --mem <size>',
      `size of RAM: 512M, 1G, or a number of MiB (default: ${formatSize(DEFAULT_MEMORY_BYTES)})`,
      parseMemory,
    )
    .option('-c, --cpus <count>', 'number of CPUs: 1 in this version', oneOf('1'), '1')
    .option('--irqchip <kind>', 'interrupt controller: gicv2 or gicv3', oneOf('gicv2', 'gicv3'), 'gicv3')
    .option(
      '--clock <kind>',
      'real: guest time follows the host; virtual: it counts instructions and jumps over waits, so that runs' +
        ' repeat exactly (default: real when standard input is a terminal, else virtual)',
      oneOf('real', 'virtual'),
    )
    .option('--no-reboot', 'end when the guest resets, instead of starting it again')

    .optionsGroup('Script (repeat as needed; done in the order given):')
    .option('--expect <text>', 'wait until the guest has printed text', (text: string) => {
      script.push({ kind: 'expect', text: new TextDecoder().decode(parseScriptText(text)) });
    })
    .option(
      '--send <text>',
      'type text; in both, \\r \\n \\t \\e \\xNN and \\\\ are understood. After a last --expect v8a ends; after a' +
        ' last --send the guest runs on until it powers off. With a script, standard input is read only from' +
        ' a terminal',
      (text: string) => {
        script.push({ kind: 'send', bytes: parseScriptText(text) });
      },
    )
    .option(
      '--timeout <duration>',
      'fail when the whole run takes longer: 60s, 500ms, 2m, or a number of seconds. Time of the host, with' +
        ' either clock',
      parseDuration,
    )

    .optionsGroup('Looking inside:')
    .option('--log <file>', 'copy everything the guest prints to file')
    .option(
      '--trace <channels>',
      `report events on standard error: all, or some of ${TRACE_CHANNELS.join(',')}`,
      listOf(TRACE_CHANNELS),
    )
    .option('--trace-file <file>', 'write them to file instead')
    .option('--stats', 'when the run ends, print instructions, speed and accesses by device')
    .option('--dump-dtb <file>', 'write the device tree to file and exit')

    .addHelpText('after', KEYS)
    .addHelpText('after', `\nExit status:\n${formatStatuses().trimEnd()}`)
    .addHelpText('after', EXAMPLES.trimEnd())
    // Refused here, by name; commander would only count.
    .argument('[surplus...]')
    .action(async (surplus: string[], options: Omit<RunOptions, 'mem'> & { readonly mem?: number }) => {
      if (surplus[0] !== undefined) {
        throw new UserError('usage', `unexpected argument '${surplus[0]}': v8a run takes options only`);
      }
      exit(await run({ ...options, mem: options.mem ?? DEFAULT_MEMORY_BYTES }, script));
    });
  runCommand.exitOverride().configureOutput({ writeErr: () => undefined });
  return program;
}

function formatStatuses(): string {
  return EXIT_STATUS_HELP.map(([status, meaning]) => `  ${status.padEnd(7)}${meaning}\n`).join('');
}
