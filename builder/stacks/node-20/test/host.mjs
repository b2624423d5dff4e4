// Runs apps for the tests: on this Node, and on the stack, whose component jco makes into a module that Node can run.
// (The platform runs it in Wasmtime; its own tests cover that.)
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transpile } from '@bytecodealliance/jco';

export const recipe = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a program to its end: `{ status, stdout, stderr }`. */
export async function run(program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  const [status] = await once(child, 'close');
  return { status, ...output };
}

/** Bundles the app in `app` into its own `.wpaas/web.cjs`, or into `out`. */
export async function bundle(app, entry = 'server.js', out = join(app, '.wpaas', 'web.cjs')) {
  const result = await run(process.execPath, [join(recipe, 'bundle.mjs'), '--app', app, '--entry', entry, '--out', out]);
  return { ...result, out };
}

async function recipeDigest() {
  const hash = createHash('sha256');
  for (const directory of ['src', 'wit', '.']) {
    const names = await readdir(join(recipe, directory), { recursive: directory !== '.', withFileTypes: true });
    const files = names.filter((entry) => entry.isFile() && (directory !== '.' || /\.(mjs|json)$/.test(entry.name)));
    for (const file of files.map((entry) => join(entry.parentPath, entry.name)).sort()) {
      hash.update(file.slice(recipe.length)).update(await readFile(file));
    }
  }
  return hash.digest('hex').slice(0, 16);
}

/**
 * The directory with the stack as a module, built once for each state of the recipe. It is inside the recipe's packages,
 * which it imports: beside them it lives and goes as they do.
 */
export async function stackModule() {
  const cache = join(recipe, 'node_modules', '.cache', 'stack-test');
  const directory = join(cache, await recipeDigest());
  if (existsSync(directory)) return directory;
  await mkdir(cache, { recursive: true });
  const scratch = await mkdtemp(join(cache, 'building-'));
  const component = join(scratch, 'stack.wasm');
  const result = await run(process.execPath, [join(recipe, 'build-stack.mjs'), component]);
  if (result.status !== 0) throw new Error(`the stack does not build: ${result.stderr}`);
  const { files } = await transpile(await readFile(component), { name: 'stack' });
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(scratch, name)), { recursive: true });
    await writeFile(join(scratch, name), content);
  }
  await writeFile(join(scratch, 'package.json'), '{"type":"module"}');
  // Another test may have been first.
  await rename(scratch, directory).catch(() => rm(scratch, { recursive: true, force: true }));
  return directory;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function started(child, port, path = '/') {
  const output = { text: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output.text += text));
  const url = `http://127.0.0.1:${port}`;
  const ended = once(child, 'close').then(([status]) => {
    throw new Error(`ended with ${status}: ${output.text}`);
  });
  ended.catch(() => {});
  const listening = (async () => {
    for (;;) {
      const answered = await fetch(url + path).then(
        () => true,
        () => false,
      );
      if (answered || child.exitCode !== null) return;
      await new Promise(setImmediate);
    }
  })();
  await Promise.race([listening, ended]);
  if (child.exitCode !== null) await ended;
  return {
    url,
    output: () => output.text,
    /** Waits until the log has something like `pattern`. */
    async logged(pattern) {
      while (!pattern.test(output.text)) await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), ended]);
    },
    async stop() {
      child.kill('SIGKILL');
      await ended.catch(() => {});
    },
  };
}

/** Starts a server of this Node, `node ARGS… PORT` in `directory`, that answers at `path`. */
export async function onPort(args, directory, path) {
  const port = await freePort();
  const child = spawn(process.execPath, [...args, String(port)], { cwd: directory });
  return started(child, port, path);
}

/** Starts the app in `app` on this Node. */
export async function onNode(app, env, entry = 'server.js') {
  const port = await freePort();
  const child = spawn(process.execPath, [entry], { cwd: app, env: { ...process.env, ...env, PORT: String(port) } });
  return started(child, port);
}

/** Starts the app in `app`, bundled before, on the stack. */
export async function onStack(app, env, entry = 'server.js', options = []) {
  const directory = await stackModule();
  const port = await freePort();
  const args = [...options, '/app/.wpaas/web.cjs', 'node', `/app/${entry}`];
  const vars = JSON.stringify({ ...env, PORT: '8080' });
  const child = spawn(process.execPath, [join(recipe, 'test', 'serve.mjs'), directory, String(port), app, vars, ...args]);
  return started(child, port);
}
