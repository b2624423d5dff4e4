// Imports that lead out of the bundle: Node's own modules, and packages that are optional and not there.
import { builtinModules } from 'node:module';

// Those of Node 20 that only exist with the prefix are added by hand: the list leaves them out.
const NAMES = [...builtinModules.filter((name) => !name.startsWith('_')), 'test'];

/** Node's modules come from the engine, through `require` at run time, also for `import`. */
export function builtins() {
  const filter = new RegExp(`^(?:node:.*|${NAMES.filter((name) => name !== 'test').join('|')})$`);
  return {
    name: 'builtins',
    setup(build) {
      build.onResolve({ filter }, (args) =>
        args.namespace === 'builtin'
          ? { path: args.path, external: true }
          : { path: args.path.replace(/^(?!node:)/, 'node:'), namespace: 'builtin' },
      );
      build.onLoad({ filter: /.*/, namespace: 'builtin' }, (args) => ({
        contents: `module.exports = require(${JSON.stringify(args.path)});`,
        loader: 'js',
      }));
    },
  };
}

/** Packages that could not be resolved and may be missing: `require` fails when it is reached. */
export function missing(names) {
  return {
    name: 'missing',
    setup(build) {
      if (names.size === 0) return;
      build.onResolve({ filter: /.*/ }, (args) =>
        names.has(args.path) && args.importer.includes('node_modules') ? { path: args.path, external: true } : undefined,
      );
    },
  };
}
