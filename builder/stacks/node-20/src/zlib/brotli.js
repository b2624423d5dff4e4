// Brotli: reading it. Nothing that writes it runs well in the engine, so the functions that compress say so, and the
// streams that would are left out: packages look whether they are there, and go on with gzip.
import { BrotliDecompress } from 'brotli/dec/decode.js';
import dictionary from 'brotli/dec/dictionary.js';
import stream from '../node/stream.js';
import { codedError } from '../lang/codes.js';
import { createNotImplementedError } from '../lang/unavailable.js';
import { toBytes, zlibError } from './flate.js';

// While the stack is built: it takes the engine a quarter of a second.
dictionary.init();

/** Decompresses all of `data`; at most `maxOutputLength` bytes. */
export function brotliDecompressSync(data, { maxOutputLength: limit = Infinity } = {}) {
  const bytes = toBytes(data);
  const parts = [];
  let at = 0;
  let size = 0;
  const input = {
    read(target, offset, count) {
      const part = bytes.subarray(at, at + count);
      target.set(part, offset);
      at += part.length;
      return part.length;
    },
  };
  const output = {
    // The decoder would make it larger; what is written goes to `parts`.
    buffer: { length: Infinity },
    write(from, count) {
      size += count;
      if (size > limit) {
        throw codedError(RangeError, 'ERR_BUFFER_TOO_LARGE', `Cannot create a Buffer larger than ${limit} bytes`);
      }
      parts.push(from.slice(0, count));
      return count;
    },
  };
  if (bytes.length === 0) throw zlibError(-5);
  try {
    BrotliDecompress(input, output);
  } catch (error) {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') throw error;
    if (/end of input|not enough bytes/.test(error.message)) throw zlibError(-5);
    throw codedError(Error, 'ERR_BROTLI_DECODER_ERROR_FORMAT', 'Decompression failed');
  }
  return globalThis.Buffer.concat(parts);
}

/** A stream that gives everything at its end: the decoder takes its input whole. */
export class BrotliReader extends stream.Transform {
  #parts = [];
  #options;
  constructor(options) {
    super();
    this.#options = options;
    this.bytesWritten = 0;
  }
  _transform(chunk, _encoding, done) {
    this.#parts.push(chunk);
    this.bytesWritten += chunk.length;
    done();
  }
  _flush(done) {
    try {
      this.push(brotliDecompressSync(globalThis.Buffer.concat(this.#parts), this.#options));
    } catch (error) {
      return done(error);
    }
    return done();
  }
  flush(_kind, callback) {
    const done = callback ?? _kind;
    if (typeof done === 'function') this.write('', done);
  }
  close(callback) {
    if (callback) this.once('close', callback);
    this.destroy();
  }
}

const refuse = (name) => {
  throw createNotImplementedError(`zlib.${name} (gzip and deflate are there)`);
};
export const brotliCompress = () => refuse('brotliCompress');
export const brotliCompressSync = () => refuse('brotliCompressSync');
