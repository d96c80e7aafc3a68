/**
 * A mistake of the user or a failure of the host, as one line: what was given, what is wrong with it and
 * what would be accepted. The command line prints `message` and exits with status 2.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
  /** Stable identifier of the kind of mistake, such as `flash-empty`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
