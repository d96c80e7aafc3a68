/** What a guest measures itself and prints as `figure NAME VALUE`, with a word after it that must always be the same. */
import { type Rounds, type Run, QEMU_NAME, columns, fail, spread } from './measure.js';

export interface Figure {
  readonly name: string;
  readonly title: string;
  /** A rate, or a time where `isTime`. */
  readonly unit: string;
  readonly isTime?: boolean;
}

/** Of a figure, by variant and round. */
export interface FigureValues extends Figure {
  readonly ours: readonly (readonly number[])[];
  readonly theirs: readonly number[];
  /** Of QEMU's, by variant and round. */
  readonly speeds: readonly (readonly number[])[];
}

export function readFigures({ ours, theirs }: Rounds, figures: readonly Figure[]): FigureValues[] {
  return figures.map((figure) => {
    let word: string | undefined;
    const read = ({ output }: Run): number => {
      // The shell's own escape sequences may stand before it on its line.
      const found = new RegExp(`figure ${figure.name} ([\\d.]+)(?: (\\w+))?\\r?\\n`).exec(output);
      if (!found) fail(`the guest printed no figure ${figure.name}:\n${output.slice(-1000)}`);
      word ??= found[2];
      if (found[2] !== word) fail(`${figure.name}: results ${word} and ${found[2]} of the same work`);
      return Number(found[1]);
    };
    const their = theirs.map(read);
    const our = ours.map((runs) => runs.map(read));
    const speed = (value: number, round: number): number => {
      const ratio = value / (their[round] ?? NaN);
      return figure.isTime === true ? 1 / ratio : ratio;
    };
    return { ...figure, ours: our, theirs: their, speeds: our.map((values) => values.map(speed)) };
  });
}

/** `names` are those of the variants. */
export function figureLines(figures: readonly FigureValues[], names: readonly string[]): string[] {
  return figures.flatMap(({ title, unit, isTime, ours, theirs, speeds }) => {
    const digits = isTime === true ? 0 : 1;
    return [
      columns(`${title}, ${unit}`, '', 'speed, QEMU = 1'),
      ...names.map((name, variant) =>
        columns(`  ${name}`, spread(ours[variant] ?? [], digits), spread(speeds[variant] ?? [])),
      ),
      columns(`  ${QEMU_NAME}`, spread(theirs, digits)),
    ];
  });
}
