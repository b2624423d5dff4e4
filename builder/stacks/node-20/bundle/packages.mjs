// Packages that are required under a name which is computed: template engines (`app.set('view engine', 'ejs')`),
// drivers of databases, transports of loggers. A dependency that the app names in its own sources, or that is called as
// its files end, comes into the bundle even when no `require` with its name is found.
import { readFile, readdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The module that hands these packages to the stack. */
export const PACKAGES = 'wpaas:packages';

const SOURCE = /\.(?:[cm]?[jt]s|[jt]sx)$/;
const LEFT_OUT = new Set(['node_modules', '.git', '.wpaas', 'test', 'tests']);
// Types, and what is for building only, whatever list it stands in.
const NOT_FOR_RUNNING = /^(?:@types\/.*|typescript|eslint.*|prettier|nodemon|ts-node|tsx|vite|webpack|esbuild)$/;
const MOST_FILES = 10_000;

async function* filesOf(directory) {
  const left = [directory];
  for (let count = 0; left.length > 0; ) {
    const at = left.pop();
    for (const entry of await readdir(at, { withFileTypes: true })) {
      if (++count > MOST_FILES) return;
      const path = join(at, entry.name);
      if (entry.isDirectory()) {
        if (!LEFT_OUT.has(entry.name)) left.push(path);
      } else if (entry.isFile()) yield path;
    }
  }
}

async function dependencies(app) {
  try {
    const { dependencies = {} } = JSON.parse(await readFile(join(app, 'package.json'), 'utf8'));
    return Object.keys(dependencies).filter(
      (name) => !NOT_FOR_RUNNING.test(name) && existsSync(join(app, 'node_modules', name)),
    );
  } catch {
    return []; // no package.json, or one that the buildpack has refused
  }
}

/** The names of the app's dependencies that it mentions other than by importing them. */
export async function findPackages(app) {
  const names = new Set(await dependencies(app));
  const found = new Set();
  if (names.size === 0) return found;
  const quoted = new RegExp(
    `(?<!\\bfrom\\s*|\\bimport\\s*|\\brequire\\s*\\(\\s*|\\bimport\\s*\\(\\s*)(['"\`])(${[...names].map(escaped).join('|')})\\1`,
    'g',
  );
  for await (const file of filesOf(app)) {
    const extension = /\.([a-z0-9]+)$/i.exec(file)?.[1];
    if (names.has(extension)) found.add(extension);
    if (!SOURCE.test(file)) continue;
    for (const [, , name] of (await readFile(file, 'utf8')).matchAll(quoted)) found.add(name);
  }
  return found;
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

/** Puts `names` into the bundle; they are evaluated when they are required. */
export function packages(app, names) {
  return {
    name: 'packages',
    setup(build) {
      build.onResolve({ filter: /^wpaas:packages$/ }, (args) => ({ path: args.path, namespace: 'packages' }));
      build.onLoad({ filter: /.*/, namespace: 'packages' }, () => ({
        contents: `__wpaas.packages({${[...names].sort().map((name) => {
          const quotedName = JSON.stringify(name);
          return `${quotedName}: () => require(${quotedName})`;
        })}});`,
        resolveDir: app,
      }));
    },
  };
}
