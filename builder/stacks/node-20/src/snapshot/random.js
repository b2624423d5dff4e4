// Randomness and snapshots. The engine seeds Math.random once, and all dynos of a snapshot would go on with the same
// numbers; so an app that is evaluated for one gets a Math.random made of the host's randomness. Secure randomness
// (keys, tokens, UUIDs) is refused while the snapshot is made: it would be in the slug, and the same in each dyno.
import { afterThaw, isEvaluating, notInSnapshot } from './phase.js';

const WORDS = 512;
const words = new Uint32Array(WORDS);
let next = WORDS;

function random() {
  if (next + 2 > WORDS) {
    fill(words);
    next = 0;
  }
  // 53 bits, as many as a double below 1 has.
  return ((words[next++] >>> 5) * 67_108_864 + (words[next++] >>> 6)) / 9_007_199_254_740_992;
}

const { crypto } = globalThis;
const getRandomValues = crypto.getRandomValues.bind(crypto);
const randomUUID = crypto.randomUUID.bind(crypto);
let fill = getRandomValues;

/** Puts them in place; what the app keeps of them while it is evaluated works afterwards. */
export function replaceRandom() {
  const define = (object, name, value) => Object.defineProperty(object, name, { configurable: true, enumerable: false, writable: true, value });
  define(Math, 'random', random);
  const guarded = (name, call) => ({
    [name](...args) {
      if (isEvaluating()) notInSnapshot('it asks for secure random numbers (node:crypto, crypto.getRandomValues or crypto.randomUUID)');
      return call(...args);
    },
  })[name];
  define(crypto, 'getRandomValues', guarded('getRandomValues', getRandomValues));
  define(crypto, 'randomUUID', guarded('randomUUID', randomUUID));
  afterThaw(() => {
    next = WORDS;
  });
}
