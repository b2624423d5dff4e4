// http.ClientRequest over wasi:http/outgoing-handler: streams both ways, with Node's events and error codes.
import { OutgoingRequest, RequestOptions } from 'wasi:http/types@0.2.10';
import { handle } from 'wasi:http/outgoing-handler@0.2.10';
import { nextTick } from '../loop/ticks.js';
import { whenReady } from '../loop/loop.js';
import { startCall } from '../loop/calls.js';
import { clearTimeout, setTimeout } from '../loop/timers.js';
import { hostError } from '../wasi/errors.js';
import { BodyReader, BodyWriter } from '../wasi/body.js';
import { fieldsToList, listToFields } from '../wasi/fields.js';
import { abortError, codedError } from '../lang/codes.js';
import { urlToHttpOptions } from '../node/url.js';
import buffer from '../node/buffer.js';
import { ConnectionInfo } from './socket.js';
import { IncomingMessage } from './incoming.js';
import { notInSnapshot } from '../snapshot/phase.js';
import { OutgoingMessage } from './outgoing.js';
import { STATUS_CODES } from './status.js';

const PLAIN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']);

// The host's error -> Node's code and syscall.
const FAILURES = {
  'DNS-error': ['ENOTFOUND', 'getaddrinfo'],
  'DNS-timeout': ['EAI_AGAIN', 'getaddrinfo'],
  'destination-not-found': ['ENOTFOUND', 'getaddrinfo'],
  'destination-unavailable': ['EHOSTUNREACH', 'connect'],
  'destination-IP-prohibited': ['EACCES', 'connect'],
  'destination-IP-unroutable': ['ENETUNREACH', 'connect'],
  'connection-refused': ['ECONNREFUSED', 'connect'],
  'connection-timeout': ['ETIMEDOUT', 'connect'],
  'connection-read-timeout': ['ETIMEDOUT', 'read'],
  'connection-write-timeout': ['ETIMEDOUT', 'write'],
  'connection-terminated': ['ECONNRESET', 'read'],
  'TLS-certificate-error': ['CERT_HAS_EXPIRED', 'connect'],
  'TLS-protocol-error': ['EPROTO', 'connect'],
  'HTTP-response-timeout': ['ETIMEDOUT', 'read'],
  'HTTP-request-denied': ['EACCES', 'connect', 'the platform does not let this app connect there'],
};

function failure(reason, host, port) {
  const tag = typeof reason === 'string' ? reason : reason.tag;
  const [code, syscall, text] = FAILURES[tag] ?? ['ECONNRESET', 'request'];
  const detail = text ?? (typeof reason.val === 'string' ? reason.val : undefined);
  const place = syscall === 'getaddrinfo' ? host : `${host}:${port}`;
  const error = new Error(`${syscall} ${code} ${place}${detail === undefined ? '' : ` (${detail})`}`);
  return Object.assign(error, { code, syscall, hostname: host, address: host, port, cause: tag });
}

function options(input, second, third, protocol) {
  let base = {};
  let callback = third;
  if (typeof input === 'string') base = urlToHttpOptions(new URL(input));
  else if (input instanceof URL) base = urlToHttpOptions(input);
  else [callback, second, input] = [second, input, undefined];
  if (typeof second === 'function') [callback, second] = [second, undefined];
  return { settings: { protocol, ...base, ...second }, callback };
}

export function ClientRequest(input, second, third, protocol = 'http:') {
  if (!(this instanceof ClientRequest)) return new ClientRequest(input, second, third, protocol);
  const { settings, callback } = options(input, second, third, protocol);
  // It lives on after its own end, until the response has come.
  OutgoingMessage.call(this, { autoDestroy: false });
  if (settings.protocol !== 'http:' && settings.protocol !== 'https:') {
    throw codedError(
      TypeError,
      'ERR_INVALID_PROTOCOL',
      `Protocol "${settings.protocol}" not supported. Expected "${protocol}"`,
    );
  }
  this.protocol = settings.protocol;
  this.method = (settings.method ?? 'GET').toUpperCase();
  this.host = settings.hostname ?? settings.host ?? 'localhost';
  const defaultPort = settings.protocol === 'https:' ? 443 : 80;
  this.port = Number(settings.port || settings.defaultPort || defaultPort);
  this.path = settings.path ?? '/';
  notInSnapshot(`it requests ${this.protocol}//${this.host}:${this.port}${this.path}`);
  this.agent = settings.agent;
  this.reusedSocket = false;
  this.maxHeadersCount = null;
  this.aborted = false;
  this.res = null;
  this._started = false;
  this._future = undefined;
  this._timer = undefined;
  this._endCall = undefined;
  if (/[^\u0021-\u00ff]/.test(this.path)) {
    throw codedError(TypeError, 'ERR_UNESCAPED_CHARACTERS', 'Request path contains unescaped characters');
  }
  setInitialHeaders(this, settings, defaultPort);
  this.socket = new ConnectionInfo({ remoteAddress: this.host, remotePort: this.port, encrypted: defaultPort === 443 });
  this.socket._owner = this;
  if (callback) this.once('response', callback);
  if (settings.timeout !== undefined) this.setTimeout(settings.timeout);
  if (settings.signal !== undefined) abortWith(this, settings.signal);
  // A request with `Expect` sends its head at once, others with the first byte or the end.
  if (this.hasHeader('expect')) this.flushHeaders();
  nextTick(() => this.emit('socket', this.socket));
}
Object.setPrototypeOf(ClientRequest.prototype, OutgoingMessage.prototype);
Object.setPrototypeOf(ClientRequest, OutgoingMessage);

