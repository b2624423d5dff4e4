// http.OutgoingMessage: the header fields and the body of a message that the app sends; what ServerResponse and
// ClientRequest share. They say how a head leaves (`_sendHead`) and give the BodyWriter that takes the body.
import stream from '../node/stream.js';
import buffer from '../node/buffer.js';
import { nextTick } from '../loop/ticks.js';
import { codedError, invalidArgType } from '../lang/codes.js';
import { validateHeaderName, validateHeaderValue } from './headers.js';

const { Writable } = stream;
const { Buffer } = buffer;
const kFields = Symbol('fields');

export function OutgoingMessage(options) {
  if (!(this instanceof OutgoingMessage)) return new OutgoingMessage(options);
  Writable.call(this, {
    highWaterMark: options?.highWaterMark ?? 16 * 1024,
    autoDestroy: options?.autoDestroy ?? true,
  });
  this[kFields] = new Map(); // lower-case name -> [name, value]
  this.socket = null;
  this.sendDate = true;
  this.shouldKeepAlive = true;
  this.chunkedEncoding = false;
  this.strictContentLength = false;
  this._header = null;
  this._hasBody = true;
  this._contentLength = null;
  this._trailers = [];
  this._writer = undefined;
}
Object.setPrototypeOf(OutgoingMessage.prototype, Writable.prototype);
Object.setPrototypeOf(OutgoingMessage, Writable);

const proto = OutgoingMessage.prototype;

function sentError(action) {
  return codedError(Error, 'ERR_HTTP_HEADERS_SENT', `Cannot ${action} headers after they are sent to the client`);
}

Object.defineProperties(proto, {
  headersSent: {
    configurable: true,
    enumerable: true,
    get() {
      return this._header !== null;
    },
  },
  finished: {
    configurable: true,
    get() {
      return this.writableEnded;
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

proto.setHeader = function setHeader(name, value) {
  if (this._header !== null) throw sentError('set');
  validateHeaderName(name);
  validateHeaderValue(name, value);
  this[kFields].set(name.toLowerCase(), [name, value]);
  return this;
};

proto.setHeaders = function setHeaders(headers) {
  if (this._header !== null) throw sentError('set');
  if (typeof headers?.forEach !== 'function') {
    throw invalidArgType('headers', 'an instance of Headers or Map', headers);
  }
  headers.forEach((value, name) => this.setHeader(name, value));
  return this;
};

proto.appendHeader = function appendHeader(name, value) {
  if (this._header !== null) throw sentError('append');
  validateHeaderName(name);
  validateHeaderValue(name, value);
  const existing = this[kFields].get(name.toLowerCase());
  if (existing === undefined) this[kFields].set(name.toLowerCase(), [name, value]);
  else existing[1] = [].concat(existing[1], value);
  return this;
};

proto.getHeader = function getHeader(name) {
  if (typeof name !== 'string') throw invalidArgType('name', 'of type string', name);
  return this[kFields].get(name.toLowerCase())?.[1];
};

proto.hasHeader = function hasHeader(name) {
  if (typeof name !== 'string') throw invalidArgType('name', 'of type string', name);
  return this[kFields].has(name.toLowerCase());
};

proto.removeHeader = function removeHeader(name) {
  if (typeof name !== 'string') throw invalidArgType('name', 'of type string', name);
  if (this._header !== null) throw sentError('remove');
  this[kFields].delete(name.toLowerCase());
};

proto.getHeaders = function getHeaders() {
  const headers = Object.create(null);
  for (const [key, [, value]] of this[kFields]) headers[key] = value;
  return headers;
};

proto.getHeaderNames = function getHeaderNames() {
  return [...this[kFields].keys()];
};

proto.getRawHeaderNames = function getRawHeaderNames() {
  return [...this[kFields].values()].map(([name]) => name);
};

proto.addTrailers = function addTrailers(headers) {
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
  for (const [name, value] of pairs) {
    validateHeaderName(name, 'Trailer name');
    validateHeaderValue(name, value);
    this._trailers.push([name, String(value)]);
  }
};

/** The fields as [name, value] pairs, one pair for each value. */
proto._pairs = function () {
  const pairs = [];
  for (const [name, value] of this[kFields].values()) {
    if (!Array.isArray(value)) pairs.push([name, String(value)]);
    else if (name.toLowerCase() === 'cookie') pairs.push([name, value.join('; ')]);
    else for (const one of value) pairs.push([name, String(one)]);
  }
  return pairs;
};

/** Called when the head is complete and no field was set by `writeHead`: sets the length that is known. */
proto._fixLength = function () {
  const known = this._contentLength !== null && this._hasBody;
  if (known && !this.hasHeader('content-length') && !this.hasHeader('transfer-encoding')) {
    this[kFields].set('content-length', ['Content-Length', String(this._contentLength)]);
  }
};

proto.flushHeaders = function flushHeaders() {
  if (this._header === null) this._implicitHeader();
  this._sendHead();
};

proto.setTimeout = function setTimeout(_ms, callback) {
  if (callback) this.on('timeout', callback);
  return this;
};

proto.write = function write(chunk, encoding, callback) {
  if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
  if (this.writableEnded || this.destroyed) return Writable.prototype.write.call(this, chunk, encoding, callback);
  if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) {
    if (chunk === null) throw codedError(TypeError, 'ERR_STREAM_NULL_VALUES', 'May not write null values to stream');
    throw invalidArgType('chunk', 'of type string or an instance of Buffer or Uint8Array', chunk);
  }
  if (this._header === null) this._implicitHeader();
  if (!this._hasBody) {
    if (typeof callback === 'function') nextTick(callback);
    return true;
  }
  return Writable.prototype.write.call(this, chunk, encoding, callback);
};

proto.end = function end(chunk, encoding, callback) {
  if (typeof chunk === 'function') [chunk, encoding, callback] = [undefined, undefined, chunk];
  else if (typeof encoding === 'function') [encoding, callback] = [undefined, encoding];
  if (chunk !== undefined && chunk !== null && typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) {
    throw invalidArgType('chunk', 'of type string or an instance of Buffer or Uint8Array', chunk);
  }
  if (this._header === null && !this.writableEnded) {
    this._contentLength = chunk == null ? 0 : Buffer.byteLength(chunk, encoding);
    this._implicitHeader();
  }
  const body = this._hasBody && chunk != null && chunk.length > 0 ? chunk : undefined;
  Writable.prototype.end.call(this, body, encoding, callback);
  return this;
};

proto._write = function (chunk, _encoding, done) {
  this._sendHead();
  if (this._writer === undefined) return done();
  this._writer.write(chunk, (error) => {
    if (error === undefined) return done();
    this._connectionLost(error);
    done();
  });
};

proto._final = function (done) {
  this._sendHead();
  const writer = this._writer;
  this._writer = undefined;
  try {
    writer?.finish(this._trailers);
  } catch (error) {
    // The body was shorter than its content-length: the host has broken the message off.
    this._connectionLost(error);
  }
  done();
};

proto._destroy = function (error, done) {
  this._writer?.abort();
  this._writer = undefined;
  done(error);
};
