// The component's entry on QuickJS: wasi:http/handler of WASI 0.3, many requests at once, served by the app's node:http
// server.
import './globals.js';
import { appServer } from './boot/boot.js';
import { crash } from './boot/fatal.js';
import { serveRequest } from './http/dispatch.js';
import { forgetRandomNumbers } from './lang/math-random.js';
import { Exchange } from './wasi/response.js';

async function serve(exchange) {
  const server = await appServer();
  if (server === undefined) return;
  await serveRequest(server, exchange);
}

export const handler = {
  handle(request) {
    const exchange = new Exchange(request);
    serve(exchange).catch(crash);
    return exchange.answered();
  },
};

// What was drawn while the component was made is in every instance.
forgetRandomNumbers();
