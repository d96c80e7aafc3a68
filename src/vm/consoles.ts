import { UserError } from '../base/index.js';
import type { ConsoleSize } from '../devices/virtio/virtio-console.js';
import type { HostLoop } from './host-loop.js';
import { SerialConsole } from './serial.js';

/** As many as a machine takes, beside the console. */
export const MAX_PORTS = 15;
const MAX_PORT_NAME_CHARACTERS = 63;

/** Which console is the user's: the UART's, or that of a virtio console device. */
export const CONSOLE_KINDS = ['serial', 'virtio'] as const;
export type ConsoleKind = (typeof CONSOLE_KINDS)[number];

/** A line between guest and host beside the console: `/dev/virtio-ports/NAME` in Linux. */
export interface PortOptions {
  /** What the guest finds it by: 1 to 63 letters, digits, or `_ - .` */
  readonly name: string;
}

/** What the console device has on its other side. */
export interface VirtioLines {
  readonly console: SerialConsole;
  readonly ports: ReadonlyMap<string, SerialConsole>;
}

/** The lines of a console device, where the options ask for one. */
export function makeVirtioLines(
  kind: ConsoleKind,
  ports: readonly PortOptions[],
  host: HostLoop,
): VirtioLines | undefined {
  if (ports.length > MAX_PORTS) {
    throw new UserError('option', `${ports.length} ports: accepted: up to ${MAX_PORTS}`);
  }
  const lines = new Map<string, SerialConsole>();
  for (const { name } of ports) {
    if (!isPortName(name)) {
      throw new UserError('option', `port ${JSON.stringify(name)}: accepted: ${PORT_NAME_RULE}`);
    }
    if (lines.has(name)) throw new UserError('option', `port ${name}: given twice; accepted: another name`);
    lines.set(name, new SerialConsole(host));
  }
  if (kind === 'serial' && lines.size === 0) return undefined;
  return { console: new SerialConsole(host), ports: lines };
}

export const PORT_NAME_RULE = `1 to ${MAX_PORT_NAME_CHARACTERS} letters, digits, or _ - .`;

export function isPortName(text: string): boolean {
  return text.length <= MAX_PORT_NAME_CHARACTERS && /^[\w.-]+$/.test(text);
}

/** @throws {UserError} where it is none that a guest can be told. */
export function checkConsoleSize({ columns, rows }: ConsoleSize): void {
  for (const count of [columns, rows]) {
    if (Number.isInteger(count) && count >= 0 && count <= 0xffff) continue;
    throw new UserError('option', `console size ${columns} by ${rows}: accepted: whole numbers up to 65535`);
  }
}

/** The kernel's command line: where that names no console, and the user's is the device's, it does. */
export function withConsole(commandLine: string, kind: ConsoleKind): string {
  if (kind === 'serial' || /(^|\s)console=/.test(commandLine)) return commandLine;
  return `${commandLine} console=hvc0`.trimStart();
}
