// What the app sees as the connection. The host has the real one, so this only carries addresses and the events that
// packages (on-finished, loggers, timeouts) look for.
import EventEmitter from '../node/events.js';
import { createNotImplementedError } from '../lang/unavailable.js';

export function ConnectionInfo(addresses) {
  EventEmitter.call(this);
  Object.assign(this, addresses);
  this.readable = true;
  this.writable = true;
  this.destroyed = false;
  this.connecting = false;
  this.timeout = 0;
  this.bytesRead = 0;
  this.bytesWritten = 0;
  this._owner = null;
}
Object.setPrototypeOf(ConnectionInfo.prototype, EventEmitter.prototype);
Object.defineProperty(ConnectionInfo, 'name', { value: 'Socket' });

const methods = {
  address() {
    return { address: this.localAddress, family: 'IPv4', port: this.localPort };
  },
  /** Breaks the message of this connection off. */
  destroy(error) {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.readable = false;
    this.writable = false;
    this._owner?.destroy(error);
    return this;
  },
  end() {
    return this;
  },
  write() {
    throw createNotImplementedError('net.Socket.write');
  },
};
for (const name of ['setTimeout', 'setNoDelay', 'setKeepAlive', 'ref', 'unref', 'cork', 'uncork', 'pause', 'resume']) {
  methods[name] = function () {
    return this;
  };
}
Object.assign(ConnectionInfo.prototype, methods);
