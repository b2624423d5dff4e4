// The global scope as Node has it. Imported first: everything else may use it.
import './lang/install.js';
import './lang/abort.js';
import './lang/inspect-web.js';
import './web/intl.js';
import './web/streams.js';
import './web/subtle.js';
import { encodeForm } from './web/form-data.js';
import { define } from './node/globals.js';
import { trackEngineWork } from './loop/loop.js';
import { startCall } from './loop/calls.js';
import { notInSnapshot } from './snapshot/phase.js';

// A browser's, and packages take their presence for a browser.
const NOT_IN_NODE = ['location', 'self', 'WorkerLocation', 'addEventListener', 'removeEventListener', 'dispatchEvent'];
for (const name of [...NOT_IN_NODE, 'Atomics']) delete globalThis[name];

const engineFetch = globalThis.fetch;
define('fetch', function fetch(input, init) {
  notInSnapshot(`it fetches ${input?.url ?? input}`);
  const end = startCall();
  const encoded = encodeForm(init);
  const response =
    encoded === init
      ? engineFetch.call(globalThis, input, init)
      : encoded.then((form) => engineFetch.call(globalThis, input, form));
  response.then(end, end);
  return trackEngineWork(response);
});

// A response's body is read by the engine, and a process does not end meanwhile.
for (const name of ['arrayBuffer', 'blob', 'json', 'text']) {
  const read = Response.prototype[name];
  Object.defineProperty(Response.prototype, name, {
    configurable: true,
    enumerable: true,
    writable: true,
    value: { [name]() { return trackEngineWork(read.call(this)); } }[name],
  });
}
