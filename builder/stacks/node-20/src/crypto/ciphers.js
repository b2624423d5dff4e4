// createCipheriv and createDecipheriv: AES in the modes that Node's apps use, as streams. @noble/ciphers has the cipher;
// what is here lets bytes come in parts.
import StringDecoder from 'string_decoder/lib/string_decoder.js';
import { unsafe } from '@noble/ciphers/aes.js';
import { ghash } from '@noble/ciphers/_polyval.js';
import stream from '../node/stream.js';
import { codedError, invalidArgType } from '../lang/codes.js';
import { equalBytes, invalidState, opensslError, toBuffer, toBytes } from './data.js';
import { materialOf, KeyObject } from './keys.js';

const BLOCK = 16;
const MODES = { cbc: 16, ctr: 16, ecb: 0, gcm: 12 };
const KNOWN = new Map();
for (const [id, bits] of [128, 192, 256].entries()) {
  for (const mode of Object.keys(MODES)) KNOWN.set(`aes-${bits}-${mode}`, { mode, bytes: bits / 8, id });
}
const NIDS = { ecb: [418, 422, 426], cbc: [419, 423, 427], ctr: [904, 905, 906], gcm: [895, 898, 901] };

function known(name) {
  const lower = name.toLowerCase().replace(/^id-aes(\d+)-gcm$/, 'aes-$1-gcm');
  const whole = /^aes\d+$/.test(lower) ? `aes-${lower.slice(3)}-cbc` : lower;
  return KNOWN.has(whole) ? { name: whole, ...KNOWN.get(whole) } : undefined;
}

export const getCiphers = () => [...KNOWN.keys()].sort();

export function getCipherInfo(nameOrNid, { keyLength, ivLength } = {}) {
  const name =
    typeof nameOrNid === 'number' ? [...KNOWN.keys()].find((one) => NIDS[KNOWN.get(one).mode][KNOWN.get(one).id] === nameOrNid) : nameOrNid;
  const found = name === undefined ? undefined : known(name);
  if (found === undefined || (keyLength !== undefined && keyLength !== found.bytes)) return undefined;
  const iv = MODES[found.mode];
  const fits = ivLength === undefined || ivLength === iv || (found.mode === 'gcm' && ivLength > 0);
  if (!fits) return undefined;
  const streams = found.mode === 'ctr' || found.mode === 'gcm';
  return {
    mode: found.mode,
    name: found.mode === 'gcm' ? `id-aes${found.bytes * 8}-gcm` : found.name,
    nid: NIDS[found.mode][found.id],
    blockSize: streams ? 1 : BLOCK,
    ...(iv === 0 ? {} : { ivLength: ivLength ?? iv }),
    keyLength: found.bytes,
  };
}

/** AES of whole blocks, each for itself. */
class Aes {
  #key;
  #forDecryption;
  #bytes;
  constructor(bytes) {
    this.#bytes = bytes;
    this.#key = unsafe.expandKeyLE(bytes);
  }
  #each(bytes, key, operation) {
    // A copy, which begins where words may.
    const result = new Uint8Array(bytes);
    const words = new Uint32Array(result.buffer);
    for (let at = 0; at < words.length; at += 4) {
      const { s0, s1, s2, s3 } = operation(key, words[at], words[at + 1], words[at + 2], words[at + 3]);
      words[at] = s0;
      words[at + 1] = s1;
      words[at + 2] = s2;
      words[at + 3] = s3;
    }
    return result;
  }
  encrypt(bytes) {
    return this.#each(bytes, this.#key, unsafe.encrypt);
  }
  decrypt(bytes) {
    this.#forDecryption ??= unsafe.expandKeyDecLE(this.#bytes);
    return this.#each(bytes, this.#forDecryption, unsafe.decrypt);
  }
}

