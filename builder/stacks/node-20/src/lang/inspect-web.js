// How util.inspect shows the engine's web objects, whose properties are all on their prototypes.
import { inspect } from '../node/inspect.js';

const URL_PROPERTIES = [
  'href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'searchParams',
  'hash',
];

function define(Class, show) {
  Object.defineProperty(Class.prototype, inspect.custom, { configurable: true, writable: true, value: show });
}

function properties(Class, names) {
  define(Class, function (depth, options) {
    if (typeof depth === 'number' && depth < 0) return this;
    const plain = Object.fromEntries(names.map((name) => [name, this[name]]));
    return `${Class.name} ${inspect(plain, options)}`;
  });
}

properties(URL, URL_PROPERTIES);
properties(Response, ['status', 'statusText', 'headers', 'body', 'bodyUsed', 'ok', 'redirected', 'type', 'url']);
properties(Request, ['method', 'url', 'headers', 'body', 'bodyUsed', 'signal']);
properties(AbortSignal, ['aborted']);

define(URLSearchParams, function (depth, options) {
  const pairs = [...this].map(([name, value]) => `${inspect(name, options)} => ${inspect(value, options)}`);
  return pairs.length === 0 ? 'URLSearchParams {}' : `URLSearchParams { ${pairs.join(', ')} }`;
});

define(Headers, function (depth, options) {
  return `Headers ${inspect(Object.fromEntries(this), options)}`;
});
