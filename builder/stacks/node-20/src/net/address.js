// IP addresses: as text, and as the host has them.

const V4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

export const isIPv4 = (text) => V4.test(text);

/** The eight groups of an IPv6 address, its zone left out; undefined when it is none. */
function groups(text) {
  const [address, zone, ...rest] = String(text).split('%');
  if (rest.length > 0 || zone === '') return undefined;
  const halves = address.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const last = tail.length > 0 ? tail : head;
  const hex = ([high, low]) => ((Number(high) << 8) | Number(low)).toString(16);
  if (last.at(-1)?.includes('.')) {
    const dotted = last.pop();
    if (!isIPv4(dotted)) return undefined;
    const bytes = dotted.split('.');
    last.push(hex(bytes.slice(0, 2)), hex(bytes.slice(2)));
  }
  if (![...head, ...tail].every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const zeros = halves.length === 2 ? Array(missing).fill('0') : [];
  return [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16));
}

export const isIPv6 = (text) => groups(text) !== undefined;

export const isIP = (text) => (isIPv4(text) ? 4 : isIPv6(text) ? 6 : 0);

/** The host's `ip-socket-address` of an address in text and a port. */
export function toHost(address, port) {
  if (isIPv4(address)) return { tag: 'ipv4', val: { port, address: address.split('.').map(Number) } };
  return { tag: 'ipv6', val: { port, flowInfo: 0, address: groups(address), scopeId: 0 } };
}

// RFC 5952: the longest run of zeros as `::`.
function compressed(list) {
  let [best, length] = [-1, 1];
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && list[end] === 0) end++;
    if (end - i > length) [best, length] = [i, end - i];
  }
  const hex = list.map((group) => group.toString(16));
  return best < 0 ? hex.join(':') : `${hex.slice(0, best).join(':')}::${hex.slice(best + length).join(':')}`;
}

/** The host's `ip-address` as text with its family: `{ address, family }`. */
export function fromHost({ tag, val }) {
  return tag === 'ipv4' ? { address: val.join('.'), family: 4 } : { address: compressed([...val]), family: 6 };
}

/** The host's `ip-socket-address`: `{ address, family, port }`. */
export const fromHostSocket = ({ tag, val }) => ({ ...fromHost({ tag, val: val.address }), port: val.port });
