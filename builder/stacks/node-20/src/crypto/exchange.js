// Shared secrets: ECDH and X25519, Diffie-Hellman, and primes.
import buffer from '../node/buffer.js';
import { isProbablePrimeRSA } from 'micro-rsa-dsa-dh/primality.js';
import { DHGroups } from 'micro-rsa-dsa-dh/dh.js';
import { codedError, invalidArgType } from '../lang/codes.js';
import { CURVES, EDWARDS, curveName } from './curves.js';
import { encoded, maybeLater, randomBytesOf, toBuffer, toBytes } from './data.js';
import { fromInteger, toInteger } from './der.js';
import { materialOf } from './keys.js';
import { power, randomPrime } from './rsa.js';

const { Buffer } = buffer;

/** crypto.ECDH */
export class ECDH {
  #curve;
  #secret;
  constructor(name) {
    if (typeof name !== 'string') throw invalidArgType('curve', 'of type string', name);
    const known = curveName(name);
    if (known === undefined) throw codedError(TypeError, 'ERR_CRYPTO_INVALID_CURVE', 'Invalid EC curve name');
    this.#curve = CURVES[known];
  }
  static convertKey(key, name, inputEncoding, outputEncoding, format) {
    const known = curveName(name);
    if (known === undefined) throw codedError(TypeError, 'ERR_CRYPTO_INVALID_CURVE', 'Invalid EC curve name');
    const point = CURVES[known].noble.Point.fromBytes(new Uint8Array(toBytes(key, inputEncoding, 'key')));
    return encoded(point.toBytes(format === 'compressed'), outputEncoding);
  }
  generateKeys(encoding, format) {
    this.#secret = this.#curve.noble.utils.randomSecretKey();
    return this.getPublicKey(encoding, format);
  }
  computeSecret(other, inputEncoding, outputEncoding) {
    const { noble, size } = this.#curve;
    let shared;
    try {
      shared = noble.getSharedSecret(this.#secret, new Uint8Array(toBytes(other, inputEncoding, 'otherPublicKey')), false);
    } catch {
      throw codedError(Error, 'ERR_CRYPTO_ECDH_INVALID_PUBLIC_KEY', 'Public key is not valid for specified curve');
    }
    return encoded(shared.slice(1, 1 + size), outputEncoding);
  }
  getPublicKey(encoding, format) {
    if (this.#secret === undefined) throw codedError(Error, 'ERR_CRYPTO_ECDH_INVALID_KEY', 'Failed to get ECDH public key');
    return encoded(this.#curve.noble.getPublicKey(this.#secret, format === 'compressed'), encoding);
  }
  getPrivateKey(encoding) {
    if (this.#secret === undefined) throw codedError(Error, 'ERR_CRYPTO_ECDH_INVALID_KEY', 'Failed to get ECDH private key');
    return encoded(this.#secret.slice(), encoding);
  }
  setPrivateKey(key, encoding) {
    const bytes = toBytes(key, encoding, 'key');
    const secret = new Uint8Array(this.#curve.size);
    secret.set(bytes, secret.length - bytes.length);
    if (!this.#curve.noble.utils.isValidSecretKey(secret)) {
      throw codedError(Error, 'ERR_CRYPTO_INVALID_KEYTYPE', 'Private key is not valid for specified curve.');
    }
    this.#secret = secret;
    return this;
  }
}

export const createECDH = (name) => new ECDH(name);

/** The secret of one's own private and another's public key object. */
export function diffieHellman({ privateKey, publicKey }) {
  const [mine, theirs] = [materialOf(privateKey), materialOf(publicKey)];
  if (mine.kind !== theirs.kind || mine.curve !== theirs.curve) {
    throw codedError(Error, 'ERR_CRYPTO_INCOMPATIBLE_KEY', 'Incompatible key types for Diffie-Hellman: ' + `${mine.kind} and ${theirs.kind}`);
  }
  if (mine.kind === 'x25519') return toBuffer(EDWARDS.x25519.noble.getSharedSecret(mine.priv, theirs.pub));
  const { noble, size } = CURVES[mine.curve];
  return toBuffer(noble.getSharedSecret(mine.d, theirs.point, false).slice(1, 1 + size));
}

/** crypto.DiffieHellman */
export class DiffieHellman {
  #prime;
  #generator;
  #secret;
  #public;
  constructor(prime, generator) {
    this.#prime = prime;
    this.#generator = generator;
    this.verifyError = 0;
  }
  get #length() {
    return fromInteger(this.#prime).length;
  }
  generateKeys(encoding) {
    this.#secret ??= (toInteger(randomBytesOf(this.#length)) % (this.#prime - 3n)) + 2n;
    this.#public = power(this.#generator, this.#secret, this.#prime);
    return this.getPublicKey(encoding);
  }
  computeSecret(other, inputEncoding, outputEncoding) {
    const given = toInteger(toBytes(other, inputEncoding, 'otherPublicKey'));
    if (given <= 1n || given >= this.#prime - 1n) {
      throw codedError(RangeError, 'ERR_CRYPTO_INVALID_KEYLEN', given <= 1n ? 'Supplied key is too small' : 'Supplied key is too large');
    }
    return encoded(fromInteger(power(given, this.#secret, this.#prime), this.#length), outputEncoding);
  }
  getPrime(encoding) {
    return encoded(fromInteger(this.#prime), encoding);
  }
  getGenerator(encoding) {
    return encoded(fromInteger(this.#generator), encoding);
  }
  #key(key, name, encoding) {
    if (key === undefined) throw codedError(Error, 'ERR_CRYPTO_INVALID_KEYTYPE', `No ${name} key - did you forget to generate one?`);
    return encoded(fromInteger(key), encoding);
  }
  getPublicKey(encoding) {
    return this.#key(this.#public, 'public', encoding);
  }
  getPrivateKey(encoding) {
    return this.#key(this.#secret, 'private', encoding);
  }
  setPublicKey(key, encoding) {
    this.#public = toInteger(toBytes(key, encoding, 'key'));
    return this;
  }
  setPrivateKey(key, encoding) {
    this.#secret = toInteger(toBytes(key, encoding, 'key'));
    return this;
  }
}

export class DiffieHellmanGroup extends DiffieHellman {
  constructor(name) {
    const group = DHGroups[name];
    if (group === undefined) throw codedError(Error, 'ERR_CRYPTO_UNKNOWN_DH_GROUP', 'Unknown DH group');
    super(group.p, group.g);
  }
}

export function createDiffieHellman(prime, primeEncoding, generator, generatorEncoding) {
  if (typeof primeEncoding === 'number' || ArrayBuffer.isView(primeEncoding)) [primeEncoding, generator] = [undefined, primeEncoding];
  const g = generator === undefined ? 2n : typeof generator === 'number' ? BigInt(generator) : toInteger(toBytes(generator, generatorEncoding));
  if (typeof prime !== 'number') return new DiffieHellman(toInteger(toBytes(prime, primeEncoding, 'sizeOrKey')), g);
  return new DiffieHellman(randomPrime(prime), g);
}

export const getDiffieHellman = (name) => new DiffieHellmanGroup(name);
export const createDiffieHellmanGroup = getDiffieHellman;

// --- Primes

const prime = (value) => (typeof value === 'bigint' ? value : toInteger(toBytes(value, undefined, 'candidate')));

export function generatePrimeSync(size, options = {}) {
  if (typeof size !== 'number') throw invalidArgType('size', 'of type number', size);
  const { safe = false, bigint = false, add, rem } = options;
  const step = add === undefined ? undefined : prime(add);
  const rest = rem === undefined ? (safe ? 3n : 1n) : prime(rem);
  const fits = (candidate) =>
    (step === undefined || candidate % step === rest) && (!safe || isProbablePrimeRSA((candidate - 1n) / 2n));
  const found = randomPrime(size, fits);
  return bigint ? found : Buffer.from(fromInteger(found)).buffer;
}

export function generatePrime(size, options, callback) {
  if (typeof options === 'function') [options, callback] = [{}, options];
  maybeLater(() => generatePrimeSync(size, options), callback);
}

const SMALL = 1_000_000n;

export function checkPrimeSync(candidate) {
  const value = prime(candidate);
  if (value >= SMALL) return value % 2n === 1n && isProbablePrimeRSA(value);
  for (let n = 2n; n * n <= value; n++) if (value % n === 0n) return false;
  return value >= 2n;
}

export function checkPrime(candidate, options, callback) {
  if (typeof options === 'function') [options, callback] = [{}, options];
  maybeLater(() => checkPrimeSync(candidate, options), callback);
}
