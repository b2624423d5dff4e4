// node:net: clients. Servers of raw TCP cannot be reached in a dyno, whose only way in is HTTP.
import EventEmitter from './events.js';
import { nextTick } from '../loop/ticks.js';
import { createNotImplementedError, unavailableModule } from '../lang/unavailable.js';
import { isIP, isIPv4, isIPv6 } from '../net/address.js';
import { Socket, connectArguments } from '../net/socket.js';

class Server extends EventEmitter {
  listen() {
    throw createNotImplementedError('net.Server.listen');
  }
  address() {
    return null;
  }
  close(callback) {
    if (callback) nextTick(callback);
    return this;
  }
}

function connect(...args) {
  const { options, callback } = connectArguments(args);
  return new Socket(options).connect(options, ...(callback ? [callback] : []));
}

/** node:net */
export default {
  ...unavailableModule('net', ['BlockList', 'SocketAddress']),
  Server,
  Socket,
  Stream: Socket,
  connect,
  createConnection: connect,
  createServer: () => new Server(),
  isIP,
  isIPv4,
  isIPv6,
  getDefaultAutoSelectFamily: () => true,
  setDefaultAutoSelectFamily() {},
  getDefaultAutoSelectFamilyAttemptTimeout: () => 250,
  setDefaultAutoSelectFamilyAttemptTimeout() {},
};
