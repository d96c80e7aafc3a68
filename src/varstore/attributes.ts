/** Attributes of variables (UEFI 2.10, 8.2.1). */
export const Attribute = {
  nonVolatile: 0x01,
  bootService: 0x02,
  runtime: 0x04,
  hardwareErrorRecord: 0x08,
  /** Deprecated: authenticated by a count. */
  authenticated: 0x10,
  timeBasedAuthenticated: 0x20,
  appendWrite: 0x40,
  enhancedAuthenticated: 0x80,
} as const;

const SHORT_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [Attribute.nonVolatile, 'NV'],
  [Attribute.bootService, 'BS'],
  [Attribute.runtime, 'RT'],
  [Attribute.hardwareErrorRecord, 'HR'],
  [Attribute.authenticated, 'AW'],
  [Attribute.timeBasedAuthenticated, 'AT'],
  [Attribute.appendWrite, 'AP'],
  [Attribute.enhancedAuthenticated, 'EA'],
];

/** What a variable gets where nothing else is said. */
export const DEFAULT_ATTRIBUTES = Attribute.nonVolatile | Attribute.bootService | Attribute.runtime;

/** `NV+BS+RT`, as the UEFI shell writes them. */
export function formatAttributes(attributes: number): string {
  const names = SHORT_NAMES.filter(([bit]) => (attributes & bit) !== 0).map(([, name]) => name);
  const rest = SHORT_NAMES.reduce((left, [bit]) => left & ~bit, attributes) >>> 0;
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.length === 0 ? '0' : names.join('+');
}

/** The reverse of `formatAttributes` for names; undefined for anything else. */
export function parseAttributes(text: string): number | undefined {
  let attributes = 0;
  for (const name of text.toUpperCase().split(/[+,]/)) {
    const found = SHORT_NAMES.find(([, known]) => known === name.trim());
    if (!found) return undefined;
    attributes |= found[0];
  }
  return attributes;
}
