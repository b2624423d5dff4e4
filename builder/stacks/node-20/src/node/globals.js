// The globals that are Node's own, not the web's.
import buffer from './buffer.js';
import process from './process.js';
import console from './console.js';
import timers from '../loop/timers.js';

/** Defines a global as Node's are. */
export function define(name, value) {
  Object.defineProperty(globalThis, name, { configurable: true, enumerable: false, writable: true, value });
}

define('global', globalThis);
define('process', process);
define('Buffer', buffer.Buffer);
define('console', console);
for (const name of ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate']) {
  define(name, timers[name]);
}
