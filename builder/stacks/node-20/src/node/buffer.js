// node:buffer: the maintained `buffer` package, with its encodings done by the engine (ten to fifty times faster than
// in JavaScript) and with what newer Node versions added.
import base from 'buffer/index.js';
import { invalidArgType, codedError } from '../lang/codes.js';
import { codeNumberErrors } from './buffer-numbers.js';

const { Buffer } = base;
const prototype = Buffer.prototype;
const encoder = new TextEncoder();
// Buffer keeps a byte order mark as a character.
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const utf16 = new TextDecoder('utf-16le', { ignoreBOM: true });

const K_MAX_LENGTH = 2 ** 31 - 1;
const LARGEST_APPLY = 8192;

function asBuffer(bytes) {
  return Object.setPrototypeOf(bytes, prototype);
}

/** The one spelling of an encoding's name, or undefined. */
function normalise(encoding) {
  if (encoding === undefined || encoding === null || encoding === '') return 'utf8';
  switch (String(encoding).toLowerCase()) {
    case 'utf8':
    case 'utf-8':
      return 'utf8';
    case 'hex':
      return 'hex';
    case 'base64':
      return 'base64';
    case 'base64url':
      return 'base64url';
    case 'latin1':
    case 'binary':
      return 'latin1';
    case 'ascii':
      return 'ascii';
    case 'ucs2':
    case 'ucs-2':
    case 'utf16le':
    case 'utf-16le':
      return 'utf16le';
    default:
      return undefined;
  }
}

function known(encoding) {
  const name = normalise(encoding);
  if (name === undefined) throw codedError(TypeError, 'ERR_UNKNOWN_ENCODING', `Unknown encoding: ${encoding}`);
  return name;
}

// Node takes what is valid and stops at the first byte that is not.
function decodeHex(text) {
  let end = text.length - (text.length % 2);
  const bad = /[^0-9a-f]/i.exec(text);
  if (bad !== null && bad.index < end) end = bad.index - (bad.index % 2);
  return Uint8Array.fromHex(text.slice(0, end));
}

// Node takes both alphabets at once, ignores what belongs to neither and stops at padding.
function decodeBase64(text) {
  let clean = text;
  if (/[^A-Za-z0-9+/]/.test(clean)) {
    const padding = clean.indexOf('=');
    if (padding >= 0) clean = clean.slice(0, padding);
    clean = clean.replaceAll('-', '+').replaceAll('_', '/').replace(/[^A-Za-z0-9+/]/g, '');
  }
  if (clean.length % 4 === 1) clean = clean.slice(0, -1);
  return Uint8Array.fromBase64(clean, { lastChunkHandling: 'loose' });
}

function encode(text, encoding) {
  switch (encoding) {
    case 'utf8':
      return encoder.encode(text);
    case 'hex':
      return decodeHex(text);
    case 'base64':
    case 'base64url':
      return decodeBase64(text);
    case 'utf16le': {
      const bytes = new Uint8Array(text.length * 2);
      for (let i = 0; i < text.length; i++) {
        const unit = text.charCodeAt(i);
        bytes[i * 2] = unit;
        bytes[i * 2 + 1] = unit >> 8;
      }
      return bytes;
    }
    default: {
      const bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      return bytes;
    }
  }
}

function latin1(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += LARGEST_APPLY) {
    text += String.fromCharCode.apply(null, Uint8Array.prototype.subarray.call(bytes, at, at + LARGEST_APPLY));
  }
  return text;
}

function decode(bytes, encoding) {
  switch (encoding) {
    case 'utf8':
      return utf8.decode(bytes);
    case 'hex':
      return Uint8Array.prototype.toHex.call(bytes);
    case 'base64':
      return Uint8Array.prototype.toBase64.call(bytes);
    case 'base64url':
      return Uint8Array.prototype.toBase64.call(bytes, { alphabet: 'base64url', omitPadding: true });
    case 'utf16le':
      return utf16.decode(Uint8Array.prototype.subarray.call(bytes, 0, bytes.length & ~1));
    case 'ascii':
      return latin1(bytes.map((byte) => byte & 0x7f));
    default:
      return latin1(bytes);
  }
}

const plainBytes = (buffer, start, end) => new Uint8Array(buffer.buffer, buffer.byteOffset + start, end - start);

function clamp(value, fallback, length) {
  if (value === undefined) return fallback;
  const number = Math.trunc(Number(value)) || 0;
  return Math.min(Math.max(number, 0), length);
}

const packageFrom = Buffer.from;
Buffer.from = function from(value, encodingOrOffset, length) {
  if (typeof value === 'string') return asBuffer(encode(value, known(encodingOrOffset)));
  if (typeof value === 'number' || value === null || value === undefined) {
    throw invalidArgType(
      'first argument',
      'of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object',
      value,
    );
  }
  return packageFrom.call(Buffer, value, encodingOrOffset, length);
};

const packageAlloc = Buffer.alloc;
Buffer.alloc = function alloc(size, fill, encoding) {
  if (typeof size !== 'number') throw invalidArgType('size', 'of type number', size);
  const buffer = packageAlloc.call(Buffer, size);
  return fill === undefined || fill === 0 ? buffer : buffer.fill(fill, encoding);
};

Buffer.isEncoding = (encoding) => typeof encoding === 'string' && encoding !== '' && normalise(encoding) !== undefined;

Buffer.byteLength = function byteLength(value, encoding) {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
  if (typeof value !== 'string') {
    throw invalidArgType('string', 'of type string or an instance of Buffer or ArrayBuffer', value);
  }
  switch (normalise(encoding)) {
    case 'hex':
      return value.length >>> 1;
    case 'base64':
    case 'base64url': {
      const padding = value.endsWith('==') ? 2 : value.endsWith('=') ? 1 : 0;
      return ((value.length - padding) * 3) >>> 2;
    }
    case 'utf16le':
      return value.length * 2;
    case 'latin1':
    case 'ascii':
      return value.length;
    default:
      return utf8Length(value);
  }
};

