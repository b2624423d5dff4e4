// Modules that a Wasm dyno does not have: they load, what they can honestly say works, and the rest throws an error
// that names it.
import EventEmitter from './events.js';
import { notImplementedClass, unavailableModule } from '../lang/unavailable.js';

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

export const domain = unavailableModule('domain', ['create', 'createDomain', 'Domain'], { active: null });

export const repl = unavailableModule('repl', ['start', 'REPLServer']);

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
