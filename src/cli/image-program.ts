/** The command lines of `v8a vars` and `v8a flash`, which work on flash images without a machine. */
import { Option, type Command } from 'commander';
import { KIB, UserError } from '../base/index.js';
import { FLASH_EXIT_STATUS_HELP, VARS_EXIT_STATUS_HELP } from './exit-status.js';
import { inOneLine, option } from './option.js';
import {
  formatSize, parseAttributesOption, parseBootNext, parseBootOrder, parseBootTimeout, parseEscapes, parseGuidOption,
  parseHex, parsePath, parseSize, quoteIfNeeded,
} from './parse.js'; // prettier-ignore

/** Of the `virt` board's flash. */
const DEFAULT_BLOCK_BYTES = 256 * KIB;

export interface NameOptions {
  readonly guid?: string;
}

export interface GetOptions extends NameOptions {
  readonly raw?: true;
}

export interface ChangeOptions extends NameOptions {
  readonly force?: true;
}

export interface SetOptions extends ChangeOptions {
  readonly attributes?: number;
  readonly hex?: Uint8Array;
  readonly text?: Uint8Array;
  readonly file?: string;
}

export interface BootOptions {
  readonly order?: readonly number[] | 'none';
  readonly next?: number | 'none';
  readonly timeout?: number | 'none';
}

export interface ImportOptions {
  readonly replace?: true;
  readonly force?: true;
}

export interface BlockOptions {
  /** Bytes. */
  readonly blockSize: number;
}

type Exit = (status: number) => void;

const VARS_EXAMPLES = `
Examples:
  What is in the store:
    v8a vars vars.fd

  Boot the shell first, without waiting:
    v8a vars boot vars.fd --order 0001,0000 --timeout 0

  Copy all variables to another store:
    v8a vars export vars.fd vars.json
    v8a vars import other.fd vars.json

<file> is a flash image, such as that of v8a run --flash. No machine may be using it, and a change
is made as a whole or not at all.
`;

export function addVarsCommand(program: Command, exit: Exit): void {
  const vars = group(program, 'vars', 'show and change the UEFI variables in a flash image')
    .description(
      'Shows and changes the variables that UEFI firmware (EDK2, such as AAVMF) keeps in a flash image, without running it.\n' +
        'With a file alone, lists them.',
    )
    .usage('<file> | <command> <file> …')
    .addHelpText('after', `\nExit status:\n${statuses(VARS_EXIT_STATUS_HELP)}`)
    .addHelpText('after', VARS_EXAMPLES.trimEnd())
    .argument('[file]')
    .argument('[surplus...]');
  vars.action(async (file: string | undefined, surplus: string[]) => {
    if (file === undefined) vars.outputHelp();
    else if (surplus.length > 0) throw unknownCommand(vars, file, surplus);
    else exit((await commands()).list(file));
  });

  subcommand(vars, 'list', 'list variables: name, vendor, attributes, size').argument('<file>').action(
    async (file: string) => exit((await commands()).list(file)),
  ); // prettier-ignore

  subcommand(vars, 'get', 'show a variable')
    .argument('<file>')
    .argument('<name>')
    .addOption(guidOption())
    .option('--raw', 'write its bytes, and nothing else')
    .action(async (file: string, name: string, options: GetOptions) =>
      exit((await commands()).get(file, name, options)),
    );

  subcommand(vars, 'set', 'set a variable')
    .argument('<file>')
    .argument('<name>')
    .addOption(option('--hex <digits>', 'its data in hexadecimal: 0500', parseHex))
    .addOption(
      option(
        '--text <text>',
        'its data as UTF-8; \\r \\n \\t \\e \\xNN and \\\\ are understood',
        parseEscapes,
      ),
    )
    .addOption(option('--file <file>', 'its data from a file; - is standard input', parsePath))
    .addOption(guidOption('; known for those that UEFI defines, and where there is one of the name'))
    .addOption(
      option(
        '--attributes <attributes>',
        'NV+BS+RT and the like (default: those it has, or NV+BS+RT)',
        parseAttributesOption,
      ),
    )
    .addOption(forceOption())
    .action(async (file: string, name: string, options: SetOptions) =>
      exit((await commands()).set(file, name, options)),
    );

  subcommand(vars, 'delete', 'delete a variable')
    .argument('<file>')
    .argument('<name>')
    .addOption(guidOption())
    .addOption(forceOption())
    .action(async (file: string, name: string, options: ChangeOptions) =>
      exit((await commands()).remove(file, name, options)),
    );

  subcommand(vars, 'boot', 'show or change what is booted')
    .argument('<file>')
    .addOption(option('--order <numbers>', 'BootOrder: 0001,0000, or none', parseBootOrder))
    .addOption(option('--next <number>', 'BootNext, for the next boot only: 0001, or none', parseBootNext))
    .addOption(option('--timeout <seconds>', 'Timeout of the boot menu: seconds, or none', parseBootTimeout))
    .action(async (file: string, options: BootOptions) => exit((await commands()).boot(file, options)));

  subcommand(vars, 'export', 'write all variables as JSON, as virt-fw-vars does')
    .argument('<file>')
    .argument('[json]', 'file to write (default: standard output)')
    .action(async (file: string, json: string | undefined) =>
      exit((await commands()).exportJson(file, json)),
    );

  subcommand(vars, 'import', 'set variables from JSON')
    .argument('<file>')
    .argument('<json>', 'file to read; - is standard input')
    .option('--replace', 'delete variables that it does not have')
    .addOption(forceOption())
    .action(async (file: string, json: string, options: ImportOptions) =>
      exit((await commands()).importJson(file, json, options)),
    );

  subcommand(vars, 'check', 'look whether a store is sound')
    .argument('<file>')
    .action(async (file: string) => exit((await commands()).check(file)));

  subcommand(vars, 'repair', 'put right what can be without guessing, and say what cannot')
    .argument('<file>')
    .action(async (file: string) => exit((await commands()).repair(file)));
}

