// process.nextTick: the queue that runs after the current callback and before promises go on.
import { uncaught } from '../boot/fatal.js';
import { invalidArgType } from '../lang/codes.js';
import { keepFrame } from './context.js';

let queue = [];
let draining = false;
let scheduled = false;

/** Queues `callback` to run before the event loop goes on. */
export function nextTick(callback, ...args) {
  if (typeof callback !== 'function') {
    throw invalidArgType('callback', 'of type function', callback);
  }
  callback = keepFrame(callback);
  queue.push(args.length === 0 ? callback : () => callback(...args));
  if (!draining && !scheduled) {
    scheduled = true;
    queueMicrotask(drainTicks);
  }
}

/** Runs everything queued, also what is queued meanwhile. The loop calls it after each callback, as Node does. */
export function drainTicks() {
  scheduled = false;
  if (draining) return;
  draining = true;
  while (queue.length > 0) {
    const batch = queue;
    queue = [];
    for (let i = 0; i < batch.length; i++) {
      try {
        batch[i]();
      } catch (error) {
        // What is left of the batch must still run if the app survives the exception.
        queue = batch.slice(i + 1).concat(queue);
        draining = false;
        uncaught(error, 'uncaughtException');
        draining = true;
        break;
      }
    }
  }
  draining = false;
}
