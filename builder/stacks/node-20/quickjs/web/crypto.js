// The global `crypto`: what the engine of the other stack has of its own, and src/web/subtle.js builds on.
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { getRandomBytes } from 'wasi:random/random@0.2.10';
import { define } from '../host/define.js';

const HASHES = { 'SHA-1': sha1, 'SHA-256': sha256, 'SHA-384': sha384, 'SHA-512': sha512 };
const MOST_BYTES = 65_536;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

const bytesOf = (data) => (ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data));
const unsupported = (text) => new DOMException(text, 'NotSupportedError');
const nameOf = (algorithm) => String(algorithm?.name ?? algorithm).toUpperCase();

class CryptoKey {}

class SubtleCrypto {
  async digest(algorithm, data) {
    const hash = HASHES[nameOf(algorithm)];
    if (hash === undefined) throw unsupported(`digest: ${nameOf(algorithm)} is not there`);
    return hash(bytesOf(data)).slice().buffer;
  }
  async importKey(format, _data, algorithm, extractable, usages) {
    if (nameOf(algorithm) !== 'HMAC' || format !== 'raw') {
      throw unsupported(`importKey: ${nameOf(algorithm)} in the format ${format} is not there; node:crypto has more`);
    }
    const hash = { name: nameOf(algorithm.hash) };
    const shown = { type: 'secret', extractable, algorithm: { name: 'HMAC', hash }, usages: [...usages] };
    return Object.assign(new CryptoKey(), shown);
  }
  async sign(algorithm) {
    throw unsupported(`sign: ${nameOf(algorithm)} is not there; node:crypto has more`);
  }
  async verify(algorithm) {
    throw unsupported(`verify: ${nameOf(algorithm)} is not there; node:crypto has more`);
  }
}

class Crypto {
  #subtle = new SubtleCrypto();
  get subtle() {
    return this.#subtle;
  }
  getRandomValues(array) {
    if (array.byteLength > MOST_BYTES) {
      throw new DOMException(`The requested length exceeds ${MOST_BYTES} bytes`, 'QuotaExceededError');
    }
    bytesOf(array).set(getRandomBytes(array.byteLength));
    return array;
  }
  randomUUID() {
    const bytes = getRandomBytes(16);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => HEX[byte]).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }
}

define({ CryptoKey, SubtleCrypto, Crypto, crypto: new Crypto() });
