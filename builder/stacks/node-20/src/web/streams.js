// What the engine's web streams lack of Node's: iteration, `ReadableStream.from`, and the streams that encode text.

async function* values({ preventCancel = false } = {}) {
  const reader = this.getReader();
  let finished = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        finished = true;
        return;
      }
      yield value;
    }
  } catch (error) {
    finished = true;
    throw error;
  } finally {
    if (!finished && !preventCancel) await reader.cancel();
    reader.releaseLock();
  }
}

function define(object, name, value) {
  if (object[name] === undefined) Object.defineProperty(object, name, { configurable: true, writable: true, value });
}

define(ReadableStream.prototype, 'values', values);
define(ReadableStream.prototype, Symbol.asyncIterator, values);
define(ReadableStream, 'from', (iterable) => {
  const iterator = (iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator]).call(iterable);
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(await value);
      },
      async cancel(reason) {
        await iterator.return?.(reason);
      },
    },
    { highWaterMark: 0 },
  );
});

// The engine's own leaves work behind with which the next request never ends.
const BLOB_CHUNK = 64 * 1024;
Object.defineProperty(Blob.prototype, 'stream', {
  configurable: true,
  enumerable: true,
  writable: true,
  value: function stream() {
    let at = 0;
    return new ReadableStream({
      pull: async (controller) => {
        const part = this.slice(at, at + BLOB_CHUNK);
        at += part.size;
        if (part.size > 0) controller.enqueue(new Uint8Array(await part.arrayBuffer()));
        if (at >= this.size) controller.close();
      },
    });
  },
});

// The engine refuses every signal here.
const { pipeTo, pipeThrough } = ReadableStream.prototype;

async function pipeWithSignal(from, to, { preventClose, preventAbort, preventCancel, signal }) {
  const reader = from.getReader();
  const writer = to.getWriter();
  let stop;
  const aborted = new Promise((_, reject) => {
    stop = () => reject(signal.reason);
  });
  aborted.catch(() => {});
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  try {
    for (;;) {
      await Promise.race([writer.ready, aborted]);
      const { done, value } = await Promise.race([reader.read(), aborted]);
      if (done) break;
      // What fails is told by `ready` or `close`.
      writer.write(value).catch(() => {});
    }
    if (!preventClose) await Promise.race([writer.close(), aborted]);
  } catch (error) {
    // Whichever side failed, the other one is told.
    await Promise.all([
      preventAbort ? undefined : writer.abort(error).catch(() => {}),
      preventCancel ? undefined : reader.cancel(error).catch(() => {}),
    ]);
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    reader.releaseLock();
    writer.releaseLock();
  }
}

Object.defineProperties(ReadableStream.prototype, {
  pipeTo: {
    configurable: true,
    enumerable: true,
    writable: true,
    value: function (to, options) {
      if (options?.signal === undefined) return pipeTo.call(this, to, options);
      return pipeWithSignal(this, to, options);
    },
  },
  pipeThrough: {
    configurable: true,
    enumerable: true,
    writable: true,
    value: function (transform, options) {
      if (options?.signal === undefined) return pipeThrough.call(this, transform, options);
      pipeWithSignal(this, transform.writable, options).catch(() => {});
      return transform.readable;
    },
  },
});

class TextDecoderStream {
  #decoder;
  #transform;
  constructor(label, options) {
    const decoder = new TextDecoder(label, options);
    this.#decoder = decoder;
    this.#transform = new TransformStream({
      transform(chunk, controller) {
        const text = decoder.decode(chunk, { stream: true });
        if (text !== '') controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text !== '') controller.enqueue(text);
      },
    });
  }
  get encoding() {
    return this.#decoder.encoding;
  }
  get fatal() {
    return this.#decoder.fatal;
  }
  get ignoreBOM() {
    return this.#decoder.ignoreBOM;
  }
  get readable() {
    return this.#transform.readable;
  }
  get writable() {
    return this.#transform.writable;
  }
}

const isHigh = (unit) => unit >= 0xd800 && unit <= 0xdbff;

class TextEncoderStream {
  #transform;
  constructor() {
    const encoder = new TextEncoder();
    // The first half of a character whose other half comes with the next chunk.
    let half = '';
    this.#transform = new TransformStream({
      transform(chunk, controller) {
        let text = half + String(chunk);
        half = '';
        if (isHigh(text.charCodeAt(text.length - 1))) [text, half] = [text.slice(0, -1), text.at(-1)];
        if (text !== '') controller.enqueue(encoder.encode(text));
      },
      flush(controller) {
        if (half !== '') controller.enqueue(encoder.encode(half));
      },
    });
  }
  get encoding() {
    return 'utf-8';
  }
  get readable() {
    return this.#transform.readable;
  }
  get writable() {
    return this.#transform.writable;
  }
}

define(globalThis, 'TextDecoderStream', TextDecoderStream);
define(globalThis, 'TextEncoderStream', TextEncoderStream);
