/** Functions of translated code as profiles show them: by the host address where their code starts. */

export function regionName(hostAddress: number): string {
  return `region ${hostAddress.toString(16)}`;
}

/** The host address in the name of a function; undefined where it is not translated code. */
export function regionAddress(functionName: string): number | undefined {
  const [, address] = /^region ([0-9a-f]+)$/.exec(functionName) ?? [];
  return address === undefined ? undefined : parseInt(address, 16);
}
