// Builds the component of the stack on QuickJS: `node build-quickjs.mjs OUT.wasm`.
//
// The sources are those of the other engine, with the files of `quickjs/` in place of the ones in `src/` that have the
// same names. componentize-qjs puts them into the engine and takes a snapshot after they have run.
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentize } from 'componentize-qjs';
import { bundleStack } from './sources.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const LAYERS = ['quickjs', 'src'].map((layer) => join(here, layer));
// The bindings of 0.2 behind which the sources of both engines see the same.
const BINDINGS = join(here, 'quickjs/host/bindings.js');
/** The file of the stack that has the path `name` in its layers. */
const layered = (name) => LAYERS.map((layer) => join(layer, name)).find((file) => existsSync(file));

/** Puts the engine's files in place of the sources', and the adapted bindings in place of the host's. */
const engineLayer = {
  name: 'engine-layer',
  setup(build) {
    build.onResolve({ filter: /^\.{1,2}\// }, ({ path, resolveDir }) => {
      const file = resolve(resolveDir, path);
      const layer = LAYERS.find((root) => file.startsWith(`${root}/`));
      return layer === undefined ? undefined : { path: layered(relative(layer, file)) };
    });
    build.onResolve({ filter: /^wasi:.*@0\.2\./ }, ({ importer }) =>
      dirname(importer) === dirname(BINDINGS) ? { external: true } : { path: BINDINGS },
    );
    // Its classes one by one: the package's index has clients that need much more of Node.
    build.onResolve({ filter: /^undici:/ }, ({ path }) => ({
      path: join(here, 'node_modules/undici/lib/web/fetch', path.slice('undici:'.length)),
    }));
    build.onResolve({ filter: /^node:/ }, ({ path, importer }) =>
      /node_modules\/undici\//.test(importer) ? { path, namespace: 'node-module' } : undefined,
    );
    // The two import each other, in this order.
    const [first, builtins] = ['node/module.js', 'node/builtins.js'].map((file) => JSON.stringify(layered(file)));
    build.onLoad({ filter: /.*/, namespace: 'node-module' }, ({ path }) => ({
      contents: `require(${first}); module.exports = require(${builtins}).builtins(${JSON.stringify(path.slice('node:'.length))});`,
      resolveDir: here,
    }));
    // It fetches streams while it loads when there are none; there are.
    build.onLoad({ filter: /fetch-blob\/index\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      const contents = source.replace(/^if \(!globalThis\.ReadableStream\) \{[^]*?^\}\n/m, '');
      if (contents === source) throw new Error('fetch-blob has changed');
      return { contents };
    });
  },
};

/** The component's world: its own packages beside those of WASI 0.2. */
async function makeWit(dir) {
  const deps = join(dir, 'deps');
  await cp(join(here, 'wit/deps'), deps, { recursive: true });
  await rm(join(deps, 'http.wit'));
  for (const file of await readdir(join(here, 'quickjs/wit'))) {
    await cp(join(here, 'quickjs/wit', file), file === 'world.wit' ? join(dir, file) : join(deps, file));
  }
}

const [out] = process.argv.slice(2);
if (out === undefined) {
  console.error('usage: node build-quickjs.mjs OUT.wasm');
  process.exitCode = 2;
} else {
  const witPath = await mkdtemp(join(tmpdir(), 'wpaas-stack-'));
  try {
    await makeWit(witPath);
    const jsSource = await bundleStack('quickjs/main.js', [engineLayer]);
    const { component } = await componentize({ witPath, world: 'node', jsSource });
    await writeFile(out, component);
    console.log(`${out}: ${component.length} bytes`);
  } finally {
    await rm(witPath, { recursive: true, force: true });
  }
}
