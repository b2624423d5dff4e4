// Byte streams of the host without blocking the app's other work.
import { whenReady } from '../loop/loop.js';
import { hostError } from './errors.js';

const READ_BYTES = 64 * 1024;

/** Reads what is there: `{ bytes }` (empty when nothing is), `{ bytes: null }` at the end, `{ error }`. */
export function readNow(stream) {
  try {
    return { bytes: stream.read(BigInt(READ_BYTES)) };
  } catch (error) {
    const reason = hostError(error);
    if (reason.tag === 'closed') return { bytes: null };
    const text = reason.val?.toDebugString?.() ?? 'the stream broke off';
    reason.val?.[Symbol.dispose]?.();
    return { error: new Error(text) };
  }
}

/** Writes to an `output-stream` as fast as the host takes it. */
export class StreamWriter {
  #stream;
  #cancel;

  /** Takes ownership of the stream. */
  constructor(stream) {
    this.#stream = stream;
  }

  /** Writes all of `bytes`, then calls `done(error)`. One write at a time. */
  write(bytes, done) {
    let at = 0;
    const step = () => {
      this.#cancel = undefined;
      try {
        while (at < bytes.length) {
          const room = Number(this.#stream.checkWrite());
          if (room === 0) {
            this.#cancel = whenReady(this.#stream.subscribe(), step);
            return;
          }
          const part = at === 0 && room >= bytes.length ? bytes : bytes.subarray(at, at + room);
          this.#stream.write(part);
          at += part.length;
        }
      } catch (error) {
        const reason = hostError(error);
        reason.val?.[Symbol.dispose]?.();
        return done(new Error('the other side closed the connection'));
      }
      try {
        this.#stream.flush();
      } catch (error) {
        // What was taken is written, as when Node has given it to the kernel: a client may have read all of a response
        // and left before this. One that left too early shows at the next write.
        hostError(error).val?.[Symbol.dispose]?.();
      }
      done();
    };
    step();
  }

  /** Gives the stream back to the host. */
  close() {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#stream?.[Symbol.dispose]();
    this.#stream = undefined;
  }
}
