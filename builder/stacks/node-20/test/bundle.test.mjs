// bundle.mjs: what it makes of apps, run on this Node, and what it says to apps that cannot work.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { makeApp } from './app.mjs';
import { bundle } from './host.mjs';

const ESM = '{"type":"module"}';

async function load(out) {
  const source = await readFile(out, 'utf8');
  return (0, eval)(source);
}

/** Bundles `files` and runs the bundle; what the app left in `globalThis.result`. `host` gets what the bundle tells. */
async function result(files, entry = 'server.js', host = { entry() {}, packages() {} }) {
  const app = await makeApp(files);
  const { status, stderr, out } = await bundle(app, entry);
  assert.equal(status, 0, stderr);
  const main = `/app/${entry}`;
  const module = { exports: {} };
  delete globalThis.result;
  await (await load(out)).call(module.exports, createRequire(import.meta.url), module, module.exports, main, '/app', host);
  return globalThis.result;
}

async function failure(files, entry = 'server.js') {
  const { status, stderr } = await bundle(await makeApp(files), entry);
  assert.equal(status, 1, 'the bundle is refused');
  return stderr;
}

test('CommonJS with JSON and its own place', async () => {
  const value = await result({
    'server.js': `'use strict';
      const data = require('./data.json');
      globalThis.result = [data.name, require('./lib/place').where, __filename, __dirname, (function () { return this; })()];`,
    'data.json': '{"name": "from JSON", "quote": "\\"\\u2028"}',
    'lib/place.js': 'exports.where = [__dirname, __filename];',
  });
  assert.deepEqual(value, ['from JSON', ['/app/lib', '/app/lib/place.js'], '/app/server.js', '/app', undefined]);
});

test('CommonJS stays sloppy without a directive', async () => {
  const value = await result({ 'server.js': 'globalThis.result = (function () { return this === globalThis; })();' });
  assert.equal(value, true);
});

test('ES modules with import.meta and Node modules', async () => {
  const value = await result({
    'package.json': ESM,
    'server.js': `import path, { join } from 'node:path';
      import { readFileSync } from 'fs';
      import { where } from './lib/where.js';
      globalThis.result = [path.join === join, typeof readFileSync, where, import.meta.url, import.meta.main];`,
    'lib/where.js': 'export const where = [import.meta.dirname, import.meta.filename, import.meta.resolve("./x.js")];',
  });
  assert.deepEqual(value, [
    true,
    'function',
    ['/app/lib', '/app/lib/where.js', 'file:///app/lib/x.js'],
    'file:///app/server.js',
    true,
  ]);
});

test('the usual __dirname of an ES module', async () => {
  const value = await result({
    'package.json': ESM,
    'server.js': `import { fileURLToPath } from 'node:url';
      import path from 'node:path';
      const __filename = fileURLToPath(import.meta.url);
      const __dirname = path.dirname(__filename);
      globalThis.result = [__filename, __dirname];`,
  });
  assert.deepEqual(value, ['/app/server.js', '/app']);
});

test('top-level await', async () => {
  const value = await result({
    'package.json': ESM,
    'server.js': `import { value } from './slow.js';
      globalThis.result = [value, await Promise.resolve('here')];`,
    'slow.js': 'export const value = await new Promise((resolve) => setImmediate(resolve, "there"));',
  });
  assert.deepEqual(value, ['there', 'here']);
});

test('TypeScript', async () => {
  const value = await result(
    {
      'server.ts': `import { double } from './lib/double';
        enum Colour { Red = 'red' }
        interface Unused { a: string }
        globalThis.result = [double(21) as number, Colour.Red, __dirname satisfies string];`,
      'lib/double.ts': 'export const double = (value: number): number => value * 2;',
    },
    'server.ts',
  );
  assert.deepEqual(value, [42, 'red', '/app']);
});

test('packages: CommonJS and ES module of one name, by the kind of import', async () => {
  const value = await result({
    'server.mjs': `import both from 'both'; import { createRequire } from 'node:module';
      import { kind } from './old.cjs';
      globalThis.result = [both, kind];`,
    'old.cjs': 'exports.kind = require("both");',
    'node_modules/both/package.json': '{"exports": {"import": "./esm.mjs", "require": "./cjs.cjs"}}',
    'node_modules/both/esm.mjs': 'export default "esm";',
    'node_modules/both/cjs.cjs': 'module.exports = "cjs";',
  }, 'server.mjs');
  assert.deepEqual(value, ['esm', 'cjs']);
});

