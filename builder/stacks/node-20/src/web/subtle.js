// crypto.subtle: what the engine's own lacks of Node's. Keys for deriving (PBKDF2, HKDF) and of AES, which the engine
// cannot hold, are objects of this module; everything else goes to the engine.
import { cbc, ctr, gcm } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { pbkdf2 } from '@noble/hashes/pbkdf2.js';
import { NATIVE } from '../crypto/digests.js';

const { subtle } = globalThis.crypto;
const engine = {};
for (const name of ['importKey', 'sign', 'verify', 'digest']) engine[name] = subtle[name].bind(subtle);

const kBytes = Symbol('bytes');
const DERIVING = new Set(['PBKDF2', 'HKDF']);
const AES = { 'AES-GCM': gcm, 'AES-CBC': cbc, 'AES-CTR': ctr };
const HASHES = { 'SHA-1': NATIVE.sha1, 'SHA-256': NATIVE.sha256, 'SHA-384': NATIVE.sha384, 'SHA-512': NATIVE.sha512 };
const BLOCK_BYTES = { 'SHA-1': 64, 'SHA-256': 64, 'SHA-384': 128, 'SHA-512': 128 };

const named = (algorithm) => (typeof algorithm === 'string' ? { name: algorithm } : algorithm);
const nameOf = (algorithm) => String(named(algorithm).name).toUpperCase();
const hashOf = ({ hash }) => nameOf(hash ?? 'SHA-1');

function bytesOf(data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  throw new TypeError('The data must be an ArrayBuffer or a view of one');
}

const failure = (text, name) => new DOMException(text, name);
const unsupported = (text) => failure(text, 'NotSupportedError');

function makeKey(bytes, algorithm, extractable, usages) {
  const key = Object.create(CryptoKey.prototype);
  const shown = { type: 'secret', extractable, algorithm, usages: [...usages] };
  for (const [name, value] of Object.entries(shown)) Object.defineProperty(key, name, { enumerable: true, value });
  Object.defineProperty(key, kBytes, { value: bytes });
  return key;
}

async function importKey(format, data, algorithm, extractable, usages) {
  const name = nameOf(algorithm);
  if (!DERIVING.has(name) && AES[name] === undefined) {
    const key = await engine.importKey(format, data, algorithm, extractable, usages);
    // So that what the engine does not do with it can be done here.
    if (name === 'HMAC' && format === 'raw' && HASHES[hashOf(algorithm)] !== undefined) Object.defineProperty(key, kBytes, { value: bytesOf(data) });
    return key;
  }
  let bytes;
  if (format === 'raw') bytes = bytesOf(data);
  else if (format === 'jwk' && data.kty === 'oct') bytes = new Uint8Array(globalThis.Buffer.from(data.k, 'base64url'));
  else throw unsupported(`importKey: ${name} takes the formats raw and jwk`);
  if (DERIVING.has(name)) {
    if (extractable) throw failure(`A ${name} key cannot be extracted`, 'SyntaxError');
    return makeKey(bytes, { name }, false, usages);
  }
  if (![16, 24, 32].includes(bytes.length)) throw failure('Invalid key length', 'DataError');
  return makeKey(bytes, { name, length: bytes.length * 8 }, extractable, usages);
}

async function exportKey(format, key) {
  const bytes = key[kBytes];
  if (bytes === undefined) throw unsupported('exportKey: the engine does not export keys of this kind');
  if (!key.extractable) throw failure('The key is not extractable', 'InvalidAccessError');
  if (format === 'raw') return bytes.slice().buffer;
  if (format !== 'jwk') throw unsupported(`exportKey: a secret key has the formats raw and jwk, not ${format}`);
  const k = globalThis.Buffer.from(bytes).toString('base64url');
  return { kty: 'oct', k, key_ops: [...key.usages], ext: true };
}

async function generateKey(algorithm, extractable, usages) {
  const name = nameOf(algorithm);
  let length;
  if (name === 'HMAC') length = named(algorithm).length ?? BLOCK_BYTES[hashOf(algorithm)] * 8;
  else if (AES[name] !== undefined) length = algorithm.length;
  else throw unsupported(`generateKey: ${name} is not there; HMAC and AES are`);
  return importKey('raw', globalThis.crypto.getRandomValues(new Uint8Array(length / 8)), algorithm, extractable, usages);
}

