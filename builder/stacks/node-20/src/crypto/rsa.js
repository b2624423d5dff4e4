// RSA on big integers: the operations, and the paddings of PKCS #1 (RFC 8017). Private operations use the two primes,
// which takes a quarter of the time.
import { isProbablePrimeRSA } from 'micro-rsa-dsa-dh/primality.js';
import { equalBytes, opensslError, randomBytesOf } from './data.js';
import { fromInteger, integer, nothing, octets, oid, sequence, toInteger } from './der.js';

const HASH_OIDS = {
  md5: '1.2.840.113549.2.5',
  sha1: '1.3.14.3.2.26',
  sha224: '2.16.840.1.101.3.4.2.4',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
  ripemd160: '1.3.36.3.2.1',
  'sha512-224': '2.16.840.1.101.3.4.2.5',
  'sha512-256': '2.16.840.1.101.3.4.2.6',
  'sha3-224': '2.16.840.1.101.3.4.2.7',
  'sha3-256': '2.16.840.1.101.3.4.2.8',
  'sha3-384': '2.16.840.1.101.3.4.2.9',
  'sha3-512': '2.16.840.1.101.3.4.2.10',
};

// Bits of the exponent at a time.
const WINDOW = 4;

export function power(base, exponent, modulus) {
  const table = [1n, base % modulus];
  for (let i = 2; i < 1 << WINDOW; i++) table.push((table[i - 1] * table[1]) % modulus);
  let result = 1n;
  for (const digit of exponent.toString(1 << WINDOW)) {
    for (let i = 0; i < WINDOW; i++) result = (result * result) % modulus;
    const value = Number.parseInt(digit, 1 << WINDOW);
    if (value > 0) result = (result * table[value]) % modulus;
  }
  return result;
}

/** The number by which `a` gives 1, modulo `modulus`. */
export function inverse(a, modulus) {
  let [r, next, s, following] = [modulus, a % modulus, 0n, 1n];
  while (next !== 0n) {
    const quotient = r / next;
    [r, next] = [next, r - quotient * next];
    [s, following] = [following, s - quotient * following];
  }
  if (r !== 1n) throw new Error('not invertible');
  return ((s % modulus) + modulus) % modulus;
}

export const bitLength = (n) => n.toString(2).length;
export const byteLength = ({ n }) => Math.ceil(bitLength(n) / 8);

const publicOperation = ({ n, e }, m) => power(m, e, n);

function privateOperation({ n, e, d, p, q, dp, dq, qi }, c) {
  if (!p) return power(c, d, n);
  const mp = power(c, dp, p);
  const mq = power(c, dq, q);
  const h = (((mp - mq) * qi) % p + p) % p;
  const result = mq + h * q;
  // A wrong result would tell the primes to whoever sees it.
  if (power(result, e, n) !== c) throw new Error('RSA failed its own check');
  return result;
}

function numberBelow(bytes, { n }) {
  const value = toInteger(bytes);
  if (value >= n) throw opensslError('0200007A', 'rsa routines', 'data too large for modulus');
  return value;
}

/** Raw operations: bytes in, as many bytes as the modulus out. */
export const encryptRaw = (key, bytes) => fromInteger(publicOperation(key, numberBelow(bytes, key)), byteLength(key));
export const decryptRaw = (key, bytes) => fromInteger(privateOperation(key, numberBelow(bytes, key)), byteLength(key));

// --- PKCS #1 v1.5

function digestInfo(name, digest) {
  return sequence(sequence(oid(HASH_OIDS[name]), nothing), octets(digest));
}

const tooSmall = () => opensslError('0200006E', 'rsa routines', 'data too large for key size');

/** What `privateEncrypt` pads: type 1, with bytes of 255. */
export function padType1(key, content) {
  const length = byteLength(key);
  if (content.length + 11 > length) throw tooSmall();
  const block = new Uint8Array(length).fill(0xff);
  block.set([0, 1]);
  block[length - content.length - 1] = 0;
  block.set(content, length - content.length);
  return block;
}

