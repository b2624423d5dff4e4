// fs.ReadStream and fs.WriteStream.
import stream from '../node/stream.js';
import { defer } from '../loop/work.js';
import { closeSync, openSync, readSync, writeSync } from './sync.js';
import { toPath } from './table.js';

const { Readable, Writable } = stream;
const READ_BYTES = 64 * 1024;

function attempt(run, done) {
  defer(() => {
    let result;
    try {
      result = run();
    } catch (error) {
      return done(error);
    }
    return done(null, result);
  });
}

function openStream(self, flags, done) {
  if (typeof self.fd === 'number') return done();
  attempt(
    () => openSync(self.path, flags),
    (error, fd) => {
      if (error) return done(error);
      self.fd = fd;
      done();
      self.emit('open', fd);
      self.emit('ready');
    },
  );
}

function closeStream(self, error, done) {
  const { fd } = self;
  self.fd = null;
  if (typeof fd !== 'number' || !self._autoClose) return done(error);
  attempt(
    () => closeSync(fd),
    (failure) => done(error ?? failure),
  );
}

const methods = {
  close(callback) {
    if (callback) this.once('close', callback);
    this.destroy();
  },
};

function settings(options) {
  return typeof options === 'string' ? { encoding: options } : { ...options };
}

export function ReadStream(file, options) {
  if (!(this instanceof ReadStream)) return new ReadStream(file, options);
  const own = settings(options);
  this.path = file === undefined || file === null ? undefined : toPath(file);
  this.fd = typeof own.fd === 'object' && own.fd !== null ? own.fd.fd : (own.fd ?? null);
  this.flags = own.flags ?? 'r';
  this.start = own.start;
  this.end = own.end ?? Infinity;
  this.pos = own.start;
  this.bytesRead = 0;
  this._autoClose = own.autoClose ?? true;
  Readable.call(this, {
    highWaterMark: own.highWaterMark ?? READ_BYTES,
    encoding: own.encoding ?? undefined,
    emitClose: own.emitClose ?? true,
    autoDestroy: this._autoClose,
    signal: own.signal,
  });
}
Object.setPrototypeOf(ReadStream.prototype, Readable.prototype);
Object.setPrototypeOf(ReadStream, Readable);
Object.assign(ReadStream.prototype, methods, {
  _construct(done) {
    openStream(this, this.flags, done);
  },
  _read(size) {
    const left = this.end === Infinity ? size : this.end - (this.pos ?? this.bytesRead) + 1;
    const want = Math.min(size, left);
    if (want <= 0) {
      this.push(null);
      return;
    }
    const target = Buffer.allocUnsafe(want);
    attempt(
      () => readSync(this.fd, target, 0, want, this.pos),
      (error, count) => {
        if (this.destroyed) return;
        if (error) return void this.destroy(error);
        this.bytesRead += count;
        if (this.pos !== undefined) this.pos += count;
        this.push(count === 0 ? null : count === want ? target : target.subarray(0, count));
      },
    );
  },
  _destroy(error, done) {
    closeStream(this, error, done);
  },
});
Object.defineProperty(ReadStream.prototype, 'pending', {
  configurable: true,
  get() {
    return this.fd === null;
  },
});

export function WriteStream(file, options) {
  if (!(this instanceof WriteStream)) return new WriteStream(file, options);
  const own = settings(options);
  this.path = file === undefined || file === null ? undefined : toPath(file);
  this.fd = typeof own.fd === 'object' && own.fd !== null ? own.fd.fd : (own.fd ?? null);
  this.flags = own.flags ?? 'w';
  this.start = own.start;
  this.pos = own.start;
  this.bytesWritten = 0;
  this._autoClose = own.autoClose ?? true;
  Writable.call(this, {
    highWaterMark: own.highWaterMark,
    decodeStrings: true,
    emitClose: own.emitClose ?? true,
    autoDestroy: this._autoClose,
    signal: own.signal,
  });
  if (own.encoding) this.setDefaultEncoding(own.encoding);
}
Object.setPrototypeOf(WriteStream.prototype, Writable.prototype);
Object.setPrototypeOf(WriteStream, Writable);
Object.assign(WriteStream.prototype, methods, {
  _construct(done) {
    openStream(this, this.flags, done);
  },
  _write(chunk, _encoding, done) {
    attempt(
      () => writeSync(this.fd, chunk, 0, chunk.length, this.pos),
      (error, count) => {
        if (error) return done(error);
        this.bytesWritten += count;
        if (this.pos !== undefined) this.pos += count;
        done();
      },
    );
  },
  _destroy(error, done) {
    closeStream(this, error, done);
  },
});
WriteStream.prototype.destroySoon = WriteStream.prototype.end;
Object.defineProperty(WriteStream.prototype, 'pending', {
  configurable: true,
  get() {
    return this.fd === null;
  },
});
