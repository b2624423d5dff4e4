// The engine's hashes, at once. `crypto.subtle.digest` computes before it returns, and then resolves its promise with an
// ArrayBuffer; to do so it asks the buffer for `then`, as for any object, and that is where the buffer is taken. It is a
// hundred times as fast as a hash that the engine interprets. What is hashed is kept until its end: the engine takes it
// whole.
import { md5, sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';

const { subtle } = globalThis.crypto ?? {};
const engineDigest = subtle?.digest;
const FIRST_BYTES = 256;
const ignore = () => {};

function digest(name, bytes) {
  let taken;
  Object.defineProperty(ArrayBuffer.prototype, 'then', {
    configurable: true,
    get() {
      taken = this;
      return undefined;
    },
  });
  try {
    engineDigest.call(subtle, name, bytes).then(undefined, ignore);
  } finally {
    delete ArrayBuffer.prototype.then;
  }
  return taken === undefined ? undefined : new Uint8Array(taken);
}

/** The state of a hash, as @noble/hashes has it. */
class State {
  #name;
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;
  constructor(name, { outputLen, blockLen }) {
    this.#name = name;
    this.outputLen = outputLen;
    this.blockLen = blockLen;
    this.canXOF = false;
  }
  #reserve(length) {
    if (length <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
  update(data) {
    const length = this.#length + data.length;
    this.#reserve(length);
    this.#bytes.set(data, this.#length);
    this.#length = length;
    return this;
  }
  digest() {
    return digest(this.#name, this.#bytes.subarray(0, this.#length));
  }
  digestInto(out) {
    out.set(this.digest());
  }
  _cloneInto(to = new State(this.#name, this)) {
    to.#length = 0;
    return to.update(this.#bytes.subarray(0, this.#length));
  }
  clone() {
    return this._cloneInto();
  }
  destroy() {
    this.#bytes.fill(0);
    this.#length = 0;
  }
}

// Asked for while the stack is built; another engine may have none of them.
const isNative = (name) => {
  try {
    return digest(name, new Uint8Array(1))?.length > 0;
  } catch {
    return false;
  }
};

function native(name, hash) {
  if (engineDigest === undefined || !isNative(name)) return hash;
  const create = () => new State(name, hash);
  return Object.assign((data) => digest(name, data), hash, { create });
}

/** The hashes that the engine has, in the shape of @noble/hashes. */
export const NATIVE = {
  md5: native('MD5', md5),
  sha1: native('SHA-1', sha1),
  sha256: native('SHA-256', sha256),
  sha384: native('SHA-384', sha384),
  sha512: native('SHA-512', sha512),
};
