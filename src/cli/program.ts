import { Command, Option } from 'commander';
import { TRACE_CHANNELS, UserError } from '../base/index.js';
import type { TraceChannel } from '../base/index.js';
import { EXIT_STATUS_HELP } from './exit-status.js';
import { addCompletionCommand } from './completion.js';
import { addFlashCommand, addVarsCommand } from './image-program.js';
import { refusedLkvmCommand, refusedLkvmOption } from './lkvm-options.js';
import { alias, inOneLine, option, repeated } from './option.js';
import {
  DISK_SYNTAX, formatSize, listOf, oneOf, parseAddress, parseCommandLine, parseCpus, parseDisk, parseDuration, parseEscapes, parseKaslrSeed, parseMemory, parsePath, parsePort,
  parseSeed, parseShare, parseSymbols, PORT_SYNTAX, quoteIfNeeded, SHARE_SYNTAX, SYMBOLS_SYNTAX, type Memory, type PortEnd,
} from './parse.js'; // prettier-ignore
import { parseNetwork } from './parse-network.js';
import type { CpuModelName, MachineName, TranslationPolicy } from '../vm/limits.js';
import {
  CPU_MODEL_NAMES, DEFAULT_CPU_MODEL, DEFAULT_JIT, DEFAULT_MEMORY_BYTES, IRQCHIPS, MACHINES, MAX_CPUS, MAX_TEST_DEVICES, TEST_DEVICES, TRANSLATION_POLICIES, VIRTIO_TRANSPORTS,
} from '../vm/limits.js'; // prettier-ignore
import { CONSOLE_KINDS, MAX_PORTS, type ConsoleKind } from '../vm/consoles.js';
import { MAX_DISKS, type DiskOptions } from '../vm/disk-options.js';
import { MAX_SHARES, type ShareOptions } from '../vm/share-options.js';
import type { NetworkOptions } from '../vm/network-options.js';
import type { SymbolsOptions } from '../vm/profile-options.js';

