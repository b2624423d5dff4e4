// The component's entry: wasi:http/incoming-handler, served by the app's node:http server.
import './globals.js';
import { appServer } from './boot/boot.js';
import { serveRequest } from './http/dispatch.js';
import { beginGeneration } from './loop/calls.js';
import { forgetEngineWork } from './loop/loop.js';
import { setOutparam, stalled } from './boot/fatal.js';

export const incomingHandler = {
  async handle(request, outparam) {
    setOutparam(outparam);
    beginGeneration();
    forgetEngineWork();
    const server = await appServer();
    if (server === undefined) return;
    if (!(await serveRequest(server, request))) stalled();
  },
};
