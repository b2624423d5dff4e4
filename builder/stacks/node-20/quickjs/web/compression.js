// CompressionStream and DecompressionStream, by zlib in the guest.
import { Flate } from '../zlib/flate.js';
import { define } from '../host/define.js';

const NO_FLUSH = 0;
const FINISH = 4;
const FORMATS = { gzip: ['Gzip', 'Gunzip'], deflate: ['Deflate', 'Inflate'], 'deflate-raw': ['DeflateRaw', 'InflateRaw'] };

function pairOf(format, index) {
  const kind = FORMATS[format]?.[index];
  if (kind === undefined) throw new TypeError(`Unsupported format: ${format}`);
  const flate = new Flate(kind);
  const give = (parts, controller) => {
    for (const part of parts) controller.enqueue(part);
  };
  return new TransformStream({
    transform(chunk, controller) {
      give(flate.run(globalThis.Buffer.from(chunk.buffer ?? chunk, chunk.byteOffset, chunk.byteLength), NO_FLUSH), controller);
    },
    flush(controller) {
      give(flate.run(new Uint8Array(), FINISH), controller);
      if (index === 1 && !flate.ended) throw new TypeError('The compressed data is not complete');
    },
  });
}

class Pair {
  #pair;
  constructor(format, index) {
    this.#pair = pairOf(format, index);
  }
  get readable() {
    return this.#pair.readable;
  }
  get writable() {
    return this.#pair.writable;
  }
}

class CompressionStream extends Pair {
  constructor(format) {
    super(format, 0);
  }
}

class DecompressionStream extends Pair {
  constructor(format) {
    super(format, 1);
  }
}

define({ CompressionStream, DecompressionStream });
