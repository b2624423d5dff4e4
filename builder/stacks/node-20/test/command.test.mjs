// `node script.js args` as a command (wasi:cli/run): a process that ends when nothing is left, with its status.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import { makeApp } from './app.mjs';
import { bundle, recipe, stackModule } from './host.mjs';

const FILES = {
  'bundled.js': `const { greet } = require('./lib/greet'); console.log(greet(process.argv[2]), process.argv.length, require.main === module);`,
  'lib/greet.js': `exports.greet = (name) => 'hello ' + name;`,
  'plain.js': `const { greet } = require('./lib/greet'); console.log(greet('plain'), __filename);`,
  'timers.js': `let n = 0; const t = setInterval(() => { console.log(++n); if (n === 3) clearInterval(t); }, 5); setTimeout(() => {}, 1e6).unref();`,
  'status.js': `process.on('exit', (code) => console.log('exit', code)); process.exit(7);`,
  'code.js': `process.exitCode = 3; process.on('beforeExit', (code) => console.log('before', code));`,
  'throws.js': `setTimeout(() => { throw new Error('boom'); }, 1);`,
  'awaits.mjs': `import { setTimeout as sleep } from 'node:timers/promises'; await sleep(5); console.log('awaited');`,
  'stdin.js': `process.stdin.setEncoding('utf8'); let all = ''; process.stdin.on('data', (part) => all += part).on('end', () => console.log(all.toUpperCase()));`,
  'stdin-sync.js': `console.log(require('fs').readFileSync(0, 'utf8').length);`,
  'lines.js': `const rl = require('readline').createInterface({ input: process.stdin }); rl.on('line', (line) => console.log('<' + line + '>')).on('close', () => console.log('closed'));`,
  'worker.js': `const t = setInterval(() => {}, 1000); process.on('SIGTERM', () => { console.log('asked to end'); clearInterval(t); }); console.log('up');`,
  'stubborn.js': `setInterval(() => {}, 1000); console.log('up');`,
  'env.js': `console.log(process.env.GREETING, process.cwd());`,
};
const BUNDLED = ['bundled.js', 'awaits.mjs'];

let app;
let module;

before(async () => {
  app = await makeApp(FILES);
  const entries = {};
  for (const entry of BUNDLED) {
    const out = join('.wpaas', `${entry}.cjs`);
    const { status, stderr } = await bundle(app, entry, join(app, out));
    assert.equal(status, 0, stderr);
    entries[`/app/${entry}`] = `/app/${out}`;
  }
  await mkdir(dirname(join(app, '.wpaas/entries.json')), { recursive: true });
  await writeFile(join(app, '.wpaas/entries.json'), JSON.stringify(entries));
  module = await stackModule();
});

function begin(args, env = {}) {
  const vars = JSON.stringify({ DYNO: 'run.1', GREETING: 'hi', ...env });
  const child = spawn(process.execPath, [join(recipe, 'test', 'run.mjs'), module, app, vars, ...args]);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  return { child, output };
}

async function node(args, input = '', env = {}) {
  const { child, output } = begin(['node', ...args], env);
  child.stdin.end(input);
  const [status] = await once(child, 'close');
  return { status, ...output };
}

test('a script of a bundle, by every name that Node takes', async () => {
  for (const name of ['bundled.js', './bundled', '/app/bundled.js']) {
    assert.deepEqual(await node([name, 'Ada']), { status: 0, stdout: 'hello Ada 3 true\n', stderr: '' });
  }
  assert.equal((await node(['--enable-source-maps', 'awaits'])).stdout, 'awaited\n');
});

test('a script that is not bundled has the files beside it', async () => {
  assert.deepEqual(await node(['plain']), { status: 0, stdout: 'hello plain /app/plain.js\n', stderr: '' });
});

test('the words of a process type', async () => {
  const { child, output } = begin(['/app/.wpaas/bundled.js.cjs', 'node', '/app/bundled.js', 'x']);
  child.stdin.end();
  assert.equal((await once(child, 'close'))[0], 0);
  assert.equal(output.stdout, 'hello x 3 true\n');
});

test('it ends when nothing is left, and not before', async () => {
  assert.deepEqual(await node(['timers']), { status: 0, stdout: '1\n2\n3\n', stderr: '' });
});

test('exit statuses', async () => {
  assert.deepEqual(await node(['status']), { status: 7, stdout: 'exit 7\n', stderr: '' });
  assert.deepEqual(await node(['code']), { status: 3, stdout: 'before 3\n', stderr: '' });
  const thrown = await node(['throws']);
  assert.equal(thrown.status, 1);
  assert.match(thrown.stderr, /Error: boom\n/);
});

test('standard input', async () => {
  assert.equal((await node(['stdin'], 'some\ntext')).stdout, 'SOME\nTEXT\n');
  assert.equal((await node(['stdin'], '')).stdout, '\n');
  assert.equal((await node(['stdin-sync'], 'x'.repeat(200_000))).stdout, '200000\n');
  assert.equal((await node(['lines'], 'a\nb')).stdout, '<a>\n<b>\nclosed\n');
});

test('environment, version and evaluation', async () => {
  assert.equal((await node(['env'])).stdout, 'hi /app\n');
  assert.match((await node(['--version'])).stdout, /^v20\./);
  assert.equal((await node(['-p', 'path.join("a", "b")'])).stdout, 'a/b\n');
  assert.equal((await node(['-e', 'console.log(process.argv.slice(1))', 'x'])).stdout, "[ 'x' ]\n");
});

test('what cannot run says so', async () => {
  assert.deepEqual(await node(['nothing.js']), { status: 1, stdout: '', stderr: "node: Cannot find module '/app/nothing.js'\n" });
  assert.match((await node([])).stderr, /needs a script/);
});

test('a worker is asked to end by the end of its input', async () => {
  for (const [script, status, last] of [['worker.js', 0, 'up\nasked to end\n'], ['stubborn.js', 143, 'up\n']]) {
    const { child, output } = begin(['node', script], { DYNO: 'worker.1' });
    while (!output.stdout.includes('up')) await once(child.stdout, 'data');
    child.stdin.end();
    assert.equal((await once(child, 'close'))[0], status);
    assert.equal(output.stdout, last);
  }
});
