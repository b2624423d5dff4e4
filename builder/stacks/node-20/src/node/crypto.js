// node:crypto: hashes, key derivation, ciphers and curves by the noble packages, RSA on big integers, randomness and
// `subtle` by the engine. Its parts are in src/crypto/.
import { hmac } from '@noble/hashes/hmac.js';
import { pbkdf2 } from '@noble/hashes/pbkdf2.js';
import { scrypt } from '@noble/hashes/scrypt.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import buffer from './buffer.js';
import stream from './stream.js';
import { codedError, invalidArgType, outOfRange } from '../lang/codes.js';
import { notImplementedClass, unavailableModule } from '../lang/unavailable.js';
import { Cipheriv, Decipheriv, createCipheriv, createDecipheriv, getCipherInfo, getCiphers } from '../crypto/ciphers.js';
import { HASHES, encoded, equalBytes, hashByName, maybeLater, toBuffer, toBytes } from '../crypto/data.js';
import { CURVES } from '../crypto/curves.js';
import * as exchange from '../crypto/exchange.js';
import * as keys from '../crypto/keys.js';
import * as signing from '../crypto/sign.js';

const { Buffer } = buffer;

class Digest extends stream.Transform {
  #state;
  #done = false;
  constructor(state, options) {
    super(options);
    this.#state = state;
  }
  update(data, encoding) {
    if (this.#done) throw codedError(Error, 'ERR_CRYPTO_HASH_FINALIZED', 'Digest already called');
    this.#state.update(toBytes(data, encoding));
    return this;
  }
  digest(encoding) {
    if (this.#done) throw codedError(Error, 'ERR_CRYPTO_HASH_FINALIZED', 'Digest already called');
    this.#done = true;
    return encoded(this.#state.digest(), encoding);
  }
  _transform(chunk, encoding, done) {
    this.update(chunk, encoding);
    done();
  }
  _flush(done) {
    this.push(this.digest());
    done();
  }
  _copyState() {
    return this.#state.clone();
  }
}

class Hash extends Digest {
  copy(options) {
    return new Hash(this._copyState(), options);
  }
}
class Hmac extends Digest {}

// The engine fills at most this much at once.
const LARGEST_RANDOM = 65_536;

function fillRandom(bytes) {
  for (let at = 0; at < bytes.length; at += LARGEST_RANDOM) {
    globalThis.crypto.getRandomValues(bytes.subarray(at, at + LARGEST_RANDOM));
  }
}

function randomFillSync(target, offset = 0, size) {
  const all = ArrayBuffer.isView(target)
    ? new Uint8Array(target.buffer, target.byteOffset, target.byteLength)
    : new Uint8Array(target);
  fillRandom(all.subarray(offset, size === undefined ? undefined : offset + size));
  return target;
}

function randomBytes(size, callback) {
  if (typeof size !== 'number') throw invalidArgType('size', 'of type number', size);
  if (!(size >= 0 && size <= 2 ** 31 - 1)) throw outOfRange('size', '>= 0 && <= 2147483647', size);
  return maybeLater(() => randomFillSync(Buffer.alloc(size)), callback);
}

function randomFill(target, ...args) {
  const callback = args.pop();
  maybeLater(() => randomFillSync(target, ...args), callback);
}

function randomInt(min, max, callback) {
  if (max === undefined || typeof max === 'function') [min, max, callback] = [0, min, max];
  if (!Number.isSafeInteger(min)) throw invalidArgType('min', 'a safe integer', min);
  if (!Number.isSafeInteger(max)) throw invalidArgType('max', 'a safe integer', max);
  const range = max - min;
  if (!(range > 0 && range <= 2 ** 48 - 1)) throw outOfRange('max', `greater than the value of "min" (${min})`, max);
  const limit = 2 ** 48 - (2 ** 48 % range);
  return maybeLater(() => {
    for (;;) {
      const value = randomBytes(6).readUIntBE(0, 6);
      // Values over the last multiple would make some results likelier.
      if (value < limit) return min + (value % range);
    }
  }, callback);
}

function timingSafeEqual(a, b) {
  const x = toBytes(a, undefined, 'buf1');
  const y = toBytes(b, undefined, 'buf2');
  if (x.length !== y.length) {
    throw codedError(
      RangeError,
      'ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH',
      'Input buffers must have the same byte length',
    );
  }
  return equalBytes(x, y);
}

function pbkdf2Sync(password, salt, iterations, length, digest) {
  const hash = hashByName(digest);
  return toBuffer(pbkdf2(hash, toBytes(password), toBytes(salt), { c: iterations, dkLen: length }));
}

const SCRYPT = { N: 16_384, r: 8, p: 1 };

function scryptSync(password, salt, length, options = {}) {
  const settings = {
    N: options.N ?? options.cost ?? SCRYPT.N,
    r: options.r ?? options.blockSize ?? SCRYPT.r,
    p: options.p ?? options.parallelization ?? SCRYPT.p,
    dkLen: length,
  };
  return toBuffer(scrypt(toBytes(password), toBytes(salt), settings));
}

function hkdfSync(digest, key, salt, info, length) {
  const bytes = hkdf(hashByName(digest), toBytes(key), toBytes(salt), toBytes(info), length);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

// Signing and finding the issuer of certificates needs more than keys.
const unavailable = unavailableModule('crypto', ['setEngine'], {
  X509Certificate: notImplementedClass('crypto.X509Certificate'),
  Certificate: notImplementedClass('crypto.Certificate'),
});

/** node:crypto */
export default {
  ...unavailable,
  Hash,
  Hmac,
  KeyObject: keys.KeyObject,
  createSecretKey: keys.createSecretKey,
  createPrivateKey: keys.createPrivateKey,
  createPublicKey: keys.createPublicKey,
  generateKey: keys.generateKey,
  generateKeySync: keys.generateKeySync,
  generateKeyPair: keys.generateKeyPair,
  generateKeyPairSync: keys.generateKeyPairSync,
  Sign: signing.Sign,
  Verify: signing.Verify,
  createSign: (algorithm, options) => new signing.Sign(algorithm, options),
  createVerify: (algorithm, options) => new signing.Verify(algorithm, options),
  sign: signing.sign,
  verify: signing.verify,
  publicEncrypt: signing.publicEncrypt,
  publicDecrypt: signing.publicDecrypt,
  privateEncrypt: signing.privateEncrypt,
  privateDecrypt: signing.privateDecrypt,
  Cipheriv,
  Decipheriv,
  createCipheriv,
  createDecipheriv,
  getCipherInfo,
  ...exchange,
  createHash: (algorithm, options) => new Hash(hashByName(algorithm).create(), options),
  createHmac: (algorithm, key, options) =>
    new Hmac(hmac.create(hashByName(algorithm), toBytes(key, undefined, 'key')), options),
  hash: (algorithm, data, encoding = 'hex') => encoded(hashByName(algorithm)(toBytes(data)), encoding),
  getHashes: () => Object.keys(HASHES),
  getCiphers,
  getCurves: () => Object.keys(CURVES).sort(),
  randomBytes,
  pseudoRandomBytes: randomBytes,
  randomFill,
  randomFillSync,
  randomInt,
  randomUUID: () => globalThis.crypto.randomUUID(),
  getRandomValues: (array) => globalThis.crypto.getRandomValues(array),
  timingSafeEqual,
  pbkdf2Sync,
  pbkdf2: (password, salt, iterations, length, digest, callback) =>
    maybeLater(() => pbkdf2Sync(password, salt, iterations, length, digest), callback),
  scryptSync,
  scrypt(password, salt, length, options, callback) {
    if (typeof options === 'function') [options, callback] = [{}, options];
    maybeLater(() => scryptSync(password, salt, length, options), callback);
  },
  hkdfSync,
  hkdf: (digest, key, salt, info, length, callback) =>
    maybeLater(() => hkdfSync(digest, key, salt, info, length), callback),
  getFips: () => 0,
  setFips() {},
  constants: signing.constants,
  get webcrypto() {
    return globalThis.crypto;
  },
  get subtle() {
    return globalThis.crypto.subtle;
  },
};