function utf8Length(text) {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) length += 1;
    else if (unit >= 0xd800 && unit <= 0xdbff && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      length += 2;
      i += 1;
    } else length += 2;
  }
  return length;
}

Buffer.copyBytesFrom = function copyBytesFrom(view, offset = 0, length) {
  const end = length === undefined ? view.length : offset + length;
  const part = view.subarray(offset, end);
  return asBuffer(new Uint8Array(part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength)));
};

prototype.toString = function toString(encoding, start, end) {
  if (arguments.length === 0) return utf8.decode(this);
  const from = clamp(start, 0, this.length);
  const to = clamp(end, this.length, this.length);
  if (to <= from) return '';
  return decode(plainBytes(this, from, to), known(encoding));
};
prototype.toLocaleString = prototype.toString;

prototype.write = function write(text, offset, length, encoding) {
  if (typeof text !== 'string') throw invalidArgType('argument', 'of type string', text);
  if (typeof offset === 'string') [offset, length, encoding] = [undefined, undefined, offset];
  else if (typeof length === 'string') [length, encoding] = [undefined, length];
  const from = offset === undefined ? 0 : Math.trunc(offset);
  if (from < 0 || from > this.length) {
    throw codedError(RangeError, 'ERR_OUT_OF_RANGE', `The value of "offset" is out of range. Received ${offset}`);
  }
  const room = Math.min(this.length - from, length === undefined ? Infinity : Math.max(0, Math.trunc(length)));
  const name = known(encoding);
  // Only whole characters are written.
  if (name === 'utf8') return encoder.encodeInto(text, plainBytes(this, from, from + room)).written;
  let bytes = encode(text, name);
  if (bytes.length > room) bytes = bytes.subarray(0, name === 'utf16le' ? room & ~1 : room);
  Uint8Array.prototype.set.call(this, bytes, from);
  return bytes.length;
};

for (const [method, encoding] of [
  ['utf8', 'utf8'],
  ['hex', 'hex'],
  ['latin1', 'latin1'],
  ['ascii', 'ascii'],
  ['base64', 'base64'],
  ['base64url', 'base64url'],
  ['ucs2', 'utf16le'],
]) {
  prototype[`${method}Slice`] = function (start, end) {
    return this.toString(encoding, start, end);
  };
  prototype[`${method}Write`] = function (text, offset, length) {
    return this.write(text, offset, length, encoding);
  };
}

// The package's search and fill know no base64url; strings are turned into bytes first.
for (const method of ['indexOf', 'lastIndexOf', 'includes']) {
  const packaged = prototype[method];
  prototype[method] = function (value, byteOffset, encoding) {
    if (typeof byteOffset === 'string') [byteOffset, encoding] = [undefined, byteOffset];
    if (typeof value === 'string') value = Buffer.from(value, encoding);
    if (byteOffset === undefined) return packaged.call(this, value);
    return packaged.call(this, value, byteOffset);
  };
}

const packageFill = prototype.fill;
prototype.fill = function fill(value, offset, end, encoding) {
  if (typeof offset === 'string') [offset, end, encoding] = [undefined, undefined, offset];
  else if (typeof end === 'string') [end, encoding] = [undefined, end];
  if (typeof value === 'string' && value !== '') {
    value = Buffer.from(value, encoding);
    if (value.length === 0) {
      throw codedError(TypeError, 'ERR_INVALID_ARG_VALUE', "The argument 'value' is invalid. Received ''");
    }
  }
  return packageFill.call(this, value, offset ?? 0, end ?? this.length);
};

codeNumberErrors(prototype);

// A typed array's own subarray would make a plain Uint8Array.
prototype.subarray = function subarray(start, end) {
  return asBuffer(Uint8Array.prototype.subarray.call(plainBytes(this, 0, this.length), start, end));
};
prototype.slice = prototype.subarray;

const inspectCustom = Symbol.for('nodejs.util.inspect.custom');
prototype[inspectCustom] = function () {
  const shown = Math.min(base.INSPECT_MAX_BYTES, this.length);
  const hex = this.hexSlice(0, shown).replace(/(.{2})(?=.)/g, '$1 ');
  const rest = this.length - shown;
  const more = rest > 0 ? ` ... ${rest} more byte${rest > 1 ? 's' : ''}` : '';
  return `<Buffer ${hex}${more}>`;
};
prototype.inspect = prototype[inspectCustom];

function isAscii(input) {
  return new Uint8Array(input.buffer ?? input).every((byte) => byte < 0x80);
}

function isUtf8(input) {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(input);
    return true;
  } catch {
    return false;
  }
}

/** node:buffer */
export default {
  Buffer,
  SlowBuffer: base.SlowBuffer,
  Blob: globalThis.Blob,
  File: globalThis.File,
  atob: globalThis.atob,
  btoa: globalThis.btoa,
  constants: { MAX_LENGTH: K_MAX_LENGTH, MAX_STRING_LENGTH: 2 ** 30 - 2 },
  kMaxLength: K_MAX_LENGTH,
  kStringMaxLength: 2 ** 30 - 2,
  isAscii,
  isUtf8,
  resolveObjectURL: () => undefined,
  transcode(source, from, to) {
    return Buffer.from(Buffer.from(source).toString(from), to);
  },
  get INSPECT_MAX_BYTES() {
    return base.INSPECT_MAX_BYTES;
  },
  set INSPECT_MAX_BYTES(count) {
    base.INSPECT_MAX_BYTES = count;
  },
};
