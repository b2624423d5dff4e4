// Tells which functions Node's modules have, for api-table.mjs.
'use strict';

const NAMES = [
  'assert', 'async_hooks', 'buffer', 'child_process', 'cluster', 'console', 'crypto', 'dgram', 'diagnostics_channel', 'dns',
  'dns/promises', 'events', 'fs', 'fs/promises', 'http', 'http2', 'https', 'module', 'net', 'os', 'path', 'perf_hooks',
  'process', 'punycode', 'querystring', 'readline', 'stream', 'stream/consumers', 'stream/promises', 'stream/web',
  'string_decoder', 'timers', 'timers/promises', 'tls', 'tty', 'url', 'util', 'util/types', 'v8', 'vm', 'worker_threads',
  'zlib',
];

// Whether it is there, and not only to throw. The class of what cannot be made says so by a static field.
const usable = (value) => typeof value === 'function' && value.__unenv__ !== true;

function functionsOf(name) {
  const module = require(name);
  return Object.fromEntries(
    Object.keys(module)
      .filter((key) => !key.startsWith('_') && usable(module[key]))
      .map((key) => [key, true]),
  );
}

// Those that apps import, as `module.function`: also what is reached through a module's prototype.
function isThere(names) {
  return names.filter((name) => {
    const at = name.lastIndexOf('.');
    return usable(require(name.slice(0, at))[name.slice(at + 1)]);
  });
}

require('http')
  .createServer(async (req, res) => {
    if (req.method === 'POST') {
      let text = '';
      for await (const part of req) text += part;
      res.end(JSON.stringify(isThere(JSON.parse(text))));
      return;
    }
    res.end(JSON.stringify(Object.fromEntries(NAMES.map((name) => [name, functionsOf(name)]))));
  })
  .listen(process.env.PORT);
