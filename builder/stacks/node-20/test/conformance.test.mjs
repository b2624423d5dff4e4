// The app in conformance/ answers the same on Node and on the stack.
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { bundle, onNode, onStack, recipe } from './host.mjs';

const SECTIONS = [
  'assert', 'buffer', 'ciphers', 'crypto', 'dns', 'errors', 'events', 'fs', 'globals', 'http', 'intl', 'keys', 'net', 'path', 'process',
  'readline', 'stream', 'timers', 'url', 'util', 'web', 'zlib',
];
const HEADERS = ['Host', 'app.localhost', 'X-One', '1', 'X-Many', 'a', 'X-Many', 'b', 'Cookie', 'a=b', 'Content-Type', 'text/plain'];
const ENV = { GREETING: 'hello' };

let app;
let node;
let stack;

before(async () => {
  app = await mkdtemp(join(tmpdir(), 'wpaas-conformance-'));
  await cp(join(recipe, 'test', 'conformance'), app, { recursive: true });
  const { status, stderr } = await bundle(app);
  assert.equal(status, 0, stderr);
  node = await onNode(app, ENV);
  stack = await onStack(app, ENV);
});

after(async () => {
  await Promise.all([node?.stop(), stack?.stop()]);
  await rm(app, { recursive: true, force: true });
});

test('async_hooks', async () => {
  const entry = 'server-async.js';
  const { status, stderr } = await bundle(app, entry);
  assert.equal(status, 0, stderr);
  const hosts = [await onNode(app, ENV, entry), await onStack(app, ENV, entry)];
  try {
    const [expected, actual] = await Promise.all(hosts.map(({ url }) => ask(`${url}/async_hooks`)));
    assert.deepEqual(actual.text.split('\n'), expected.text.split('\n'), hosts[1].output());
  } finally {
    await Promise.all(hosts.map((host) => host.stop()));
  }
});

function ask(url) {
  return new Promise((resolve, reject) => {
    const message = request(url, { method: 'POST', headers: HEADERS }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    message.on('error', reject);
    message.end('the body');
  });
}

for (const section of SECTIONS) {
  test(section, async () => {
    const [expected, actual] = await Promise.all([node, stack].map(({ url }) => ask(`${url}/${section}`)));
    assert.ok(expected.text.length > 0, 'the section prints something on Node');
    assert.deepEqual(actual.text.split('\n'), expected.text.split('\n'), stack.output());
    assert.equal(actual.status, expected.status);
  });
}
