// node:crypto: hashes and key derivation by @noble/hashes, randomness and `subtle` by the engine. What needs ciphers
// or public keys says that it is not there.
import { hmac } from '@noble/hashes/hmac.js';
import { md5, ripemd160, sha1 } from '@noble/hashes/legacy.js';
import { sha224, sha256, sha384, sha512, sha512_224, sha512_256 } from '@noble/hashes/sha2.js';
import { sha3_224, sha3_256, sha3_384, sha3_512 } from '@noble/hashes/sha3.js';
import { pbkdf2 } from '@noble/hashes/pbkdf2.js';
import { scrypt } from '@noble/hashes/scrypt.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import buffer from './buffer.js';
import stream from './stream.js';
import { defer } from '../loop/loop.js';
import { codedError, invalidArgType, outOfRange } from '../lang/codes.js';
import { unavailableModule } from '../lang/unavailable.js';

const { Buffer } = buffer;

const HASHES = {
  md5,
  ripemd160,
  rmd160: ripemd160,
  sha1,
  sha224,
  sha256,
  sha384,
  sha512,
  'sha512-224': sha512_224,
  'sha512-256': sha512_256,
  'sha3-224': sha3_224,
  'sha3-256': sha3_256,
  'sha3-384': sha3_384,
  'sha3-512': sha3_512,
};

function hashByName(name) {
  if (typeof name !== 'string') throw invalidArgType('algorithm', 'of type string', name);
  const lower = name.toLowerCase();
  const hash = HASHES[lower] ?? HASHES[lower.replace(/^rsa-/, '')] ?? HASHES[lower.replace('-', '')];
  if (hash === undefined) throw new Error('Digest method not supported');
  return hash;
}

function toBytes(data, encoding, name = 'data') {
  if (typeof data === 'string') return Buffer.from(data, encoding === 'buffer' ? 'utf8' : encoding);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (data instanceof KeyObject) return data.export();
  throw invalidArgType(name, 'of type string or an instance of Buffer, TypedArray, or DataView', data);
}

const toBuffer = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const encoded = (bytes, encoding) =>
  encoding && encoding !== 'buffer' ? toBuffer(bytes).toString(encoding) : toBuffer(bytes);

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

/** A secret key; public and private keys need ciphers that the stack does not have. */
export class KeyObject {
  #bytes;
  constructor(type, bytes) {
    this.type = type;
    this.#bytes = Buffer.from(bytes);
  }
  get symmetricKeySize() {
    return this.#bytes.length;
  }
  export(options) {
    if (options?.format === 'jwk') return { kty: 'oct', k: this.#bytes.toString('base64url') };
    return Buffer.from(this.#bytes);
  }
  equals(other) {
    return other instanceof KeyObject && this.#bytes.equals(other.export());
  }
}

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

// The result of `run` by return, or by callback in a later turn.
function maybeLater(run, callback) {
  if (callback === undefined) return run();
  if (typeof callback !== 'function') throw invalidArgType('callback', 'of type function', callback);
  defer(() => {
    let result;
    try {
      result = run();
    } catch (error) {
      return callback(error);
    }
    return callback(null, result);
  });
  return undefined;
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
  let difference = 0;
  for (let i = 0; i < x.length; i++) difference |= x[i] ^ y[i];
  return difference === 0;
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

const unavailable = unavailableModule('crypto', [
  'createCipheriv', 'createDecipheriv', 'createSign', 'createVerify', 'createDiffieHellman', 'createECDH',
  'createDiffieHellmanGroup', 'createPrivateKey', 'createPublicKey', 'generateKey', 'generateKeySync',
  'generateKeyPair', 'generateKeyPairSync', 'getDiffieHellman', 'privateDecrypt', 'privateEncrypt', 'publicDecrypt',
  'publicEncrypt', 'sign', 'verify', 'diffieHellman', 'generatePrime', 'generatePrimeSync', 'checkPrime',
  'checkPrimeSync', 'X509Certificate', 'Certificate', 'setEngine', 'Cipher', 'Decipher', 'Sign', 'Verify', 'ECDH',
  'DiffieHellman',
]);

/** node:crypto */
export default {
  ...unavailable,
  Hash,
  Hmac,
  KeyObject,
  createHash: (algorithm, options) => new Hash(hashByName(algorithm).create(), options),
  createHmac: (algorithm, key, options) =>
    new Hmac(hmac.create(hashByName(algorithm), toBytes(key, undefined, 'key')), options),
  hash: (algorithm, data, encoding = 'hex') => encoded(hashByName(algorithm)(toBytes(data)), encoding),
  createSecretKey: (key, encoding) => new KeyObject('secret', toBytes(key, encoding, 'key')),
  getHashes: () => Object.keys(HASHES),
  getCiphers: () => [],
  getCurves: () => [],
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
  constants: {},
  get webcrypto() {
    return globalThis.crypto;
  },
  get subtle() {
    return globalThis.crypto.subtle;
  },
};
