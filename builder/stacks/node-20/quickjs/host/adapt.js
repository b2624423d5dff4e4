// Makes the engine's bindings of WASI 0.2 what the stack's sources expect of bindings: numbers of 64 bits may be
// BigInts, nothing is `undefined`, and what the host refuses is thrown with a `payload`.

function plain(value) {
  if (typeof value === 'bigint') return Number(value);
  // A record or a case with one in it; everything else has a prototype of its own.
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
}

/** A function that calls `fn` so. */
export function adapted(fn) {
  return function (...args) {
    let result;
    try {
      result = Reflect.apply(fn, this, args.map(plain));
    } catch (reason) {
      // An error of JavaScript is one of the bindings themselves.
      throw reason instanceof Error ? reason : Object.assign(new Error(`the host said: ${text(reason)}`), { payload: reason });
    }
    return result ?? undefined;
  };
}

const text = (reason) => (typeof reason === 'string' ? reason : String(reason?.tag));

/** Adapts the methods of resources of the host, in place. */
export function adaptResources(...classes) {
  for (const { prototype } of classes) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name !== 'constructor' && typeof prototype[name] === 'function') prototype[name] = adapted(prototype[name]);
    }
  }
}
