// Builds the engine component of the stack: `node build-stack.mjs OUT.wasm`.
//
// esbuild puts the stack's sources and the packages they use into one module, componentize-js puts that into the
// JavaScript engine and takes a snapshot after it has run. Run in an installed copy of the recipe (npm ci).
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';
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

/** The stack's sources as one module. */
async function bundle() {
  const result = await esbuild({
    entryPoints: [inSource('main.js')],
    absWorkingDir: here,
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2024',
    external: ['wasi:*'],
    plugins: [ownModules],
    logLevel: 'warning',
    legalComments: 'none',
  });
  return result.outputFiles[0].text;
}

// The bindings keep the arguments of a host call until the guest's own call returns, which here is a whole request: a
// response of 500 MB would take 500 MB of memory. So bytes and lists are given back after the call that took them.
const KEPT_ARGUMENTS = [
  ['$import_wasi_io_streams_0_2_10$outputStream$method$write(handle0, ptr2, len2);', '$dealloc(ptr2, len2, 1);'],
  [
    '$import_wasi_io_streams_0_2_10$outputStream$method$blockingWriteAndFlush(handle0, ptr2, len2);',
    '$dealloc(ptr2, len2, 1);',
  ],
  [
    '$import_wasi_filesystem_types_0_2_10$descriptor$method$write(handle0, ptr2, len2, toUint64(arg2));',
    '$dealloc(ptr2, len2, 1);',
  ],
  ['$import_wasi_io_poll_0_2_10$poll(result2, len2);', '$dealloc(result2, len2 * 4, 4);'],
];

// They define no class for a resource without methods, and then use it.
const MISSING_CLASS = ['class import_ipNameLookup_0_2_10$ResolveAddressStream {', 'class import_network_0_2_10$Network {}\n'];

/** Patches what componentize-js generates: `await` this before `componentize`. */
async function mendBindings() {
  const componentizer = import.meta.resolve('@bytecodealliance/componentize-js');
  const { splicer } = await import(new URL('../lib/spidermonkey-embedding-splicer.js', componentizer));
  const { spliceBindings } = splicer;
  splicer.spliceBindings = (...args) => {
    const result = spliceBindings(...args);
    for (const [call, free] of KEPT_ARGUMENTS) {
      if (result.jsBindings.split(call).length !== 2) throw new Error(`the bindings have changed: ${call}`);
      result.jsBindings = result.jsBindings.replace(call, () => `${call} ${free}`);
    }
    const [place, definition] = MISSING_CLASS;
    if (result.jsBindings.split(place).length !== 2) throw new Error('the bindings have changed: Network');
    result.jsBindings = result.jsBindings.replace(place, () => definition + place);
    return result;
  };
}

async function main(out) {
  const scratch = await mkdtemp(join(tmpdir(), 'wpaas-stack-'));
  try {
    // The name shows in the engine's stack traces; src/lang/stack.js knows it.
    const sourcePath = join(scratch, 'wpaas-node.js');
    await writeFile(sourcePath, await bundle());
    await mendBindings();
    const { component } = await componentize({
      sourcePath,
      sourceName: 'wpaas-node.js',
      witPath: join(here, 'wit'),
      worldName: 'node',
      enableAot: false,
    });
    await writeFile(out, component);
    console.log(`${out}: ${component.length} bytes`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const [out] = process.argv.slice(2);
if (out === undefined) {
  console.error('usage: node build-stack.mjs OUT.wasm');
  process.exitCode = 2;
} else {
  await main(out);
}
