// net.Socket: a stream over a TCP connection that the app opens.
import stream from '../node/stream.js';
import buffer from '../node/buffer.js';
import { defer } from '../loop/work.js';
import { nextTick } from '../loop/ticks.js';
import { clearTimeout, setTimeout } from '../loop/timers.js';
import { codedError, invalidArgType, outOfRange } from '../lang/codes.js';
import { createNotImplementedError } from '../lang/unavailable.js';
import { Connection } from './connection.js';
import { socketError } from './errors.js';
import { addressesOf } from './lookup.js';
import { notInSnapshot } from '../snapshot/phase.js';

const { Duplex } = stream;
const { Buffer } = buffer;
const HIGH_WATER_MARK = 16 * 1024;

const kConnection = Symbol('connection');
const kTimer = Symbol('timer');
const kEarly = Symbol('what waits for the connection');

// A function, not a class: packages call it on objects of their own.
export function Socket(options) {
  if (!(this instanceof Socket)) return new Socket(options);
  if (options?.fd !== undefined || options?.handle !== undefined) {
    throw createNotImplementedError('net.Socket of a file descriptor');
  }
  Duplex.call(this, {
    allowHalfOpen: options?.allowHalfOpen ?? false,
    highWaterMark: options?.highWaterMark ?? HIGH_WATER_MARK,
    emitClose: false,
    autoDestroy: true,
    signal: options?.signal,
  });
  this.connecting = false;
  this.timeout = 0;
  this.bytesRead = 0;
  this._bytesDispatched = 0;
  this._host = null;
  this[kConnection] = undefined;
  this[kTimer] = undefined;
  this[kEarly] = [];
}
Object.setPrototypeOf(Socket.prototype, Duplex.prototype);
Object.setPrototypeOf(Socket, Duplex);

const proto = Socket.prototype;

/** `connect(options)`, `connect(port, host)`, each with a callback: `{ options, callback }`. */
export function connectArguments(args) {
  const list = [...args];
  const callback = typeof list.at(-1) === 'function' ? list.pop() : undefined;
  const [first, second] = list;
  if (first !== null && typeof first === 'object') return { options: first, callback };
  if (typeof first === 'string' && !/^\s*\d+\s*$/.test(first)) return { options: { path: first }, callback };
  return { options: { port: first, host: second }, callback };
}

function portOf({ port }) {
  if (port === undefined) {
    throw codedError(TypeError, 'ERR_MISSING_ARGS', 'The "options" or "port" or "path" argument must be specified');
  }
  if (typeof port !== 'number' && typeof port !== 'string') {
    throw invalidArgType('options.port', 'of type number or string', port);
  }
  const number = Number(port);
  if (`${port}`.trim() === '' || !Number.isInteger(number) || number < 0 || number > 65_535) {
    throw codedError(RangeError, 'ERR_SOCKET_BAD_PORT', `Port should be >= 0 and < 65536. Received ${shown(port)}.`);
  }
  return number;
}
const shown = (port) => (typeof port === 'string' ? `type string ('${port}')` : `type number (${port})`);

proto.connect = function connect(...args) {
  const { options, callback } = connectArguments(args);
  if (options.path) throw createNotImplementedError('net.Socket.connect(path)');
  const port = portOf(options);
  const host = options.host ?? 'localhost';
  notInSnapshot(`it connects to ${host}:${port}`);
  if (callback) this.once('connect', callback);
  this.connecting = true;
  this._host = host;
  if (options.timeout) this.setTimeout(options.timeout);
  if (options.keepAlive) this.setKeepAlive(true, options.keepAliveInitialDelay);
  const lookup = options.lookup ?? ((name, _options, done) => addressesOf(name, (error, list) => {
    const wanted = options.family ? list?.filter(({ family }) => family === Number(options.family)) : list;
    done(error, wanted?.[0]?.address, wanted?.[0]?.family);
  }));
  // Nothing is told before the caller has had the chance to listen.
  nextTick(() => {
    if (this.destroyed) return;
    lookup(host, { family: options.family ?? 0, hints: 0, all: false }, (error, found, family) => {
      if (this.destroyed) return;
      const address = Array.isArray(found) ? found[0]?.address : found;
      this.emit('lookup', error, address, family, host);
      if (error || address === undefined) return void this.destroy(error ?? socketError('name-unresolvable', 'getaddrinfo'));
      open(this, address, port, host);
    });
  });
  return this;
};

