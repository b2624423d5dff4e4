// node:url: the legacy parser is unenv's port of Node's; URL and URLSearchParams are the engine's.
import legacy, { Url } from 'unenv/node/url';
import punycode from 'unenv/node/punycode';
import { codedError, invalidArgType } from '../lang/codes.js';
import path from './path.js';

/** The path of a file: URL. */
export function fileURLToPath(input) {
  const url = typeof input === 'string' ? new URL(input) : input;
  if (url?.protocol !== 'file:') {
    throw codedError(TypeError, 'ERR_INVALID_URL_SCHEME', 'The URL must be of scheme file');
  }
  if (url.hostname !== '') {
    throw codedError(
      TypeError,
      'ERR_INVALID_FILE_URL_HOST',
      'File URL host must be "localhost" or empty on linux',
    );
  }
  if (/%2f/i.test(url.pathname)) {
    throw codedError(
      TypeError,
      'ERR_INVALID_FILE_URL_PATH',
      'File URL path must not include encoded / characters',
    );
  }
  return decodeURIComponent(url.pathname);
}

const ESCAPES = { '%': '%25', '\\': '%5C', '\n': '%0A', '\r': '%0D', '\t': '%09', '?': '%3F', '#': '%23' };

/** The file: URL of a path. */
export function pathToFileURL(file) {
  const full = path.resolve(file) + (file.endsWith('/') && !path.resolve(file).endsWith('/') ? '/' : '');
  return new URL(`file://${full.replace(/[%\\\n\r\t?#]/g, (character) => ESCAPES[character])}`);
}

/** http.request's options from a URL. */
export function urlToHttpOptions(url) {
  const { protocol, hostname, hash, search, pathname, href, port, username, password } = url;
  const options = {
    __proto__: null,
    ...url,
    protocol,
    hostname: hostname.startsWith('[') ? hostname.slice(1, -1) : hostname,
    hash,
    search,
    pathname,
    path: `${pathname || ''}${search || ''}`,
    href,
  };
  if (port !== '') options.port = Number(port);
  if (username || password) options.auth = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return options;
}

const URL_FIELDS = [
  'protocol', 'slashes', 'auth', 'host', 'port', 'hostname', 'hash', 'search', 'query', 'pathname', 'path', 'href',
];

/** The legacy parser; its result lists its fields in Node's order. */
function parse(text, parseQuery, slashesDenoteHost) {
  if (text instanceof Url) return text;
  if (typeof text !== 'string') throw invalidArgType('url', 'of type string', text);
  const found = new Url();
  found.parse(text, parseQuery, slashesDenoteHost);
  const url = Object.create(Url.prototype);
  for (const field of URL_FIELDS) url[field] = found[field];
  return url;
}

export default {
  ...legacy,
  parse,
  URL: globalThis.URL,
  URLSearchParams: globalThis.URLSearchParams,
  domainToASCII: (domain) => punycode.toASCII(domain),
  domainToUnicode: (domain) => punycode.toUnicode(domain),
  fileURLToPath,
  pathToFileURL,
  urlToHttpOptions,
};