/** Of kvmtool. */
const LOG_LEVELS = ['error', 'warning', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One `--expect` or `--send`, in the order of the command line. */
export type ScriptStep =
  { readonly kind: 'expect'; readonly text: string } | { readonly kind: 'send'; readonly bytes: Uint8Array };

/** The options of `v8a run` as commander stores them; what was left out has its default or is absent. */
export interface RunOptions {
  readonly machine: MachineName;
  readonly firmware?: string;
  readonly firmwareAddress?: number;
  readonly flash?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly nodefaults?: true;
  readonly kaslrSeed?: bigint;
  readonly flashCommit: 'quiet' | 'immediate';
  readonly flashDirect?: 'on' | 'off';
  readonly mem: Memory;
  readonly cpu: CpuModelName;
  readonly cpus: number;
  readonly nested?: true;
  readonly jit: TranslationPolicy;
  readonly irqchip?: (typeof IRQCHIPS)[number];
  readonly acpi?: 'on' | 'off';
  readonly disk?: readonly DiskOptions[];
  readonly console: ConsoleKind;
  readonly port?: readonly PortEnd[];
  readonly '9p'?: readonly ShareOptions[];
  readonly network: NetworkOptions | 'none';
  readonly rng?: true;
  readonly seed?: number;
  readonly virtioTransport?: (typeof VIRTIO_TRANSPORTS)[number];
  readonly virtioAccessPlatform?: true;
  readonly device?: readonly (typeof TEST_DEVICES)[number][];
  readonly clock?: 'real' | 'virtual';
  readonly reboot: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly log?: string;
  readonly loglevel: LogLevel;
  readonly debugMmio?: true;
  readonly trace?: readonly TraceChannel[];
  readonly traceFile?: string;
  readonly stats?: true;
  readonly profile?: string;
  readonly symbols?: readonly SymbolsOptions[];
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

  Start a kernel without firmware:
    v8a run -k Image -i initrd.gz --append 'console=ttyAMA0'

  Boot EDK2's firmware for kvmtool, with a flash for its variables:
    truncate -s 2M flash.img
    v8a run --machine kvmtool -f KVMTOOL_EFI.fd -F flash.img

  See what the firmware does with its flash, apart from its output:
    v8a run -f AAVMF_CODE.fd -F vars.fd --trace flash --trace-file flash.txt
`;

const KEYS = `
Keys on a terminal:
  Ctrl-A x   quit               Ctrl-A p   press the power button
  Ctrl-A h   help               Ctrl-A a   send Ctrl-A to the guest
  Everything else goes to the guest, Ctrl-C too.`;

/**
 * The command line of v8a. `run` carries out `v8a run` and returns the exit status, which goes to `exit`.
 * Mistakes are thrown as `UserError`; help and the version, once shown, as commander's error with exit code 0.
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
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('after', "\n'v8a <command> --help' tells all about a command.")
    .exitOverride(inOneLine('v8a', refusedLkvmCommand))
    .configureOutput({ writeErr: () => undefined });

  const script: ScriptStep[] = [];
  program
    .command('run')
    .exitOverride(inOneLine('v8a run', refusedLkvmOption))
    .summary('run a virtual machine')
    .description(
      'Runs a virtual machine with this terminal as its serial console.\n' +
        'Of the files given, those of --flash, --disk and --9p are written, the latter two unless ro or overlay says otherwise.',
    )
    .usage('--firmware <file> | --kernel <file> [options]')
    .addHelpOption(new Option('-h, --help', 'show this help').helpGroup('Looking inside:'))
    .configureHelp({ helpWidth: 100 })

    .optionsGroup('Machine:')
    .addOption(
      option(
        '--machine <name>',
        'board: virt, as in QEMU, or kvmtool, that of lkvm run',
        oneOf(...MACHINES),
      ).default('virt', 'virt'),
    )
    .addOption(
      option(
        '-f, --firmware <file>',
        'firmware image: for virt such as AAVMF_CODE.fd, for kvmtool such as KVMTOOL_EFI.fd',
        parsePath,
      ),
    )
    .addOption(
      option(
        '--firmware-address <address>',
        'where kvmtool loads the firmware: 0x80000000, 2G and the like (default: where RAM starts)',
        parseAddress,
      ),
    )
    .addOption(
      option(
        '-F, --flash <file>',
        'image of the flash for variables, read and written: for virt such as a copy of AAVMF_VARS.fd, for kvmtool any' +
          ' file of 1 MiB or more',
        parsePath,
      ),
    )
    .addOption(
      option(
        '-k, --kernel <file>',
        'kernel to start without firmware, or to offer to it: an arm64 Image, also packed (gzip, EFI zboot), an ELF' +
          ' executable, or a raw program',
        parsePath,
      ),
    )
    .addOption(option('-i, --initrd <file>', 'initial RAM disk for the kernel', parsePath))
    .addOption(option('-p, --append <text>', 'command line for the kernel', parseCommandLine))
    .addOption(alias('--params <text>', 'append', parseCommandLine))
    .option(
      '--nodefaults',
      'give the kernel this command line as it is: nothing is added for --console virtio',
    )
    .addOption(
      option(
        '--kaslr-seed <number>',
        'what a kernel that goes by the device tree moves itself by, 64 bits; without one it stays where it is loaded',
        parseKaslrSeed,
      ),
    )
    .addOption(
      option(
        '--flash-commit <policy>',
        'quiet: commit when the guest has finished an update, all or nothing; immediate: every command at once',
        oneOf('quiet', 'immediate'),
      ).default('quiet', 'quiet'),
    )
    .addOption(
      option(
        '--flash-direct <on|off>',
        'whether guests read the flash as memory, or every read is an access to the device; default: on',
        oneOf('on', 'off'),
      ),
    )
    .addOption(
      option(
        '-m, --mem <size>',
        'size of RAM: 512M, 1G, or a number of MiB; for kvmtool also where it starts: 1G@4G',
        parseMemory,
      ).default({ bytes: DEFAULT_MEMORY_BYTES } satisfies Memory, formatSize(DEFAULT_MEMORY_BYTES)),
    )
    .addOption(
      option(
        '--cpu <model>',
        'CPU: cortex-a57, or max: all that is implemented',
        oneOf(...CPU_MODEL_NAMES),
      ).default(DEFAULT_CPU_MODEL, DEFAULT_CPU_MODEL),
    )
    .addOption(option('-c, --cpus <count>', `number of CPUs, 1 to ${MAX_CPUS}`, parseCpus).default(1, '1'))
    .addOption(
      option(
        '--jit <off|sync|async|always>',
        'translate guest code to WebAssembly: code that is executed often (sync), the same on another thread (async), or for' +
          ' tests all of it (always); the guest executes the same instructions either way',
        oneOf(...TRANSLATION_POLICIES),
      ).default(DEFAULT_JIT, DEFAULT_JIT),
    )
    .option('--nested', 'CPUs have EL2 and start there, without stage 2; firmware calls are by SMC')
    .addOption(
      option(
        '--irqchip <kind>',
        'interrupt controller: gicv2, gicv2m, gicv3, gicv3-its; gicv2m and gicv3-its take messages of PCI devices, and' +
          ' so does gicv2 of virt (default: gicv3; with kvmtool gicv3-its)',
        oneOf(...IRQCHIPS),
      ),
    )
    .addOption(
      option(
        '--acpi <on|off>',
        'give firmware of virt ACPI tables beside the device tree, of which it hands one on to the operating system' +
          ' (default: on)',
        oneOf('on', 'off'),
      ),
    )
    .addOption(
      option(
        `-d, --disk <disk>`,
        `disk, up to ${MAX_DISKS}: ${DISK_SYNTAX}. An image is raw or qcow2; ro: the guest cannot write; overlay: the` +
          ' image stays as it is, and changes end with the run or go to another file',
        repeated(parseDisk),
      ),
    )
    .addOption(
      option(
        '--9p <share>',
        `folder of this host for the guest, up to ${MAX_SHARES}: ${SHARE_SYNTAX}. The guest mounts it by its tag; ro:` +
          ' the guest cannot write',
        repeated(parseShare),
      ),
    )
    .addOption(
      option(
        '--console <kind>',
        'what this terminal is to the guest: serial, its UART; virtio, the console of a virtio device, which Linux calls' +
          ' hvc0 and is told by its command line to use. What the UART prints is shown too',
        oneOf(...CONSOLE_KINDS),
      ).default('serial', 'serial'),
    )
    .addOption(
      option(
        '--port <port>',
        `line of the guest's beside the console, up to ${MAX_PORTS}: ${PORT_SYNTAX}. What the guest writes to` +
          ' /dev/virtio-ports/<name> goes to the file, or to whoever is connected to the Unix socket and can answer',
        repeated(parsePort),
      ),
    )
    .addOption(
      option(
        '-n, --network <network>',
        'network card: none, or user, which needs no rights: the guest is 10.0.2.15, the host 10.0.2.2, the name' +
          ' server 10.0.2.3. After user come, with commas between, hostfwd=<rule>, as in tcp:127.0.0.1:2222-:22, for' +
          ' a port of the host that leads to one of the guest (repeat as needed), mac=<address>, hostname=<name>,' +
          ' resolver=<address>[:<port>], pcap=<file>. Not there unless asked for: UEFI firmware with nothing to boot tries networks for minutes',
        parseNetwork,
      ).default('none', 'none'),
    )
    .option('--rng', 'entropy device; with the virtual clock its bytes are the same in every run')
    .addOption(option('--seed <number>', 'what the bytes of --rng follow from, with either clock', parseSeed))
    .addOption(
      option(
        '--virtio-transport <kind>',
        'how disks and the like are found: mmio, mmio-legacy for drivers of before VIRTIO 1.0, or pci, in slots 1, 2 …' +
          ' in the order of these options (default: mmio; with kvmtool pci)',
        oneOf(...VIRTIO_TRANSPORTS),
      ),
    )
    .option(
      '--virtio-access-platform',
      'virtio devices insist on VIRTIO_F_ACCESS_PLATFORM: drivers go through the DMA interface, as behind an IOMMU',
    )
    .addOption(
      option(
        '--device <name>',
        `device for tests, up to ${MAX_TEST_DEVICES}, in the PCI slots behind: pci-testdev, as in QEMU`,
        repeated(oneOf(...TEST_DEVICES)),
      ),
    )
    .addOption(
      option(
        '--clock <kind>',
        'real: guest time follows the host; virtual: it counts instructions and jumps over waits, so that runs' +
          ' repeat exactly (default: real when standard input is a terminal, else virtual)',
        oneOf('real', 'virtual'),
      ),
    )
    .option('--no-reboot', 'end when the guest resets, instead of starting it again')

    .optionsGroup('Script (repeat as needed; done in the order given):')
    .addOption(
      option('--expect <text>', 'wait until the guest has printed text', (text) => {
        script.push({ kind: 'expect', text: new TextDecoder().decode(parseEscapes(text)) });
      }),
    )
    .addOption(
      option(
        '--send <text>',
        'type text; in both, \\r \\n \\t \\e \\xNN and \\\\ are understood. After a last --expect v8a ends; after a' +
          ' last --send the guest runs on until it powers off. With a script, standard input is read only from' +
          ' a terminal',
        (text) => {
          script.push({ kind: 'send', bytes: parseEscapes(text) });
        },
      ),
    )
    .addOption(
      option(
        '--timeout <duration>',
        'fail when the whole run takes longer: 60s, 500ms, 2m, or a number of seconds. Time of the host, with' +
          ' either clock',
        parseDuration,
      ),
    )

    .optionsGroup('Looking inside:')
    .addOption(option('--log <file>', 'copy everything the guest prints to file', parsePath))
    .addOption(
      option(
        '--loglevel <level>',
        'what v8a says beside what ends a run: error, nothing; warning or info, notices; debug, also what --debug-mmio' +
          ' reports',
        oneOf(...LOG_LEVELS),
      ).default('info', 'info'),
    )
    .option(
      '--debug-mmio',
      'report accesses to addresses where nothing is, and what else guests do wrong: the same as --trace guest-errors',
    )
    .addOption(
      option(
        '--trace <channels>',
        `report events on standard error: all, or some of ${TRACE_CHANNELS.join(',')}`,
        listOf(TRACE_CHANNELS),
      ),
    )
    .addOption(option('--trace-file <file>', 'write them to file instead', parsePath))
    .option('--stats', 'when the run ends, print instructions, speed and accesses by device')
    .addOption(
      option(
        '--profile <file>',
        'when the run ends, write what it spent time on to file, for https://www.speedscope.app: functions of the guest,' +
          ' by time and by instructions, and of v8a; print a summary',
        parsePath,
      ),
    )
    .addOption(
      option(
        '--symbols <symbols>',
        `names of the guest's functions, for --profile: ${SYMBOLS_SYNTAX}. An ELF file with symbols, or a list as nm` +
          ' prints, System.map and /proc/kallsyms have; offset: what to add to the addresses',
        repeated(parseSymbols),
      ),
    )
    .addOption(option('--dump-dtb <file>', 'write the device tree to file and exit', parsePath))

    .addHelpText('after', KEYS)
    .addHelpText('after', `\nExit status:\n${formatStatuses().trimEnd()}`)
    .addHelpText('after', EXAMPLES.trimEnd())
    // Refused here, by name; commander would only count.
    .argument('[surplus...]')
    .action(async (surplus: string[], options: RunOptions) => {
      if (surplus[0] !== undefined) {
        const given = quoteIfNeeded(surplus[0]);
        const meant = options.kernel === undefined && options.firmware === undefined;
        throw new UserError(
          'usage',
          `${given}: unexpected argument; ${meant ? `did you mean --kernel ${given}? ` : ''}'v8a run --help' lists the options`,
        );
      }
      exit(await run(options, script));
    });
  addVarsCommand(program, exit);
  addFlashCommand(program, exit);
  addCompletionCommand(program);
  return program;
}

function formatStatuses(): string {
  return EXIT_STATUS_HELP.map(([status, meaning]) => `  ${status.padEnd(7)}${meaning}\n`).join('');
}
