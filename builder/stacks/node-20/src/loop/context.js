// The async context: which stores of AsyncLocalStorage hold now. Timers, immediates and ticks keep the context of
// where they were set, and so do the callbacks of promises. The engine's own `await` cannot be followed: bundle.mjs makes
// apps that use AsyncLocalStorage wait by `then`.

let frame = new Map();

export const currentFrame = () => frame;

/** Replaces the frame without a way back, for `enterWith`. */
export function setFrame(next) {
  frame = next;
}

/** Calls `fn` in `next` and goes back. */
export function runInFrame(next, fn, self, args) {
  const previous = frame;
  frame = next;
  try {
    return Reflect.apply(fn, self, args);
  } finally {
    frame = previous;
  }
}

/** A function that calls `fn` in the context of now. */
export function keepFrame(fn) {
  const kept = frame;
  if (kept.size === 0) return fn;
  return function (...args) {
    return runInFrame(kept, fn, this, args);
  };
}

let following = false;

/** From now on the callbacks of promises keep the context of where they were given. */
export function followPromises() {
  if (following) return;
  following = true;
  const { then } = Promise.prototype;
  const kept = (fn) => (typeof fn === 'function' ? keepFrame(fn) : fn);
  Object.defineProperty(Promise.prototype, 'then', {
    configurable: true,
    enumerable: false,
    writable: true,
    value: {
      then(onFulfilled, onRejected) {
        return then.call(this, kept(onFulfilled), kept(onRejected));
      },
    }.then,
  });
}
