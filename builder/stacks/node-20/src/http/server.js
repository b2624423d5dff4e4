// http.Server and http.ServerResponse. `listen` opens no socket: it registers the server, and the dyno's handler
// gives it the requests.
import EventEmitter from '../node/events.js';
import { nextTick } from '../loop/ticks.js';
import { sendResponse } from '../wasi/response.js';
import { codedError, invalidArgType, invalidArgValue, outOfRange } from '../lang/codes.js';
import { createNotImplementedError } from '../lang/unavailable.js';
import { OutgoingMessage } from './outgoing.js';
import { STATUS_CODES } from './status.js';
import { validateHeaderName, validateHeaderValue } from './headers.js';

const listening = new Set();

/** Whether any server listens, which keeps a process alive. */
export const isListening = () => listening.size > 0;

/** The server that gets the requests: the one on $PORT, or the only one there is. */
export function listeningServer(port) {
  let first;
  for (const server of listening) {
    if (server._port === port) return server;
    first ??= server;
  }
  return first;
}

export function ServerResponse(request, options) {
  if (!(this instanceof ServerResponse)) return new ServerResponse(request, options);
  OutgoingMessage.call(this, options);
  this.req = request;
  this.statusCode = 200;
  this.statusMessage = undefined;
  // Nothing follows the head of these, whatever the app writes.
  this._headOnly = request?.method === 'HEAD';
  this._sent = false;
}
Object.setPrototypeOf(ServerResponse.prototype, OutgoingMessage.prototype);
Object.setPrototypeOf(ServerResponse, OutgoingMessage);

const response = ServerResponse.prototype;

response._implicitHeader = function () {
  this.writeHead(this.statusCode);
};

response.writeHead = function writeHead(statusCode, reason, fields) {
  if (this._header !== null) {
    throw codedError(Error, 'ERR_HTTP_HEADERS_SENT', 'Cannot write headers after they are sent to the client');
  }
  const status = statusCode | 0;
  if (status < 100 || status > 999) {
    throw codedError(RangeError, 'ERR_HTTP_INVALID_STATUS_CODE', `Invalid status code: ${statusCode}`);
  }
  if (typeof reason === 'string') this.statusMessage = reason;
  else {
    this.statusMessage ||= STATUS_CODES[status] ?? 'unknown';
    fields ??= reason;
  }
  this.statusCode = status;
  setFields(this, fields);
  this._hasBody = !(this._headOnly || status === 204 || status === 304 || status < 200);
  this._fixLength();
  this._header = `HTTP/1.1 ${status} ${this.statusMessage}\r\n`;
  return this;
};
response.writeHeader = response.writeHead;

function setFields(message, fields) {
  if (!fields) return;
  if (!Array.isArray(fields)) {
    for (const name of Object.keys(fields)) if (name) message.setHeader(name, fields[name]);
    return;
  }
  // A flat list [name, value, name, value, …] or a list of pairs; repeated names are repeated fields.
  const pairs = Array.isArray(fields[0]) ? fields : pairUp(fields);
  const seen = new Set();
  for (const [name, value] of pairs) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    if (seen.has(name.toLowerCase())) message.appendHeader(name, value);
    else message.setHeader(name, value);
    seen.add(name.toLowerCase());
  }
}

function pairUp(list) {
  if (list.length % 2 !== 0) throw invalidArgValue('headers', list);
  const pairs = [];
  for (let i = 0; i < list.length; i += 2) pairs.push([list[i], list[i + 1]]);
  return pairs;
}

/** Hands status and header fields to the host, once; the body goes where the host then takes it. */
response._sendHead = function () {
  if (this._sent) return;
  this._sent = true;
  this._writer = sendResponse(this, this._pairs(), this._hasBody);
};

/** The client is gone: as in Node, the app sees 'close' without 'finish', and no error. */
response._connectionLost = function () {
  this.req?._abort?.();
  this.destroy();
};

