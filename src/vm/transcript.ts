/** Text that is kept for `waitFor` and for error messages. Older text is forgotten. */
const KEPT_CHARACTERS = 256 * 1024;
const LINE_WIDTH = 200;

/** Clear the screen, or put the cursor somewhere: firmware goes to the next line, and to the next column, this way. */
const CURSOR_MOVES = /\u001b\[(?:[0-3]?J|(\d*)(?:;(\d*))?H)/g;
/** Every other control sequence: ECMA-48 5.4, 5.6 (control strings) and, for the rest, ECMA-35 13. */
const CONTROL_SEQUENCES =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|[PX\]^_][^\u0007\u001b]*(?:\u0007|\u001b\\)|[ -/]*[0-~])/g;
const CONTROL_CHARACTERS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/** What the guest has printed, addressed by the number of characters printed before. */
export class Transcript {
  #text = '';
  #startOffset = 0;

  /** Offset of the first character that is still kept. */
  get startOffset(): number {
    return this.#startOffset;
  }

  get endOffset(): number {
    return this.#startOffset + this.#text.length;
  }

  append(text: string): void {
    // Cut before adding, so that new text can be looked at however long it is; and rarely, so that long output
    // is not copied once per slice.
    if (this.#text.length > 2 * KEPT_CHARACTERS) {
      const dropped = this.#text.length - KEPT_CHARACTERS;
      this.#text = this.#text.slice(dropped);
      this.#startOffset += dropped;
    }
    this.#text += text;
  }

  /** The kept text from `offset` on. */
  from(offset: number): string {
    return this.#text.slice(Math.max(0, offset - this.#startOffset));
  }

  /** The last `count` lines that show anything, without control sequences. */
  lastLines(count: number): string[] {
    let lastRow: string | undefined;
    const plain = this.#text
      // Enough for `count` lines, however little of it is visible.
      .slice(-KEPT_CHARACTERS / 4)
      .replace(CURSOR_MOVES, (_sequence, row: string | undefined, column: string | undefined) => {
        const isSameRow = row !== undefined && row === lastRow;
        lastRow = row;
        if (!isSameRow) return '\n';
        return Number(column ?? 1) <= 1 ? '\r' : '';
      })
      .replace(CONTROL_SEQUENCES, '')
      .replace(CONTROL_CHARACTERS, '');
    return (
      plain
        .split('\n')
        // After a carriage return the line is written anew.
        .map((line) => (line.trimEnd().split('\r').at(-1) ?? '').slice(0, LINE_WIDTH))
        .filter((line) => line !== '')
        .slice(-count)
    );
  }
}
