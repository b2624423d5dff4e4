// An app on the stack: bodies, streams, statuses without a body, and how dynos fail.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { makeApp } from './app.mjs';
import { bundle, onStack } from './host.mjs';

const SERVER = `
const http = require('node:http');
const fs = require('node:fs');
const routes = {
  '/': (req, res) => res.end('hello'),
  '/echo': (req, res) => { res.setHeader('content-type', req.headers['content-type']); req.pipe(res); },
  '/events': (req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    let id = 0;
    const timer = setInterval(() => {
      res.write('data: ' + ++id + '\\n\\n');
      if (id === 3) { clearInterval(timer); res.end(); }
    }, 5);
  },
  '/no-content': (req, res) => { res.writeHead(204, { 'content-length': '5' }); res.end('hello'); },
  '/not-modified': (req, res) => { res.statusCode = 304; res.setHeader('etag', '"x"'); res.end('body'); },
  '/length': (req, res) => { res.setHeader('Content-Length', 11); res.end('hello world'); },
  '/file': (req, res) => fs.createReadStream(__filename).pipe(res),
  '/big': (req, res) => {
    const part = Buffer.alloc(65536, 'x');
    let left = 320;
    const more = () => {
      while (left-- > 0) if (!res.write(part)) return res.once('drain', more);
      res.end();
    };
    more();
  },
  '/finish': (req, res) => { res.on('finish', () => console.log('finished')).on('close', () => console.log('closed')); res.end('x'); },
  '/console': (req, res) => { console.log('%s is %d', 'a', 1, { b: [2] }); console.error(new Error('shown')); res.end(); },
  '/spawn': (req, res) => { const name = 'node:child_process'; require(name).spawn('ls'); },
  '/throw': () => { throw new Error('sync boom'); },
  '/reject': async () => { await null; throw new Error('async boom'); },
  '/forgotten': () => {},
  '/lost': () => { (async function lost() { await null; null.x; })(); },
  '/handled': (req, res) => {
    const promise = Promise.reject(new Error('caught late'));
    process.nextTick(() => promise.catch((error) => res.end(error.message)));
  },
  '/exit': () => process.exit(0),
};
const server = http.createServer((req, res) => routes[req.url](req, res));
server.listen(process.env.PORT, () => console.log('listening on', server.address().port));
`;

let app;
let stack;

before(async () => {
  app = await makeApp({ 'server.js': SERVER });
  const { status, stderr } = await bundle(app);
  assert.equal(status, 0, stderr);
  stack = await onStack(app, {});
});
after(() => stack?.stop());

function ask(path, options = {}) {
  return new Promise((resolve, reject) => {
    const message = request(`${stack.url}${path}`, options, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks), chunks });
      });
    });
    message.on('error', reject);
    message.end(options.body);
  });
}

/** Starts an app that cannot be started; what it left in the log. */
async function failedBoot(files, options) {
  const broken = await makeApp(files);
  const { status, stderr } = await bundle(broken);
  assert.equal(status, 0, stderr);
  let started;
  try {
    started = await onStack(broken, {}, 'server.js', options);
  } catch (error) {
    return error.message;
  }
  await started.stop();
  assert.fail('it started');
}

/** Asks a path that ends the dyno; what that left in the log. */
async function crash(path) {
  const dyno = await onStack(app, {});
  await assert.rejects(fetch(`${dyno.url}${path}`));
  await dyno.stop();
  return dyno.output();
}

test('an instance serves one request after the other', async () => {
  for (let i = 0; i < 3; i++) assert.equal((await ask('/')).body.toString(), 'hello');
  assert.equal(stack.output().match(/listening on/g).length, 1);
});

test('3 MB go there and back', async () => {
  const body = randomBytes(3_000_000);
  const { body: echoed, headers } = await ask('/echo', { method: 'POST', body, headers: { 'content-type': 'x/y' } });
  assert.ok(echoed.equals(body));
  assert.equal(headers['content-type'], 'x/y');
});

test('a chunked body', async () => {
  const { body } = await ask('/echo', {
    method: 'POST',
    body: 'in chunks',
    headers: { 'transfer-encoding': 'chunked', 'content-type': 'x/y' },
  });
  assert.equal(body.toString(), 'in chunks');
});

test('server-sent events', async () => {
  const { body } = await ask('/events');
  assert.equal(body.toString(), 'data: 1\n\ndata: 2\n\ndata: 3\n\n');
});

test('20 MB of response with backpressure', async () => {
  assert.equal((await ask('/big')).body.length, 320 * 65_536);
});

test('a known length is told', async () => {
  const { headers, body } = await ask('/');
  assert.equal(headers['content-length'], '5');
  assert.equal(body.length, 5);
  assert.equal((await ask('/length')).headers['content-length'], '11');
});

test('a file of the app', async () => {
  assert.equal((await ask('/file')).body.toString(), SERVER);
});

