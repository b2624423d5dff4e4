// The little of `process` that readable-stream uses. The whole object is made of streams, so it cannot be this one.
import { nextTick } from './ticks.js';

export default {
  nextTick,
  get stdout() {
    return globalThis.process.stdout;
  },
  get stderr() {
    return globalThis.process.stderr;
  },
};
