// A command (wasi:cli/run): a worker, or `node script.js args` run once. It ends as a process of Node does, when nothing
// is left to wait for.
import { getArguments, getEnvironment } from 'wasi:cli/environment@0.2.10';
import { readFileBytes } from '../fs/host.js';
import { statSync } from '../fs/sync.js';
import { isListening } from '../http/server.js';
import { forgetEngineWork, isAlive, runLoop } from '../loop/loop.js';
import { drainTicks } from '../loop/ticks.js';
import { setTimeout } from '../loop/timers.js';
import { inspect } from '../node/inspect.js';
import { builtinNames } from '../node/builtins.js';
import { makeMainRequire } from '../node/module.js';
import { startProcess } from '../node/process.js';
import { whenAskedToEnd, writeStdio } from '../wasi/stdio.js';
import { parseArguments } from './args.js';
import { start } from './boot.js';
import { commandStarts, crash, exitProcess } from './fatal.js';

const APP = '/app';
// Written by the build: file of the app -> the bundle whose entry it is.
const ENTRIES = `${APP}/.wpaas/entries.json`;
const EXTENSIONS = ['', '.js', '.cjs', '.mjs', '.ts', '/index.js'];
const SIGTERM = 15;
// How long to sleep for a server that listens, which no request reaches here.
const LISTENING_MS = 60_000;

/** Runs what the arguments say, to its end. Does not return but by the end of the process. */
export async function runCommand() {
  commandStarts();
  const run = plan(getArguments());
  startProcess(getEnvironment(), run.argv);
  // A one-off dyno's input belongs to whoever runs it, and may be empty from the start.
  if (!/^run\./.test(globalThis.process.env.DYNO ?? 'run.1')) whenAskedToEnd(terminateWorker);
  try {
    run.begin();
  } catch (error) {
    crash(error);
  }
  drainTicks();
  for (;;) {
    await runLoop(settled);
    if (isListening()) {
      setTimeout(() => {}, LISTENING_MS);
      continue;
    }
    globalThis.process.emit('beforeExit', Number(globalThis.process.exitCode) || 0);
    drainTicks();
    if (!isAlive()) break;
  }
  exitProcess();
}

// Never. What the engine works on keeps the process alive only while it lasts.
function settled() {
  forgetEngineWork();
  return false;
}

function terminateWorker() {
  const { process } = globalThis;
  if (process.listenerCount('SIGTERM') > 0) process.emit('SIGTERM', 'SIGTERM', SIGTERM);
  else exitProcess(128 + SIGTERM);
}

/** `{ argv, begin }`: process.argv without the engine, and what starts the app. */
function plan(args) {
  if (args[0] !== 'node' && args[0] !== 'nodejs') {
    const { bundle, argv } = parseArguments(args);
    return { argv, begin: () => start(bundle, argv[0] ?? bundle) };
  }
  const rest = args.slice(1);
  while (rest.length > 0 && rest[0].startsWith('-')) {
    const flag = rest.shift();
    if (flag === '--') break;
    if (flag === '-v' || flag === '--version') return { argv: [], begin: () => writeStdio(1, `${globalThis.process.version}\n`) };
    if (['-e', '--eval', '-p', '--print', '-pe'].includes(flag)) {
      const code = rest.shift() ?? '';
      if (rest[0] === '--') rest.shift();
      return { argv: rest, begin: () => evaluate(code, flag !== '-e' && flag !== '--eval') };
    }
  }
  const [script, ...further] = rest;
  if (script === undefined) return { argv: [], begin: () => fail('node needs a script here: a dyno has no terminal') };
  const absolute = script.startsWith('/') ? script : `${APP}/${script.replace(/^(?:\.\/)+/, '')}`;
  return found(absolute.replace(/\/+\.?$/, ''), further);
}

function found(absolute, further) {
  const entries = readEntries();
  const candidates = EXTENSIONS.map((extension) => absolute + extension);
  const file = candidates.find((candidate) => Object.hasOwn(entries, candidate));
  if (file !== undefined) return { argv: [file, ...further], begin: () => start(entries[file], file) };
  const plain = candidates.find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile());
  if (plain === undefined) return { argv: [absolute], begin: () => fail(`Cannot find module '${absolute}'`) };
  // Not bundled: it has Node's modules and the files beside it, but no packages.
  return { argv: [plain, ...further], begin: () => makeMainRequire(`${APP}/-`).require(plain) };
}

function readEntries() {
  try {
    return JSON.parse(new TextDecoder().decode(readFileBytes(ENTRIES)));
  } catch {
    return {};
  }
}

function fail(text) {
  writeStdio(2, `node: ${text}\n`);
  exitProcess(1);
}

function evaluate(code, prints) {
  const { require, module } = makeMainRequire(`${APP}/[eval]`);
  Object.assign(globalThis, { require, module, exports: module.exports, __filename: '[eval]', __dirname: '.' });
  // As Node's own, its modules are there by name.
  for (const name of builtinNames) {
    if (/^\w+$/.test(name) && !(name in globalThis)) {
      Object.defineProperty(globalThis, name, { configurable: true, get: () => require(name) });
    }
  }
  const value = (0, eval)(code);
  if (prints) writeStdio(1, `${typeof value === 'string' ? value : inspect(value)}\n`);
}
