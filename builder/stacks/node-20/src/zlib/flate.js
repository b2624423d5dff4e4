// zlib in the guest, by pako: for the functions that return at once, and for streams that flush in the middle.
import {
  ZStream, zlibDeflate, zlibDeflateInit2, zlibDeflateSetDictionary, zlibInflate, zlibInflateInit2, zlibInflateSetDictionary,
} from 'pako';
import { codedError, invalidArgType } from '../lang/codes.js';

const CHUNK = 16 * 1024;
const DEFLATED = 8;
const FINISH = 4;
const STATUS = { OK: 0, STREAM_END: 1, NEED_DICT: 2, BUF_ERROR: -5 };
const CODES = { 2: 'Z_NEED_DICT', '-2': 'Z_STREAM_ERROR', '-3': 'Z_DATA_ERROR', '-4': 'Z_MEM_ERROR', '-5': 'Z_BUF_ERROR' };
const MESSAGES = { 2: 'Missing dictionary', '-5': 'unexpected end of file', '-3': 'incorrect data check' };

export function zlibError(status, message = MESSAGES[status] ?? 'Zlib error') {
  const error = new Error(message);
  return Object.assign(error, { errno: status, code: CODES[status] });
}

// How much of the window's bits says the wrapping.
const WRAPPED = { Gzip: 16, Gunzip: 16, Unzip: 32, Deflate: 0, Inflate: 0 };
const COMPRESSES = new Set(['Gzip', 'Deflate', 'DeflateRaw']);

export function toBytes(data, encoding) {
  if (typeof data === 'string') return globalThis.Buffer.from(data, encoding);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw invalidArgType('buffer', 'of type string or an instance of Buffer, TypedArray, DataView, or ArrayBuffer', data);
}

/** One (de)compression; `kind` is a class of node:zlib. */
export class Flate {
  #stream = new ZStream();
  #compresses;
  #kind;
  #ended = false;
  #dictionary;
  constructor(kind, options = {}) {
    const { level = -1, windowBits = 15, memLevel = 8, strategy = 0, dictionary } = options;
    this.#kind = kind;
    this.#compresses = COMPRESSES.has(kind);
    this.#dictionary = dictionary === undefined ? undefined : toBytes(dictionary);
    const bits = WRAPPED[kind] === undefined ? -windowBits : windowBits + WRAPPED[kind];
    const status = this.#compresses
      ? zlibDeflateInit2(this.#stream, level, DEFLATED, bits, memLevel, strategy)
      : zlibInflateInit2(this.#stream, bits);
    if (status !== STATUS.OK) throw codedError(RangeError, 'ERR_OUT_OF_RANGE', 'The options of zlib are out of range');
    if (this.#dictionary === undefined) return;
    if (this.#compresses) zlibDeflateSetDictionary(this.#stream, this.#dictionary);
    else if (kind === 'InflateRaw') zlibInflateSetDictionary(this.#stream, this.#dictionary);
  }
  /** Whether the compressed data has come to its end. */
  get ended() {
    return this.#ended;
  }
  /** Takes `bytes` and gives what comes out, a list. `limit` is the most bytes that may. */
  run(bytes, flush, limit = Infinity) {
    const stream = this.#stream;
    const parts = [];
    let size = 0;
    stream.input = bytes;
    stream.next_in = 0;
    stream.avail_in = bytes.length;
    for (;;) {
      stream.output = new Uint8Array(CHUNK);
      stream.next_out = 0;
      stream.avail_out = CHUNK;
      let status = this.#compresses ? zlibDeflate(stream, flush) : zlibInflate(stream, flush);
      if (status === STATUS.NEED_DICT && this.#dictionary !== undefined) {
        if (zlibInflateSetDictionary(stream, this.#dictionary) !== STATUS.OK) throw zlibError(-3, 'Bad dictionary');
        status = zlibInflate(stream, flush);
      }
      if (status !== STATUS.OK && status !== STATUS.STREAM_END && status !== STATUS.BUF_ERROR) {
        throw zlibError(status, stream.msg || undefined);
      }
      if (stream.next_out > 0) parts.push(stream.output.subarray(0, stream.next_out));
      size += stream.next_out;
      if (size > limit) {
        throw codedError(RangeError, 'ERR_BUFFER_TOO_LARGE', `Cannot create a Buffer larger than ${limit} bytes`);
      }
      if (status === STATUS.STREAM_END && !this.#nextMember()) {
        this.#ended = true;
        return parts;
      }
      if (stream.avail_out > 0 && (stream.avail_in === 0 || status === STATUS.BUF_ERROR)) return parts;
    }
  }
  // A gzip file may be several, one after the other.
  #nextMember() {
    const { input, next_in: at, avail_in: left } = this.#stream;
    const isGzip = this.#kind === 'Gunzip' || this.#kind === 'Unzip';
    if (this.#compresses || !isGzip || left < 2 || input[at] !== 0x1f || input[at + 1] !== 0x8b) return false;
    zlibInflateInit2(this.#stream, 15 + WRAPPED.Gunzip);
    return true;
  }
}

/** The whole of `data` at once. */
export function runSync(kind, data, options = {}) {
  const flate = new Flate(kind, options);
  const finish = options.finishFlush ?? FINISH;
  const parts = flate.run(toBytes(data), finish, options.maxOutputLength);
  if (!COMPRESSES.has(kind) && !flate.ended && finish === FINISH) throw zlibError(STATUS.BUF_ERROR);
  const buffer = globalThis.Buffer.concat(parts);
  return options.info ? { buffer, engine: flate } : buffer;
}
