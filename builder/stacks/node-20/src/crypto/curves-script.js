// The arithmetic of the curves. Not part of the stack's module: curves.js evaluates it when an app first needs it, since
// it asks for randomness when it begins, which there is none of while the stack is built.
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';

globalThis[Symbol.for('wpaas.curves')] = { ed25519, x25519, p256, p384, p521, secp256k1 };
