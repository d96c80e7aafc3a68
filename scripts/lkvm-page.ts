/** docs/lkvm-run.md: every option of `lkvm run` beside ours, from the table that the command line has of them. */
import type { Command } from 'commander';

import { LKVM_COMMANDS, LKVM_RUN_OPTIONS, longName } from '#v8a/cli/lkvm-options.js';
import { buildProgram } from '#v8a/cli/program.js';

/** `v8a run`, with which nothing is run. */
function runCommand(): Command {
  const program = buildProgram(
    '',
    () => Promise.reject(new Error('not to be run')),
    () => undefined,
  );
  return program.commands.find((command) => command.name() === 'run')!;
}

export function lkvmPage(): string {
  const ours = runCommand().options;
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = LKVM_RUN_OPTIONS.map((option) => {
    const theirs = `\`${cell(option.flags)}\``;
    if ('refusal' in option) return `| ${theirs} | – | ${cell(option.refusal)} |`;
    const attribute = ours.find(({ long }) => long === longName(option))?.attributeName();
    // Not the alias but what help shows.
    const shown = ours.find((candidate) => !candidate.hidden && candidate.attributeName() === attribute);
    if (!shown) throw new Error(`v8a run has no ${option.flags}`);
    return `| ${theirs} | \`${cell(shown.flags)}\` | ${cell(option.difference)} |`;
  });
  return `<!-- Written by \`npm run docs\` (scripts/lkvm-page.ts); changes belong into src/cli/lkvm-options.ts. -->

# For users of \`lkvm run\`

\`v8a run --machine kvmtool\` is kvmtool's machine for arm64, and takes kvmtool's options by their names where they make
sense without KVM. Others end with status 2 and one line that says why, and what to do instead: the one below. An option
that would do nothing is refused too, so that nobody believes in it.

| \`lkvm run\` | \`v8a run\` | |
| --- | --- | --- |
${rows.join('\n')}

What \`v8a run\` has beyond these, such as \`--expect\`, \`--clock\` and \`--flash-commit\`, is in \`v8a run --help\`.

Of kvmtool's other commands there is none, and each says why:

| \`lkvm\` | |
| --- | --- |
${Object.entries(LKVM_COMMANDS)
  .map(([name, refusal]) => `| \`${name}\` | ${cell(refusal)} |`)
  .join('\n')}
`;
}
