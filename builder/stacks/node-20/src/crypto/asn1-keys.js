// Keys in DER and PEM: SPKI, PKCS #8 (plain and with a passphrase), PKCS #1, SEC 1, and the key of a certificate.
// A key's material is `{ kind, … }`: `rsa` has its numbers, `ec` its curve, point and scalar, the others `pub` and `priv`.
import { cbc } from '@noble/ciphers/aes.js';
import { pbkdf2 } from '@noble/hashes/pbkdf2.js';
import { codedError } from '../lang/codes.js';
import { HASHES, opensslError, randomBytesOf } from './data.js';
import { Reader, bits, context, integer, nothing, octets, oid, sequence, value } from './der.js';
import { CURVES, EDWARDS, byOid } from './curves.js';
import { rsaPrivateDer, rsaPublicDer } from './rsa.js';

const RSA = '1.2.840.113549.1.1.1';
const RSA_PSS = '1.2.840.113549.1.1.10';
const EC = '1.2.840.10045.2.1';
const PBES2 = '1.2.840.113549.1.5.13';
const PBKDF2 = '1.2.840.113549.1.5.12';
const PRF = { sha1: '1.2.840.113549.2.7', sha256: '1.2.840.113549.2.9', sha384: '1.2.840.113549.2.10', sha512: '1.2.840.113549.2.11' };
const CIPHERS = {
  'aes-128-cbc': { oid: '2.16.840.1.101.3.4.1.2', size: 16 },
  'aes-192-cbc': { oid: '2.16.840.1.101.3.4.1.22', size: 24 },
  'aes-256-cbc': { oid: '2.16.840.1.101.3.4.1.42', size: 32 },
};
const ITERATIONS = 2048;

export const unsupported = () => opensslError('1E08010C', 'DECODER routines', 'unsupported');

// --- Reading

function readRsaPublic(reader) {
  const fields = reader.sequence();
  return { n: fields.integer(), e: fields.integer() };
}

function readRsaPrivate(reader) {
  const fields = reader.sequence();
  fields.integer();
  const [n, e, d, p, q, dp, dq, qi] = Array.from({ length: 8 }, () => fields.integer());
  return { n, e, d, p, q, dp, dq, qi };
}

function readAlgorithm(reader) {
  const fields = reader.sequence();
  return { algorithm: fields.oid(), parameters: fields };
}

function readCurve(parameters) {
  const curve = byOid(CURVES, parameters.oid());
  if (curve === undefined) throw unsupported();
  return curve;
}

const pointOf = (curve, d) => CURVES[curve].noble.getPublicKey(d, false);
// A point may come compressed.
const wholePoint = (curve, bytes) => CURVES[curve].noble.Point.fromBytes(bytes).toBytes(false);

function ecPrivate(curve, scalar) {
  const d = new Uint8Array(CURVES[curve].size);
  d.set(scalar, d.length - scalar.length);
  return { kind: 'ec', curve, d, point: pointOf(curve, d) };
}

function readSec1(bytes, known) {
  const fields = new Reader(bytes).sequence();
  fields.integer();
  const scalar = fields.octets();
  const named = fields.optional(context(0));
  const curve = named === undefined ? known : readCurve(named);
  if (curve === undefined) throw unsupported();
  return ecPrivate(curve, scalar);
}

function readSpki(reader) {
  const fields = reader.sequence();
  const { algorithm, parameters } = readAlgorithm(fields);
  const key = fields.bits();
  if (algorithm === RSA) return { kind: 'rsa', ...readRsaPublic(new Reader(key)) };
  if (algorithm === RSA_PSS) return { kind: 'rsa-pss', ...readRsaPublic(new Reader(key)) };
  if (algorithm === EC) {
    const curve = readCurve(parameters);
    return { kind: 'ec', curve, point: wholePoint(curve, key) };
  }
  const kind = byOid(EDWARDS, algorithm);
  if (kind === undefined) throw unsupported();
  return { kind, pub: key.slice() };
}

