// Math.random made of the host's randomness. An engine seeds its own once, and every instance of a component, or of a
// snapshot, that has been evaluated before would go on with the same numbers.
const WORDS = 512;
const words = new Uint32Array(WORDS);
let next = WORDS;
const fill = crypto.getRandomValues.bind(crypto);

function random() {
  if (next + 2 > WORDS) {
    fill(words);
    next = 0;
  }
  // 53 bits, as many as a double below 1 has.
  return ((words[next++] >>> 5) * 67_108_864 + (words[next++] >>> 6)) / 9_007_199_254_740_992;
}

/** Puts it in the engine's place. */
export function replaceMathRandom() {
  Object.defineProperty(Math, 'random', { configurable: true, enumerable: false, writable: true, value: random });
}

/** The next numbers are new ones of the host's. */
export function forgetRandomNumbers() {
  next = WORDS;
}
