// node:zlib. Streams use the engine's compression, which is native; what returns at once, and streams that are flushed
// in the middle (events that are compressed), the guest's own, which takes ten times as long.
import stream from './stream.js';
import { defer } from '../loop/work.js';
import { Flate, runSync, toBytes, zlibError } from '../zlib/flate.js';
import { BrotliReader, brotliCompress, brotliCompressSync, brotliDecompressSync } from '../zlib/brotli.js';
import { maybeLater } from '../crypto/data.js';
import unenvZlib from 'unenv/node/zlib';

const { constants } = unenvZlib;
const brotliFunctions = { brotliCompress, brotliCompressSync, brotliDecompressSync };
const { Z_NO_FLUSH, Z_FINISH, Z_FULL_FLUSH, Z_DATA_ERROR } = constants;

// What a stream holds back until it knows whether it will be flushed; zlib itself holds back about as much.
const UNDECIDED_BYTES = 32 * 1024;

/** A Transform around a compressor that is chosen when the first bytes have come. */
class Compression extends stream.Transform {
  #formats;
  #options;
  #kind;
  #held = [];
  #heldBytes = 0;
  #writer;
  #reading;
  #flate;
  #failure;
  #closed = false;
  constructor(kind, formats, options) {
    super({ highWaterMark: options?.chunkSize, ...(options?.signal ? { signal: options.signal } : {}) });
    this.#kind = kind;
    this.#formats = formats;
    this.#options = options ?? {};
    this.bytesWritten = 0;
    // The engine has one level and no dictionaries.
    const { dictionary, level } = this.#options;
    if (dictionary !== undefined || level === 0) this.#flate = new Flate(kind, this.#options);
  }
  get #mayFlush() {
    return this.#formats.compresses === true;
  }
  #useEngine(first) {
    const Engine = this.#mayFlush ? globalThis.CompressionStream : globalThis.DecompressionStream;
    const engine = new Engine(this.#formats.of(first));
    this.#writer = engine.writable.getWriter();
    this.#reading = this.#read(engine.readable.getReader());
  }
  async #read(reader) {
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        this.push(globalThis.Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      }
    } catch (error) {
      this.#failure = zlibError(Z_DATA_ERROR, error?.message || 'incorrect header check');
      this.destroy(this.#failure);
    }
  }
  #pushAll(bytes, flush) {
    for (const part of this.#flate.run(bytes, flush)) {
      this.push(globalThis.Buffer.from(part.buffer, part.byteOffset, part.byteLength));
    }
  }
  #takeHeld() {
    const held = globalThis.Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }
  _transform(chunk, _encoding, done) {
    this.bytesWritten += chunk.length;
    if (this.#flate !== undefined) return this.#inGuest(chunk, Z_NO_FLUSH, done);
    if (this.#writer === undefined && this.#mayFlush) {
      this.#held.push(chunk);
      this.#heldBytes += chunk.length;
      if (this.#heldBytes <= UNDECIDED_BYTES) return done();
      chunk = this.#takeHeld();
    }
    if (this.#writer === undefined) this.#useEngine(chunk);
    this.#writer.write(new Uint8Array(chunk)).then(() => done(), () => done(this.#failure));
  }
  #inGuest(bytes, flush, done) {
    try {
      this.#pushAll(bytes, flush);
    } catch (error) {
      return done(error);
    }
    return done();
  }
  _flush(done) {
    if (this.#flate !== undefined) {
      return this.#inGuest(new Uint8Array(), Z_FINISH, (error) =>
        done(error ?? (this.#mayFlush || this.#flate.ended ? undefined : zlibError(-5))),
      );
    }
    const held = this.#takeHeld();
    if (this.#writer === undefined) this.#useEngine(held);
    if (held.length > 0) this.#writer.write(new Uint8Array(held)).catch(() => {});
    this.#writer
      .close()
      .then(() => this.#reading)
      .then(() => done(), () => done(this.#failure));
  }
  /** Sends what was written. After so much that the engine compresses it, only its end does. */
  flush(kind, callback) {
    if (typeof kind === 'function') [kind, callback] = [Z_FULL_FLUSH, kind];
    const now = () => {
      if (this.#mayFlush && this.#writer === undefined && !this.destroyed && !this.writableFinished) {
        this.#flate ??= new Flate(this.#kind, this.#options);
        this.#pushAll(this.#takeHeld(), kind ?? Z_FULL_FLUSH);
      }
      if (callback) defer(callback);
    };
    // What was written before is taken first.
    if (this.writableLength > 0) this.write('', now);
    else now();
  }
  params(_level, _strategy, callback) {
    if (callback) defer(callback);
  }
  reset() {}
  close(callback) {
    if (callback) {
      if (this.#closed) defer(callback);
      else this.once('close', callback);
    }
    this.#closed = true;
    this.destroy();
  }
}

// Node tells the two formats apart by their first byte.
const sniffed = (first) => (first[0] === 0x1f ? 'gzip' : 'deflate');

const KINDS = {
  Gzip: { compresses: true, of: () => 'gzip' },
  Gunzip: { of: () => 'gzip' },
  Deflate: { compresses: true, of: () => 'deflate' },
  Inflate: { of: () => 'deflate' },
  DeflateRaw: { compresses: true, of: () => 'deflate-raw' },
  InflateRaw: { of: () => 'deflate-raw' },
  Unzip: { of: sniffed },
};

const codes = Object.fromEntries(
  ['Z_OK', 'Z_STREAM_END', 'Z_NEED_DICT', 'Z_ERRNO', 'Z_STREAM_ERROR', 'Z_DATA_ERROR', 'Z_MEM_ERROR', 'Z_BUF_ERROR', 'Z_VERSION_ERROR']
    .map((name) => [name, constants[name]])
    .flatMap(([name, number]) => [[name, number], [number, name]]),
);

const zlib = { constants, codes: Object.freeze(codes), ...constants };

for (const [name, formats] of Object.entries(KINDS)) {
  const Kind = class extends Compression {
    constructor(options) {
      super(name, formats, options);
    }
  };
  Object.defineProperty(Kind, 'name', { value: name });
  zlib[name] = Kind;
  zlib[`create${name}`] = (options) => new Kind(options);
  const once = name[0].toLowerCase() + name.slice(1);
  zlib[once] = (data, options, callback) => {
    if (typeof options === 'function') [options, callback] = [undefined, options];
    const bytes = toBytes(data);
    const parts = [];
    const engine = new Kind(options);
    engine.on('data', (part) => parts.push(part));
    engine.on('error', (error) => callback(error));
    engine.on('end', () => callback(null, globalThis.Buffer.concat(parts)));
    engine.end(bytes);
  };
  zlib[`${once}Sync`] = (data, options) => runSync(name, data, options);
}

Object.defineProperty(BrotliReader, 'name', { value: 'BrotliDecompress' });
Object.assign(zlib, brotliFunctions, {
  BrotliDecompress: BrotliReader,
  createBrotliDecompress: (options) => new BrotliReader(options),
  brotliDecompress(data, options, callback) {
    if (typeof options === 'function') [options, callback] = [undefined, options];
    maybeLater(() => brotliFunctions.brotliDecompressSync(data, options), callback);
  },
});

export default zlib;
