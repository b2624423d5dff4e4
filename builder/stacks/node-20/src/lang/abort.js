// AbortSignal's static functions on the app's own loop: the engine's timers would not be seen by it.
import { setTimeout } from '../loop/timers.js';

function abort(reason) {
  const controller = new AbortController();
  if (reason === undefined) controller.abort();
  else controller.abort(reason);
  return controller.signal;
}

function timeout(ms) {
  const controller = new AbortController();
  const expire = () => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
  setTimeout(expire, ms).unref();
  return controller.signal;
}

function any(signals) {
  const controller = new AbortController();
  const all = [...signals];
  const onAbort = (event) => stop(event.target.reason);
  const stop = (reason) => {
    for (const signal of all) signal.removeEventListener('abort', onAbort);
    controller.abort(reason);
  };
  const aborted = all.find((signal) => signal.aborted);
  if (aborted !== undefined) controller.abort(aborted.reason);
  else for (const signal of all) signal.addEventListener('abort', onAbort, { once: true });
  return controller.signal;
}

for (const [name, value] of Object.entries({ abort, any, timeout })) {
  Object.defineProperty(AbortSignal, name, { configurable: true, enumerable: true, writable: true, value });
}
