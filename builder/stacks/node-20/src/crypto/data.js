// What all of node:crypto shares: hashes by name, bytes from what apps give, results in the encoding asked for.
import { ripemd160 } from '@noble/hashes/legacy.js';
import { sha224, sha512_224, sha512_256 } from '@noble/hashes/sha2.js';
import { sha3_224, sha3_256, sha3_384, sha3_512 } from '@noble/hashes/sha3.js';
import buffer from '../node/buffer.js';
import { defer } from '../loop/work.js';
import { codedError, invalidArgType } from '../lang/codes.js';
import { NATIVE } from './digests.js';

const { Buffer } = buffer;
const { md5, sha1, sha256, sha384, sha512 } = NATIVE;

export const HASHES = {
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

/** The stack's own name of a hash, `sha256` for `RSA-SHA256`, or undefined. */
export function hashName(name) {
  if (typeof name !== 'string') throw invalidArgType('algorithm', 'of type string', name);
  const lower = name.toLowerCase().replace(/^rsa-/, '');
  return [lower, lower.replace('-', '')].find((one) => HASHES[one] !== undefined);
}

export function hashByName(name) {
  const known = hashName(name);
  if (known === undefined) throw new Error('Digest method not supported');
  return HASHES[known];
}

// A key object gives its bytes; keys.js sets this, which imports this module.
let bytesOfKey = () => undefined;
export const setBytesOfKey = (take) => {
  bytesOfKey = take;
};

export function toBytes(data, encoding, name = 'data') {
  if (typeof data === 'string') return Buffer.from(data, encoding === 'buffer' ? 'utf8' : encoding);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  const key = bytesOfKey(data);
  if (key !== undefined) return key;
  throw invalidArgType(name, 'of type string or an instance of Buffer, TypedArray, or DataView', data);
}

export const toBuffer = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
export const encoded = (bytes, encoding) =>
  encoding && encoding !== 'buffer' ? toBuffer(bytes).toString(encoding) : toBuffer(bytes);

export function equalBytes(a, b) {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

export const randomBytesOf = (length) => globalThis.crypto.getRandomValues(new Uint8Array(length));

/** The result of `run` by return, or by callback in a later turn. */
export function maybeLater(run, callback) {
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

const LIBRARIES = { 'rsa routines': 'RSA_', 'digital envelope routines': 'EVP_', 'common libcrypto routines': 'CRYPTO_' };

/** An error as OpenSSL's, of which Node passes the parts on. */
export function opensslError(number, library, reason) {
  const code = `ERR_OSSL_${LIBRARIES[library] ?? ''}${reason.toUpperCase().replaceAll(' ', '_')}`;
  const error = new Error(`error:${number}:${library}::${reason}`);
  return Object.assign(error, { library, reason, code });
}

export const invalidState = (what) => codedError(Error, 'ERR_CRYPTO_INVALID_STATE', `Invalid state for operation ${what}`);
