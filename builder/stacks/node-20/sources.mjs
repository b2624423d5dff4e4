// The stack's sources and the packages they use, as one module for the engine.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as esbuild } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const inSource = (file) => join(here, 'src', file);

// Names that the packages import -> the stack's own module, whose default export they get as `module.exports`.
const OWN_MODULES = {
  buffer: 'node/buffer.js',
  events: 'node/events.js',
  path: 'node/path.js',
  'process/': 'loop/streams-process.js',
  stream: 'node/stream.js',
  'string_decoder/': undefined,
};

/** Gives the packages the stack's modules in place of Node's. */
const ownModules = {
  name: 'own-modules',
  setup(build) {
    const names = new RegExp(`^(?:node:)?(?:${Object.keys(OWN_MODULES).join('|')})$`);
    build.onResolve({ filter: names }, async (args) => {
      const name = args.path.replace(/^node:/, '');
      if (name === 'string_decoder/') {
        return build.resolve('string_decoder/lib/string_decoder.js', { resolveDir: here, kind: args.kind });
      }
      return { path: name, namespace: 'own' };
    });
    build.onLoad({ filter: /.*/, namespace: 'own' }, (args) => ({
      // `require` must give the module itself, not a namespace around it.
      contents: `module.exports = require(${JSON.stringify(inSource(OWN_MODULES[args.path]))}).default;`,
      resolveDir: here,
    }));
    // A file as a string, to be read when it is needed.
    build.onResolve({ filter: /^text:/ }, async (args) => {
      const { path } = await build.resolve(args.path.slice('text:'.length), { resolveDir: here, kind: args.kind });
      return { path, namespace: 'text' };
    });
    build.onLoad({ filter: /.*/, namespace: 'text' }, async (args) => ({
      contents: await readFile(args.path, 'utf8'),
      loader: 'text',
    }));
    // A module with its packages as the text of a script, to be evaluated when it is needed.
    build.onResolve({ filter: /^script:/ }, (args) => ({
      path: inSource(args.path.slice('script:'.length)),
      namespace: 'script',
    }));
    build.onLoad({ filter: /.*/, namespace: 'script' }, async (args) => {
      const settings = { bundle: true, write: false, format: 'iife', platform: 'neutral', minify: true, target: 'es2022' };
      const script = await esbuild({ ...settings, entryPoints: [args.path], mainFields: ['module', 'main'] });
      return { contents: script.outputFiles[0].text, loader: 'text' };
    });
    // Brotli's dictionary, compressed by itself, in place of 750 KB of source.
    build.onResolve({ filter: /^\.\/dictionary-data$/ }, (args) =>
      build.resolve('./dictionary-browser.js', { resolveDir: args.resolveDir, importer: args.importer, kind: args.kind }),
    );
    // unenv's placeholders then throw the stack's own error.
    build.onResolve({ filter: /_internal\/utils\.mjs$/ }, () => ({ path: inSource('lang/unavailable.js') }));
    // The package has polyfills of what every engine has had for years.
    build.onResolve({ filter: /^abort-controller$/ }, () => ({ path: 'abort-controller', namespace: 'empty' }));
    build.onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'module.exports = {};' }));
    build.onResolve({ filter: /^(?:node:)?util\/types$/ }, () => ({ path: inSource('node/types.js') }));
    build.onResolve({ filter: /^node:querystring$/ }, (args) =>
      build.resolve('unenv/node/querystring', { resolveDir: here, kind: args.kind }),
    );
  },
};

/** The stack's sources as one module, from the file `entry` of the recipe; `plugins` come before the stack's own. */
export async function bundleStack(entry, plugins = []) {
  const result = await esbuild({
    entryPoints: [join(here, entry)],
    absWorkingDir: here,
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2024',
    external: ['wasi:*'],
    plugins: [...plugins, ownModules],
    logLevel: 'warning',
    legalComments: 'none',
  });
  return result.outputFiles[0].text;
}
