// KeyObject, and keys from everything that Node takes as one.
import buffer from '../node/buffer.js';
import { codedError, invalidArgType, invalidArgValue, outOfRange } from '../lang/codes.js';
import { readDer, readPem, writeKey } from './asn1-keys.js';
import { CURVES, EDWARDS, byJwk, curveName } from './curves.js';
import { equalBytes, maybeLater, randomBytesOf, setBytesOfKey, toBytes } from './data.js';
import { fromInteger, toInteger } from './der.js';
import { bitLength, generateRsa } from './rsa.js';

const { Buffer } = buffer;
const kMaterial = Symbol('material');

/** What a key is made of; see asn1-keys.js. A secret key's is its bytes. */
export const materialOf = (key) => key[kMaterial];

export class KeyObject {
  constructor(type, material) {
    if (!['secret', 'public', 'private'].includes(type)) throw invalidArgValue('type', type);
    if (typeof material !== 'object') throw invalidArgType('handle', 'of type object', material);
    Object.defineProperty(this, kMaterial, { value: material });
    Object.defineProperty(this, 'type', { value: type });
  }
  equals(other) {
    if (!(other instanceof KeyObject)) throw invalidArgType('otherKeyObject', 'an instance of KeyObject', other);
    if (other.type !== this.type) return false;
    if (this.type === 'secret') return equalBytes(this[kMaterial], other[kMaterial]);
    const encoding = this.type === 'public' ? { type: 'spki', format: 'der' } : { type: 'pkcs8', format: 'der' };
    return this.export(encoding).equals(other.export(encoding));
  }
}

class SecretKeyObject extends KeyObject {
  get symmetricKeySize() {
    return this[kMaterial].length;
  }
  export({ format } = {}) {
    if (format === 'jwk') return { kty: 'oct', k: Buffer.from(this[kMaterial]).toString('base64url') };
    return Buffer.from(this[kMaterial]);
  }
}

class AsymmetricKeyObject extends KeyObject {
  get asymmetricKeyType() {
    return this[kMaterial].kind;
  }
  get asymmetricKeyDetails() {
    const { n, e, curve } = this[kMaterial];
    if (n !== undefined) return { modulusLength: bitLength(n), publicExponent: e };
    return curve === undefined ? {} : { namedCurve: curve };
  }
  export(options) {
    const isPrivate = this.type === 'private';
    if (options?.format === 'jwk') return toJwk(this[kMaterial], isPrivate);
    return exported(this[kMaterial], isPrivate, options, 'options.');
  }
}

function exported(material, isPrivate, options, prefix) {
  if (options === null || typeof options !== 'object') throw invalidArgType('options', 'of type object', options);
  const { type, format, cipher, passphrase } = options;
  if (format !== 'pem' && format !== 'der') throw invalidArgValue(`${prefix}format`, format);
  const types = isPrivate ? ['pkcs1', 'pkcs8', 'sec1'] : ['pkcs1', 'spki'];
  if (!types.includes(type)) throw invalidArgValue(`${prefix}type`, type);
  const secret = cipher == null ? undefined : toBytes(passphrase, undefined, `${prefix}passphrase`);
  return writeKey(material, isPrivate, { type, format, cipher: cipher ?? undefined, passphrase: secret });
}

// Names show in errors and inspection.
class PublicKeyObject extends AsymmetricKeyObject {}
class PrivateKeyObject extends AsymmetricKeyObject {}

setBytesOfKey((key) => (key instanceof SecretKeyObject ? key[kMaterial] : undefined));

const make = (type, material) => new (type === 'private' ? PrivateKeyObject : PublicKeyObject)(type, material);

/** A key object for an app's key bytes. */
export function createSecretKey(key, encoding) {
  const bytes = toBytes(key, encoding, 'key');
  return new SecretKeyObject('secret', new Uint8Array(bytes));
}

// --- JWK

const base64url = (bytes) => Buffer.from(bytes).toString('base64url');
const number = (value, length) => base64url(fromInteger(value, length));
const fromBase64 = (text) => new Uint8Array(Buffer.from(text, 'base64url'));