async function deriveBits(algorithm, key, length) {
  const name = nameOf(algorithm);
  if (!DERIVING.has(name)) throw unsupported(`deriveBits: ${name} is not there; PBKDF2 and HKDF are`);
  if (nameOf(key.algorithm) !== name) throw failure('The key is of another algorithm', 'InvalidAccessError');
  if (length == null || length % 8 !== 0) throw failure('length must be a multiple of 8', 'OperationError');
  const hash = hashOf(algorithm);
  if (HASHES[hash] === undefined) throw unsupported(`deriveBits: the hash ${hash} is not there`);
  const salt = bytesOf(algorithm.salt);
  const bytes =
    name === 'PBKDF2'
      ? pbkdf2(HASHES[hash], key[kBytes], salt, { c: algorithm.iterations, dkLen: length / 8 })
      : hkdf(HASHES[hash], key[kBytes], salt, bytesOf(algorithm.info), length / 8);
  return bytes.slice().buffer;
}

async function deriveKey(algorithm, key, derived, extractable, usages) {
  const length = derived.length ?? BLOCK_BYTES[hashOf(derived)] * 8;
  return importKey('raw', await deriveBits(algorithm, key, length), derived, extractable, usages);
}

function cipherOf(algorithm, key, usage) {
  const name = nameOf(algorithm);
  if (AES[name] === undefined) throw unsupported(`${usage}: ${name} is not there; AES-GCM, AES-CBC and AES-CTR are`);
  if (key.algorithm.name !== name || !key.usages.includes(usage)) {
    throw failure(`The key is not for ${usage} with ${name}`, 'InvalidAccessError');
  }
  if (name === 'AES-CTR') return ctr(key[kBytes], bytesOf(algorithm.counter));
  if (name === 'AES-CBC') return cbc(key[kBytes], bytesOf(algorithm.iv));
  if ((algorithm.tagLength ?? 128) !== 128) throw unsupported('AES-GCM has tags of 128 bits only');
  const data = algorithm.additionalData === undefined ? undefined : bytesOf(algorithm.additionalData);
  return gcm(key[kBytes], bytesOf(algorithm.iv), data);
}

async function encrypt(algorithm, key, data) {
  return cipherOf(algorithm, key, 'encrypt').encrypt(bytesOf(data)).slice().buffer;
}

async function decrypt(algorithm, key, data) {
  const cipher = cipherOf(algorithm, key, 'decrypt');
  try {
    return cipher.decrypt(bytesOf(data)).slice().buffer;
  } catch {
    throw failure('The operation failed for an operation-specific reason', 'OperationError');
  }
}

// The engine's HMAC is wrong about once in 20,000 times.
const hmacOf = (key, data) => hmac(HASHES[hashOf(key.algorithm)], key[kBytes], bytesOf(data));
const isOwnHmac = (algorithm, key) => nameOf(algorithm) === 'HMAC' && key?.[kBytes] !== undefined;

async function sign(algorithm, key, data) {
  if (!isOwnHmac(algorithm, key)) return engine.sign(algorithm, key, data);
  if (!key.usages.includes('sign')) throw failure('The key is not for signing', 'InvalidAccessError');
  return hmacOf(key, data).slice().buffer;
}

async function verify(algorithm, key, signature, data) {
  if (!isOwnHmac(algorithm, key)) return engine.verify(algorithm, key, signature, data);
  if (!key.usages.includes('verify')) throw failure('The key is not for verifying', 'InvalidAccessError');
  const expected = hmacOf(key, data);
  const given = bytesOf(signature);
  let difference = expected.length ^ given.length;
  for (let i = 0; i < expected.length; i++) difference |= expected[i] ^ given[i];
  return difference === 0;
}

const added = { sign, verify, importKey, exportKey, generateKey, deriveBits, deriveKey, encrypt, decrypt };
for (const [name, value] of Object.entries(added)) {
  Object.defineProperty(Object.getPrototypeOf(subtle), name, { configurable: true, enumerable: true, writable: true, value });
}
