import {
  HOST_NAME_SYNTAX,
  isHostName,
  isIpv4,
  isMac,
  isPort,
  isServer,
  MAC_SYNTAX,
  SERVER_SYNTAX,
  type NetworkOptions,
  type PortForward,
} from '../vm/network-options.js';
import { quoteIfNeeded, splitAtCommas, UnacceptableValue } from './parse.js';

/** What the value of `--network` may be, for help and messages. */
const NETWORK_SYNTAX =
  'none|user[,hostfwd=<rule>]…[,mac=<address>][,hostname=<name>][,resolver=<address>[:<port>]][,pcap=<file>]';
/** What kvmtool knows beside, and users have in their scripts. */
const WHY_NO_TAP = 'needs rights on the host, which v8a does without';
const OF_TAP = ['script', 'downscript', 'tapif', 'vhost', 'fd', 'mq'];
const FORWARD_SYNTAX = '[tcp|udp]:[<host address>]:<host port>-[<guest address>]:<guest port>';

/** A network, or none, also as kvmtool has it (`mode=user,guest_mac=…`). A comma in the name of a file is written twice. */
export function parseNetwork(text: string): NetworkOptions | 'none' {
  const options = splitAtCommas(text);
  const mode = options.findIndex((option) => option.startsWith('mode='));
  const [kind = ''] = options.splice(Math.max(mode, 0), 1).map((option) => option.replace('mode=', ''));
  if (kind === 'none' && options.length === 0) return 'none';
  if (kind === 'tap') throw new UnacceptableValue(WHY_NO_TAP, NETWORK_SYNTAX);
  if (kind !== 'user') throw new UnacceptableValue('is not supported', NETWORK_SYNTAX);
  const network: { -readonly [Key in keyof NetworkOptions]: NetworkOptions[Key] } = {};
  const forwards: PortForward[] = [];
  for (const option of options) {
    const [, name = '', value = ''] = /^([^=]*)(?:=(.*))?$/s.exec(option) ?? [];
    const fail = (what: string, accepted: string): never => {
      throw new UnacceptableValue(`${quoteIfNeeded(option)} ${what}`, accepted);
    };
    switch (name) {
      case 'hostfwd':
        forwards.push(parseForward(value) ?? fail('is no rule', FORWARD_SYNTAX));
        break;
      case 'mac':
      case 'guest_mac':
        network.mac = isMac(value) ? value : fail('is no address of a card', MAC_SYNTAX);
        break;
      case 'hostname':
        network.hostName = isHostName(value) ? value : fail('is no name', HOST_NAME_SYNTAX);
        break;
      case 'resolver':
        network.nameServer = isServer(value) ? value : fail('is no server', SERVER_SYNTAX);
        break;
      case 'pcap':
        network.pcap = value !== '' ? value : fail('names no file', 'pcap=<file>');
        break;
      case 'trans':
        fail('is not of one card', '--virtio-transport, for all devices');
        break;
      case 'guest_ip':
      case 'host_ip':
        fail('cannot be chosen: the guest is 10.0.2.15, the host 10.0.2.2', NETWORK_SYNTAX);
        break;
      default:
        fail(
          OF_TAP.includes(name) ? `is of mode=tap, which ${WHY_NO_TAP}` : 'is not supported',
          NETWORK_SYNTAX,
        );
    }
  }
  return forwards.length === 0 ? network : { ...network, forwards };
}

/** A rule as QEMU's `hostfwd` takes it. */
function parseForward(text: string): PortForward | undefined {
  const parts = /^(tcp|udp|):([^:]*):(\d+)-([^:]*):(\d+)$/.exec(text);
  if (!parts) return undefined;
  const [, protocol = '', hostAddress = '', hostPort = '', guestAddress = '', guestPort = ''] = parts;
  const areAddresses = [hostAddress, guestAddress].every((address) => address === '' || isIpv4(address));
  if (!areAddresses || !isPort(hostPort, 0) || !isPort(guestPort, 1)) return undefined;
  return {
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
    ...(hostAddress === '' ? {} : { hostAddress }),
    hostPort: Number(hostPort),
    ...(guestAddress === '' ? {} : { guestAddress }),
    guestPort: Number(guestPort),
  };
}
