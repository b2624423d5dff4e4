// Writes the table of Node's modules: `node test/api-table.mjs FILE.md`. What each has is asked of a running app, once
// on this Node and once on the stack; a function that is there only to say that it is not counts as missing. What apps
// import is read from the bundles of the apps that the tests run.
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle, onNode, onStack, recipe, run } from './host.mjs';
import { importedFunctions } from './imported.mjs';

/** What of the functions that apps import must be there. */
export const LEAST_COVERAGE = 0.9;

const appsDirectory = process.env.WPAAS_NODE_APPS ?? join(recipe, '..', '..', '..', 'tests', 'apps', 'node');

/** `module.function` -> the apps that name it. */
async function importedByApps() {
  const imported = new Map();
  const tables = (await readdir(appsDirectory)).filter((name) => name.endsWith('.json')).sort();
  for (const table of tables) {
    const name = table.slice(0, -'.json'.length);
    const { entry, build: script } = JSON.parse(await readFile(join(appsDirectory, table), 'utf8'));
    const app = join(appsDirectory, name);
    if (script !== undefined) {
      const built = await run('npm', ['run', script], { cwd: app });
      assert.equal(built.status, 0, built.stdout + built.stderr);
    }
    const { status, stderr, out } = await bundle(app, entry);
    assert.equal(status, 0, stderr);
    for (const one of importedFunctions(await readFile(out, 'utf8'))) imported.set(one, [...(imported.get(one) ?? []), name]);
  }
  return { imported, apps: tables.length };
}

/** Asks both: what each module has, and which of `names` the stack has. */
async function ask(names) {
  const app = await mkdtemp(join(tmpdir(), 'wpaas-api-'));
  await cp(join(recipe, 'test', 'api-app.cjs'), join(app, 'server.js'));
  const { status, stderr } = await bundle(app);
  assert.equal(status, 0, stderr);
  const hosts = [await onNode(app, {}), await onStack(app, {})];
  try {
    const [node, stack] = await Promise.all(hosts.map(({ url }) => fetch(`${url}/`).then((response) => response.json())));
    const answer = await fetch(`${hosts[1].url}/`, { method: 'POST', body: JSON.stringify(names) });
    return { node, stack, there: new Set(await answer.json()) };
  } finally {
    await Promise.all(hosts.map((host) => host.stop()));
    await rm(app, { recursive: true });
  }
}

/** `{ text, coverage }`: the page, and the share of what apps import that is there. */
export async function makeTable() {
  const { imported, apps } = await importedByApps();
  const names = [...imported.keys()].sort();
  const { node, stack, there } = await ask(names);
  const lacking = names.filter((name) => !there.has(name));
  const coverage = there.size / names.length;

  const rows = [];
  let [present, all] = [0, 0];
  for (const [name, wanted] of Object.entries(node)) {
    const has = stack[name] ?? {};
    const missing = Object.keys(wanted).filter((key) => !has[key]);
    const total = Object.keys(wanted).length;
    present += total - missing.length;
    all += total;
    const verdict = missing.length === 0 ? 'works' : missing.length === total ? 'no' : 'partly';
    const list = verdict === 'no' ? '' : missing.map((key) => `\`${key}\``).join(', ');
    rows.push(`| \`${name}\` | ${verdict} | ${total - missing.length} of ${total} | ${list} |`);
  }
  const text = `# Node's API on the stack node-20

Made by \`node test/api-table.mjs\` in \`builder/stacks/node-20\`. What a function does is compared by the conformance tests,
which must print the same on Node and on the stack. A missing one throws an error with its name when it is called.

## What apps import

The ${apps} apps of the tests (\`tests/apps/node\`) and their packages name ${names.length} functions of Node's modules, also those that
they never call: ${there.size} are there, ${(coverage * 100).toFixed(1)} %.

| missing | named in |
|---|---|
${lacking.map((name) => `| \`${name}\` | ${imported.get(name).join(', ')} |`).join('\n')}

## Module by module

A running app was asked for the functions and classes of each module, on Node ${process.version.slice(1)} and on the stack:
${present} of ${all} are there.

| module | | functions | missing |
|---|---|---|---|
${rows.join('\n')}
`;
  return { text, coverage };
}

if (process.argv[1] === import.meta.filename) {
  const [out] = process.argv.slice(2);
  assert.ok(out, 'usage: node test/api-table.mjs FILE.md');
  await writeFile(out, (await makeTable()).text);
}
