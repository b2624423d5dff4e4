// http.request and fetch of an app on the stack, against a server of this process.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { makeApp } from './app.mjs';
import { bundle, onStack } from './host.mjs';

const SERVER = `
const http = require('node:http');
const { text } = require('node:stream/consumers');
const upstream = process.env.UPSTREAM;
const routes = {
  '/': (req, res) => res.end(),
  '/get': (req, res) => http.get(upstream + '/hello?a=b', { headers: { 'X-One': '1' } }, async (answer) => {
    res.end(JSON.stringify([answer.statusCode, answer.headers['x-answer'], answer.headers['set-cookie'], await text(answer)]));
  }),
  '/post': (req, res) => {
    const out = http.request(upstream + '/echo', { method: 'POST' }, (answer) => answer.pipe(res));
    req.pipe(out);
  },
  '/length': (req, res) => {
    const out = http.request(upstream + '/headers', { method: 'PUT' }, (answer) => answer.pipe(res));
    out.end('hello');
  },
  '/refused': (req, res) => http.get('http://127.0.0.1:1/').on('error', (error) => res.end(error.code)),
  '/timeout': (req, res) => {
    const seen = [];
    const out = http.get(upstream + '/silent', { timeout: 20 });
    out.on('timeout', () => { seen.push('timeout'); out.destroy(); });
    out.on('error', (error) => seen.push(error.code));
    out.on('close', () => res.end(seen.join(' ')));
  },
  '/abort': (req, res) => {
    const controller = new AbortController();
    http.get(upstream + '/silent', { signal: controller.signal }).on('error', (error) => res.end(error.name + ' ' + error.code));
    setTimeout(() => controller.abort(), 5);
  },
  '/both': (req, res) => {
    let done = 0;
    for (const path of ['/hello', '/hello']) http.get(upstream + path, (answer) => answer.resume().on('end', () => ++done === 2 && res.end('two')));
  },
  '/forget': (req, res) => { http.get(upstream + '/forgotten', (answer) => answer.resume()); res.end('sent'); },
  '/bad': (req, res) => { try { http.get('ftp://x/'); } catch (error) { res.end(error.code); } },
};
http.createServer((req, res) => routes[req.url](req, res)).listen(process.env.PORT);
`;

let upstream;
let stack;
const asked = [];

before(async () => {
  upstream = createServer(async (req, res) => {
    asked.push(req.url);
    if (req.url === '/silent') return;
    if (req.url === '/echo') return void req.pipe(res);
    if (req.url === '/headers') {
      for await (const _ of req);
      return void res.end(JSON.stringify([req.method, req.headers['content-length'], req.headers['transfer-encoding']]));
    }
    res.writeHead(203, { 'X-Answer': 'yes', 'Set-Cookie': 'a=1' });
    res.end(`${req.method} ${req.url} ${req.headers['x-one']}`);
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const app = await makeApp({ 'server.js': SERVER });
  const { status, stderr } = await bundle(app);
  assert.equal(status, 0, stderr);
  stack = await onStack(app, { UPSTREAM: `http://127.0.0.1:${upstream.address().port}` });
});

after(async () => {
  await stack?.stop();
  upstream.closeAllConnections();
  upstream.close();
});

const ask = async (path, options) => (await fetch(stack.url + path, options)).text();

test('GET', async () => {
  assert.deepEqual(JSON.parse(await ask('/get')), [203, 'yes', ['a=1'], 'GET /hello?a=b 1']);
});

test('POST streams 1 MB there and back', async () => {
  const body = randomBytes(1_000_000);
  const response = await fetch(`${stack.url}/post`, { method: 'POST', body });
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(body));
});

test('a body given to end has a length', async () => {
  assert.deepEqual(JSON.parse(await ask('/length')).slice(0, 2), ['PUT', '5']);
});

test('a refused connection', async () => {
  assert.equal(await ask('/refused'), 'ECONNREFUSED');
});

test('a timeout', async () => {
  assert.equal(await ask('/timeout'), 'timeout ECONNRESET');
});

test('an abort', async () => {
  assert.equal(await ask('/abort'), 'AbortError ABORT_ERR');
});

test('two requests at once', async () => {
  assert.equal(await ask('/both'), 'two');
});

test('a request that is not waited for is sent', async () => {
  assert.equal(await ask('/forget'), 'sent');
  assert.equal(await ask('/'), '');
  assert.ok(asked.includes('/forgotten'));
});

test('a protocol that there is not', async () => {
  assert.equal(await ask('/bad'), 'ERR_INVALID_PROTOCOL');
});
