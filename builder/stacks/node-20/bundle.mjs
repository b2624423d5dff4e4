// Bundles an app for the stack: `node bundle.mjs --app DIR --entry server.js --out FILE`.
//
// Everything the app imports becomes one file, an expression that gives an async function; src/boot/bundle.js runs it.
// What the engine lacks is lowered on the way. Exit code 1, with the reason on standard error, when the app cannot work.
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleApp } from './bundle/bundle.mjs';
import { BundleError } from './bundle/errors.mjs';

const USAGE = 'usage: node bundle.mjs --app DIR --entry FILE --out FILE';

function readOptions() {
  const { values } = parseArgs({
    options: { app: { type: 'string' }, entry: { type: 'string' }, out: { type: 'string' } },
  });
  const { app, entry, out } = values;
  if (!app || !entry || !out) throw new BundleError(USAGE);
  const directory = resolve(app);
  const file = resolve(directory, entry);
  if (relative(directory, file).split(sep)[0] === '..') {
    throw new BundleError(`The entry ${entry} is outside the app.`);
  }
  if (!existsSync(file)) {
    throw new BundleError(`The entry ${entry} does not exist. It comes from the start command in Procfile or package.json.`);
  }
  return { app: directory, entry: relative(directory, file).split(sep).join('/'), out: resolve(out) };
}

try {
  const { app, entry, out } = readOptions();
  const { code, warnings } = await bundleApp(app, entry);
  for (const warning of warnings) console.error(warning);
  mkdirSync(dirname(out), { recursive: true });
  // Never half a bundle under its name.
  writeFileSync(`${out}.new`, code);
  renameSync(`${out}.new`, out);
} catch (error) {
  console.error(error instanceof BundleError || error.code?.startsWith('ERR_PARSE_ARGS') ? error.message : error);
  process.exitCode = 1;
}
