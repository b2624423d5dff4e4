// The rules for header fields that incoming and outgoing messages share.
import { codedError } from '../lang/codes.js';

const TOKEN = /^[\^_`a-zA-Z\-0-9!#$%&'*+.|~]+$/;
// eslint-disable-next-line no-control-regex -- exactly the characters that a field value must not have
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Throws unless `name` can be a field name. */
export function validateHeaderName(name, label = 'Header name') {
  if (typeof name !== 'string' || !TOKEN.test(name)) {
    throw codedError(TypeError, 'ERR_INVALID_HTTP_TOKEN', `${label} must be a valid HTTP token ["${name}"]`);
  }
}

/** Throws unless `value` can be the value of field `name`. */
export function validateHeaderValue(name, value) {
  if (value === undefined) {
    throw codedError(TypeError, 'ERR_HTTP_INVALID_HEADER_VALUE', `Invalid value "${value}" for header "${name}"`);
  }
  if (BAD_VALUE.test(String(value))) {
    throw codedError(TypeError, 'ERR_INVALID_CHAR', `Invalid character in header content ["${name}"]`);
  }
}

// Of these only the first counts (Node's matchKnownFields).
const FIRST_ONLY = new Set([
  'age',
  'authorization',
  'content-length',
  'content-type',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'referer',
  'retry-after',
  'server',
  'user-agent',
]);

/** Adds a received field to `headers` as Node joins repeated ones. */
export function addReceived(headers, name, value) {
  const existing = headers[name];
  if (name === 'set-cookie') {
    if (existing === undefined) headers[name] = [value];
    else existing.push(value);
  } else if (existing === undefined) {
    headers[name] = value;
  } else if (!FIRST_ONLY.has(name)) {
    headers[name] = `${existing}${name === 'cookie' ? '; ' : ', '}${value}`;
  }
}
