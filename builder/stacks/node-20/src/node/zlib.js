// node:zlib over the engine's CompressionStream: streams, and the functions with a callback. The functions that
// return at once need a compressor of the guest's own and are not there.
import stream from './stream.js';
import { defer } from '../loop/loop.js';
import { codedError } from '../lang/codes.js';
import { notImplemented } from '../lang/unavailable.js';
import unenvZlib from 'unenv/node/zlib';

const { constants } = unenvZlib;

/** A Transform around one of the engine's streams. */
class Compression extends stream.Transform {
  #writer;
  #reading;
  #failure;
  constructor(Engine, format, options) {
    super({ highWaterMark: options?.chunkSize });
    const engine = new Engine(format);
    this.#writer = engine.writable.getWriter();
    this.bytesWritten = 0;
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
      this.#failure = codedError(Error, 'Z_DATA_ERROR', error?.message || 'incorrect header check');
      this.#failure.errno = constants.Z_DATA_ERROR;
      this.destroy(this.#failure);
    }
  }
  _transform(chunk, _encoding, done) {
    this.bytesWritten += chunk.length;
    this.#writer.write(new Uint8Array(chunk)).then(() => done(), () => done(this.#failure));
  }
  _flush(done) {
    this.#writer
      .close()
      .then(() => this.#reading)
      .then(() => done(), () => done(this.#failure));
  }
  // Everything that was written is on its way; the engine's streams cannot be flushed in between.
  flush(kind, callback) {
    const done = typeof kind === 'function' ? kind : callback;
    if (done) defer(done);
  }
  params(_level, _strategy, callback) {
    if (callback) defer(callback);
  }
  reset() {}
  close(callback) {
    if (callback) this.once('close', callback);
    this.destroy();
  }
}

const KINDS = {
  Gzip: [globalThis.CompressionStream, 'gzip'],
  Gunzip: [globalThis.DecompressionStream, 'gzip'],
  Deflate: [globalThis.CompressionStream, 'deflate'],
  Inflate: [globalThis.DecompressionStream, 'deflate'],
  DeflateRaw: [globalThis.CompressionStream, 'deflate-raw'],
  InflateRaw: [globalThis.DecompressionStream, 'deflate-raw'],
  // The formats tell themselves apart by their first byte only in the guest's own code; gzip is what HTTP sends.
  Unzip: [globalThis.DecompressionStream, 'gzip'],
};

const zlib = { constants, codes: {}, ...constants };

for (const [name, [Engine, format]] of Object.entries(KINDS)) {
  const Kind = class extends Compression {
    constructor(options) {
      super(Engine, format, options);
    }
  };
  Object.defineProperty(Kind, 'name', { value: name });
  zlib[name] = Kind;
  zlib[`create${name}`] = (options) => new Kind(options);
  const once = name[0].toLowerCase() + name.slice(1);
  zlib[once] = (data, options, callback) => {
    if (typeof options === 'function') [options, callback] = [undefined, options];
    const parts = [];
    const engine = new Kind(options);
    engine.on('data', (part) => parts.push(part));
    engine.on('error', (error) => callback(error));
    engine.on('end', () => callback(null, globalThis.Buffer.concat(parts)));
    engine.end(data);
  };
  zlib[`${once}Sync`] = notImplemented(`zlib.${once}Sync`);
}

// Brotli is left out, not refused: packages look whether it is there, and go on with gzip.
export default zlib;
