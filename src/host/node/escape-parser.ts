/** Ctrl-A, as in QEMU, kvmtool and minicom. */
const ESCAPE = 0x01;

/** What a key after Ctrl-A asks for. */
export type TerminalCommand = 'quit' | 'power' | 'help';

const KEYS: Readonly<Record<string, TerminalCommand>> = { x: 'quit', p: 'power', h: 'help', '?': 'help' };

export const TERMINAL_HELP = [
  'Ctrl-A x   quit',
  'Ctrl-A p   press the power button: asks the guest to shut down',
  'Ctrl-A a   send Ctrl-A to the guest',
  'Ctrl-A h   this help',
];

/** Separates what a person types for the guest from what is meant for v8a. */
export class EscapeParser {
  #isAfterEscape = false;

  /**
   * Returns the bytes for the guest and the commands in `typed`. Ctrl-A Ctrl-A and Ctrl-A a send one Ctrl-A;
   * Ctrl-A with a key that means nothing sends neither.
   */
  feed(typed: Uint8Array): { readonly data: Uint8Array; readonly commands: readonly TerminalCommand[] } {
    const data: number[] = [];
    const commands: TerminalCommand[] = [];
    for (const byte of typed) {
      if (this.#isAfterEscape) {
        this.#isAfterEscape = false;
        const command = KEYS[String.fromCharCode(byte).toLowerCase()];
        if (command !== undefined) commands.push(command);
        else if (byte === ESCAPE || byte === 'a'.charCodeAt(0) || byte === 'A'.charCodeAt(0))
          data.push(ESCAPE);
      } else if (byte === ESCAPE) {
        this.#isAfterEscape = true;
      } else {
        data.push(byte);
      }
    }
    return { data: Uint8Array.from(data), commands };
  }
}
