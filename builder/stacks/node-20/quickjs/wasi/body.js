// Message bodies of wasi:http 0.3: streams of the host, read and written without the others waiting.
import { Request, Response } from 'wasi:http/types@0.3.0';
import { whenSettled } from '../loop/loop.js';
import { fieldsToList, listToFields } from './fields.js';

const READ_BYTES = 64 * 1024;
const WRITE_BYTES = 256 * 1024;
const OK = { tag: 'ok', val: null };

// The world has two types of futures; the binding's names for them tell what they carry.
const type = (wanted) => wit.Future.types[Object.keys(wit.Future.types).find((name) => wanted.test(name))];
const newTrailers = () => wit.Future(type(/OPTION/));
const newOutcome = () => wit.Future(type(/VOID/));

/** Reads an incoming body on demand. Callbacks are called in a later turn, never after `close`. */
export class BodyReader {
  #message;
  #stream;
  #trailers;
  #closed = false;

  /** Takes ownership of the `request`. */
  constructor(message) {
    this.#message = message;
  }

  /** Whether there may be a body. The host does not tell before it is read. */
  mayHaveData() {
    return true;
  }

  /**
   * Reads the next bytes: `done(error, bytes, trailers)`. `bytes` is null at the end, where `trailers` is a list of
   * [name, value] pairs.
   */
  read(done) {
    if (this.#stream === undefined) this.#open();
    whenSettled(this.#stream.read(READ_BYTES), (error, bytes) => {
      if (this.#closed) return this.#release();
      if (error !== undefined) return this.#end(done, error);
      if (bytes.length > 0) return done(undefined, bytes);
      whenSettled(this.#trailers.read(), (failed, result) => {
        if (this.#closed) return this.#release();
        if (failed !== undefined || result.tag === 'err') return this.#end(done, failed ?? new Error('the body broke off'));
        const fields = result.val ?? undefined;
        const trailers = fields === undefined ? [] : fieldsToList(fields);
        fields?.[Symbol.dispose]();
        this.close();
        this.#release();
        return done(undefined, null, trailers);
      });
      return undefined;
    });
  }

  /** Gives everything back to the host; what was not read is discarded. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#message?.[Symbol.dispose]();
    this.#message = undefined;
    this.#release();
  }

  #open() {
    const outcome = newOutcome();
    [this.#stream, this.#trailers] = Request.consumeBody(this.#message, outcome.readable);
    this.#message = undefined;
    outcome.writable.write(OK);
  }

  #end(done, error) {
    this.close();
    done(error);
  }

  // What is being read cannot be dropped; then its own callback does it.
  #release() {
    for (const end of [this.#stream, this.#trailers]) {
      try {
        end?.drop();
      } catch {
        return;
      }
    }
    this.#stream = undefined;
    this.#trailers = undefined;
  }
}

/** Writes an outgoing body as fast as the host takes it. */
export class BodyWriter {
  #stream;
  #trailers;
  #writing = false;
  #ended;

  constructor(stream, trailers) {
    this.#stream = stream;
    this.#trailers = trailers;
  }

  /** Writes all of `bytes`, then calls `done(error)`. One write at a time. */
  write(bytes, done) {
    let at = 0;
    this.#writing = true;
    const finish = (error) => {
      this.#writing = false;
      if (this.#ended !== undefined) this.#close(this.#ended);
      done(error);
    };
    const step = () => {
      if (at === bytes.length || this.#ended !== undefined) return finish();
      const part = bytes.subarray(at, at + WRITE_BYTES);
      whenSettled(this.#stream.write(part), (error, count) => {
        if (error !== undefined || count === 0) return finish(new Error('the other side closed the connection'));
        at += count;
        return step();
      });
      return undefined;
    };
    step();
  }

  /** Completes the body. */
  finish(trailers) {
    this.#close({ tag: 'ok', val: trailers.length > 0 ? listToFields(trailers) : null });
  }

  /** Breaks the body off: the other side sees that it is incomplete. */
  abort() {
    const broken = { tag: 'err', val: { tag: 'internal-error', val: 'the app broke the body off' } };
    if (this.#writing) {
      this.#ended = broken;
      this.#stream.cancelWrite();
    } else this.#close(broken);
  }

  #close(result) {
    this.#stream?.drop();
    this.#stream = undefined;
    this.#trailers?.write(result);
    this.#trailers = undefined;
  }
}

/** The host's response with what writes its body: `[response, writer]`. */
export function newResponse(pairs, hasBody) {
  const trailers = newTrailers();
  const body = hasBody ? wit.Stream(wit.Stream.U8) : undefined;
  const [response, sent] = Response.new(listToFields(pairs), body?.readable ?? null, trailers.readable);
  sent.drop();
  if (body !== undefined) return [response, new BodyWriter(body.writable, trailers.writable)];
  trailers.writable.write(OK);
  return [response, undefined];
}