export function unpadType1(block) {
  const end = block.indexOf(0, 2);
  const padded = block[0] === 0 && block[1] === 1 && end >= 10 && block.subarray(2, end).every((byte) => byte === 0xff);
  if (!padded) throw opensslError('0200008A', 'rsa routines', 'invalid padding');
  return block.subarray(end + 1);
}

export const signV15 = (key, name, digest) => decryptRaw(key, padType1(key, digestInfo(name, digest)));

export function verifyV15(key, name, digest, signature) {
  if (signature.length !== byteLength(key) || toInteger(signature) >= key.n) return false;
  return equalBytes(encryptRaw(key, signature), padType1(key, digestInfo(name, digest)));
}

/** Type 2, with bytes by chance; for secrets. */
export function padType2(key, content) {
  const length = byteLength(key);
  if (content.length + 11 > length) throw tooSmall();
  const block = randomBytesOf(length);
  block.set([0, 2]);
  const end = length - content.length - 1;
  for (let i = 2; i < end; i++) while (block[i] === 0) block[i] = randomBytesOf(1)[0];
  block[end] = 0;
  block.set(content, end + 1);
  return block;
}

/**
 * The content; for a block that is padded wrongly, bytes that depend on the key and the message only, so that nobody
 * learns from an error whether the padding was right, as OpenSSL does it.
 */
export function unpadType2(block, substitute) {
  let end = 0;
  for (let i = block.length - 1; i >= 2; i--) if (block[i] === 0) end = i;
  return block[0] === 0 && block[1] === 2 && end >= 10 ? block.subarray(end + 1) : substitute();
}

// --- PSS and OAEP

function mask(hash, seed, length) {
  const parts = [];
  for (let i = 0; i * hash.outputLen < length; i++) {
    parts.push(hash(globalThis.Buffer.concat([seed, Uint8Array.of(i >>> 24, i >>> 16, i >>> 8, i)])));
  }
  return globalThis.Buffer.concat(parts).subarray(0, length);
}

const xor = (a, b) => a.map((byte, i) => byte ^ b[i]);

/** crypto.constants.RSA_PSS_SALTLEN_* */
export const SALT = { DIGEST: -1, MAX_SIGN: -2, AUTO: -2 };

export function signPss(key, hash, mgfHash, digest, saltLength) {
  const bits = bitLength(key.n) - 1;
  const length = Math.ceil(bits / 8);
  const most = length - hash.outputLen - 2;
  const salted = saltLength === SALT.DIGEST ? hash.outputLen : saltLength === SALT.MAX_SIGN ? most : saltLength;
  if (salted > most || salted < 0) throw tooSmall();
  const salt = randomBytesOf(salted);
  const h = hash(globalThis.Buffer.concat([new Uint8Array(8), digest, salt]));
  const db = new Uint8Array(length - hash.outputLen - 1);
  db[db.length - salted - 1] = 1;
  db.set(salt, db.length - salted);
  const masked = xor(db, mask(mgfHash, h, db.length));
  masked[0] &= 0xff >> (8 * length - bits);
  return decryptRaw(key, globalThis.Buffer.concat([masked, h, Uint8Array.of(0xbc)]));
}

export function verifyPss(key, hash, mgfHash, digest, signature, saltLength) {
  const bits = bitLength(key.n) - 1;
  const length = Math.ceil(bits / 8);
  if (signature.length !== byteLength(key) || toInteger(signature) >= key.n) return false;
  const block = encryptRaw(key, signature).subarray(byteLength(key) - length);
  if (length < hash.outputLen + 2 || block.at(-1) !== 0xbc) return false;
  const masked = block.subarray(0, length - hash.outputLen - 1);
  const h = block.subarray(masked.length, -1);
  const unused = 8 * length - bits;
  if (unused > 0 && masked[0] >> (8 - unused) !== 0) return false;
  const db = xor(masked, mask(mgfHash, h, masked.length));
  db[0] &= 0xff >> unused;
  const end = db.findIndex((byte) => byte !== 0);
  if (end < 0 || db[end] !== 1) return false;
  const salt = db.subarray(end + 1);
  const wanted = saltLength === SALT.DIGEST ? hash.outputLen : saltLength;
  if (wanted !== SALT.AUTO && salt.length !== wanted) return false;
  return equalBytes(hash(globalThis.Buffer.concat([new Uint8Array(8), digest, salt])), h);
}

