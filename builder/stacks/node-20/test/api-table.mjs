// Writes the table of Node's modules: `node test/api-table.mjs FILE.md`. What each has is asked of a running app, once
// on this Node and once on the stack; a function that is there only to say that it is not counts as missing.
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle, onNode, onStack, recipe } from './host.mjs';

const [out] = process.argv.slice(2);
assert.ok(out, 'usage: node test/api-table.mjs FILE.md');
const app = await mkdtemp(join(tmpdir(), 'wpaas-api-'));
await cp(join(recipe, 'test', 'api-app.cjs'), join(app, 'server.js'));
const { status, stderr } = await bundle(app);
assert.equal(status, 0, stderr);
const hosts = [await onNode(app, {}), await onStack(app, {})];
const [node, stack] = await Promise.all(hosts.map(({ url }) => fetch(`${url}/`).then((response) => response.json())));
await Promise.all(hosts.map((host) => host.stop()));
await rm(app, { recursive: true });

const rows = [];
let [there, all] = [0, 0];
for (const [name, wanted] of Object.entries(node)) {
  const has = stack[name] ?? {};
  const missing = Object.keys(wanted).filter((key) => !has[key]);
  const total = Object.keys(wanted).length;
  there += total - missing.length;
  all += total;
  const verdict = missing.length === 0 ? 'works' : missing.length === total ? 'no' : 'partly';
  const list = verdict === 'no' ? '' : missing.map((key) => `\`${key}\``).join(', ');
  rows.push(`| \`${name}\` | ${verdict} | ${total - missing.length} of ${total} | ${list} |`);
}
await writeFile(
  out,
  `# Node's API on the stack node-20

Made by \`node test/api-table.mjs\` in \`builder/stacks/node-20\`, which asks a running app for the functions and classes of
each module, on Node ${process.version.slice(1)} and on the stack: ${there} of ${all} are there. What a function does is compared by the
conformance tests, which must print the same on both. A missing one throws an error with its name when it is called.

| module | | functions | missing |
|---|---|---|---|
${rows.join('\n')}
`,
);