test('finish and close come in order', async () => {
  await ask('/finish');
  await stack.logged(/finished\nclosed/);
});

test('the console formats as Node does', async () => {
  await ask('/console');
  await stack.logged(/a is 1 \{ b: \[ 2 \] \}\n/);
  await stack.logged(/Error: shown\n {4}at .*\/app\/server\.js:\d+:\d+/);
});

test('what a dyno cannot do says so and ends it', async () => {
  assert.match(await crash('/spawn'), /child_process\.spawn is not available on wpaas \(stack node-20\)/);
});

test('an exception in a handler', async () => {
  const log = await crash('/throw');
  assert.match(log, /\/app\/server\.js:\d+\n.*throw new Error\('sync boom'\)/);
  assert.match(log, /Uncaught Error: sync boom\n {4}at .*\(?\/app\/server\.js:\d+:\d+/);
});

test('a rejection of an async handler', async () => {
  assert.match(await crash('/reject'), /Uncaught Error: async boom\n/);
});

test('a rejection that nobody handles', async () => {
  const log = await crash('/lost');
  assert.match(log, /Uncaught TypeError: .*null.*\n {4}at lost \(\/app\/server\.js:\d+:\d+\)/);
});

test('a rejection that is handled in time is none', async () => {
  assert.equal((await ask('/handled')).body.toString(), 'caught late');
  assert.equal((await ask('/')).status, 200);
});

test('process.on unhandledRejection', async () => {
  const survivor = await makeApp({
    'server.js': `process.on('unhandledRejection', (reason, promise) => console.log('rejected', reason.message, promise instanceof Promise));
      require('http').createServer((req, res) => {
        Promise.reject(new Error('alone'));
        setTimeout(() => res.end('alive'), 5);
      }).listen(process.env.PORT);`,
  });
  await bundle(survivor);
  const dyno = await onStack(survivor, {});
  assert.equal(await (await fetch(dyno.url)).text(), 'alive');
  await dyno.logged(/rejected alone true/);
  await dyno.stop();
});

test('a request that nobody answers', async () => {
  assert.match(await crash('/forgotten'), /was not answered and nothing is left to wait for/);
});

test('process.exit', async () => {
  assert.doesNotMatch(await crash('/exit'), /Error/);
});

test('H10: it throws when it starts', async () => {
  const log = await failedBoot({ 'server.js': 'function boom() {\n  throw new Error("boom");\n}\nboom();\n' });
  assert.match(log, /^Error: boom\n {4}at boom \(\/app\/server\.js:2:\d+\)\n {4}at .*\/app\/server\.js:4:\d+/m);
  assert.match(log, /H10 App crashed: Error: boom/);
});

test('H10: it rejects at the top level', async () => {
  const log = await failedBoot({ 'package.json': '{"type":"module"}', 'server.js': 'await null;\nthrow new TypeError("late");' });
  assert.match(log, /TypeError: late\n {4}at .*\/app\/server\.js:2:\d+/);
  assert.match(log, /H10/);
});

test('H10: it exits', async () => {
  const log = await failedBoot({ 'server.js': 'process.on("exit", (code) => console.log("exit", code)); process.exit(3);' });
  assert.match(log, /exit 3\n/);
  assert.match(log, /H10 App crashed: process exited with status 3/);
});

test('H10: it ends without listening', async () => {
  const log = await failedBoot({ 'server.js': 'setTimeout(() => console.log("done"), 5);' });
  assert.match(log, /done\n/);
  assert.match(log, /H10 App crashed: process ended without listening/);
});

test('R10: it does not listen in time', async () => {
  const log = await failedBoot({ 'server.js': 'setInterval(() => {}, 5);' }, ['--boot-timeout-ms=200']);
  assert.match(log, /R10 Boot timeout/);
});

test('an uncaughtException listener keeps the dyno alive', async () => {
  const survivor = await makeApp({
    'server.js': `process.on('uncaughtException', (error, origin) => console.log('caught', error.message, origin));
      require('http').createServer((req, res) => {
        setTimeout(() => { setTimeout(() => res.end('alive'), 1); throw new Error('late'); }, 1);
      }).listen(process.env.PORT);`,
  });
  await bundle(survivor);
  const dyno = await onStack(survivor, {});
  assert.equal(await (await fetch(dyno.url)).text(), 'alive');
  await dyno.stop();
  assert.match(dyno.output(), /caught late uncaughtException/);
});

test('an app may wait before it listens', async () => {
  const slow = await makeApp({
    'package.json': '{"type":"module"}',
    'server.js': `import http from 'node:http'; import { setTimeout as sleep } from 'node:timers/promises';
      await sleep(20);
      http.createServer((req, res) => res.end(import.meta.url)).listen({ port: process.env.PORT, host: '0.0.0.0' });`,
  });
  await bundle(slow);
  const dyno = await onStack(slow, {});
  assert.equal(await (await fetch(dyno.url)).text(), 'file:///app/server.js');
  await dyno.stop();
});
