// Reading and writing message bodies of wasi:http without blocking the app's other work.
import { IncomingBody, OutgoingBody } from 'wasi:http/types@0.2.10';
import { whenReady } from '../loop/loop.js';
import { fieldsToList, listToFields } from './fields.js';
import { StreamWriter, readNow } from './streams.js';

/** Reads an incoming body on demand. Callbacks are called at once or in a later turn, never after `close`. */
export class BodyReader {
  #body;
  #stream;
  #cancel;
  #first;

  /** Takes ownership of the `incoming-body`. */
  constructor(body) {
    this.#body = body;
    this.#stream = body.stream();
  }

  /** Whether there is, or may yet be, a body. Looks without waiting; what it reads is kept for `read`. */
  mayHaveData() {
    const pollable = this.#stream.subscribe();
    const ready = pollable.ready();
    pollable[Symbol.dispose]();
    if (!ready) return true;
    this.#first = readNow(this.#stream);
    return this.#first.bytes !== null || this.#first.error !== undefined;
  }

  /**
   * Reads the next bytes: `done(error, bytes, trailers)`. `bytes` is null at the end, where `trailers` is a list of
   * [name, value] pairs.
   */
  read(done) {
    const next = this.#first ?? readNow(this.#stream);
    this.#first = undefined;
    if (next.error !== undefined) {
      this.close();
      return done(next.error);
    }
    if (next.bytes === null) return this.#finish(done);
    if (next.bytes.length > 0) return done(undefined, next.bytes);
    this.#cancel = whenReady(this.#stream.subscribe(), () => {
      this.#cancel = undefined;
      this.read(done);
    });
  }

  /** Gives everything back to the host; what was not read is discarded. */
  close() {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#stream?.[Symbol.dispose]();
    this.#stream = undefined;
    this.#body?.[Symbol.dispose]();
    this.#body = undefined;
  }

  #finish(done) {
    this.#stream[Symbol.dispose]();
    this.#stream = undefined;
    const body = this.#body;
    this.#body = undefined;
    const future = IncomingBody.finish(body);
    const take = () => {
      const result = future.get();
      if (result === undefined) {
        this.#cancel = whenReady(future.subscribe(), take);
        return;
      }
      future[Symbol.dispose]();
      this.#cancel = undefined;
      const fields = result.tag === 'ok' && result.val.tag === 'ok' ? result.val.val : undefined;
      if (fields === undefined) return done(undefined, null, []);
      const trailers = fieldsToList(fields);
      fields[Symbol.dispose]();
      done(undefined, null, trailers);
    };
    take();
  }
}

/** Writes an outgoing body as fast as the host takes it. */
export class BodyWriter {
  #body;
  #writer;

  /** Takes ownership of the `outgoing-body`. */
  constructor(body) {
    this.#body = body;
    this.#writer = new StreamWriter(body.write());
  }

  /** Writes all of `bytes`, then calls `done(error)`. One write at a time. */
  write(bytes, done) {
    this.#writer.write(bytes, done);
  }

  /** Completes the body; throws the host's reason when it does not match its content-length. */
  finish(trailers) {
    this.#writer.close();
    const body = this.#body;
    this.#body = undefined;
    OutgoingBody.finish(body, trailers.length > 0 ? listToFields(trailers) : undefined);
  }

  /** Breaks the body off: the other side sees that it is incomplete. */
  abort() {
    this.#writer.close();
    this.#body?.[Symbol.dispose]();
    this.#body = undefined;
  }
}
