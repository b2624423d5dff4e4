// One run of esbuild over the app, and what is put around its output.
import { basename, dirname, join } from 'node:path';
import { build } from 'esbuild';
import { packageOf, toBundleError, toWarnings, unresolvedName } from './errors.mjs';
import { lineTable } from './lines.mjs';
import { addons } from './addons.mjs';
import { PACKAGES, findPackages, packages } from './packages.mjs';
import { builtins, missing } from './resolve.mjs';
import { refused } from './refused.mjs';
import { ASYNC_CONTEXT, restoreStrict, sources } from './sources.mjs';

/** Where the app's directory is mounted in a dyno. */
export const MOUNT = '/app';

// The engine's own `await` cannot be followed by AsyncLocalStorage; one by generators and promises can.
const WITHOUT_AWAIT = { 'async-await': false, 'async-generator': false, 'for-await': false, 'top-level-await': true };

/** Bundles the app in directory `app` from its file `entry`: `{ code, warnings }`. */
export async function bundleApp(app, entry) {
  // Packages may require others that are not installed and catch or never reach it; those fail at run time, as in
  // Node. Which they are is known only from a first run.
  const optional = new Set();
  const found = await findPackages(app);
  const traits = new Set();
  let lowered = false;
  for (;;) {
    const result = await run(app, entry, { optional, found, traits, lowered });
    if (result.errors.length === 0 && traits.has(ASYNC_CONTEXT) && !lowered) {
      lowered = true;
      continue;
    }
    if (result.errors.length === 0) return finish(app, result);
    const before = optional.size;
    for (const message of result.errors) {
      const name = unresolvedName(message);
      if (name !== undefined && isLazyInPackage(message)) optional.add(name);
    }
    if (optional.size === before) {
      throw await toBundleError(result.errors.filter((message) => !optional.has(unresolvedName(message))));
    }
  }
}

const start = (entry) =>
  `import ${JSON.stringify(PACKAGES)};` +
  `import * as entry from ${JSON.stringify(`./${entry}`)};` +
  `__wpaas.entry(entry);`;

function isLazyInPackage({ location }) {
  return (
    location !== null && packageOf(`/${location.file}`) !== undefined && /\b(require|import)\b.*\(/.test(location.lineText)
  );
}

async function run(app, entry, { optional, found, traits, lowered }) {
  try {
    return await build({
      // A module around the entry, so that the output has no exports of its own.
      stdin: { contents: start(entry), resolveDir: app, sourcefile: '<start>' },
      absWorkingDir: app,
      bundle: true,
      write: false,
      outfile: join(app, basename(entry)),
      // Not `cjs`, which cannot await at the top level. No import is left in the output, so it is no module.
      format: 'esm',
      platform: 'node',
      // esbuild would add `module`, which Node does not know.
      conditions: [],
      target: 'es2024',
      define: { 'import.meta': '__wpaas_meta' },
      supported: { 'dynamic-import': false, ...(lowered ? WITHOUT_AWAIT : {}) },
      plugins: [missing(optional), refused(), builtins(), addons(), packages(app, found), sources(app, entry, traits)],
      sourcemap: 'external',
      sourcesContent: false,
      legalComments: 'none',
      logLevel: 'silent',
      logLimit: 0,
      charset: 'utf8',
    });
  } catch (error) {
    if (!Array.isArray(error.errors)) throw error;
    return { errors: error.errors };
  }
}

async function finish(app, result) {
  const code = result.outputFiles.find((file) => !file.path.endsWith('.map'));
  const map = result.outputFiles.find((file) => file.path.endsWith('.map'));
  const table = lineTable(JSON.parse(map.text), app, dirname(code.path));
  // In one line with the first of the code, so that the table's lines are the file's.
  const run = `(async function (require, module, exports, __filename, __dirname, __wpaas) {${restoreStrict(code.text)}})`;
  return { code: `${run}\n//# wpaas-lines=${JSON.stringify(table)}`, warnings: await toWarnings(result.warnings.filter(isAboutApp)) };
}

// People cannot do anything about warnings in packages.
const isAboutApp = ({ location }) => location === null || packageOf(`/${location.file}`) === undefined;
