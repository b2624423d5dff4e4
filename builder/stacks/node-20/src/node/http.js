// node:http and node:https
import EventEmitter from './events.js';
import { ClientRequest } from '../http/client.js';
import { IncomingMessage } from '../http/incoming.js';
import { OutgoingMessage } from '../http/outgoing.js';
import { Server, ServerResponse, createServer } from '../http/server.js';
import { METHODS, STATUS_CODES } from '../http/status.js';
import { validateHeaderName, validateHeaderValue } from '../http/headers.js';
import { createNotImplementedError, notImplemented } from '../lang/unavailable.js';

/** The host pools connections; an agent only carries options. */
class Agent extends EventEmitter {
  constructor(options = {}) {
    super();
    this.options = { ...options };
    this.defaultPort = 80;
    this.protocol = 'http:';
    this.requests = {};
    this.sockets = {};
    this.freeSockets = {};
    this.keepAlive = options.keepAlive ?? false;
    this.keepAliveMsecs = options.keepAliveMsecs ?? 1000;
    this.maxSockets = options.maxSockets ?? Infinity;
    this.maxFreeSockets = options.maxFreeSockets ?? 256;
    this.maxTotalSockets = options.maxTotalSockets ?? Infinity;
    this.scheduling = options.scheduling ?? 'lifo';
  }
  createConnection() {
    throw createNotImplementedError('net.createConnection');
  }
  getName({ host = 'localhost', port = '', localAddress = '' } = {}) {
    return `${host}:${port}:${localAddress}`;
  }
  destroy() {}
}

class SecureAgent extends Agent {
  constructor(options) {
    super(options);
    this.defaultPort = 443;
    this.protocol = 'https:';
  }
}

function client(protocol) {
  const request = (input, options, callback) => new ClientRequest(input, options, callback, protocol);
  const get = (input, options, callback) => {
    const message = request(input, options, callback);
    message.end();
    return message;
  };
  return { request, get };
}

/** node:http */
export const http = {
  METHODS,
  STATUS_CODES,
  Agent,
  globalAgent: new Agent({ keepAlive: true }),
  ClientRequest,
  IncomingMessage,
  OutgoingMessage,
  Server,
  ServerResponse,
  createServer,
  ...client('http:'),
  maxHeaderSize: 16_384,
  validateHeaderName,
  validateHeaderValue,
  setMaxIdleHTTPParsers() {},
};

/** node:https: the client; a server's TLS is ended by the router. */
export const https = {
  Agent: SecureAgent,
  globalAgent: new SecureAgent({ keepAlive: true }),
  Server: notImplemented('https.Server'),
  createServer: notImplemented('https.createServer'),
  ...client('https:'),
};
