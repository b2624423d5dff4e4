// DER, as far as keys and signatures need it.
import { toBuffer } from './data.js';

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const NULL = 0x05;
const OID = 0x06;
const SEQUENCE = 0x30;

/** A tag that depends on its place: `[number]`. */
export const context = (number, constructed = true) => (constructed ? 0xa0 : 0x80) | number;

class Malformed extends Error {}

/** One value with what follows it: `{ tag, content, rest, whole }`. */
function next(bytes) {
  if (bytes.length < 2) throw new Malformed('it ends early');
  let length = bytes[1];
  let start = 2;
  if (length & 0x80) {
    const count = length & 0x7f;
    if (count === 0 || count > 4 || bytes.length < 2 + count) throw new Malformed('a length is not DER');
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + bytes[2 + i];
    start += count;
  }
  const end = start + length;
  if (end > bytes.length) throw new Malformed('it ends early');
  return { tag: bytes[0], content: bytes.subarray(start, end), rest: bytes.subarray(end), whole: bytes.subarray(0, end) };
}

/** A value being read; `reader.sequence()` and the others throw when something else is there. */
export class Reader {
  #bytes;
  constructor(bytes) {
    this.#bytes = bytes;
  }
  get done() {
    return this.#bytes.length === 0;
  }
  /** The next tag, without taking its value. */
  get tag() {
    return this.#bytes[0];
  }
  take(tag) {
    const value = next(this.#bytes);
    if (tag !== undefined && value.tag !== tag) throw new Malformed('another kind of value is there');
    this.#bytes = value.rest;
    return value;
  }
  sequence() {
    return new Reader(this.take(SEQUENCE).content);
  }
  integer() {
    return toInteger(this.take(INTEGER).content);
  }
  octets() {
    return this.take(OCTET_STRING).content;
  }
  bits() {
    const { content } = this.take(BIT_STRING);
    if (content[0] !== 0) throw new Malformed('bits are left over');
    return content.subarray(1);
  }
  oid() {
    return toOid(this.take(OID).content);
  }
  /** Takes the value if it has `tag`. */
  optional(tag) {
    return this.tag === tag ? new Reader(this.take(tag).content) : undefined;
  }
}

/** Big-endian bytes, without a sign. */
export const toInteger = (bytes) => (bytes.length === 0 ? 0n : BigInt(`0x${toBuffer(bytes).toString('hex')}`));

/** The bytes of a number, at least `length` of them. */
export function fromInteger(value, length = 0) {
  let hex = value.toString(16);
  if (hex.length % 2 === 1) hex = `0${hex}`;
  return new Uint8Array(globalThis.Buffer.from(hex.padStart(length * 2, '0'), 'hex'));
}

function toOid(bytes) {
  const parts = [Math.floor(bytes[0] / 40), bytes[0] % 40];
  let value = 0;
  for (const byte of bytes.subarray(1)) {
    value = value * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    parts.push(value);
    value = 0;
  }
  return parts.join('.');
}

/** One value of `tag` around `parts`. */
export function value(tag, ...parts) {
  const content = globalThis.Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [] : [...fromInteger(BigInt(length))];
  return globalThis.Buffer.concat([Uint8Array.of(tag, length < 0x80 ? length : 0x80 | size.length, ...size), content]);
}

export const sequence = (...parts) => value(SEQUENCE, ...parts);
export const octets = (bytes) => value(OCTET_STRING, bytes);
export const bits = (bytes) => value(BIT_STRING, Uint8Array.of(0), bytes);
export const nothing = value(NULL);

export function integer(number) {
  const bytes = fromInteger(BigInt(number));
  return bytes[0] & 0x80 ? value(INTEGER, Uint8Array.of(0), bytes) : value(INTEGER, bytes);
}

export function oid(text) {
  const [first, second, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (let part of rest) {
    const digits = [part & 0x7f];
    while ((part = Math.floor(part / 128)) > 0) digits.unshift((part & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return value(OID, Uint8Array.from(bytes));
}
