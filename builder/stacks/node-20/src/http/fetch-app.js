// Apps that export a fetch handler (`export default { fetch }`, as Hono and itty-router do) instead of listening: a
// server around the handler, with the web's Request and Response.
import stream from '../node/stream.js';
import { startCall } from '../loop/calls.js';
import { inspect } from '../node/inspect.js';
import { writeStdio } from '../wasi/stdio.js';
import { Server } from './server.js';

const { Readable } = stream;

/** The object with `fetch` that the entry's module exports, or undefined. */
export function fetchHandler(entry) {
  // TypeScript that was compiled to CommonJS has the export one level further down.
  for (const candidate of [entry?.default, entry?.default?.default]) {
    if (typeof candidate?.fetch === 'function') return candidate;
  }
  return undefined;
}

function toRequest(message, signal) {
  const headers = new Headers();
  for (let i = 0; i < message.rawHeaders.length; i += 2) headers.append(message.rawHeaders[i], message.rawHeaders[i + 1]);
  const protocol = message.headers['x-forwarded-proto'] === 'https' ? 'https' : 'http';
  const url = new URL(message.url, `${protocol}://${message.headers.host ?? 'localhost'}`);
  const init = { method: message.method, headers, signal };
  const hasBody = message.headers['content-length'] !== undefined || message.headers['transfer-encoding'] !== undefined;
  if (hasBody && message.method !== 'GET' && message.method !== 'HEAD') {
    Object.assign(init, { body: Readable.toWeb(message), duplex: 'half' });
  }
  return new Request(url, init);
}

async function send(answer, response) {
  response.statusCode = answer.status;
  if (answer.statusText) response.statusMessage = answer.statusText;
  for (const [name, value] of answer.headers) response.appendHeader(name, value);
  if (answer.body === null) {
    response.end();
    return;
  }
  response.flushHeaders();
  const reader = answer.body.getReader();
  response.once('close', () => void reader.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = await reader.read();
    if (done || response.destroyed) break;
    if (!response.write(value)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
  }
  response.end();
}

/** What the handler gets as its third argument, as on other platforms with such handlers. */
const context = {
  waitUntil(promise) {
    const end = startCall();
    Promise.resolve(promise).then(end, (error) => {
      end();
      writeStdio(2, `${inspect(error)}\n`);
    });
  },
  passThroughOnException() {},
};

async function answer(app, message, response) {
  const abort = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) abort.abort();
  });
  try {
    const made = await app.fetch(toRequest(message, abort.signal), globalThis.process.env, context);
    if (!(made instanceof Response)) {
      throw new TypeError(`fetch must return a Response, and returned ${inspect(made, { depth: 0 })}`);
    }
    await send(made, response);
  } catch (error) {
    writeStdio(2, `${inspect(error)}\n`);
    if (response.headersSent) response.destroy();
    else {
      response.statusCode = 500;
      response.end('Internal Server Error');
    }
  }
}

/** Makes a server of `app` and lets it listen on the platform's port. */
export function serveFetch(app) {
  new Server((message, response) => void answer(app, message, response)).listen(Number(globalThis.process.env.PORT) || 3000);
}
