// Starts the app at the first request and waits until it listens.
import { getArguments, getEnvironment } from 'wasi:cli/environment@0.2.10';
import { runLoop } from '../loop/loop.js';
import { drainTicks } from '../loop/ticks.js';
import { nowMs } from '../wasi/clock.js';
import { listeningServer } from '../http/server.js';
import { fetchHandler, serveFetch } from '../http/fetch-app.js';
import { startProcess } from '../node/process.js';
import { makeMainRequire, providePackages } from '../node/module.js';
import { reportFailure } from '../wasi/response.js';
import { writeStdio } from '../wasi/stdio.js';
import { parseArguments } from './args.js';
import { loadBundle } from './bundle.js';
import { bootFinished, crash } from './fatal.js';

let failed = false;
let booting;
let booted = false;

const port = () => Number(globalThis.process.env.PORT) || undefined;

/** The app's server, after booting the app if need be; undefined when it failed, which the host then knows. */
export async function appServer() {
  if (failed) {
    reportFailure('H10', 'App crashed: it failed when it was started');
    return undefined;
  }
  if (!booted && !(await (booting ??= boot()))) {
    failed = true;
    return undefined;
  }
  const server = listeningServer(port());
  if (server === undefined) reportFailure('H10', 'App crashed: it has closed its server');
  return server;
}

/** Starts the app and waits until it listens; false when it does not. */
export async function boot() {
  const { bootTimeoutMs, bundle, argv } = parseArguments(getArguments());
  startProcess(getEnvironment(), argv);
  const deadline = nowMs() + bootTimeoutMs;
  try {
    start(bundle, argv[0] ?? bundle);
  } catch (error) {
    crash(error);
  }
  drainTicks();
  const state = () => (listeningServer(port()) !== undefined ? 'listening' : nowMs() >= deadline ? 'late' : undefined);
  const alive = await runLoop(() => state() !== undefined, { beat: Math.max(1, Math.min(1000, bootTimeoutMs)) });
  if (state() === 'listening') {
    booted = true;
    bootFinished();
    return true;
  }
  if (alive) {
    const seconds = Math.round(bootTimeoutMs / 1000);
    writeStdio(2, `Error R10 (Boot timeout) -> Web process failed to listen on $PORT within ${seconds} seconds of launch\n`);
    reportFailure('R10', `Boot timeout: the app did not listen on $PORT within ${seconds} seconds`);
  } else {
    writeStdio(2, 'The process ended without listening on $PORT. A web process calls `listen(process.env.PORT)`.\n');
    reportFailure('H10', 'App crashed: process ended without listening on $PORT');
  }
  return false;
}

/** Runs the bundle whose entry is the file `main`. */
export function start(bundle, main) {
  const run = loadBundle(bundle);
  const { require, module } = makeMainRequire(main);
  // What the bundle tells of the app: the entry's exports, and packages that are required under computed names.
  const host = {
    entry(exports) {
      const app = fetchHandler(exports);
      if (app !== undefined && listeningServer(port()) === undefined) serveFetch(app);
    },
    packages: providePackages,
  };
  const directory = main.slice(0, main.lastIndexOf('/')) || '/';
  // An ES module that awaits at its top level goes on after this; one that fails there has crashed the app.
  run.call(module.exports, require, module, module.exports, main, directory, host)?.then(undefined, crash);
}
