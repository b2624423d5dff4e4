// The host's errors of sockets as Node's.
import { ERRNO } from '../node/errno.js';

const CODES = {
  'access-denied': 'EACCES',
  'not-supported': 'ENOTSUP',
  'invalid-argument': 'EINVAL',
  'out-of-memory': 'ENOMEM',
  timeout: 'ETIMEDOUT',
  'address-not-bindable': 'EADDRNOTAVAIL',
  'address-in-use': 'EADDRINUSE',
  'remote-unreachable': 'EHOSTUNREACH',
  'connection-refused': 'ECONNREFUSED',
  'connection-reset': 'ECONNRESET',
  'connection-aborted': 'ECONNABORTED',
  'new-socket-limit': 'EMFILE',
  'name-unresolvable': 'ENOTFOUND',
  'temporary-resolver-failure': 'EAI_AGAIN',
  'permanent-resolver-failure': 'ENOTFOUND',
};

const NUMBERS = new Map([...ERRNO].map(([number, [name]]) => [name, number]));

const HINTS = {
  EACCES: 'no egress rule of this app allows it; the log says more',
};

/** The error of `syscall` with the host's `reason`, for a connection to `place` (`{ address, port }`), if there is one. */
export function socketError(reason, syscall, place = {}) {
  const code = CODES[reason] ?? 'EIO';
  const { address, port, hostname } = place;
  const where = address === undefined ? '' : ` ${hostname ?? address}${port === undefined ? '' : `:${port}`}`;
  const hint = HINTS[code] === undefined ? '' : ` (${HINTS[code]})`;
  const error = new Error(`${syscall} ${code}${where}${hint}`);
  Object.assign(error, { errno: -(NUMBERS.get(code) ?? 5), code, syscall });
  if (address !== undefined) error.address = address;
  if (port !== undefined) error.port = port;
  return error;
}

/** The error of looking `hostname` up. */
export function lookupError(reason, hostname) {
  const code = CODES[reason] ?? 'ENOTFOUND';
  const error = new Error(`getaddrinfo ${code} ${hostname}`);
  return Object.assign(error, { errno: code === 'EAI_AGAIN' ? -3001 : -3008, code, syscall: 'getaddrinfo', hostname });
}
