// Randomness and snapshots. All dynos of a snapshot would go on with the engine's same numbers; so an app that is
// evaluated for one gets another Math.random. Secure randomness (keys, tokens, UUIDs) is refused while the snapshot is
// made: it would be in the slug, and the same in each dyno.
import { forgetRandomNumbers, replaceMathRandom } from '../lang/math-random.js';
import { afterThaw, isEvaluating, notInSnapshot } from './phase.js';

const { crypto } = globalThis;
const getRandomValues = crypto.getRandomValues.bind(crypto);
const randomUUID = crypto.randomUUID.bind(crypto);

/** Puts them in place; what the app keeps of them while it is evaluated works afterwards. */
export function replaceRandom() {
  const define = (object, name, value) => Object.defineProperty(object, name, { configurable: true, enumerable: false, writable: true, value });
  replaceMathRandom();
  const guarded = (name, call) => ({
    [name](...args) {
      if (isEvaluating()) notInSnapshot('it asks for secure random numbers (node:crypto, crypto.getRandomValues or crypto.randomUUID)');
      return call(...args);
    },
  })[name];
  define(crypto, 'getRandomValues', guarded('getRandomValues', getRandomValues));
  define(crypto, 'randomUUID', guarded('randomUUID', randomUUID));
  afterThaw(forgetRandomNumbers);
}
