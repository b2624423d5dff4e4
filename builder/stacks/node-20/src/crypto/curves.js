// The curves, by Node's names: points, signatures and shared secrets by @noble/curves.
import script from 'script:crypto/curves-script.js';

let loaded;

function arithmetic(name) {
  if (loaded === undefined) {
    (0, eval)(script);
    const place = Symbol.for('wpaas.curves');
    loaded = globalThis[place];
    delete globalThis[place];
  }
  return loaded[name];
}

const curve = (name, rest) => Object.defineProperty(rest, 'noble', { get: () => arithmetic(name) });

/** Curves of ECDSA and ECDH: `size` is that of a number in bytes. */
export const CURVES = {
  prime256v1: curve('p256', { oid: '1.2.840.10045.3.1.7', jwk: 'P-256', size: 32, bits: 256 }),
  secp384r1: curve('p384', { oid: '1.3.132.0.34', jwk: 'P-384', size: 48, bits: 384 }),
  secp521r1: curve('p521', { oid: '1.3.132.0.35', jwk: 'P-521', size: 66, bits: 521 }),
  secp256k1: curve('secp256k1', { oid: '1.3.132.0.10', jwk: 'secp256k1', size: 32, bits: 256 }),
};

const OTHER_NAMES = { 'P-256': 'prime256v1', secp256r1: 'prime256v1', 'P-384': 'secp384r1', 'P-521': 'secp521r1' };

/** Node's name of a curve, undefined for one that the stack does not have. */
export function curveName(name) {
  const known = OTHER_NAMES[name] ?? name;
  return Object.hasOwn(CURVES, known) ? known : undefined;
}

/** Curves whose keys are 32 bytes: one for signatures, one for shared secrets. */
export const EDWARDS = {
  ed25519: curve('ed25519', { oid: '1.3.101.112', jwk: 'Ed25519' }),
  x25519: curve('x25519', { oid: '1.3.101.110', jwk: 'X25519' }),
};

export const byOid = (table, oid) => Object.keys(table).find((name) => table[name].oid === oid);
export const byJwk = (table, name) => Object.keys(table).find((one) => table[one].jwk === name);
