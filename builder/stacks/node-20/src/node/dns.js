// node:dns: `lookup`. Records of other kinds need UDP, which a dyno does not have.
import { defer } from '../loop/work.js';
import { codedError, invalidArgType, invalidArgValue } from '../lang/codes.js';
import { notImplementedClass, unavailableModule } from '../lang/unavailable.js';
import { addressesOf } from '../net/lookup.js';
import { lookupError } from '../net/errors.js';

const UNAVAILABLE = [
  'lookupService', 'resolve', 'resolve4', 'resolve6', 'resolveAny', 'resolveCaa', 'resolveCname', 'resolveMx',
  'resolveNaptr', 'resolveNs', 'resolvePtr', 'resolveSoa', 'resolveSrv', 'resolveTxt', 'reverse', 'setServers',
];

function family(value = 0) {
  const number = { IPv4: 4, IPv6: 6 }[value] ?? value;
  if (![0, 4, 6].includes(number)) throw invalidArgValue('family', value, 'must be one of: 0, 4, 6');
  return number;
}

function lookup(hostname, options, callback) {
  if (typeof options === 'function') [options, callback] = [{}, options];
  if (typeof options === 'number') options = { family: options };
  if (typeof callback !== 'function') throw invalidArgType('callback', 'of type function', callback);
  if (hostname && typeof hostname !== 'string') throw invalidArgType('hostname', 'of type string', hostname);
  const wanted = family(options?.family);
  const all = options?.all === true;
  // Always in a later turn, as Node does it.
  const done = (...results) => defer(() => callback(...results));
  if (!hostname) {
    if (all) done(null, []);
    else done(null, null, wanted === 6 ? 6 : 4);
    return {};
  }
  addressesOf(hostname, (error, list) => {
    const found = list?.filter((entry) => wanted === 0 || entry.family === wanted);
    if (error === null && found.length === 0) error = lookupError('name-unresolvable', hostname);
    if (error !== null) done(error);
    else if (all) done(null, found);
    else done(null, found[0].address, found[0].family);
  });
  return {};
}

const promises = {
  ...unavailableModule('dns', UNAVAILABLE),
  lookup: (hostname, options) =>
    new Promise((resolve, reject) => {
      lookup(hostname, options ?? {}, (error, address, version) => {
        if (error) reject(error);
        else resolve(options?.all === true ? address : { address, family: version });
      });
    }),
};

Object.defineProperty(lookup, Symbol.for('nodejs.util.promisify.custom'), { value: promises.lookup });

const ERRORS = [
  'NODATA', 'FORMERR', 'SERVFAIL', 'NOTFOUND', 'NOTIMP', 'REFUSED', 'BADQUERY', 'BADNAME', 'BADFAMILY', 'BADRESP',
  'CONNREFUSED', 'TIMEOUT', 'EOF', 'FILE', 'NOMEM', 'DESTRUCTION', 'BADSTR', 'BADFLAGS', 'NONAME', 'BADHINTS',
  'NOTINITIALIZED', 'LOADIPHLPAPI', 'ADDRGETNETWORKPARAMS', 'CANCELLED',
];
const order = {
  getServers: () => [],
  setDefaultResultOrder(value) {
    if (!['verbatim', 'ipv4first', 'ipv6first'].includes(value)) {
      throw codedError(TypeError, 'ERR_INVALID_ARG_VALUE', `The argument 'dnsOrder' is invalid. Received '${value}'`);
    }
  },
  getDefaultResultOrder: () => 'verbatim',
};
const codes = Object.fromEntries(ERRORS.map((name) => [name, `E${name}`]));

/** node:dns */
export default {
  ...unavailableModule('dns', UNAVAILABLE),
  ...order,
  ...codes,
  lookup,
  Resolver: notImplementedClass('dns.Resolver'),
  promises: Object.assign(promises, order, codes, { Resolver: notImplementedClass('dns.promises.Resolver') }),
  ADDRCONFIG: 32,
  ALL: 16,
  V4MAPPED: 8,
};
