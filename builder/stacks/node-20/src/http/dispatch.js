// One request of the host through the app's server.
import { engineBusy, runLoop } from '../loop/loop.js';
import { immediatesPending, run } from '../loop/work.js';
import { callsOpen } from '../loop/calls.js';
import { drainTicks } from '../loop/ticks.js';
import { nowMs } from '../wasi/clock.js';
import { setTimeout } from '../loop/timers.js';
import { takeRequest } from '../wasi/request.js';
import { ConnectionInfo } from './socket.js';
import { IncomingMessage } from './incoming.js';
import { ServerResponse } from './server.js';

// How long the instance stays with a request whose response is complete, for the calls that it started.
const AFTER_RESPONSE_MS = 10_000;
// And for immediates, which an app may go on setting for ever. Turns count too: on a busy machine the time may be over
// before the first one ran, and with it what a framework does when a response is complete. (The loop asks thrice a turn.)
const IMMEDIATES_MS = 100;
const IMMEDIATES_QUESTIONS = 30;

// How long to sleep for a response that has begun and waits for nothing.
const QUIET_STREAM_MS = 10_000;

function header(raw, name) {
  for (let i = 0; i < raw.length; i += 2) if (raw[i] === name) return raw[i + 1];
  return undefined;
}

function makeMessages(server, incoming) {
  const { method, url, authority, fields, body: reader } = takeRequest(incoming);
  const raw = fields.flat();
  // Some hosts keep `host` to themselves; the app must see it.
  if (authority !== undefined && header(raw, 'host') === undefined) raw.unshift('host', authority);
  const forwarded = header(raw, 'x-forwarded-for')?.split(',').at(-1).trim();
  const socket = new ConnectionInfo({
    remoteAddress: forwarded || '127.0.0.1',
    remoteFamily: forwarded?.includes(':') ? 'IPv6' : 'IPv4',
    remotePort: Number(header(raw, 'x-request-port')) || 0,
    localAddress: '127.0.0.1',
    localPort: server._port,
    encrypted: false,
    server,
  });
  const request = new IncomingMessage(socket);
  const length = header(raw, 'content-length');
  let hasBody = length !== undefined && length !== '0';
  if (length === undefined && method !== 'GET' && method !== 'HEAD' && reader.mayHaveData()) {
    // The host has undone the chunked coding; packages look at this field to know that a body comes.
    raw.push('transfer-encoding', 'chunked');
    hasBody = true;
  }
  if (hasBody) request._setBody(reader);
  else reader.close();
  request.rawHeaders = raw;
  request.method = method;
  request.url = url;
  const response = new ServerResponse(request);
  response._incoming = incoming;
  response.assignSocket(socket);
  return { socket, request, response };
}

/**
 * Serves one request. Resolves to true when the response is complete, to false when the app waits for nothing that
 * could ever complete it.
 */
export async function serveRequest(server, incoming) {
  const { socket, request, response } = makeMessages(server, incoming);
  run(() => {
    server.emit('connection', socket);
    server.emit('request', request, response);
  });
  while (!(await runLoop(() => response.closed, { listening: true }))) {
    if (!response._sent) return false;
    // A stream of events may stay silent; the host ends it when its client is gone or its time is up.
    setTimeout(() => {}, QUIET_STREAM_MS);
  }
  response.detachSocket();
  socket.destroyed = true;
  socket.readable = false;
  socket.writable = false;
  socket.emit('close', false);
  if (!request.destroyed) request.destroy();
  drainTicks();
  incoming[Symbol.dispose]();
  const ended = nowMs();
  let asked = 0;
  const quiet = () => {
    asked += 1;
    const since = nowMs() - ended;
    if (callsOpen() || engineBusy()) return since >= AFTER_RESPONSE_MS;
    return !immediatesPending() || (since >= IMMEDIATES_MS && asked > IMMEDIATES_QUESTIONS);
  };
  if (!quiet()) await runLoop(quiet, { listening: true, beat: 1000 });
  return true;
}