function toJwk(material, isPrivate) {
  const { kind } = material;
  if (kind === 'rsa') {
    const { n, e, d, p, q, dp, dq, qi } = material;
    const names = isPrivate ? { n, e, d, p, q, dp, dq, qi } : { n, e };
    return { kty: 'RSA', ...Object.fromEntries(Object.entries(names).map(([name, value]) => [name, number(value)])) };
  }
  if (kind === 'ec') {
    const { jwk, size } = CURVES[material.curve];
    const point = material.point;
    const key = { kty: 'EC', x: base64url(point.subarray(1, 1 + size)), y: base64url(point.subarray(1 + size)), crv: jwk };
    return isPrivate ? { ...key, d: base64url(material.d) } : key;
  }
  if (EDWARDS[kind] === undefined) {
    throw codedError(Error, 'ERR_CRYPTO_JWK_UNSUPPORTED_KEY_TYPE', 'Unsupported JWK Key Type.');
  }
  const key = { crv: EDWARDS[kind].jwk, x: base64url(material.pub), kty: 'OKP' };
  return isPrivate ? { crv: key.crv, d: base64url(material.priv), x: key.x, kty: 'OKP' } : key;
}

function fromJwk(jwk, wanted) {
  if (!['RSA', 'EC', 'OKP'].includes(jwk?.kty)) {
    throw invalidArgValue('key.kty', jwk?.kty, "must be one of: 'RSA', 'EC', 'OKP'");
  }
  const invalid = () => codedError(Error, 'ERR_CRYPTO_INVALID_JWK', 'Invalid JWK data');
  const isPrivate = wanted === 'private' || (wanted === 'public' && jwk.d !== undefined);
  const type = isPrivate ? 'private' : 'public';
  try {
    if (jwk.kty === 'RSA') {
      const names = isPrivate ? ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'] : ['n', 'e'];
      return { type, material: { kind: 'rsa', ...Object.fromEntries(names.map((name) => [name, toInteger(fromBase64(jwk[name]))])) } };
    }
    if (jwk.kty === 'EC') {
      const curve = byJwk(CURVES, jwk.crv);
      const point = Uint8Array.of(4, ...fromBase64(jwk.x), ...fromBase64(jwk.y));
      CURVES[curve].noble.Point.fromBytes(point);
      return { type, material: { kind: 'ec', curve, point, ...(isPrivate ? { d: fromBase64(jwk.d) } : {}) } };
    }
    const kind = jwk.kty === 'OKP' ? byJwk(EDWARDS, jwk.crv) : undefined;
    if (kind !== undefined) {
      return { type, material: { kind, pub: fromBase64(jwk.x), ...(isPrivate ? { priv: fromBase64(jwk.d) } : {}) } };
    }
  } catch {
    throw invalid();
  }
  throw invalid();
}

// --- Keys of an app

const KINDS = 'of type string or an instance of ArrayBuffer, Buffer, TypedArray, or DataView';
const KINDS_OR_KEY = 'of type string or an instance of ArrayBuffer, Buffer, TypedArray, DataView, KeyObject, or CryptoKey';

/**
 * The key of `input`, a text, bytes, a key object or an object around one: a key object that can be `wanted`. `kinds` is
 * Node's phrase for what it may be.
 */
export function asKey(input, wanted, kinds = KINDS_OR_KEY) {
  if (input instanceof KeyObject) return usable(input, wanted);
  const options = isBytes(input) ? { key: input } : input;
  if (options === null || typeof options !== 'object') {
    throw invalidArgType('key', kinds, input);
  }
  const { key, format = 'pem', type, passphrase } = options;
  if (key instanceof KeyObject) return usable(key, wanted);
  if (format === 'jwk') return fit(fromJwk(key, wanted), wanted);
  if (!isBytes(key)) {
    throw invalidArgType('key.key', kinds, key);
  }
  const secret = passphrase === undefined ? undefined : toBytes(passphrase, undefined, 'passphrase');
  const bytes = toBytes(key, options.encoding, 'key');
  if (format === 'der') return fit(readDer(bytes, wanted, type, secret), wanted);
  return fit(readPem(Buffer.from(bytes).toString('latin1'), wanted, secret), wanted);
}

const isBytes = (value) => typeof value === 'string' || ArrayBuffer.isView(value) || value instanceof ArrayBuffer;

// A private key serves where a public one is wanted.
function usable(key, wanted) {
  if (key.type === wanted || (wanted === 'public' && key.type === 'private')) return key;
  const expected = wanted === 'public' ? 'private or public' : wanted;
  throw codedError(TypeError, 'ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE', `Invalid key object type ${key.type}, expected ${expected}.`);
}

const fit = ({ type, material }, wanted) => make(wanted === 'public' ? 'public' : type, material);

