// The component's entries: wasi:http/incoming-handler, served by the app's node:http server, wasi:cli/run, a script that
// runs to its end, and snapshot, which evaluates the app at its build.
import './globals.js';
import { appServer } from './boot/boot.js';
import { runCommand } from './boot/command.js';
import { serveRequest } from './http/dispatch.js';
import { beginGeneration } from './loop/calls.js';
import { forgetEngineWork } from './loop/loop.js';
import { stalled } from './boot/fatal.js';
import { resume, takeSnapshot } from './snapshot/snapshot.js';
import { expectResponse } from './wasi/response.js';

export const incomingHandler = {
  async handle(request, outparam) {
    expectResponse(outparam);
    resume();
    beginGeneration();
    forgetEngineWork();
    const server = await appServer();
    if (server === undefined) return;
    if (!(await serveRequest(server, request))) stalled();
  },
};

/** Called at the build of apps that have a snapshot, by the program that keeps the memory afterwards. */
export const snapshot = takeSnapshot;

export const run = {
  async run() {
    await runCommand();
  },
};
