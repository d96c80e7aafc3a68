/** Thrown when v8a itself is wrong. Guests and users never cause one. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Asserts something that only a bug in v8a could make false. Where that is done often, `message` is a function. */
export function invariant(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof message === 'string' ? message : message());
}
