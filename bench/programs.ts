/** Programs in Debian that compute: how long a fixed amount of work takes, by the guest's clock. */
import { copyDebianKernel, debianDisk } from '../scripts/make-debian-disk.js';
import { scratch } from '../tests/support/guests.js';
import { type Bench, debianKernelMachine, runGuests, skipped } from './boots.js';
import { type Figure, figureLines, readFigures } from './figures.js';
import { geometricMean, median } from './measure.js';

/** In /dev/shm. Each leaves its result in `out`. */
const PROGRAMS = [
  ['sha256', 'openssl dgst -sha256, 64 MiB', 'openssl dgst -sha256 -r data >out'],
  [
    'aes',
    'openssl enc -aes-128-cbc, 64 MiB',
    `openssl enc -aes-128-cbc -K ${'5'.repeat(32)} -iv 0 -in data -out out`,
  ],
  ['gzip', 'gzip, 3 MiB of text', 'gzip -n <text >out'],
  ['xz', 'xz -2, 3 MiB of text', 'xz -2 -T1 <text >out'],
  ['python', 'Python: a loop', 'python3 -S loop.py >out'],
  ['sort', 'sort, 200,000 lines', 'LC_ALL=C sort --parallel=1 lines >out'],
] as const;

const FIGURES: readonly Figure[] = PROGRAMS.map(([name, title]) => ({
  ...{ name, title },
  unit: 'ms',
  isTime: true,
}));

/** Objects, dictionaries, strings, lists and integers of any size. */
const PYTHON = [
  'class Account:',
  ' def __init__(self, name): self.name, self.total = name, 0',
  ' def add(self, value): self.total = (self.total * 31 + value) % 1000003',
  'accounts = {}',
  'seed = 1',
  'for n in range(80000):',
  ' seed = seed * 6364136223846793005 + 1442695040888963407 & 0xffffffffffffffff',
  ' key = "a%d" % (seed >> 54)',
  ' if key not in accounts: accounts[key] = Account(key)',
  ' accounts[key].add(len([x for x in (seed, n, seed ^ n) if x & 4]) + (seed >> 40))',
  'print(sum(a.total for a in accounts.values()), sorted(accounts)[:9], 3 ** 20000 % 1000000007)',
];

function prepare(): string {
  const random = `openssl enc -aes-128-ctr -K ${'3'.repeat(32)} -iv 0 -in /dev/zero 2>/dev/null`;
  return [
    'dmesg -n 1; cd /dev/shm',
    `${random} | head -c 64M >data`,
    'cat /usr/lib/python3.11/*.py | head -c 3M >text',
    'head -c 800000 data | od -An -v -tx4 -w4 >lines',
    `printf '${PYTHON.map((line) => line.replaceAll('%', '%%')).join('\\n')}\\n' >loop.py`,
    // What a program made: its end and its size.
    't() { s=$(date +%s%N); eval "$2"; e=$(date +%s%N); ' +
      'echo "figure $1 $(((e-s)/1000000)) $( (tail -c 9999 out; wc -c <out) | sha256sum | head -c 16)"; }',
    'echo files re""ady',
  ].join('; ');
}

export async function programs(bench: Bench): Promise<unknown> {
  const disk = debianDisk();
  if (disk === undefined) return skipped('guest', 'npm run guests -- --debian');
  const files = scratch();
  const kernel = copyDebianKernel(files.path(''));
  const work = PROGRAMS.map(([name, , command]) => `t ${name} '${command}'`).join('; ');
  try {
    const rounds = await runGuests(bench, () => ({
      ...debianKernelMachine(disk, kernel),
      steps: [
        { expect: 'login: ', send: 'root\r' },
        { expect: ':~# ', send: `${prepare()}\r` },
        { expect: 'files ready', send: `${work}; echo figures do""ne\r` },
        { expect: 'figures done' },
      ],
    }));
    const figures = readFigures(rounds, FIGURES);
    const names = bench.variants.map(({ name }) => name);
    const means = names.map((name, variant) => ({
      name,
      speed: geometricMean(figures.map(({ speeds }) => median(speeds[variant] ?? []))),
    }));
    console.log(
      [
        "\nguest, programs in Debian, by the guest's clock",
        ...figureLines(figures, names),
        ...means.map(({ name, speed }) => `geometric mean, ${name}: ${speed.toFixed(2)}`),
      ].join('\n'),
    );
    return { figures, geometricMeans: means };
  } finally {
    files.remove();
  }
}
