// The component's two entries: wasi:http/incoming-handler, served by the app's node:http server, and wasi:cli/run, a
// script that runs to its end.
import './globals.js';
import { appServer } from './boot/boot.js';
import { runCommand } from './boot/command.js';
import { serveRequest } from './http/dispatch.js';
import { beginGeneration } from './loop/calls.js';
import { forgetEngineWork } from './loop/loop.js';
import { stalled } from './boot/fatal.js';
import { expectResponse } from './wasi/response.js';

export const incomingHandler = {
  async handle(request, outparam) {
    expectResponse(outparam);
    beginGeneration();
    forgetEngineWork();
    const server = await appServer();
    if (server === undefined) return;
    if (!(await serveRequest(server, request))) stalled();
  },
};

export const run = {
  async run() {
    await runCommand();
  },
};
