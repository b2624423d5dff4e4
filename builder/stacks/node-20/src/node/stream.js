// node:stream and its parts: the maintained readable-stream package (Node's own code).
import Stream from 'readable-stream/lib/stream.js';
import streamPromises from 'readable-stream/lib/stream/promises.js';

const { Readable, Writable } = Stream;

/** A Node stream that reads a web stream; its bytes become Buffers. */
Readable.fromWeb = function fromWeb(webStream, options = {}) {
  const reader = webStream.getReader();
  return new Readable({
    ...options,
    read() {
      reader.read().then(
        ({ done, value }) => {
          if (done) this.push(null);
          else this.push(value instanceof Uint8Array ? Stream._uint8ArrayToBuffer(value) : value);
        },
        (error) => this.destroy(error),
      );
    },
    destroy(error, done) {
      reader.cancel(error ?? undefined).then(
        () => done(error),
        () => done(error),
      );
    },
  });
};

/** A web stream that reads a Node stream. */
Readable.toWeb = function toWeb(stream) {
  const iterator = stream[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value instanceof Uint8Array ? new Uint8Array(value) : value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
};

/** A Node stream that writes to a web stream. */
Writable.fromWeb = function fromWeb(webStream, options = {}) {
  const writer = webStream.getWriter();
  const settle = (promise, done) => promise.then(() => done(), done);
  return new Writable({
    ...options,
    write: (chunk, _encoding, done) => settle(writer.write(chunk), done),
    final: (done) => settle(writer.close(), done),
    destroy(error, done) {
      if (error) writer.abort(error).catch(() => {});
      done(error);
    },
  });
};

/** A web stream that writes to a Node stream. */
Writable.toWeb = function toWeb(stream) {
  return new WritableStream({
    write: (chunk) =>
      new Promise((resolve, reject) => stream.write(chunk, (error) => (error ? reject(error) : resolve()))),
    close: () => new Promise((resolve) => stream.end(resolve)),
    abort: (reason) => void stream.destroy(reason),
  });
};

/** node:stream */
export default Stream;

/** node:stream/promises */
export const promises = streamPromises;

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
  return Buffer.concat(chunks);
}

/** node:stream/consumers */
export const consumers = {
  buffer: collect,
  text: async (stream) => (await collect(stream)).toString(),
  json: async (stream) => JSON.parse((await collect(stream)).toString()),
  arrayBuffer: async (stream) => {
    const bytes = await collect(stream);
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  },
  blob: async (stream) => new Blob([await collect(stream)]),
};

/** node:stream/web */
export const web = Object.fromEntries(
  [
    'ReadableStream',
    'ReadableStreamDefaultReader',
    'ReadableStreamBYOBReader',
    'ReadableStreamBYOBRequest',
    'ReadableByteStreamController',
    'ReadableStreamDefaultController',
    'TransformStream',
    'WritableStream',
    'ByteLengthQueuingStrategy',
    'CountQueuingStrategy',
    'TextEncoderStream',
    'TextDecoderStream',
    'CompressionStream',
    'DecompressionStream',
    'TransformStreamDefaultController',
    'WritableStreamDefaultController',
    'WritableStreamDefaultWriter',
  ].map((name) => [name, globalThis[name]]),
);
