// Modules that a Wasm dyno does not have: they load, what they can honestly say works, and the rest throws an error
// that names it.
import EventEmitter from './events.js';
import stream from './stream.js';
import { createNotImplementedError, notImplementedClass, unavailableModule } from '../lang/unavailable.js';

export const childProcess = unavailableModule(
  'child_process',
  ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'],
  { ChildProcess: notImplementedClass('child_process.ChildProcess') },
);

export const cluster = Object.assign(
  new EventEmitter(),
  unavailableModule('cluster', ['fork', 'setupPrimary', 'setupMaster', 'disconnect']),
  { isMaster: true, isPrimary: true, isWorker: false, workers: {}, settings: {}, SCHED_NONE: 1, SCHED_RR: 2 },
);

export const dgram = unavailableModule('dgram', ['createSocket'], { Socket: notImplementedClass('dgram.Socket') });

export const http2 = unavailableModule('http2', ['connect', 'createServer', 'createSecureServer'], {
  constants: {},
  sensitiveHeaders: Symbol('sensitiveHeaders'),
  Http2ServerRequest: notImplementedClass('http2.Http2ServerRequest'),
  Http2ServerResponse: notImplementedClass('http2.Http2ServerResponse'),
});

export const inspector = unavailableModule('inspector', ['open', 'waitForDebugger'], {
  close() {},
  url: () => undefined,
  console: globalThis.console,
  Session: notImplementedClass('inspector.Session'),
});

const V4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;
const isIPv4 = (text) => V4.test(text);

function isIPv6(text) {
  const [address, zone, ...rest] = String(text).split('%');
  if (rest.length > 0 || zone === '') return false;
  const halves = address.split('::');
  if (halves.length > 2) return false;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  const all = groups.flat();
  let count = all.length;
  if (all.length > 0 && all.at(-1).includes('.')) {
    if (!isIPv4(all.pop())) return false;
    count += 1;
  }
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return false;
  return halves.length === 2 ? count < 8 : count === 8;
}

const isIP = (text) => (isIPv4(text) ? 4 : isIPv6(text) ? 6 : 0);

// Its subclasses may be made; connecting or listening is what does not work.
class Socket extends stream.Duplex {
  constructor(options) {
    super(options);
    this.connecting = false;
  }
  connect() {
    throw createNotImplementedError('net.Socket.connect');
  }
  setTimeout() {
    return this;
  }
  setNoDelay() {
    return this;
  }
  setKeepAlive() {
    return this;
  }
  ref() {
    return this;
  }
  unref() {
    return this;
  }
}

class NetServer extends EventEmitter {
  listen() {
    throw createNotImplementedError('net.Server.listen');
  }
  address() {
    return null;
  }
  close(callback) {
    if (callback) globalThis.process.nextTick(callback);
    return this;
  }
}

export const net = unavailableModule('net', ['connect', 'createConnection', 'BlockList', 'SocketAddress'], {
  isIP,
  isIPv4,
  isIPv6,
  Socket,
  Stream: Socket,
  Server: NetServer,
  createServer: () => new NetServer(),
  getDefaultAutoSelectFamily: () => true,
  setDefaultAutoSelectFamily() {},
});

export const tls = unavailableModule('tls', ['connect', 'createServer', 'createSecurePair'], {
  TLSSocket: notImplementedClass('tls.TLSSocket'),
  Server: notImplementedClass('tls.Server'),
  createSecureContext: () => ({ context: {} }),
  checkServerIdentity: () => undefined,
  getCiphers: () => [],
  rootCertificates: [],
  DEFAULT_MIN_VERSION: 'TLSv1.2',
  DEFAULT_MAX_VERSION: 'TLSv1.3',
});

const DNS = [
  'lookup', 'lookupService', 'resolve', 'resolve4', 'resolve6', 'resolveAny', 'resolveCaa', 'resolveCname', 'resolveMx',
  'resolveNaptr', 'resolveNs', 'resolvePtr', 'resolveSoa', 'resolveSrv', 'resolveTxt', 'reverse', 'setServers',
];
const dnsExtra = { getServers: () => [], setDefaultResultOrder() {}, getDefaultResultOrder: () => 'verbatim' };
export const dns = unavailableModule('dns', DNS, {
  ...dnsExtra,
  Resolver: notImplementedClass('dns.Resolver'),
  promises: unavailableModule('dns', DNS, dnsExtra),
});

export const domain = unavailableModule('domain', ['create', 'createDomain', 'Domain'], { active: null });

export const readline = unavailableModule('readline', ['createInterface', 'Interface', 'emitKeypressEvents'], {
  clearLine: () => true,
  clearScreenDown: () => true,
  cursorTo: () => true,
  moveCursor: () => true,
  promises: unavailableModule('readline', ['createInterface', 'Interface', 'Readline']),
});

export const repl = unavailableModule('repl', ['start', 'REPLServer']);

export const vm = unavailableModule('vm', ['createContext', 'runInContext', 'runInNewContext', 'measureMemory'], {
  isContext: () => false,
  runInThisContext: (code) => (0, eval)(code),
  Script: class Script {
    #code;
    constructor(code) {
      this.#code = code;
    }
    runInThisContext() {
      return (0, eval)(this.#code);
    }
    runInContext() {
      throw createNotImplementedError('vm.Script.runInContext');
    }
    runInNewContext() {
      throw createNotImplementedError('vm.Script.runInNewContext');
    }
  },
});

export const wasi = unavailableModule('wasi', ['WASI']);

export const workerThreads = unavailableModule(
  'worker_threads',
  ['BroadcastChannel', 'MessageChannel', 'moveMessagePortToContext', 'receiveMessageOnPort'],
  {
    isMainThread: true,
    parentPort: null,
    workerData: null,
    threadId: 0,
    resourceLimits: {},
    SHARE_ENV: Symbol.for('nodejs.worker_threads.SHARE_ENV'),
    markAsUntransferable() {},
    getEnvironmentData: () => undefined,
    setEnvironmentData() {},
    Worker: notImplementedClass('worker_threads.Worker'),
    MessagePort: notImplementedClass('worker_threads.MessagePort'),
  },
);