function open(socket, address, port, hostname) {
  const connection = new Connection();
  socket[kConnection] = connection;
  try {
    connection.connect(address, port, hostname === address ? undefined : hostname, (error) => {
      if (socket.destroyed) return;
      if (error) return void socket.destroy(error);
      connected(socket);
    });
  } catch (error) {
    if (!('payload' in error)) throw error;
    socket.destroy(socketError(error.payload, 'connect', { address, port }));
  }
}

function connected(socket) {
  socket.connecting = false;
  touch(socket);
  for (const step of socket[kEarly].splice(0)) step();
  socket.emit('connect');
  socket.emit('ready');
}

/** Runs `step` now, or as soon as there is a connection. */
function whenConnected(socket, step) {
  if (socket[kConnection] !== undefined && !socket.connecting) step();
  else socket[kEarly].push(step);
}

proto._read = function () {
  whenConnected(this, () => {
    this[kConnection]?.read((error, bytes) => {
      if (this.destroyed) return;
      if (error !== undefined) return void this.destroy(socketError('connection-reset', 'read'));
      touch(this);
      if (bytes === null) return void this.push(null);
      this.bytesRead += bytes.length;
      this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    });
  });
};

proto._write = function (chunk, encoding, done) {
  const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
  this._bytesDispatched += bytes.length;
  whenConnected(this, () => {
    touch(this);
    this[kConnection]?.write(bytes, (error) => {
      done(error === undefined ? undefined : Object.assign(socketError('connection-reset', 'write'), { code: 'EPIPE' }));
    });
  });
};

proto._final = function (done) {
  whenConnected(this, () => {
    this[kConnection]?.shutdown();
    done();
  });
};

proto._destroy = function (error, done) {
  this.connecting = false;
  clearTimeout(this[kTimer]);
  this[kEarly].length = 0;
  const wasOpen = this[kConnection] !== undefined;
  this[kConnection]?.close();
  this[kConnection] = undefined;
  done(error);
  // As in Node, in a turn of its own when there was something to close.
  const closed = () => this.emit('close', Boolean(error));
  if (wasOpen) defer(closed);
  else nextTick(closed);
};

/** Something happened: the time of silence begins anew. */
function touch(socket) {
  socket[kTimer]?.refresh();
}

proto.setTimeout = function (ms, callback) {
  if (typeof ms !== 'number') throw invalidArgType('msecs', 'of type number', ms);
  if (!(ms >= 0 && ms < Infinity)) throw outOfRange('msecs', 'a non-negative finite number', ms);
  this.timeout = ms;
  clearTimeout(this[kTimer]);
  this[kTimer] = undefined;
  if (ms === 0) {
    if (callback) this.removeListener('timeout', callback);
    return this;
  }
  if (callback) this.once('timeout', callback);
  this[kTimer] = setTimeout(() => this.emit('timeout'), ms).unref();
  return this;
};

proto.setKeepAlive = function setKeepAlive(enable = false, delay = 0) {
  whenConnected(this, () => this[kConnection]?.keepAlive(Boolean(enable), delay));
  return this;
};
// The host sends what is written at once.
proto.setNoDelay = function setNoDelay() {
  return this;
};
// A dyno goes on while a request or its start needs it, whatever is open.
proto.ref = proto.unref = function () {
  return this;
};
proto.destroySoon = function destroySoon() {
  if (this.writable) this.end();
  if (this.writableFinished) this.destroy();
  else this.once('finish', this.destroy);
};
proto.resetAndDestroy = function resetAndDestroy() {
  return this.destroy();
};
proto.address = function address() {
  const { address: ip, family, port } = this[kConnection]?.address('local') ?? {};
  return ip === undefined ? {} : { address: ip, family: `IPv${family}`, port };
};

const place = (side, key) => ({
  configurable: true,
  get() {
    if (this.connecting) return undefined;
    const found = this[kConnection]?.address(side)?.[key];
    return key === 'family' && found !== undefined ? `IPv${found}` : found;
  },
});
Object.defineProperties(proto, {
  remoteAddress: place('remote', 'address'),
  remotePort: place('remote', 'port'),
  remoteFamily: place('remote', 'family'),
  localAddress: place('local', 'address'),
  localPort: place('local', 'port'),
  localFamily: place('local', 'family'),
  pending: {
    configurable: true,
    get() {
      return this[kConnection] === undefined || this.connecting;
    },
  },
  bytesWritten: {
    configurable: true,
    get() {
      return this._bytesDispatched + this.writableLength;
    },
  },
  bufferSize: {
    configurable: true,
    get() {
      return this.writableLength;
    },
  },
  readyState: {
    configurable: true,
    get() {
      if (this.connecting) return 'opening';
      if (this.readable && this.writable) return 'open';
      return this.readable ? 'readOnly' : this.writable ? 'writeOnly' : 'closed';
    },
  },
});
