// Signatures: createSign, createVerify, sign, verify, and RSA's encryption.
import stream from '../node/stream.js';
import { codedError, invalidArgType } from '../lang/codes.js';
import { CURVES, EDWARDS } from './curves.js';
import { HASHES, encoded, hashByName, hashName, maybeLater, opensslError, toBuffer, toBytes } from './data.js';
import { Reader, integer, sequence, toInteger } from './der.js';
import { KeyObject, asKey, materialOf } from './keys.js';
import * as rsa from './rsa.js';

const PADDING = { NONE: 3, V15: 1, OAEP: 4, PSS: 6 };

/** crypto.constants, as far as these functions take them. */
export const constants = {
  RSA_PKCS1_PADDING: PADDING.V15,
  RSA_NO_PADDING: PADDING.NONE,
  RSA_PKCS1_OAEP_PADDING: PADDING.OAEP,
  RSA_PKCS1_PSS_PADDING: PADDING.PSS,
  RSA_PSS_SALTLEN_DIGEST: rsa.SALT.DIGEST,
  RSA_PSS_SALTLEN_MAX_SIGN: rsa.SALT.MAX_SIGN,
  RSA_PSS_SALTLEN_AUTO: rsa.SALT.AUTO,
};

const wrongKey = () => opensslError('03000096', 'digital envelope routines', 'operation not supported for this keytype');

function digestName(algorithm, kind) {
  if (algorithm == null) {
    if (kind === 'ed25519') return undefined;
    return 'sha256';
  }
  const name = hashName(algorithm);
  if (name === undefined) throw invalidDigest(algorithm);
  if (kind === 'ed25519') throw opensslError('1C800096', 'Provider routines', 'operation not supported for this keytype');
  return name;
}

const invalidDigest = (name) => codedError(TypeError, 'ERR_CRYPTO_INVALID_DIGEST', `Invalid digest: ${name}`);

const optionsOf = (input) => (input instanceof KeyObject || ArrayBuffer.isView(input) || typeof input !== 'object' ? {} : input);

const pssHash = (options, name) => HASHES[options.mgf1HashAlgorithm === undefined ? name : hashName(options.mgf1HashAlgorithm)];

// A signature of ECDSA is two numbers: in DER, or one after the other (`ieee-p1363`).
function toEcDer(compact, size) {
  return toBuffer(sequence(integer(toInteger(compact.subarray(0, size))), integer(toInteger(compact.subarray(size)))));
}

function fromEcDer(signature, size) {
  try {
    const fields = new Reader(signature).sequence();
    const hex = [fields.integer(), fields.integer()].map((number) => number.toString(16).padStart(size * 2, '0'));
    return new Uint8Array(globalThis.Buffer.from(hex.join(''), 'hex'));
  } catch {
    return undefined;
  }
}

function signDigest(material, options, name, digest) {
  if (material.kind === 'ec') {
    const { noble, size } = CURVES[material.curve];
    const compact = noble.sign(digest, material.d, { prehash: false, lowS: false });
    return options.dsaEncoding === 'ieee-p1363' ? compact : toEcDer(compact, size);
  }
  const isPss = material.kind === 'rsa-pss' || options.padding === PADDING.PSS;
  if (material.n === undefined) throw wrongKey();
  if (!isPss) return rsa.signV15(material, name, digest);
  return rsa.signPss(material, HASHES[name], pssHash(options, name), digest, options.saltLength ?? rsa.SALT.MAX_SIGN);
}

function verifyDigest(material, options, name, digest, signature) {
  if (material.kind === 'ec') {
    const { noble, size } = CURVES[material.curve];
    const compact = options.dsaEncoding === 'ieee-p1363' ? signature : fromEcDer(signature, size);
    if (compact?.length !== size * 2) return false;
    return noble.verify(compact, digest, material.point, { prehash: false, lowS: false });
  }
  const isPss = material.kind === 'rsa-pss' || options.padding === PADDING.PSS;
  if (material.n === undefined) throw wrongKey();
  if (!isPss) return rsa.verifyV15(material, name, digest, signature);
  return rsa.verifyPss(material, HASHES[name], pssHash(options, name), digest, signature, options.saltLength ?? rsa.SALT.AUTO);
}

function signNow(algorithm, data, input) {
  const bytes = toBytes(data);
  const material = materialOf(asKey(input, 'private'));
  const name = digestName(algorithm, material.kind);
  if (material.kind === 'ed25519') return toBuffer(EDWARDS.ed25519.noble.sign(bytes, material.priv));
  return toBuffer(signDigest(material, optionsOf(input), name, HASHES[name](bytes)));
}

