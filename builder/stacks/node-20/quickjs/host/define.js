/** Defines what the engine lacks of the global scope. */
export function define(values) {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(globalThis, name, { configurable: true, enumerable: false, writable: true, value });
  }
}