function setInitialHeaders(request, settings, defaultPort) {
  const { headers } = settings;
  if (Array.isArray(headers)) {
    for (let i = 0; i < headers.length; i += 2) request.appendHeader(headers[i], headers[i + 1]);
  } else if (headers) {
    for (const name of Object.keys(headers)) if (headers[name] !== undefined) request.setHeader(name, headers[name]);
  }
  if (settings.auth && !request.hasHeader('authorization')) {
    request.setHeader('Authorization', `Basic ${buffer.Buffer.from(settings.auth).toString('base64')}`);
  }
  if (!request.hasHeader('host')) {
    const host = request.host.includes(':') && !request.host.startsWith('[') ? `[${request.host}]` : request.host;
    request.setHeader('Host', request.port === defaultPort ? host : `${host}:${request.port}`);
  }
}

function abortWith(request, signal) {
  const abort = () => request.destroy(abortError(signal));
  if (signal.aborted) nextTick(abort);
  else {
    signal.addEventListener('abort', abort, { once: true });
    request.once('close', () => signal.removeEventListener('abort', abort));
  }
}

const proto = ClientRequest.prototype;

proto._implicitHeader = function () {
  // A body of unknown length is sent in chunks; a request that cannot have one does not announce length 0.
  if (!(this._contentLength === 0 && WITHOUT_BODY.has(this.method))) this._fixLength();
  this._header = `${this.method} ${this.path} HTTP/1.1\r\n`;
};

/** Starts the request at the host, once. */
proto._sendHead = function () {
  if (this._started || this.destroyed) return;
  this._started = true;
  this._endCall = startCall();
  try {
    this._future = this._start();
  } catch (error) {
    this._fail(hostError(error));
    return;
  }
  this._wait();
};

proto._start = function () {
  const outgoing = new OutgoingRequest(listToFields(this._pairs()));
  const method = PLAIN_METHODS.has(this.method)
    ? { tag: this.method.toLowerCase() }
    : { tag: 'other', val: this.method };
  outgoing.setMethod(method);
  outgoing.setScheme({ tag: this.protocol === 'https:' ? 'HTTPS' : 'HTTP' });
  outgoing.setAuthority(String(this.getHeader('host')));
  outgoing.setPathWithQuery(this.path);
  this._writer = new BodyWriter(outgoing.body());
  return handle(outgoing, new RequestOptions());
};

proto._wait = function () {
  const pollable = this._future.subscribe();
  this._cancelWait = whenReady(pollable, () => {
    this._cancelWait = undefined;
    const result = this._future.get();
    this._future[Symbol.dispose]();
    this._future = undefined;
    this._endCall?.();
    // The outer result only says that it was not taken before.
    const inner = result.val;
    if (inner.tag === 'err') this._fail(inner.val);
    else this._respond(inner.val);
  });
};

proto._fail = function (reason) {
  this._endCall?.();
  if (!this.destroyed) this.destroy(failure(reason, this.host, this.port));
};

proto._respond = function (incoming) {
  clearTimeout(this._timer);
  const message = new IncomingMessage(this.socket);
  message.statusCode = incoming.status();
  message.statusMessage = STATUS_CODES[message.statusCode] ?? '';
  const fields = incoming.headers();
  for (const [name, value] of fieldsToList(fields)) message.rawHeaders.push(name, value);
  fields[Symbol.dispose]();
  const reader = new BodyReader(incoming.consume());
  incoming[Symbol.dispose]();
  message._setBody(reader);
  message.req = this;
  this.res = message;
  this.socket._owner = message;
  message.once('close', () => this.destroy());
  const taken = this.emit('response', message);
  if (!taken) message._dump();
};

proto._connectionLost = function () {
  // The response, or its failure, tells what became of the request.
};

proto._destroy = function (error, done) {
  clearTimeout(this._timer);
  this._endCall?.();
  this._cancelWait?.();
  this._cancelWait = undefined;
  // Dropping it makes the host give the request up.
  this._future?.[Symbol.dispose]();
  this._future = undefined;
  if (this.res !== null && !this.res.complete) this.res._abort();
  OutgoingMessage.prototype._destroy.call(this, error, done);
};

proto.abort = function abort() {
  if (this.aborted) return;
  this.aborted = true;
  nextTick(() => this.emit('abort'));
  this.destroy();
};

proto.destroy = function destroy(error) {
  if (this.destroyed) return this;
  if (!error && this.res === null) error = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
  return OutgoingMessage.prototype.destroy.call(this, error);
};

proto.setTimeout = function (ms, callback) {
  if (callback) this.once('timeout', callback);
  clearTimeout(this._timer);
  if (ms > 0) this._timer = setTimeout(() => this.emit('timeout'), ms);
  return this;
};
proto.setNoDelay = proto.setSocketKeepAlive = () => {};
proto.onSocket = () => {};
