// Runs one section of checks per request and answers with what it printed. The same file runs on Node and on the
// stack, and must answer the same.
'use strict';

require('./serve-sections.js')({
  assert: require('./sections/assert.js'),
  buffer: require('./sections/buffer.js'),
  ciphers: require('./sections/ciphers.js'),
  crypto: require('./sections/crypto.js'),
  dns: require('./sections/dns.js'),
  errors: require('./sections/errors.js'),
  events: require('./sections/events.js'),
  fs: require('./sections/fs.js'),
  globals: require('./sections/globals.js'),
  http: require('./sections/http.js'),
  intl: require('./sections/intl.js'),
  keys: require('./sections/keys.js'),
  net: require('./sections/net.js'),
  path: require('./sections/path.js'),
  process: require('./sections/process.js'),
  readline: require('./sections/readline.js'),
  stream: require('./sections/stream.js'),
  timers: require('./sections/timers.js'),
  url: require('./sections/url.js'),
  util: require('./sections/util.js'),
  web: require('./sections/web.js'),
  zlib: require('./sections/zlib.js'),
});
