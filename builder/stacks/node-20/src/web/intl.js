// Intl, which the engine is built without. It is as large as all the rest of the stack together, so it is kept as a text
// and evaluated when an app first needs it.
import polyfill from 'script:web/intl-polyfill.js';

const FUNCTIONS = [
  [Date.prototype, ['toLocaleString', 'toLocaleDateString', 'toLocaleTimeString']],
  [Number.prototype, ['toLocaleString']],
];
const engine = FUNCTIONS.map(([object, names]) => names.map((name) => Object.getOwnPropertyDescriptor(object, name)));

function load() {
  // The polyfill puts its own in place of these.
  for (const [at, [object, names]] of FUNCTIONS.entries()) {
    for (const [index, name] of names.entries()) Object.defineProperty(object, name, engine[at][index]);
  }
  Object.defineProperty(globalThis, 'Intl', { configurable: true, enumerable: false, writable: true, value: {} });
  (0, eval)(polyfill);
}

Object.defineProperty(globalThis, 'Intl', {
  configurable: true,
  enumerable: false,
  get() {
    load();
    return globalThis.Intl;
  },
  set(value) {
    Object.defineProperty(globalThis, 'Intl', { configurable: true, enumerable: false, writable: true, value });
  },
});

for (const [object, names] of FUNCTIONS) {
  for (const name of names) {
    const { [name]: lazily } = {
      [name](...args) {
        load();
        return object[name].apply(this, args);
      },
    };
    Object.defineProperty(object, name, { configurable: true, enumerable: false, writable: true, value: lazily });
  }
}
