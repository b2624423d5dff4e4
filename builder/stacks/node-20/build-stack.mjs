// Builds the engine component of the stack: `node build-stack.mjs OUT.wasm`.
//
// esbuild puts the stack's sources and the packages they use into one module, componentize-js puts that into the
// JavaScript engine and takes a snapshot after it has run. Run in an installed copy of the recipe (npm ci).
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';
import { bundleStack } from './sources.mjs';

const here = dirname(fileURLToPath(import.meta.url));

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

// They define no class for a resource without methods, and then use it. Those come before one that is there.
const WITHOUT_METHODS = ['network_0_2_10$Network', 'terminalInput_0_2_10$TerminalInput', 'terminalOutput_0_2_10$TerminalOutput'];
const A_CLASS = 'class import_ipNameLookup_0_2_10$ResolveAddressStream {';

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
    if (result.jsBindings.split(A_CLASS).length !== 2) throw new Error('the bindings have changed: classes');
    const classes = WITHOUT_METHODS.map((name) => `class import_${name} {}\n`).join('');
    result.jsBindings = result.jsBindings.replace(A_CLASS, () => classes + A_CLASS);
    return result;
  };
}

async function main(out) {
  const scratch = await mkdtemp(join(tmpdir(), 'wpaas-stack-'));
  try {
    // The name shows in the engine's stack traces; src/lang/stack.js knows it.
    const sourcePath = join(scratch, 'wpaas-node.js');
    await writeFile(sourcePath, await bundleStack('src/main.js'));
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
