// TextEncoder and TextDecoder. The loops over characters are the engine's own functions, which are fifty times as fast
// as any in JavaScript: base64 is the way between bytes and strings of Latin-1.
import { define } from '../host/define.js';

const ASCII = /^[\0-\x7f]*$/;
const LABELS = new Map([
  ['utf-8', ['utf-8', 'utf8', 'unicode-1-1-utf-8']],
  ['utf-16le', ['utf-16le', 'utf-16', 'ucs-2', 'unicode']],
  ['windows-1252', ['latin1', 'ascii', 'us-ascii', 'iso-8859-1', 'windows-1252', 'l1']],
]);
const BOM = '\ufeff';

const latin1 = (bytes) => atob(bytes.toBase64());

function bytesOf(input) {
  if (input === undefined) return new Uint8Array();
  if (ArrayBuffer.isView(input)) return new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  if (input instanceof ArrayBuffer || input instanceof SharedArrayBuffer) return new Uint8Array(input);
  throw new TypeError('The "list" argument must be an instance of SharedArrayBuffer, ArrayBuffer or ArrayBufferView.');
}

// The bytes of the character that `bytes` ends within.
function unfinished(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0;
  }
  return 0;
}

// What is no UTF-8 becomes replacement characters, by the rules of the Encoding standard.
function repaired(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at++];
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const needed = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0;
    let point = needed === 0 ? -1 : first & (0x3f >> needed);
    let low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    let high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    for (let seen = 0; seen < needed; seen++) {
      const next = bytes[at];
      if (next === undefined || next < low || next > high) {
        point = -1;
        break;
      }
      point = (point << 6) | (next & 0x3f);
      [low, high] = [0x80, 0xbf];
      at++;
    }
    text += point < 0 ? '\ufffd' : String.fromCodePoint(point);
  }
  return text;
}

function decodeUtf8(bytes, fatal) {
  const text = latin1(bytes);
  if (ASCII.test(text)) return text;
  try {
    return decodeURIComponent(escape(text));
  } catch {
    if (fatal) throw Object.assign(new TypeError('The encoded data was not valid for encoding utf-8'), { code: 'ERR_ENCODING_INVALID_ENCODED_DATA' });
    return repaired(bytes);
  }
}

function decodeUtf16(bytes) {
  let text = '';
  for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(bytes[at] | (bytes[at + 1] << 8));
  return text;
}

class TextDecoder {
  #encoding;
  #fatal;
  #ignoreBOM;
  #rest = new Uint8Array();
  #begun = false;

  constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
    const wanted = String(label).trim().toLowerCase();
    this.#encoding = [...LABELS].find(([, names]) => names.includes(wanted))?.[0];
    if (this.#encoding === undefined) {
      throw Object.assign(new RangeError(`The "${label}" encoding is not supported`), { code: 'ERR_ENCODING_NOT_SUPPORTED' });
    }
    this.#fatal = Boolean(fatal);
    this.#ignoreBOM = Boolean(ignoreBOM);
  }
  get encoding() {
    return this.#encoding;
  }
  get fatal() {
    return this.#fatal;
  }
  get ignoreBOM() {
    return this.#ignoreBOM;
  }
  decode(input, { stream = false } = {}) {
    let bytes = bytesOf(input);
    if (this.#encoding === 'windows-1252') return latin1(bytes);
    if (this.#rest.length > 0) {
      const all = new Uint8Array(this.#rest.length + bytes.length);
      all.set(this.#rest);
      all.set(bytes, this.#rest.length);
      bytes = all;
    }
    const utf8 = this.#encoding === 'utf-8';
    const kept = stream ? (utf8 ? unfinished(bytes) : bytes.length % 2) : 0;
    this.#rest = bytes.slice(bytes.length - kept);
    bytes = bytes.subarray(0, bytes.length - kept);
    let text = utf8 ? decodeUtf8(bytes, this.#fatal) : decodeUtf16(bytes);
    if (!this.#begun && !this.#ignoreBOM && text.startsWith(BOM)) text = text.slice(1);
    this.#begun = stream && (this.#begun || text !== '');
    return text;
  }
}

class TextEncoder {
  get encoding() {
    return 'utf-8';
  }
  encode(input = '') {
    const text = String(input);
    return Uint8Array.fromBase64(btoa(ASCII.test(text) ? text : unescape(encodeURIComponent(text.toWellFormed()))));
  }
  encodeInto(input, into) {
    let text = String(input);
    let bytes = this.encode(text);
    while (bytes.length > into.length) {
      // No character is less than a byte, and none is cut.
      const last = text.length - Math.max(1, Math.floor((bytes.length - into.length) / 3));
      const whole = text.charCodeAt(last) >= 0xdc00 && text.charCodeAt(last) <= 0xdfff ? last - 1 : last;
      text = text.slice(0, whole);
      bytes = this.encode(text);
    }
    into.set(bytes);
    return { read: text.length, written: bytes.length };
  }
}

define({ TextDecoder, TextEncoder });