function readPkcs8(bytes) {
  const fields = new Reader(bytes).sequence();
  fields.integer();
  const { algorithm, parameters } = readAlgorithm(fields);
  const key = fields.octets();
  if (algorithm === RSA) return { kind: 'rsa', ...readRsaPrivate(new Reader(key)) };
  if (algorithm === RSA_PSS) return { kind: 'rsa-pss', ...readRsaPrivate(new Reader(key)) };
  if (algorithm === EC) return readSec1(key, readCurve(parameters));
  const kind = byOid(EDWARDS, algorithm);
  if (kind === undefined) throw unsupported();
  const priv = new Reader(key).octets().slice();
  return { kind, priv, pub: EDWARDS[kind].noble.getPublicKey(priv) };
}

function readCertificate(bytes) {
  const certificate = new Reader(bytes).sequence().sequence();
  certificate.optional(context(0));
  certificate.integer();
  // The signature's algorithm, the issuer, the validity, the subject.
  for (let i = 0; i < 4; i++) certificate.take();
  return readSpki(certificate);
}

function decrypt(bytes, passphrase) {
  const fields = new Reader(bytes).sequence();
  const { algorithm, parameters } = readAlgorithm(fields);
  const secret = fields.octets();
  if (algorithm !== PBES2) throw unsupported();
  const scheme = parameters.sequence();
  const derivation = readAlgorithm(scheme);
  const encryption = readAlgorithm(scheme);
  if (derivation.algorithm !== PBKDF2) throw unsupported();
  const settings = derivation.parameters.sequence();
  const salt = settings.octets();
  const iterations = Number(settings.integer());
  if (settings.tag === 0x02) settings.integer();
  const prf = settings.done ? PRF.sha1 : readAlgorithm(settings).algorithm;
  const hash = Object.keys(PRF).find((name) => PRF[name] === prf);
  const cipher = byOid(CIPHERS, encryption.algorithm);
  if (hash === undefined || cipher === undefined) throw unsupported();
  const key = pbkdf2(HASHES[hash], passphrase, salt, { c: iterations, dkLen: CIPHERS[cipher].size });
  try {
    return cbc(key, encryption.parameters.octets()).decrypt(secret);
  } catch {
    throw opensslError('1C800064', 'Provider routines', 'bad decrypt');
  }
}

const needsPassphrase = () => opensslError('07880109', 'common libcrypto routines', 'interrupted or cancelled');

function decrypted(bytes, passphrase) {
  if (passphrase === undefined) throw needsPassphrase();
  return readPkcs8(decrypt(bytes, passphrase));
}

// What a PEM may be: label -> reader. Private keys are read where a public one is wanted, too.
const PRIVATE = {
  'PRIVATE KEY': readPkcs8,
  'RSA PRIVATE KEY': (bytes) => ({ kind: 'rsa', ...readRsaPrivate(new Reader(bytes)) }),
  'EC PRIVATE KEY': (bytes) => readSec1(bytes),
  'ENCRYPTED PRIVATE KEY': decrypted,
};
const PUBLIC = {
  'PUBLIC KEY': (bytes) => readSpki(new Reader(bytes)),
  'RSA PUBLIC KEY': (bytes) => ({ kind: 'rsa', ...readRsaPublic(new Reader(bytes)) }),
  CERTIFICATE: readCertificate,
};

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g;

// What is malformed deep inside is for the app what OpenSSL says to it.
function guarded(read) {
  try {
    return read();
  } catch (error) {
    if (error.code !== undefined) throw error;
    throw unsupported();
  }
}

/** Reads the first key of a PEM: `{ type, material }`. */
export function readPem(text, wanted, passphrase) {
  for (const [, label, body] of text.matchAll(PEM)) {
    const isPrivate = Object.hasOwn(PRIVATE, label);
    const read = isPrivate ? PRIVATE[label] : wanted === 'public' && Object.hasOwn(PUBLIC, label) ? PUBLIC[label] : undefined;
    if (read === undefined) continue;
    // The old way of OpenSSL to encrypt a key.
    if (body.includes('DEK-Info')) throw passphrase === undefined ? needsPassphrase() : unsupported();
    const bytes = new Uint8Array(globalThis.Buffer.from(body, 'base64'));
    return { type: isPrivate ? 'private' : 'public', material: guarded(() => read(bytes, passphrase)) };
  }
  throw unsupported();
}

