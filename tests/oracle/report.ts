/** What came out of `npm run test:oracle`. */
import type { Outcome } from './check.js';
import type { Unit } from './worker.js';

/** All that is known of a subject on a CPU model. */
export interface Line {
  readonly cpu: string;
  readonly subject: string;
  readonly cases: number;
  readonly mismatches: number;
  readonly departures: Readonly<Record<string, number>>;
  readonly examples: Outcome['examples'];
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

export function report(done: readonly { readonly unit: Unit; readonly outcome: Outcome }[]): Line[] {
  const groups = new Map<string, { unit: Unit; outcomes: Outcome[] }>();
  for (const { unit, outcome } of done) {
    const key = `${unit.cpu}\n${unit.subject}`;
    const group = groups.get(key) ?? { unit, outcomes: [] };
    group.outcomes.push(outcome);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ unit: { cpu, subject }, outcomes }) => {
    const departures: Record<string, number> = {};
    for (const outcome of outcomes)
      for (const [title, count] of Object.entries(outcome.departures))
        departures[title] = (departures[title] ?? 0) + count;
    return {
      cpu,
      subject,
      cases: sum(outcomes.map(({ cases }) => cases)),
      mismatches: sum(outcomes.map(({ mismatches }) => mismatches)),
      departures,
      examples: outcomes.flatMap(({ examples }) => examples),
    };
  });
}

const departed = ({ departures }: Line): number => sum(Object.values(departures));

/** Markdown. */
export function reportTable(lines: readonly Line[]): string {
  const rows = lines.map(
    (line) =>
      `| ${line.subject.replaceAll('|', '\\|')} | ${line.cpu} | ${line.cases} | ${line.mismatches} | ${departed(line)} |`,
  );
  return [
    '| Definition | CPU | Cases | Mismatches | QEMU departs |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

export function summary(lines: readonly Line[], seconds: number, cases: number): string {
  const cpus = [...new Set(lines.map(({ cpu }) => cpu))];
  const perCpu = cpus.map((cpu) => {
    const mine = lines.filter((line) => line.cpu === cpu);
    const fewest = Math.min(...mine.map((line) => line.cases));
    return (
      `${cpu}: ${mine.length} definitions, ${sum(mine.map((line) => line.cases))} cases, at least ${fewest} of each, ` +
      `${sum(mine.map(({ mismatches }) => mismatches))} mismatches, ${sum(mine.map(departed))} where QEMU departs`
    );
  });
  const rate = seconds > 0 ? Math.round(cases / seconds) : 0;
  return [...perCpu, `${cases} cases in ${seconds.toFixed(1)} s: ${rate} a second`].join('\n');
}