/** Encrypts a counter over and over, and joins that with the bytes: CTR, and the inside of GCM. */
class Counter {
  #cipher;
  #counter;
  #width;
  #left = new Uint8Array();
  /** `width` is how many bytes at the end of the block count. */
  constructor(key, block, width) {
    this.#cipher = new Aes(key);
    this.#counter = block.slice();
    this.#width = width;
  }
  #next(blocks) {
    const all = new Uint8Array(blocks * BLOCK);
    for (let at = 0; at < all.length; at += BLOCK) {
      all.set(this.#counter, at);
      for (let i = BLOCK - 1; i >= BLOCK - this.#width; i--) if (++this.#counter[i] & 0xff) break;
    }
    return this.#cipher.encrypt(all);
  }
  /** The bytes, en- or decrypted. */
  apply(bytes) {
    const missing = bytes.length - this.#left.length;
    const stream = missing > 0 ? globalThis.Buffer.concat([this.#left, this.#next(Math.ceil(missing / BLOCK))]) : this.#left;
    this.#left = stream.subarray(bytes.length);
    const result = new Uint8Array(bytes.length);
    for (let i = 0; i < bytes.length; i++) result[i] = bytes[i] ^ stream[i];
    return result;
  }
}

/** ECB and CBC: whole blocks at a time; the last is padded. */
class Blocks {
  #cipher;
  #previous;
  #encrypts;
  #rest = new Uint8Array();
  padding = true;
  constructor(key, iv, encrypts) {
    this.#cipher = new Aes(key);
    this.#previous = iv;
    this.#encrypts = encrypts;
  }
  update(bytes) {
    const all = globalThis.Buffer.concat([this.#rest, bytes]);
    let whole = all.length - (all.length % BLOCK);
    // The last block may be padding, which only the end tells.
    if (!this.#encrypts && this.padding && whole === all.length && whole > 0) whole -= BLOCK;
    this.#rest = all.subarray(whole).slice();
    return this.#run(all.subarray(0, whole));
  }
  #run(bytes) {
    if (bytes.length === 0) return new Uint8Array();
    if (this.#previous === undefined) return this.#encrypts ? this.#cipher.encrypt(bytes) : this.#cipher.decrypt(bytes);
    return this.#encrypts ? this.#encryptChain(bytes) : this.#decryptChain(bytes);
  }
  #encryptChain(bytes) {
    const result = new Uint8Array(bytes.length);
    for (let at = 0; at < bytes.length; at += BLOCK) {
      const block = bytes.subarray(at, at + BLOCK).map((byte, i) => byte ^ this.#previous[i]);
      this.#previous = this.#cipher.encrypt(new Uint8Array(block));
      result.set(this.#previous, at);
    }
    return result;
  }
  #decryptChain(bytes) {
    const result = this.#cipher.decrypt(new Uint8Array(bytes));
    for (let i = 0; i < result.length; i++) result[i] ^= i < BLOCK ? this.#previous[i] : bytes[i - BLOCK];
    this.#previous = bytes.slice(-BLOCK);
    return result;
  }
  final() {
    if (!this.padding) {
      if (this.#rest.length > 0) throw opensslError('1C80006B', 'Provider routines', 'wrong final block length');
      return new Uint8Array();
    }
    if (this.#encrypts) {
      const count = BLOCK - this.#rest.length;
      return this.#run(globalThis.Buffer.concat([this.#rest, new Uint8Array(count).fill(count)]));
    }
    if (this.#rest.length !== BLOCK) throw opensslError('1C80006B', 'Provider routines', 'wrong final block length');
    const block = this.#run(this.#rest);
    const count = block[BLOCK - 1];
    const right = count >= 1 && count <= BLOCK && block.subarray(BLOCK - count).every((byte) => byte === count);
    if (!right) throw opensslError('1C800064', 'Provider routines', 'bad decrypt');
    return block.subarray(0, BLOCK - count);
  }
}

class CounterMode {
  #counter;
  constructor(key, iv) {
    this.#counter = new Counter(key, iv, BLOCK);
  }
  update(bytes) {
    return this.#counter.apply(bytes);
  }
  final() {
    return new Uint8Array();
  }
}

const lengthBlock = (first, second) => {
  const block = globalThis.Buffer.alloc(BLOCK);
  block.writeBigUInt64BE(BigInt(first) * 8n, 0);
  block.writeBigUInt64BE(BigInt(second) * 8n, 8);
  return block;
};

// GHASH pads each update to a block, so only whole blocks go into it until the end.
class Hashed {
  #hash;
  #rest = new Uint8Array();
  length = 0;
  constructor(key) {
    this.#hash = ghash.create(key);
  }
  update(bytes) {
    this.length += bytes.length;
    const all = globalThis.Buffer.concat([this.#rest, bytes]);
    const whole = all.length - (all.length % BLOCK);
    if (whole > 0) this.#hash.update(new Uint8Array(all.subarray(0, whole)));
    this.#rest = all.subarray(whole);
  }
  pad() {
    if (this.#rest.length > 0) this.#hash.update(new Uint8Array(this.#rest));
    this.#rest = new Uint8Array();
  }
  digest(lengths) {
    this.#hash.update(new Uint8Array(lengths));
    return this.#hash.digest();
  }
}

class Gcm {
  #counter;
  #hash;
  #encrypts;
  #mask;
  #aad = 0;
  constructor(key, iv, encrypts) {
    const cipher = new Aes(key);
    const hashKey = cipher.encrypt(new Uint8Array(BLOCK));
    let start;
    if (iv.length === 12) start = Uint8Array.of(...iv, 0, 0, 0, 1);
    else {
      const hash = new Hashed(hashKey);
      hash.update(iv);
      hash.pad();
      start = hash.digest(lengthBlock(0, iv.length));
    }
    this.#counter = new Counter(key, start, 4);
    this.#mask = this.#counter.apply(new Uint8Array(BLOCK));
    this.#hash = new Hashed(hashKey);
    this.#encrypts = encrypts;
  }
  setAAD(bytes) {
    this.#hash.update(bytes);
    this.#aad += bytes.length;
  }
  #begin() {
    if (this.#hash.length === this.#aad) this.#hash.pad();
  }
  update(bytes) {
    this.#begin();
    const result = this.#counter.apply(bytes);
    this.#hash.update(this.#encrypts ? result : bytes);
    return result;
  }
  final() {
    this.#begin();
    this.#hash.pad();
    const tag = this.#hash.digest(lengthBlock(this.#aad, this.#hash.length - this.#aad));
    this.tag = tag.map((byte, i) => byte ^ this.#mask[i]);
    return new Uint8Array();
  }
}

const GCM_TAGS = new Set([4, 8, 12, 13, 14, 15, 16]);
const kEngine = Symbol('engine');

class Ciphering extends stream.Transform {
  constructor(name, key, iv, options, encrypts) {
    super(options);
    if (typeof name !== 'string') throw invalidArgType('cipher', 'of type string', name);
    const secret = key instanceof KeyObject ? materialOf(key) : toBytes(key, options?.encoding, 'key');
    const start = iv === null ? null : toBytes(iv, undefined, 'iv');
    const found = known(name);
    if (found === undefined) throw codedError(Error, 'ERR_CRYPTO_UNKNOWN_CIPHER', 'Unknown cipher');
    const wanted = MODES[found.mode];
    const length = start?.length ?? 0;
    const fits = found.mode === 'gcm' ? length > 0 : length === wanted;
    if (!fits) throw codedError(TypeError, 'ERR_CRYPTO_INVALID_IV', 'Invalid initialization vector');
    if (secret.length !== found.bytes) throw codedError(RangeError, 'ERR_CRYPTO_INVALID_KEYLEN', 'Invalid key length');
    const bytes = new Uint8Array(secret);
    const first = start === null ? undefined : new Uint8Array(start);
    const Mode = { cbc: Blocks, ecb: Blocks, ctr: CounterMode, gcm: Gcm }[found.mode];
    this[kEngine] = new Mode(bytes, found.mode === 'ecb' ? undefined : first, encrypts);
    this._tagLength = options?.authTagLength ?? BLOCK;
    if (found.mode === 'gcm' && !GCM_TAGS.has(this._tagLength)) {
      throw codedError(TypeError, 'ERR_CRYPTO_INVALID_AUTH_TAG', `Invalid authentication tag length: ${this._tagLength}`);
    }
    this._finished = false;
    this._tag = undefined;
    this._decoder = undefined;
  }
  get _isGcm() {
    return this[kEngine] instanceof Gcm;
  }
  update(data, inputEncoding, outputEncoding) {
    if (this._finished) throw new Error('Trying to add data in unsupported state');
    return this._shown(this[kEngine].update(toBytes(data, inputEncoding)), outputEncoding);
  }
  final(outputEncoding) {
    if (this._finished) throw codedError(Error, 'ERR_CRYPTO_INVALID_STATE', 'Invalid state');
    this._finished = true;
    const last = this[kEngine].final();
    this._checkTag();
    const shown = this._shown(last, outputEncoding);
    return typeof shown === 'string' ? shown + this._decoder.end() : shown;
  }
  // Text in parts must join to the text of the whole: base64 has three bytes at a time.
  _shown(bytes, encoding) {
    if (!encoding || encoding === 'buffer') return toBuffer(bytes);
    this._decoder ??= new StringDecoder.StringDecoder(encoding);
    return this._decoder.write(toBuffer(bytes));
  }
  _checkTag() {}
  setAutoPadding(padding = true) {
    if (this._finished) throw invalidState('setAutoPadding');
    this[kEngine].padding = Boolean(padding);
    return this;
  }
  setAAD(data) {
    if (!this._isGcm || this._finished) throw invalidState('setAAD');
    this[kEngine].setAAD(toBytes(data, undefined, 'buffer'));
    return this;
  }
  _transform(chunk, encoding, done) {
    this.push(this.update(chunk, encoding));
    done();
  }
  _flush(done) {
    try {
      this.push(this.final());
    } catch (error) {
      return done(error);
    }
    return done();
  }
}

export class Cipheriv extends Ciphering {
  constructor(name, key, iv, options) {
    super(name, key, iv, options, true);
  }
  getAuthTag() {
    if (!this._isGcm || !this._finished) throw invalidState('getAuthTag');
    return globalThis.Buffer.from(this[kEngine].tag.subarray(0, this._tagLength));
  }
}

export class Decipheriv extends Ciphering {
  constructor(name, key, iv, options) {
    super(name, key, iv, options, false);
    this._fixed = options?.authTagLength;
  }
  setAuthTag(tag, encoding) {
    const bytes = toBytes(tag, encoding, 'buffer');
    if (!this._isGcm || this._finished || this._tag !== undefined) throw invalidState('setAuthTag');
    if (!GCM_TAGS.has(bytes.length) || (this._fixed !== undefined && bytes.length !== this._fixed)) {
      throw codedError(TypeError, 'ERR_CRYPTO_INVALID_AUTH_TAG', `Invalid authentication tag length: ${bytes.length}`);
    }
    this._tag = new Uint8Array(bytes);
    return this;
  }
  _checkTag() {
    if (!this._isGcm) return;
    const { tag } = this[kEngine];
    if (this._tag === undefined || !equalBytes(tag.subarray(0, this._tag.length), this._tag)) {
      throw new Error('Unsupported state or unable to authenticate data');
    }
  }
}

// Functions as in Node: called without `new`.
export const createCipheriv = (name, key, iv, options) => new Cipheriv(name, key, iv, options);
export const createDecipheriv = (name, key, iv, options) => new Decipheriv(name, key, iv, options);