test('require.main === module holds in the entry only', async () => {
  const value = await result({
    'server.js': `const other = require('./other'); globalThis.result = [require.main === module, other];`,
    'other.js': 'module.exports = require.main === module;',
  });
  assert.deepEqual(value, [true, false]);
});

test('a hashbang and directives stay in front', async () => {
  const value = await result({
    'server.js': `#!/usr/bin/env node
'use strict';
globalThis.result = [__dirname, (function () { return this; })()];`,
  });
  assert.deepEqual(value, ['/app', undefined]);
});

test('an optional package that is missing can be caught', async () => {
  const value = await result({
    'server.js': 'globalThis.result = require("pkg");',
    'node_modules/pkg/index.js': `let fast;
      try { fast = require('not-there'); } catch (error) { fast = error.code; }
      module.exports = { fast, lazy: () => require('not-there-either') };`,
  });
  assert.equal(value.fast, 'MODULE_NOT_FOUND');
  assert.throws(() => value.lazy(), { code: 'MODULE_NOT_FOUND' });
});

test('dynamic import of a module of Node and of the app', async () => {
  const value = await result({
    'server.js': `globalThis.result = (async () => [(await import('node:path')).sep, (await import('./a.mjs')).a])();`,
    'a.mjs': 'export const a = 1;',
  });
  assert.deepEqual(await value, ['/', 1]);
});

test('require of a file by a pattern', async () => {
  const value = await result({
    'server.js': 'globalThis.result = ["en", "de"].map((name) => require(`./words/${name}.json`).hello);',
    'words/en.json': '{"hello": "hello"}',
    'words/de.json': '{"hello": "hallo"}',
  });
  assert.deepEqual(value, ['hello', 'hallo']);
});

