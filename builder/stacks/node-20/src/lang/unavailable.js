// What a Wasm dyno cannot do fails with an error that names the API, and never hangs. unenv's own helper is replaced
// by this module when the stack is built, so its placeholders say the same.

const STACK = 'wpaas (stack node-20)';

const REASONS = {
  child_process: 'a dyno is one sandboxed WebAssembly process and cannot start others',
  cluster: 'a dyno is one process; scale out with `wpaas ps:scale web=N`',
  worker_threads: 'a dyno has one thread; scale out with `wpaas ps:scale web=N`',
  dgram: 'a dyno has no UDP sockets',
  inspector: 'the engine has no inspector',
  dns: 'a dyno has no UDP sockets; dns.lookup works',
  net: 'a dyno is reached by HTTP only, and opens TCP connections to hosts and ports',
  tls: 'TLS is done by the host, for node:https and fetch; connect without TLS, or by HTTPS',
  http2: 'the router speaks HTTP/2 to clients and HTTP/1.1 to the app; use node:http',
  repl: 'a dyno has no terminal',
  vm: 'the engine has one global scope',
};

/** The error for an API that the stack does not have; `name` as in `child_process.spawn`. */
export function createNotImplementedError(name) {
  const reason = REASONS[name.split(/[./]/)[0]] ?? 'the engine does not have it';
  const error = new Error(`${name} is not available on ${STACK}: ${reason}`);
  error.code = 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM';
  return error;
}

/** A function that throws the error when it is called or constructed. */
export function notImplemented(name) {
  const fn = function () {
    throw createNotImplementedError(name);
  };
  Object.defineProperty(fn, 'name', { value: name.slice(name.lastIndexOf('.') + 1) });
  return Object.assign(fn, { __unenv__: true });
}

/** As {@link notImplemented}, with the `__promisify__` that some packages look for. */
export function notImplementedAsync(name) {
  const fn = notImplemented(name);
  fn.__promisify__ = () => notImplemented(`${name}.__promisify__`);
  fn.native = fn;
  return fn;
}

/** A class that can be extended, and throws the error when constructed. */
export function notImplementedClass(name) {
  return class {
    static __unenv__ = true;
    constructor() {
      throw createNotImplementedError(name);
    }
  };
}

/** A module whose listed functions all throw; `extra` holds what does work. */
export function unavailableModule(name, functions, extra = {}) {
  const module = {};
  for (const fn of functions) module[fn] = notImplemented(`${name}.${fn}`);
  return Object.assign(module, extra);
}
