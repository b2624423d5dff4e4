// http.IncomingMessage: a request that the server got, or a response that a client got.
import stream from '../node/stream.js';
import buffer from '../node/buffer.js';
import { addReceived } from './headers.js';

const { Readable } = stream;
const { Buffer } = buffer;
const HIGH_WATER_MARK = 64 * 1024;

const kHeaders = Symbol('headers');
const kTrailers = Symbol('trailers');
const kReader = Symbol('reader');

// A function, not a class: packages call it on objects of their own (`IncomingMessage.call(this)`).
export function IncomingMessage(socket) {
  if (!(this instanceof IncomingMessage)) return new IncomingMessage(socket);
  Readable.call(this, { highWaterMark: HIGH_WATER_MARK });
  this.socket = socket;
  this.httpVersionMajor = 1;
  this.httpVersionMinor = 1;
  this.httpVersion = '1.1';
  this.complete = false;
  this.rawHeaders = [];
  this.rawTrailers = [];
  this.joinDuplicateHeaders = false;
  this.aborted = false;
  this.upgrade = false;
  this.url = '';
  this.method = null;
  this.statusCode = null;
  this.statusMessage = null;
  this.client = socket;
  this[kReader] = undefined;
}
Object.setPrototypeOf(IncomingMessage.prototype, Readable.prototype);
Object.setPrototypeOf(IncomingMessage, Readable);

function joined(raw) {
  const headers = {};
  for (let i = 0; i < raw.length; i += 2) addReceived(headers, raw[i].toLowerCase(), raw[i + 1]);
  return headers;
}

function distinct(raw) {
  const headers = {};
  for (let i = 0; i < raw.length; i += 2) (headers[raw[i].toLowerCase()] ??= []).push(raw[i + 1]);
  return headers;
}

// Built from the raw list when first looked at, as Node does.
function lazyHeaders(key, rawName) {
  return {
    configurable: true,
    get() {
      return (this[key] ??= joined(this[rawName]));
    },
    set(value) {
      this[key] = value;
    },
  };
}

Object.defineProperties(IncomingMessage.prototype, {
  headers: lazyHeaders(kHeaders, 'rawHeaders'),
  trailers: lazyHeaders(kTrailers, 'rawTrailers'),
  headersDistinct: {
    configurable: true,
    get() {
      return distinct(this.rawHeaders);
    },
  },
  trailersDistinct: {
    configurable: true,
    get() {
      return distinct(this.rawTrailers);
    },
  },
  connection: {
    configurable: true,
    get() {
      return this.socket;
    },
    set(value) {
      this.socket = value;
    },
  },
});

IncomingMessage.prototype.setTimeout = function setTimeout(_ms, callback) {
  if (callback) this.on('timeout', callback);
  return this;
};

/** Gives the message its body: a BodyReader, or undefined for a message without one. */
IncomingMessage.prototype._setBody = function (reader) {
  this[kReader] = reader;
};

IncomingMessage.prototype._read = function () {
  const reader = this[kReader];
  if (reader === undefined) {
    this.complete = true;
    this.push(null);
    return;
  }
  reader.read((error, bytes, trailers) => {
    if (error !== undefined) {
      this[kReader] = undefined;
      this._abort();
      return;
    }
    if (bytes !== null) {
      this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
      return;
    }
    this[kReader] = undefined;
    for (const [name, value] of trailers) this.rawTrailers.push(name, value);
    this.complete = true;
    this.push(null);
  });
};

/** The other side broke the message off. */
IncomingMessage.prototype._abort = function () {
  if (this.aborted || this.destroyed) return;
  this.aborted = true;
  this.emit('aborted');
  const error = new Error('aborted');
  error.code = 'ECONNRESET';
  this.destroy(this.listenerCount('error') > 0 ? error : undefined);
};

IncomingMessage.prototype._destroy = function (error, done) {
  this[kReader]?.close();
  this[kReader] = undefined;
  done(error);
};

/** Reads and forgets the rest. */
IncomingMessage.prototype._dump = function () {
  if (!this._dumped) {
    this._dumped = true;
    this.resume();
  }
};
