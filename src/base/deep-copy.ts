// Part of every engine v8a runs on; TypeScript describes it in its DOM and Node libraries only.
declare function structuredClone<T>(value: T): T;

/** A copy of plain data that shares nothing with `value`. */
export function deepCopy<T>(value: T): T {
  return structuredClone(value);
}
