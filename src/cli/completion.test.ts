import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { completionScript } from './completion.js';
import { buildProgram } from './program.js';

const program = buildProgram(
  '',
  () => Promise.resolve(0),
  () => undefined,
);

/** A reason for `skip` where the program is missing. */
function without(name: string): string | false {
  return spawnSync(name, ['--version']).status !== 0 && `no ${name}`;
}

const directory = mkdtempSync(join(tmpdir(), 'v8a-completion-'));
after(() => {
  rmSync(directory, { recursive: true });
});
writeFileSync(join(directory, 'flash one.img'), '');
mkdirSync(join(directory, 'shared'));

describe('bash', { skip: without('bash') }, () => {
  const script = join(directory, 'v8a.bash');
  writeFileSync(script, completionScript(program, 'bash'));

  /** What bash's function offers for the last of `words`, and what it leaves to readline. */
  function offered(...words: readonly string[]): readonly string[] {
    const { stdout, stderr, status } = spawnSync(
      'bash',
      [
        '--norc',
        '-uc',
        // Only readline itself may call the real one.
        `compopt() { echo "$*"; }
         source "$0"
         COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
         _v8a
         printf '%s\\n' "\${COMPREPLY[@]}"`,
        script,
        'v8a',
        ...words,
      ],
      { encoding: 'utf8' },
    );
    assert.deepEqual([status, stderr], [0, ''], words.join(' '));
    return stdout.split('\n').filter((line) => line !== '');
  }

  const run = program.commands.find((command) => command.name() === 'run')!;
  const shown = run.options.filter(({ hidden }) => !hidden);

  test('offers the commands, and those in them', () => {
    assert.deepEqual(offered(''), ['run', 'vars', 'flash', 'completion', 'help']);
    assert.deepEqual(offered('r'), ['run']);
    assert.deepEqual(offered('flash', ''), ['-o default', 'create', 'show']);
    assert.deepEqual(offered('vars', 're'), ['-o default', 'repair']);
    assert.deepEqual(offered('help', 'v'), ['vars']);
    assert.deepEqual(offered('completion', ''), ['bash', 'zsh', 'fish']);
  });

  test('offers every option of run that help shows, by both names, and no other', () => {
    const names = shown.flatMap(({ short, long }) => [short, long]).filter((name) => name !== undefined);
    assert.deepEqual(new Set(offered('run', '-')), new Set([...names, '-h', '--help']));
    assert.deepEqual(offered('run', '--rng', '--firmware'), ['--firmware', '--firmware-address']);
    assert.deepEqual(offered('vars', 'set', 'vars.fd', 'A', '--he'), ['-o default', '--hex', '--help']);
  });

  test('offers the words that an option takes, and only where it takes them', () => {
    assert.deepEqual(offered('run', '--machine', ''), ['virt', 'kvmtool']);
    assert.deepEqual(offered('run', '--rng', '--irqchip', 'gicv3'), ['gicv3', 'gicv3-its']);
    // As readline cuts --machine=k.
    assert.deepEqual(offered('run', '--machine', '='), ['virt', 'kvmtool']);
    assert.deepEqual(offered('run', '--machine', '=', 'k'), ['kvmtool']);
    assert.deepEqual(offered('run', '--machine', 'kvmtool', '--mach'), ['--machine']);
    assert.deepEqual(offered('run', '--trace', 'guest'), ['guest-errors']);
    assert.deepEqual(offered('run', '-m', ''), []);
    assert.deepEqual(offered('run', '--append', '--m'), []);
  });

  test('leaves files and directories to readline', () => {
    for (const option of ['-f', '--firmware', '-F', '-k', '-i', '-d', '--log', '--profile', '--dump-dtb']) {
      assert.deepEqual(offered('run', option, 'fl'), ['-o default'], option);
    }
    assert.deepEqual(offered('run', '--9p', ''), ['-o dirnames']);
    assert.deepEqual(offered('vars', 'list', 'fl'), ['-o default']);
    assert.deepEqual(offered('flash', 'show', ''), ['-o default']);
  });

  test('at a terminal', { skip: without('script') }, () => {
    // Each tab completes what is before it; v8a here shows what it was given.
    const lines = [
      `cd '${directory}'`,
      'v8a() { printf \'<%s>\' "$@"; echo; }',
      'source v8a.bash',
      'v8a ru\t--mac\tkv\t-F fl\t--9p sh\t',
      'v8a vars li\tfl\t',
      'v8a run --irqchip=gicv2m\t --clo\tr\t',
      'exit',
      '',
    ];
    const { stdout } = spawnSync('script', ['-qec', 'bash --norc --noprofile -i', '/dev/null'], {
      encoding: 'utf8',
      input: lines.join('\n'),
      env: { ...process.env, TERM: 'dumb', INPUTRC: '/dev/null', HISTFILE: '' },
      timeout: 60_000,
    });
    for (const given of [
      '<run><--machine><kvmtool><-F><flash one.img><--9p><shared/>',
      '<vars><list><flash one.img>',
      '<run><--irqchip=gicv2m><--clock><real>',
    ]) {
      assert.ok(stdout.includes(`\n${given}\r\n`), `${given} is not in\n${stdout}`);
    }
  });
});

for (const shell of ['zsh', 'fish'] as const) {
  test(`${shell} can read its script`, { skip: without(shell) }, () => {
    const path = join(directory, `v8a.${shell}`);
    writeFileSync(path, completionScript(program, shell));
    const { status, stderr } = spawnSync(shell, ['-n', path], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  });
}

test('what zsh and fish are given has every option of run and its words', () => {
  for (const shell of ['zsh', 'fish'] as const) {
    const script = completionScript(program, shell);
    for (const option of program.commands.find((command) => command.name() === 'run')!.options) {
      if (option.hidden) continue;
      const name = shell === 'zsh' ? `*${option.long!}` : `-l ${option.long!.slice(2)} `;
      assert.ok(script.includes(name), `${shell}: ${name}`);
    }
    assert.ok(script.includes('gicv2 gicv2m gicv3 gicv3-its'));
    // An option's other name is not shown.
    assert.ok(!script.includes('params'));
  }
});
