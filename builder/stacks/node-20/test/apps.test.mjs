// Ordinary apps answer the same on Node and on the stack, and what their tables say. An app is a directory, its table
// the file NAME.json beside it; the platform's own tests deploy the same apps and ask the same.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { bundle, onNode, onStack, onPort, recipe, run } from './host.mjs';

// With their packages installed (tests/setup/node-apps.sh).
const directory = process.env.WPAAS_NODE_APPS ?? join(recipe, '..', '..', '..', 'tests', 'apps', 'node');
const only = process.env.WPAAS_NODE_APP;

// Header fields that tell what the app did; the others are the connection's, or tell the time. Not `set-cookie`, of which
// the host of these tests keeps only the last.
const COMPARED = [
  'content-type', 'content-encoding', 'content-disposition', 'location', 'etag', 'vary', 'allow', 'link',
  'access-control-allow-origin', 'content-security-policy', 'x-powered-by', 'x-seen', 'cache-control',
];
// A boundary or an id that is made by chance.
const CHANCE = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** `length` bytes without a pattern, the same for one length. */
const NOISE = new Map();
function noise(length) {
  if (!NOISE.has(length)) NOISE.set(length, randomBytes(length));
  return NOISE.get(length);
}

function ask(url, { path, method = 'GET', type, send, random, accept, cookie, authorization, ...rest }) {
  const headers = { accept, cookie, authorization, 'content-type': type, 'accept-encoding': rest['accept-encoding'] };
  for (const name of Object.keys(headers)) if (headers[name] === undefined) delete headers[name];
  const sent = random === undefined ? send : noise(random);
  return new Promise((resolve, reject) => {
    const message = request(`${url}${path}`, { method, headers }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const bytes = Buffer.concat(parts);
        const text = (response.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString();
        const changed = random !== undefined && !bytes.equals(sent);
        resolve({ status: response.statusCode, headers: response.headers, text: changed ? 'changed' : text });
      });
    });
    message.on('error', reject);
    message.end(sent);
  });
}

function check(answer, { status, body, json, contains, random, headers = {} }, what) {
  if (random !== undefined) assert.ok(answer.text !== 'changed', `${what}: other bytes came back`);
  assert.equal(answer.status, status, `${what}: ${answer.text}`);
  if (body !== undefined) assert.equal(answer.text, body, what);
  if (json !== undefined) assert.deepEqual(JSON.parse(answer.text), json, what);
  if (contains !== undefined) assert.ok(answer.text.includes(contains), `${what}: no ${contains} in ${answer.text}`);
  for (const [name, value] of Object.entries(headers)) {
    assert.equal(String(answer.headers[name]), value, `${what}: ${name}`);
  }
}

const known = ({ headers, status, text }) => ({
  status,
  text: text.replaceAll(CHANCE, 'UUID'),
  headers: Object.fromEntries(COMPARED.filter((name) => name in headers).map((name) => [name, headers[name]])),
});

/** What Node itself runs: it reads no TypeScript. */
async function entryForNode(app, entry) {
  if (!entry.endsWith('.ts')) return entry;
  const outfile = join(app, '.wpaas', 'node.mjs');
  await build({ entryPoints: [join(app, entry)], outfile, bundle: true, packages: 'external', platform: 'node', format: 'esm' });
  return '.wpaas/node.mjs';
}

// What can be started here; the platform's tests start all of them.
const SERVICES = {
  upstream: async (hosts) => {
    const service = await onPort(['services/upstream.js', '127.0.0.1'], directory, '/hello');
    hosts.push(service);
    return { UPSTREAM_URL: service.url };
  },
};

async function compare(name, { entry, env = {}, services = [], build: script, node: hasNode = true, requests }) {
  const app = join(directory, name);
  if (script !== undefined) {
    const built = await run('npm', ['run', script], { cwd: app });
    assert.equal(built.status, 0, built.stdout + built.stderr);
  }
  const bundled = await bundle(app, entry);
  assert.equal(bundled.status, 0, bundled.stderr);
  const started = [];
  const hosts = [];
  try {
    for (const service of services) env = { ...env, ...(await SERVICES[service](started)) };
    hosts.push(await onStack(app, env, entry));
    if (hasNode) hosts.push(await onNode(app, env, await entryForNode(app, entry)));
    const [stack, node] = hosts;
    // The host of these tests fails at some that the platform serves.
    for (const one of requests.filter(({ platform }) => !platform)) {
      const what = `${one.method ?? 'GET'} ${one.path}`;
      const [actual, expected] = await Promise.all(hosts.map(({ url }) => ask(url, one)));
      if (expected !== undefined) {
        check(expected, one, `${what} on Node`);
        if (one.compare !== false) assert.deepEqual(known(actual), known(expected), `${what}\n${stack.output()}`);
      }
      check(actual, one, `${what}\n${stack.output()}`);
      if (one.log !== undefined) {
        await Promise.all(hosts.map(({ logged }) => logged({ test: (text) => text.includes(one.log) })));
      }
    }
  } finally {
    await Promise.all([...hosts, ...started].map((host) => host.stop()));
  }
}

const names = (await readdir(directory)).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -5));
for (const name of names.sort()) {
  if (only !== undefined && !only.split(',').includes(name)) continue;
  const table = JSON.parse(await readFile(join(directory, `${name}.json`), 'utf8'));
  const needed = (table.services ?? []).filter((service) => SERVICES[service] === undefined);
  const skip = needed.length === 0 ? false : `needs ${needed.join(' and ')}`;
  test(name, { timeout: 120_000, skip }, () => compare(name, table));
}