export function addFlashCommand(program: Command, exit: Exit): void {
  const flash = group(program, 'flash', 'create and show flash images')
    .description(
      'Creates and shows flash images. An image is the array and nothing else: whether blocks are locked is not in it.\n' +
        'With a file alone, shows it.',
    )
    .usage('<file> | <command> <file> …')
    .addHelpText('after', `\nExit status:\n${statuses(FLASH_EXIT_STATUS_HELP)}`)
    .argument('[file]')
    .argument('[surplus...]');
  flash.action(async (file: string | undefined, surplus: string[]) => {
    if (file === undefined) flash.outputHelp();
    else if (surplus.length > 0) throw unknownCommand(flash, file, surplus);
    else exit((await import('./flash-command.js')).show(file, { blockSize: DEFAULT_BLOCK_BYTES }));
  });

  subcommand(flash, 'create', 'make a new image, erased')
    .argument('<file>')
    .argument('<size>', '64M, as the virt board has it, and the like, or a number of MiB')
    .addOption(blockSizeOption('of the device; the size is a multiple of it'))
    .action(async (file: string, size: string, options: BlockOptions) =>
      exit((await import('./flash-command.js')).create(file, size, options)),
    );

  subcommand(flash, 'show', 'show what is in the blocks of an image')
    .argument('<file>')
    .addOption(blockSizeOption('to look at'))
    .action(async (file: string, options: BlockOptions) =>
      exit((await import('./flash-command.js')).show(file, options)),
    );
}

/** `given` is where a command should be; what is a command may be behind it. */
function unknownCommand(group: Command, given: string, [next = '']: readonly string[]): UserError {
  const name = `v8a ${group.name()}`;
  const isSwapped = group.commands.some((command) => command.name() === next);
  const meant = isSwapped ? `did you mean ${name} ${next} ${quoteIfNeeded(given)}? ` : '';
  return new UserError(
    'usage',
    `${quoteIfNeeded(given)}: unknown command; ${meant}'${name} --help' lists the commands`,
  );
}

async function commands() {
  return import('./vars-command.js');
}

function group(program: Command, name: string, summary: string): Command {
  return program
    .command(name)
    .exitOverride(inOneLine(`v8a ${name}`))
    .summary(summary)
    .addHelpOption(new Option('-h, --help', 'show this help'))
    .helpCommand(false)
    .configureHelp({ helpWidth: 100, visibleArguments: () => [] });
}

function subcommand(parent: Command, name: string, summary: string): Command {
  return parent
    .command(name)
    .exitOverride(inOneLine(`v8a ${parent.name()} ${name}`))
    .summary(summary)
    .description(`${summary[0]!.toUpperCase()}${summary.slice(1)}.`)
    .addHelpOption(new Option('-h, --help', 'show this help'))
    .configureHelp({ helpWidth: 100 });
}

function guidOption(more = '; needed where several have the name'): Option {
  return option(
    '--guid <guid>',
    `its vendor, a GUID or a name such as EfiGlobalVariable${more}`,
    parseGuidOption,
  );
}

function forceOption(): Option {
  return new Option('--force', 'change also what firmware changes only with a signature, such as PK and db');
}

function blockSizeOption(what: string): Option {
  return option('--block-size <size>', `erase block ${what}: 256K and the like`, parseSize).default(
    DEFAULT_BLOCK_BYTES,
    formatSize(DEFAULT_BLOCK_BYTES),
  );
}

function statuses(help: readonly (readonly [status: string, meaning: string])[]): string {
  return help.map(([status, meaning]) => `  ${status.padEnd(7)}${meaning}`).join('\n');
}