export function createPrivateKey(input) {
  return asKey(input, 'private', KINDS);
}

export function createPublicKey(input) {
  const key = input instanceof KeyObject ? input : input?.key instanceof KeyObject ? input.key : undefined;
  if (key !== undefined && key.type !== 'private') {
    throw codedError(TypeError, 'ERR_CRYPTO_INVALID_KEY_OBJECT_TYPE', `Invalid key object type ${key.type}, expected private.`);
  }
  return make('public', publicPart(materialOf(asKey(input, 'public'))));
}

function publicPart({ kind, n, e, curve, point, pub }) {
  if (n !== undefined) return { kind, n, e };
  return curve === undefined ? { kind, pub } : { kind, curve, point };
}

// --- New keys

const PAIRS = {
  rsa: rsaPair('rsa'),
  'rsa-pss': rsaPair('rsa-pss'),
  ec({ namedCurve }) {
    if (typeof namedCurve !== 'string') throw invalidArgType('options.namedCurve', 'of type string', namedCurve);
    const curve = curveName(namedCurve);
    if (curve === undefined) throw codedError(TypeError, 'ERR_CRYPTO_INVALID_CURVE', 'Invalid EC curve name');
    const { noble } = CURVES[curve];
    const d = noble.utils.randomSecretKey();
    return { kind: 'ec', curve, d, point: noble.getPublicKey(d, false) };
  },
  ed25519: () => okpPair('ed25519'),
  x25519: () => okpPair('x25519'),
};

function rsaPair(kind) {
  return ({ modulusLength, publicExponent = 65_537 }) => {
    if (typeof modulusLength !== 'number') throw invalidArgType('options.modulusLength', 'of type number', modulusLength);
    // Above this a key takes the engine minutes.
    if (!(modulusLength >= 512 && modulusLength <= 8192)) throw outOfRange('options.modulusLength', '>= 512 && <= 8192', modulusLength);
    return { kind, ...generateRsa(modulusLength, BigInt(publicExponent)) };
  };
}

function okpPair(kind) {
  const priv = randomBytesOf(32);
  return { kind, priv, pub: EDWARDS[kind].noble.getPublicKey(priv) };
}

export function generateKeyPairSync(type, options = {}) {
  if (typeof type !== 'string') throw invalidArgType('type', 'of type string', type);
  if (!Object.hasOwn(PAIRS, type)) throw invalidArgValue('type', type, 'must be a supported key type');
  const material = PAIRS[type](options);
  const { publicKeyEncoding, privateKeyEncoding } = options;
  const shown = (isPrivate, encoding, name) => {
    if (encoding === undefined) return make(isPrivate ? 'private' : 'public', isPrivate ? material : publicPart(material));
    if (encoding.format === 'jwk') return toJwk(material, isPrivate);
    return exported(material, isPrivate, encoding, `options.${name}.`);
  };
  return {
    publicKey: shown(false, publicKeyEncoding, 'publicKeyEncoding'),
    privateKey: shown(true, privateKeyEncoding, 'privateKeyEncoding'),
  };
}

export function generateKeyPair(type, options, callback) {
  if (typeof options === 'function') [options, callback] = [undefined, options];
  maybeLater(() => generateKeyPairSync(type, options), (error, pair) => callback(error, pair?.publicKey, pair?.privateKey));
}
// What `util.promisify` gives.
generateKeyPair[Symbol.for('nodejs.util.promisify.custom')] = (type, options) =>
  new Promise((resolve, reject) => {
    generateKeyPair(type, options, (error, publicKey, privateKey) => (error ? reject(error) : resolve({ publicKey, privateKey })));
  });

export function generateKeySync(type, { length } = {}) {
  if (type !== 'hmac' && type !== 'aes') throw invalidArgValue('type', type, 'must be a supported key type');
  if (typeof length !== 'number') throw invalidArgType('options.length', 'of type number', length);
  if (type === 'aes' && ![128, 192, 256].includes(length)) {
    throw invalidArgValue('options.length', length, 'must be one of: 128, 192, 256');
  }
  if (type === 'hmac' && !(length >= 8 && length <= 2 ** 31 - 1)) throw outOfRange('options.length', '>= 8 && <= 2147483647', length);
  return createSecretKey(randomBytesOf(Math.floor(length / 8)));
}

export const generateKey = (type, options, callback) => maybeLater(() => generateKeySync(type, options), callback);