response.assignSocket = function assignSocket(socket) {
  this.socket = socket;
  socket._owner = this;
};
response.detachSocket = function detachSocket() {
  this.socket = null;
};
response.writeContinue = (callback) => void (callback && nextTick(callback));
response.writeProcessing = () => {};
response.writeEarlyHints = (_hints, callback) => void (callback && nextTick(callback));

export function Server(options, requestListener) {
  if (!(this instanceof Server)) return new Server(options, requestListener);
  EventEmitter.call(this);
  if (typeof options === 'function') [options, requestListener] = [{}, options];
  if (requestListener) this.on('request', requestListener);
  this.listening = false;
  this.timeout = 0;
  this.keepAliveTimeout = options?.keepAliveTimeout ?? 5000;
  this.headersTimeout = options?.headersTimeout ?? 60_000;
  this.requestTimeout = options?.requestTimeout ?? 300_000;
  this.maxHeadersCount = null;
  this.maxRequestsPerSocket = 0;
  this.maxConnections = undefined;
  this.connections = 0;
  this._port = undefined;
  this._host = undefined;
}
Object.setPrototypeOf(Server.prototype, EventEmitter.prototype);
Object.setPrototypeOf(Server, EventEmitter);

function listenArguments(args) {
  const callback = typeof args.at(-1) === 'function' ? args.pop() : undefined;
  const [first, second] = args;
  if (first !== null && typeof first === 'object') return { port: first.port, host: first.host, path: first.path, callback };
  return { port: first, host: typeof second === 'string' ? second : undefined, callback };
}

Server.prototype.listen = function listen(...args) {
  if (this.listening) {
    throw codedError(Error, 'ERR_SERVER_ALREADY_LISTEN', 'Listen method has been called more than once without closing.');
  }
  const { port, host, path, callback } = listenArguments(args);
  if (path !== undefined || (typeof port === 'string' && !/^\s*\d+\s*$/.test(port))) {
    throw createNotImplementedError('net.Server.listen(path)');
  }
  const number = Number(port ?? 0);
  if (!Number.isInteger(number) || number < 0 || number > 65535) {
    throw outOfRange('options.port', '>= 0 and < 65536', port);
  }
  if (callback) this.once('listening', callback);
  // Port 0 asks for any free port; the only one that a dyno has is the one that the platform named.
  this._port = number || Number(globalThis.process.env.PORT) || 3000;
  this._host = host;
  this.listening = true;
  listening.add(this);
  nextTick(() => {
    if (this.listening) this.emit('listening');
  });
  return this;
};

Server.prototype.address = function address() {
  if (!this.listening) return null;
  const host = this._host === 'localhost' ? '127.0.0.1' : (this._host ?? '::');
  return { address: host, family: host.includes(':') ? 'IPv6' : 'IPv4', port: this._port };
};

Server.prototype.close = function close(callback) {
  if (callback) {
    const open = this.listening;
    this.once('close', () => {
      callback(open ? undefined : codedError(Error, 'ERR_SERVER_NOT_RUNNING', 'Server is not running.'));
    });
  }
  this.listening = false;
  listening.delete(this);
  nextTick(() => this.emit('close'));
  return this;
};

Server.prototype.setTimeout = function setTimeout(ms, callback) {
  this.timeout = ms;
  if (callback !== undefined) {
    if (typeof callback !== 'function') throw invalidArgType('callback', 'of type function', callback);
    this.on('timeout', callback);
  }
  return this;
};
Server.prototype.getConnections = function getConnections(callback) {
  nextTick(callback, null, 0);
  return this;
};
Server.prototype.closeAllConnections = () => {};
Server.prototype.closeIdleConnections = () => {};
Server.prototype.ref = Server.prototype.unref = function () {
  return this;
};
Server.prototype[Symbol.asyncDispose] = function () {
  return new Promise((resolve) => this.close(resolve));
};

export const createServer = (options, requestListener) => new Server(options, requestListener);
