// FileHandle of node:fs/promises.
import EventEmitter from '../node/events.js';
import { later } from './async.js';
import * as sync from './sync.js';
import { ReadStream, WriteStream } from './streams.js';

export class FileHandle extends EventEmitter {
  constructor(fd) {
    super();
    this.fd = fd;
  }
  read(target, ...args) {
    if (!ArrayBuffer.isView(target)) {
      args = [target ?? {}];
      target = target?.buffer ?? Buffer.alloc(16_384);
    }
    return later(() => ({ bytesRead: sync.readSync(this.fd, target, ...args), buffer: target }));
  }
  write(data, ...args) {
    return later(() => ({ bytesWritten: sync.writeSync(this.fd, data, ...args), buffer: data }));
  }
  readFile(options) {
    return later(() => sync.readFileSync(this.fd, options));
  }
  writeFile(data, options) {
    return later(() => sync.writeFileSync(this.fd, data, options));
  }
  appendFile(data, options) {
    return this.writeFile(data, options);
  }
  stat(options) {
    return later(() => sync.fstatSync(this.fd, options));
  }
  truncate(length) {
    return later(() => sync.ftruncateSync(this.fd, length));
  }
  sync() {
    return later(() => sync.fsyncSync(this.fd));
  }
  datasync() {
    return this.sync();
  }
  utimes(atime, mtime) {
    return later(() => sync.futimesSync(this.fd, atime, mtime));
  }
  chmod() {
    return Promise.resolve();
  }
  chown() {
    return Promise.resolve();
  }
  createReadStream(options) {
    return new ReadStream(undefined, { ...options, fd: this.fd });
  }
  createWriteStream(options) {
    return new WriteStream(undefined, { ...options, fd: this.fd });
  }
  async close() {
    if (this.fd < 0) return;
    const { fd } = this;
    this.fd = -1;
    await later(() => sync.closeSync(fd));
    this.emit('close');
  }
  async [Symbol.asyncDispose]() {
    await this.close();
  }
}
