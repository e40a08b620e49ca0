/**
 * Writes a geo database in the format of MaxMind, version 2.0, with a country for each of a few networks. The source of
 * the format: https://maxmind.github.io/MaxMind-DB/
 *
 * The tree is for IPv6, with IPv4 under ::/96. A node has two records of 32 bits, one for each next bit of the address.
 * A record below the number of nodes is a node, the number itself is "nothing known", and above is a place in the data.
 */
import ipaddr from 'ipaddr.js';

/** `countries` maps networks (CIDR), of which none contains another, to codes. */
export function geoDatabase(countries: Readonly<Record<string, string>>): Buffer {
  type Child = number | { readonly data: number };
  const nodes: [Child | undefined, Child | undefined][] = [[undefined, undefined]];
  const data: Buffer[] = [];
  let dataBytes = 0;
  for (const [network, code] of Object.entries(countries)) {
    const bits = bitsOf(network);
    const record = encoded({ country: { iso_code: code } });
    let at = 0;
    for (const [i, bit] of bits.entries()) {
      const node = nodes[at]!;
      if (i === bits.length - 1) {
        node[bit] = { data: dataBytes };
        break;
      }
      node[bit] ??= nodes.push([undefined, undefined]) - 1;
      at = node[bit] as number;
    }
    data.push(record);
    dataBytes += record.length;
  }
  const tree = Buffer.alloc(nodes.length * 8);
  const recordOf = (child: Child | undefined) => {
    if (child === undefined) return nodes.length;
    return typeof child === 'number' ? child : nodes.length + dataBegin.length + child.data;
  };
  for (const [i, [zero, one]] of nodes.entries()) {
    tree.writeUInt32BE(recordOf(zero), i * 8);
    tree.writeUInt32BE(recordOf(one), i * 8 + 4);
  }
  const metadata = encoded({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_795_953_600,
    database_type: 'Test-Country',
    description: { en: 'a test' },
    ip_version: 6,
    languages: [],
    node_count: nodes.length,
    record_size: 32,
  });
  return Buffer.concat([tree, dataBegin, ...data, Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'), metadata]);
}

const dataBegin = Buffer.alloc(16);

function bitsOf(network: string): (0 | 1)[] {
  const [address, length] = ipaddr.parseCIDR(network);
  const isIpv4 = address.kind() === 'ipv4';
  const bytes = [...(isIpv4 ? new Array<number>(12).fill(0) : []), ...address.toByteArray()];
  const bits = bytes.flatMap(byte => Array.from({ length: 8 }, (_, i) => ((byte >> (7 - i)) & 1) as 0 | 1));
  return bits.slice(0, isIpv4 ? 96 + length : length);
}

type Value = string | number | readonly Value[] | { readonly [name: string]: Value };

/** The first byte has a type in its upper three bits, and a length below 29 in the others. */
function encoded(value: Value): Buffer {
  if (typeof value === 'string') return Buffer.concat([head(2, Buffer.byteLength(value)), Buffer.from(value)]);
  if (typeof value === 'number') return Buffer.from([...head(6, 4), ...u32(value)]);
  if (Array.isArray(value)) return Buffer.concat([Buffer.from([value.length, 11 - 7]), ...value.map(encoded)]);
  const entries = Object.entries(value);
  return Buffer.concat([head(7, entries.length), ...entries.flatMap(([name, of]) => [encoded(name), encoded(of)])]);
}

function head(type: number, length: number): Buffer {
  if (length < 29) return Buffer.from([(type << 5) | length]);
  return Buffer.from([(type << 5) | 29, length - 29]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
