// setTimeout and its family with Node's objects (ref, unref, refresh, hasRef) on the loop.
import { addTimer, restartTimer, removeTimer, timerById, addImmediate } from './work.js';
import { abortError, invalidArgType } from '../lang/codes.js';
import { keepFrame } from './context.js';

const MAX_MS = 2 ** 31 - 1;
const promisified = Symbol.for('nodejs.util.promisify.custom');

class Timeout {
  constructor(callback, ms, args, repeat) {
    if (typeof callback !== 'function') throw invalidArgType('callback', 'of type function', callback);
    let delay = Number(ms);
    if (!(delay >= 1 && delay <= MAX_MS)) delay = 1;
    callback = keepFrame(callback);
    this._onTimeout = callback;
    this._repeat = repeat ? delay : null;
    this._destroyed = false;
    Object.defineProperty(this, 'timer', {
      value: {
        ms: Math.trunc(delay),
        repeat,
        refed: true,
        callback: () => {
          if (!repeat) this._destroyed = true;
          return callback.apply(this, args);
        },
      },
    });
    addTimer(this.timer);
  }
  ref() {
    this.timer.refed = true;
    return this;
  }
  unref() {
    this.timer.refed = false;
    return this;
  }
  hasRef() {
    return this.timer.refed;
  }
  refresh() {
    this._destroyed = false;
    restartTimer(this.timer);
    return this;
  }
  close() {
    clearTimeout(this);
    return this;
  }
  [Symbol.toPrimitive]() {
    return this.timer.id;
  }
  [Symbol.dispose]() {
    clearTimeout(this);
  }
}

class Immediate {
  constructor(callback, args) {
    if (typeof callback !== 'function') throw invalidArgType('callback', 'of type function', callback);
    callback = keepFrame(callback);
    Object.defineProperty(this, 'entry', {
      value: { refed: true, done: false, callback: () => callback.apply(this, args) },
    });
    addImmediate(this.entry);
  }
  ref() {
    this.entry.refed = true;
    return this;
  }
  unref() {
    this.entry.refed = false;
    return this;
  }
  hasRef() {
    return this.entry.refed;
  }
  [Symbol.dispose]() {
    clearImmediate(this);
  }
}

export function setTimeout(callback, ms, ...args) {
  return new Timeout(callback, ms, args, false);
}

export function setInterval(callback, ms, ...args) {
  return new Timeout(callback, ms, args, true);
}

export function setImmediate(callback, ...args) {
  return new Immediate(callback, args);
}

export function clearTimeout(timeout) {
  if (timeout instanceof Timeout) {
    timeout._destroyed = true;
    removeTimer(timeout.timer.id);
  } else if (typeof timeout === 'number' || typeof timeout === 'string') {
    if (timerById(Number(timeout)) !== undefined) removeTimer(Number(timeout));
  }
}

export const clearInterval = clearTimeout;

export function clearImmediate(immediate) {
  if (immediate instanceof Immediate) immediate.entry.done = true;
}

// A promise of `start`'s callback that an AbortSignal can end.
function cancellable(start, stop, value, options = {}) {
  const { signal, ref = true } = options;
  if (signal?.aborted) return Promise.reject(abortError(signal));
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      stop(handle);
      reject(abortError(signal));
    };
    const handle = start(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve(value);
    });
    if (!ref) handle.unref();
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** node:timers/promises */
export const promises = {
  setTimeout: (ms, value, options) => cancellable((done) => setTimeout(done, ms), clearTimeout, value, options),
  setImmediate: (value, options) => cancellable((done) => setImmediate(done), clearImmediate, value, options),
  async *setInterval(ms, value, options) {
    for (;;) yield await promises.setTimeout(ms, value, options);
  },
  scheduler: {
    wait: (ms, options) => promises.setTimeout(ms, undefined, options),
    yield: () => promises.setImmediate(),
  },
};

Object.defineProperty(setTimeout, promisified, { enumerable: true, get: () => promises.setTimeout });
Object.defineProperty(setImmediate, promisified, { enumerable: true, get: () => promises.setImmediate });

/** node:timers */
export default {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  setImmediate,
  clearImmediate,
  promises,
};
