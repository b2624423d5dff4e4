// node:events: the maintained `events` package, with what newer Node versions added.
import EventEmitter from 'events/events.js';
import { inspect } from './inspect.js';
import { abortError, codedError, invalidArgType } from '../lang/codes.js';

const errorMonitor = Symbol('events.errorMonitor');
const captureRejectionSymbol = Symbol.for('nodejs.rejection');

const emit = EventEmitter.prototype.emit;
EventEmitter.prototype.emit = function (type, ...args) {
  if (type === 'error') {
    if (this._events?.[errorMonitor] !== undefined) emit.call(this, errorMonitor, ...args);
    if (this._events?.error === undefined && !(args[0] instanceof Error)) throw unhandled(args[0]);
  }
  return emit.call(this, type, ...args);
};

function unhandled(value) {
  const error = codedError(Error, 'ERR_UNHANDLED_ERROR', `Unhandled error. (${inspect(value)})`);
  error.context = value;
  return error;
}

const listenerCount = EventEmitter.prototype.listenerCount;
EventEmitter.prototype.listenerCount = function (type, listener) {
  if (listener === undefined) return listenerCount.call(this, type);
  return this.listeners(type).filter((other) => other === listener).length;
};

/** An async iterator over the arguments of each event. */
function on(emitter, event, options = {}) {
  const { signal } = options;
  if (signal?.aborted) throw abortError(signal);
  const arrived = [];
  const waiting = [];
  let failure;
  let finished = false;
  const settle = (result) => (waiting.length > 0 ? waiting.shift().resolve(result) : arrived.push(result));
  const onEvent = (...args) => settle({ value: args, done: false });
  const fail = (error) => {
    if (waiting.length > 0) waiting.shift().reject(error);
    else failure = error;
    iterator.return();
  };
  const onAbort = () => fail(abortError(signal));
  const onClose = () => iterator.return();
  const iterator = {
    next() {
      if (arrived.length > 0) return Promise.resolve(arrived.shift());
      if (failure !== undefined) {
        const error = failure;
        failure = undefined;
        return Promise.reject(error);
      }
      if (finished) return Promise.resolve({ value: undefined, done: true });
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    return() {
      finished = true;
      emitter.removeListener(event, onEvent);
      emitter.removeListener('error', fail);
      for (const name of options.close ?? []) emitter.removeListener(name, onClose);
      signal?.removeEventListener('abort', onAbort);
      for (const { resolve } of waiting.splice(0)) resolve({ value: undefined, done: true });
      return Promise.resolve({ value: undefined, done: true });
    },
    throw(error) {
      fail(error);
      return Promise.resolve({ value: undefined, done: true });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
  emitter.on(event, onEvent);
  if (event !== 'error') emitter.on('error', fail);
  for (const name of options.close ?? []) emitter.on(name, onClose);
  signal?.addEventListener('abort', onAbort, { once: true });
  return iterator;
}

const packageOnce = EventEmitter.once;
function once(emitter, event, options = {}) {
  const { signal } = options;
  if (signal?.aborted) return Promise.reject(abortError(signal));
  if (signal === undefined) return packageOnce(emitter, event);
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    packageOnce(emitter, event)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function addAbortListener(signal, listener) {
  if (signal === undefined) throw invalidArgType('signal', 'an instance of AbortSignal', signal);
  if (signal.aborted) queueMicrotask(() => listener());
  else signal.addEventListener('abort', listener, { once: true });
  return {
    [Symbol.dispose]() {
      signal.removeEventListener('abort', listener);
    },
  };
}

function setMaxListeners(count, ...targets) {
  if (targets.length === 0) EventEmitter.defaultMaxListeners = count;
  for (const target of targets) target.setMaxListeners?.(count);
}

class EventEmitterAsyncResource extends EventEmitter {}

export default Object.assign(EventEmitter, {
  EventEmitter,
  EventEmitterAsyncResource,
  errorMonitor,
  captureRejectionSymbol,
  captureRejections: false,
  on,
  once,
  addAbortListener,
  setMaxListeners,
  getEventListeners: (emitter, event) => emitter.listeners?.(event) ?? [],
  getMaxListeners: (emitter) => emitter.getMaxListeners?.() ?? EventEmitter.defaultMaxListeners,
  usingDomains: false,
});
