// An HTTP server that apps under test call: `node upstream.js ADDRESS PORT`.
const { createHash } = require('node:crypto');
const http = require('node:http');

const [address, port] = process.argv.slice(2);

const routes = {
  '/hello': (req, res, url) => {
    res.writeHead(200, { 'content-type': 'text/plain', 'set-cookie': ['a=1', 'b=2'] });
    res.end(`hello ${url.searchParams.get('from')}`);
  },
  '/digest': async (req, res) => {
    const hash = createHash('sha256');
    for await (const part of req) hash.update(part);
    res.end(hash.digest('hex'));
  },
  '/parts': async (req, res) => {
    for (let i = 0; i < 100; i++) {
      if (!res.write(`${i}:${'x'.repeat(10_000)}\n`)) await new Promise((resolve) => res.once('drain', resolve));
    }
    res.end();
  },
};

http
  .createServer((req, res) => {
    const url = new URL(req.url, 'http://upstream');
    routes[url.pathname](req, res, url);
  })
  .listen(Number(port), address);
