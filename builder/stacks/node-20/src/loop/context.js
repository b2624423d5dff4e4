// The async context: which stores of AsyncLocalStorage hold now. Timers, immediates and ticks keep the context of
// where they were set; the engine's own `await` cannot be followed, so after it the context is the callback's.

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
