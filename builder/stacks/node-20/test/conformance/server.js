// Runs one section of checks per request and answers with what it printed. The same file runs on Node and on the
// stack, and must answer the same.
'use strict';

const http = require('node:http');
const util = require('node:util');

const sections = {
  assert: require('./sections/assert.js'),
  async_hooks: require('./sections/async_hooks.js'),
  buffer: require('./sections/buffer.js'),
  crypto: require('./sections/crypto.js'),
  dns: require('./sections/dns.js'),
  errors: require('./sections/errors.js'),
  events: require('./sections/events.js'),
  fs: require('./sections/fs.js'),
  globals: require('./sections/globals.js'),
  http: require('./sections/http.js'),
  intl: require('./sections/intl.js'),
  net: require('./sections/net.js'),
  path: require('./sections/path.js'),
  process: require('./sections/process.js'),
  stream: require('./sections/stream.js'),
  timers: require('./sections/timers.js'),
  url: require('./sections/url.js'),
  util: require('./sections/util.js'),
  web: require('./sections/web.js'),
  zlib: require('./sections/zlib.js'),
};

async function run(section, context) {
  const lines = [];
  const show = (value) => (typeof value === 'string' ? value : util.inspect(value, { depth: 6, breakLength: 110 }));
  const check = async (name, call) => {
    let result;
    try {
      result = show(await call());
    } catch (error) {
      result = `throws ${error?.name} ${error?.code ?? ''} ${error?.message ?? error}`;
    }
    lines.push(`${name}: ${result}`);
  };
  await section(check, context);
  return lines.join('\n');
}

const server = http.createServer(async (req, res) => {
  const name = new URL(req.url, 'http://app').pathname.slice(1);
  const section = sections[name.split('/')[0]];
  if (section === undefined) {
    res.writeHead(404).end();
    return;
  }
  const text = await run(section, { req, res });
  if (!res.writableEnded) res.end(text);
});

server.listen(process.env.PORT);