test('Unicode properties in regular expressions are lowered', async () => {
  const files = {
    'server.js': `const name = /^[\\p{Lu}\\d]+$/u; const made = new RegExp('\\\\p{Script=Greek}', 'u'); const not = /\\P{L}/gu;
      const set = /[\\p{L}--[a-z]]/v;
      globalThis.result = [name.test('ÄB1'), name.test('äb'), made.test('λ'), made.test('l'), 'a1b'.replace(not, ''), set.test('a'), set.test('Z')];`,
  };
  assert.deepEqual(await result(files), [true, false, true, false, 'ab', false, true]);
  const { out } = await bundle(await makeApp(files));
  assert.doesNotMatch((await readFile(out, 'utf8')).split('\n//# wpaas-lines')[0], /\\[pP]\{/);
});

test('Unicode properties in TypeScript', async () => {
  const value = await result({ 'server.ts': 'globalThis.result = (/\\p{L}/u as RegExp).test("ß" as string);' }, 'server.ts');
  assert.equal(value, true);
});

test('the output depends on the app only', async () => {
  const files = {
    'server.js': 'const a = require("./a.json"); console.log(a, require("pkg"), __filename);',
    'a.json': '{"b": [1, 2]}',
    'node_modules/pkg/index.js': 'module.exports = __dirname;',
  };
  const [first, second] = await Promise.all([makeApp(files), makeApp(files)]);
  const [one, two] = await Promise.all([bundle(first), bundle(second)]);
  const text = await readFile(one.out, 'utf8');
  assert.equal(text, await readFile(two.out, 'utf8'));
  assert.ok(!text.includes(first), 'no path of this machine');
});

test('the table of lines leads back to the files', async () => {
  const app = await makeApp({
    'server.js': '// a comment\n\nrequire("./lib/fail");\n',
    'lib/fail.js': '\n\n\nfunction fail() {\n\n  throw new Error("here");\n}\nfail();\n',
  });
  const { out } = await bundle(app);
  const [code, json] = (await readFile(out, 'utf8')).split('\n//# wpaas-lines=');
  const table = JSON.parse(json);
  const line = code.split('\n').findIndex((text) => text.includes('throw new Error'));
  const [firstJump, before, steps] = table.blocks[0];
  let jump = firstJump - 1;
  let original = before;
  for (const step of steps.slice(0, line + 1)) {
    if (step === '!') continue;
    if (step === '#') original = table.jumps[++jump][1];
    else original += step.charCodeAt(0) - 36 - (step > '\\' ? 1 : 0);
  }
  assert.deepEqual([table.files[table.jumps[jump][0]], original], ['/app/lib/fail.js', 6]);
});

test('an import that is not there names file, line and what to install', async () => {
  const text = await failure({ 'server.js': 'const a = 1;\nconst express = require("express/lib/x");\n' });
  assert.match(text, /server\.js:2:/);
  assert.match(text, /Could not resolve "express\/lib\/x"/);
  assert.match(text, /npm install express\n|npm install express$/);
});

test('a file that is not there', async () => {
  const text = await failure({ 'package.json': ESM, 'server.js': 'import "./routes/Users.js";' });
  assert.match(text, /server\.js:1:/);
  assert.match(text, /case-sensitive/);
});

test('a missing import in a package names the package', async () => {
  const text = await failure({
    'server.js': 'require("pkg");',
    'node_modules/pkg/package.json': '{"main": "index.mjs"}',
    'node_modules/pkg/index.mjs': 'import x from "its-peer"; export default x;',
  });
  assert.match(text, /its-peer/);
  assert.match(text, /The package pkg needs it: npm install its-peer/);
});

test('a native addon names the package', async () => {
  const text = await failure({
    'server.js': 'require("bcrypt");',
    'node_modules/bcrypt/index.js': 'module.exports = require("node-gyp-build")(__dirname);',
    'node_modules/node-gyp-build/index.js': 'module.exports = () => {};',
  });
  assert.match(text, /The package "bcrypt" is a native addon/);
  assert.match(text, /bcryptjs/);
});

test('a .node file names the package', async () => {
  const text = await failure({
    'server.js': 'require("fast-thing");',
    'node_modules/fast-thing/index.js': 'module.exports = require("./build/Release/fast.node");',
    'node_modules/fast-thing/build/Release/fast.node': '',
  });
  assert.match(text, /The package "fast-thing" is a native addon/);
});

test('an addon that only makes another package faster may be missing', async () => {
  const value = await result({
    'server.js': 'try { require("bufferutil"); } catch (error) { globalThis.result = error.code; }',
    'node_modules/bufferutil/index.js': 'module.exports = require("node-gyp-build")(__dirname);',
  });
  assert.equal(value, 'MODULE_NOT_FOUND');
});

test('packages that the app names are there under computed names', async () => {
  let packages;
  const host = { entry() {}, packages: (found) => (packages = found) };
  const files = {
    'package.json': '{"dependencies": {"ejs": "1", "pug": "1", "unused": "1", "used": "1", "typescript": "1", "gone": "1"}}',
    'server.js': 'require("used"); app.set("view engine", "ejs"); const ts = "typescript"; const g = "gone";'.replace('app', '({ set() {} })'),
    'views/index.pug': 'h1',
  };
  for (const name of ['ejs', 'pug', 'unused', 'used', 'typescript']) files[`node_modules/${name}/index.js`] = `module.exports = "${name}";`;
  await result(files, 'server.js', host);
  assert.deepEqual(Object.keys(packages), ['ejs', 'pug']);
  assert.equal(packages.ejs(), 'ejs');
});

test('the exports of the entry are told', async () => {
  let exports;
  const host = { packages() {}, entry: (found) => (exports = found) };
  await result({ 'package.json': ESM, 'server.js': 'export default { fetch: () => 1 };' }, 'server.js', host);
  assert.equal(exports.default.fetch(), 1);
});

for (const name of ['child_process', 'worker_threads']) {
  test(`the app's own use of ${name} is refused`, async () => {
    const text = await failure({ 'server.js': `require("./lib/jobs");`, 'lib/jobs.js': `const x = require("node:${name}");` });
    assert.match(text, new RegExp(`lib/jobs\\.js:1:`));
    assert.match(text, new RegExp(`node:${name} is not there on wpaas`));
  });

  test(`a package's use of ${name} fails when it is reached`, async () => {
    const value = await result({
      'server.js': 'globalThis.result = require("pkg");',
      'node_modules/pkg/index.js': `module.exports = typeof require("${name}");`,
    });
    assert.equal(value, 'object');
  });
}

test('a syntax error is shown with its line', async () => {
  const text = await failure({ 'server.js': 'const a = 1;\nconst b = ;\n' });
  assert.match(text, /server\.js:2:10/);
  assert.match(text, /Unexpected ";"/);
});

test('JSON that is none is shown with its line', async () => {
  const text = await failure({ 'server.js': 'require("./a.json");', 'a.json': '{\n  "a": nope\n}' });
  assert.match(text, /a\.json:2:/);
});

test('an entry that does not exist', async () => {
  const text = await failure({ 'other.js': '' });
  assert.match(text, /The entry server\.js does not exist/);
});

test('an entry outside the app', async () => {
  const text = await failure({ 'server.js': '' }, '../server.js');
  assert.match(text, /outside the app/);
});

test('wrong use is told', async () => {
  const app = await makeApp({ 'server.js': '' });
  const { status, stderr } = await bundle(app, '');
  assert.equal(status, 1);
  assert.match(stderr, /usage:/);
});