/** Reads a key in DER of the given `type` (`pkcs1`, `pkcs8`, `sec1`, `spki`). */
export function readDer(bytes, wanted, type, passphrase) {
  const private_ = {
    pkcs1: PRIVATE['RSA PRIVATE KEY'],
    sec1: PRIVATE['EC PRIVATE KEY'],
    pkcs8: passphrase === undefined ? readPkcs8 : decrypted,
  };
  const public_ = { spki: PUBLIC['PUBLIC KEY'], pkcs1: PUBLIC['RSA PUBLIC KEY'] };
  const read = (wanted === 'private' ? private_ : public_)[type];
  if (read === undefined) throw unsupported();
  return { type: wanted, material: guarded(() => read(bytes, passphrase)) };
}

// --- Writing

function algorithmOf(material) {
  if (material.kind === 'rsa') return sequence(oid(RSA), nothing);
  if (material.kind === 'rsa-pss') return sequence(oid(RSA_PSS));
  if (material.kind === 'ec') return sequence(oid(EC), oid(CURVES[material.curve].oid));
  return sequence(oid(EDWARDS[material.kind].oid));
}

function writeSec1(material, withCurve) {
  const curve = withCurve ? [value(context(0), oid(CURVES[material.curve].oid))] : [];
  return sequence(integer(1), octets(material.d), ...curve, value(context(1), bits(material.point)));
}

const isRsa = ({ kind }) => kind === 'rsa' || kind === 'rsa-pss';

function writeSpki(material) {
  const key = isRsa(material) ? rsaPublicDer(material) : (material.point ?? material.pub);
  return sequence(algorithmOf(material), bits(key));
}

function writePkcs8(material) {
  const key = isRsa(material)
    ? rsaPrivateDer(material)
    : material.kind === 'ec'
      ? writeSec1(material, false)
      : octets(material.priv);
  return sequence(integer(0), algorithmOf(material), octets(key));
}

function encrypted(bytes, cipher, passphrase) {
  const settings = CIPHERS[String(cipher).toLowerCase()];
  if (settings === undefined) throw codedError(Error, 'ERR_CRYPTO_UNKNOWN_CIPHER', 'Unknown cipher');
  const [salt, iv] = [randomBytesOf(16), randomBytesOf(16)];
  const key = pbkdf2(HASHES.sha256, passphrase, salt, { c: ITERATIONS, dkLen: settings.size });
  const derivation = sequence(oid(PBKDF2), sequence(octets(salt), integer(ITERATIONS), sequence(oid(PRF.sha256), nothing)));
  const scheme = sequence(oid(PBES2), sequence(derivation, sequence(oid(settings.oid), octets(iv))));
  return sequence(scheme, octets(cbc(key, iv).encrypt(bytes)));
}

function toPem(label, bytes) {
  const lines = globalThis.Buffer.from(bytes).toString('base64').match(/.{1,64}/g);
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

const incompatible = (type) =>
  codedError(Error, 'ERR_CRYPTO_INCOMPATIBLE_KEY_OPTIONS', `The selected key encoding ${type} can only be used for ${type === 'sec1' ? 'EC' : 'RSA'} keys.`);

/** Writes a key in the encoding `{ type, format, cipher, passphrase }`; `passphrase` as bytes. */
export function writeKey(material, isPrivate, { type, format, cipher, passphrase }) {
  if (type === 'pkcs1' && material.kind !== 'rsa') throw incompatible(type);
  if (type === 'sec1' && material.kind !== 'ec') throw incompatible(type);
  let label = 'PUBLIC KEY';
  let bytes;
  if (!isPrivate) {
    if (type === 'pkcs1') [label, bytes] = ['RSA PUBLIC KEY', rsaPublicDer(material)];
    else bytes = writeSpki(material);
  } else if (type === 'pkcs1') [label, bytes] = ['RSA PRIVATE KEY', rsaPrivateDer(material)];
  else if (type === 'sec1') [label, bytes] = ['EC PRIVATE KEY', writeSec1(material, true)];
  else if (cipher === undefined) [label, bytes] = ['PRIVATE KEY', writePkcs8(material)];
  else [label, bytes] = ['ENCRYPTED PRIVATE KEY', encrypted(writePkcs8(material), cipher, passphrase)];
  return format === 'der' ? bytes : toPem(label, bytes);
}