export function padOaep(key, hash, label, content) {
  const length = byteLength(key);
  if (content.length > length - 2 * hash.outputLen - 2) throw tooSmall();
  const seed = randomBytesOf(hash.outputLen);
  const db = new Uint8Array(length - hash.outputLen - 1);
  db.set(hash(label));
  db[db.length - content.length - 1] = 1;
  db.set(content, db.length - content.length);
  const maskedDb = xor(db, mask(hash, seed, db.length));
  const maskedSeed = xor(seed, mask(hash, maskedDb, seed.length));
  return globalThis.Buffer.concat([Uint8Array.of(0), maskedSeed, maskedDb]);
}

export function unpadOaep(block, hash, label) {
  const maskedDb = block.subarray(hash.outputLen + 1);
  const seed = xor(block.subarray(1, hash.outputLen + 1), mask(hash, maskedDb, hash.outputLen));
  const db = xor(maskedDb, mask(hash, seed, maskedDb.length));
  const lHash = hash(label);
  // One answer to everything that may be wrong.
  let wrong = block[0] | (equalBytes(db.subarray(0, lHash.length), lHash) ? 0 : 1);
  let end = -1;
  for (let i = db.length - 1; i >= lHash.length; i--) if (db[i] !== 0) end = i;
  if (end < 0 || db[end] !== 1) wrong |= 1;
  if (wrong) throw opensslError('02000079', 'rsa routines', 'oaep decoding error');
  return db.subarray(end + 1);
}

// --- Keys

const SMALL_PRIMES = [];
for (let n = 3; SMALL_PRIMES.length < 500; n += 2) {
  if (SMALL_PRIMES.every((prime) => n % prime !== 0)) SMALL_PRIMES.push(n);
}

/** A prime of `size` bits with the two highest set, for which `fits(prime)`. */
export function randomPrime(size, fits = () => true) {
  for (;;) {
    const bytes = randomBytesOf(Math.ceil(size / 8));
    let start = toInteger(bytes) & ((1n << BigInt(size)) - 1n);
    start |= (3n << BigInt(size - 2)) | 1n;
    const remainders = SMALL_PRIMES.map((prime) => Number(start % BigInt(prime)));
    // The next odd numbers, without those that a small prime divides.
    for (let step = 0; step < 4096; step += 2) {
      if (SMALL_PRIMES.some((prime, i) => (remainders[i] + step) % prime === 0 && start !== BigInt(prime))) continue;
      const candidate = start + BigInt(step);
      if (bitLength(candidate) === size && fits(candidate) && isProbablePrimeRSA(candidate)) return candidate;
    }
  }
}

/** The numbers of a private key from its primes. */
export function fromPrimes(e, p, q) {
  const d = inverse(e, (p - 1n) * (q - 1n));
  return { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) };
}

export function generateRsa(size, e) {
  const fits = (prime) => (prime - 1n) % e !== 0n;
  for (;;) {
    const p = randomPrime(Math.ceil(size / 2), fits);
    const q = randomPrime(Math.floor(size / 2), fits);
    if (p !== q && bitLength(p * q) === size) return fromPrimes(e, p, q);
  }
}

export const rsaPublicDer = ({ n, e }) => sequence(integer(n), integer(e));
export const rsaPrivateDer = ({ n, e, d, p, q, dp, dq, qi }) => sequence(...[0n, n, e, d, p, q, dp, dq, qi].map(integer));