function verifyNow(algorithm, data, input, signature) {
  const [bytes, given] = [toBytes(data), toBytes(signature, undefined, 'signature')];
  const material = materialOf(asKey(input, 'public'));
  const name = digestName(algorithm, material.kind);
  if (material.kind === 'ed25519') return given.length === 64 && EDWARDS.ed25519.noble.verify(given, bytes, material.pub);
  return verifyDigest(material, optionsOf(input), name, HASHES[name](bytes), given);
}

export const sign = (algorithm, data, key, callback) => maybeLater(() => signNow(algorithm, data, key), callback);
export const verify = (algorithm, data, key, signature, callback) =>
  maybeLater(() => verifyNow(algorithm, data, key, signature), callback);

class Signing extends stream.Writable {
  constructor(algorithm, options) {
    super(options);
    if (typeof algorithm !== 'string') throw invalidArgType('algorithm', 'of type string', algorithm);
    this._name = hashName(algorithm);
    if (this._name === undefined) throw codedError(TypeError, 'ERR_CRYPTO_INVALID_DIGEST', 'Invalid digest');
    this._hash = hashByName(algorithm).create();
  }
  _write(chunk, encoding, done) {
    this.update(chunk, encoding);
    done();
  }
  update(data, encoding) {
    this._hash.update(toBytes(data, encoding));
    return this;
  }
}

export class Sign extends Signing {
  sign(input, encoding) {
    if (!input) throw codedError(Error, 'ERR_CRYPTO_SIGN_KEY_REQUIRED', 'No key provided to sign');
    const material = materialOf(asKey(input, 'private'));
    if (material.kind === 'ed25519') throw wrongKey();
    return encoded(signDigest(material, optionsOf(input), this._name, this._hash.digest()), encoding);
  }
}

export class Verify extends Signing {
  verify(input, signature, encoding) {
    const material = materialOf(asKey(input, 'public'));
    if (material.kind === 'ed25519') throw wrongKey();
    const given = toBytes(signature, encoding, 'signature');
    return verifyDigest(material, optionsOf(input), this._name, this._hash.digest(), given);
  }
}

// --- Encryption

function oaepSettings(input) {
  const { oaepHash = 'sha1', oaepLabel } = optionsOf(input);
  return [hashByName(oaepHash), oaepLabel === undefined ? new Uint8Array() : toBytes(oaepLabel, undefined, 'key.oaepLabel')];
}

function rsaKey(input, wanted) {
  const key = asKey(input, wanted);
  if (materialOf(key).kind !== 'rsa') throw wrongKey();
  return materialOf(key);
}

export function publicEncrypt(input, data) {
  const [key, bytes] = [rsaKey(input, 'public'), toBytes(data, undefined, 'buffer')];
  const padding = optionsOf(input).padding ?? PADDING.OAEP;
  const block =
    padding === PADDING.OAEP ? rsa.padOaep(key, ...oaepSettings(input), bytes) : padding === PADDING.V15 ? rsa.padType2(key, bytes) : raw(key, bytes);
  return toBuffer(rsa.encryptRaw(key, block));
}

export function privateDecrypt(input, data) {
  const [key, bytes] = [rsaKey(input, 'private'), toBytes(data, undefined, 'buffer')];
  const padding = optionsOf(input).padding ?? PADDING.OAEP;
  if (bytes.length !== rsa.byteLength(key)) throw opensslError('0200006C', 'rsa routines', 'data greater than mod len');
  const block = rsa.decryptRaw(key, bytes);
  if (padding === PADDING.OAEP) return globalThis.Buffer.from(rsa.unpadOaep(block, ...oaepSettings(input)));
  if (padding !== PADDING.V15) return toBuffer(block);
  const substitute = () => HASHES.sha256(globalThis.Buffer.concat([HASHES.sha256(globalThis.Buffer.from(key.d.toString(16))), bytes])).subarray(0, 16);
  return globalThis.Buffer.from(rsa.unpadType2(block, substitute));
}

export function privateEncrypt(input, data) {
  const [key, bytes] = [rsaKey(input, 'private'), toBytes(data, undefined, 'buffer')];
  const isRaw = optionsOf(input).padding === PADDING.NONE;
  return toBuffer(rsa.decryptRaw(key, isRaw ? raw(key, bytes) : rsa.padType1(key, bytes)));
}

export function publicDecrypt(input, data) {
  const [key, bytes] = [rsaKey(input, 'public'), toBytes(data, undefined, 'buffer')];
  const block = rsa.encryptRaw(key, bytes);
  return globalThis.Buffer.from(optionsOf(input).padding === PADDING.NONE ? block : rsa.unpadType1(block));
}

function raw(key, bytes) {
  if (bytes.length === rsa.byteLength(key)) return bytes;
  throw opensslError('0200007A', 'rsa routines', bytes.length > rsa.byteLength(key) ? 'data too large for key size' : 'data too small for key size');
}

