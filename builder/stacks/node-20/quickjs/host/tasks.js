// What the host works on for this instance, and the one rule of its calls.
//
// Each request is a task of the host's, and the engine's bindings know one task at a time: the one whose event the host
// has brought. What JavaScript begins meanwhile belongs to that task, whichever request it is for, and so does the
// response of an exported function whose promise is resolved meanwhile. So a request's promise may only be resolved
// by an event of its own task. A `Bell` is such an event: a stream of the instance to itself, read by the task and written
// by whoever has the response.

const RING = new Uint8Array(1);
// Streams that are not in use, kept because making one costs two calls of the host.
const idle = [];

/** Rung once, it brings an event to the task that made it. */
export class Bell {
  #stream = idle.pop() ?? wit.Stream(wit.Stream.U8);
  #rung = this.#stream.readable.read(1);

  /** Resolves when the bell has rung, in the task that made it. */
  heard() {
    return this.#rung.then(() => void idle.push(this.#stream));
  }

  ring() {
    // Taken at once, because it is being read.
    this.#stream.writable.write(RING);
  }
}

let turning;

/** Resolves in an event of its own, when every promise that can go on has gone on. */
export function turn() {
  if (turning === undefined) {
    const bell = new Bell();
    turning = bell.heard().then(() => {
      turning = undefined;
    });
    bell.ring();
  }
  return turning;
}
