// The `process` object. What it shows of the outside (env, argv) is set when the dyno boots.
import EventEmitter from './events.js';
import { nextTick } from '../loop/ticks.js';
import { nowMs, nowNs } from '../wasi/clock.js';
import { exitProcess, setProcess, terminate } from '../boot/fatal.js';
import { createNotImplementedError } from '../lang/unavailable.js';
import { invalidArgType } from '../lang/codes.js';
import { readStdin, writeStdio } from '../wasi/stdio.js';
import stream from './stream.js';
import { asTerminal } from './tty.js';
import { noteEnv } from '../snapshot/phase.js';

const VERSION = '20.20.2';

function Process() {
  EventEmitter.call(this);
}
Object.setPrototypeOf(Process.prototype, EventEmitter.prototype);
Object.defineProperty(Process, 'name', { value: 'process' });

const process = new Process();
const unavailable = (name) => () => {
  throw createNotImplementedError(`process.${name}`);
};

// Values are strings, as in a real environment.
const environment = Object.create(null);
const env = new Proxy(environment, {
  set(target, name, value) {
    if (typeof name === 'symbol' || typeof value === 'symbol') {
      throw new TypeError('Cannot convert a Symbol value to a string');
    }
    target[name] = String(value);
    return true;
  },
  defineProperty(target, name, descriptor) {
    if ('value' in descriptor) descriptor.value = String(descriptor.value);
    return Reflect.defineProperty(target, name, descriptor);
  },
  // The environment is an ordinary object to the app.
  getPrototypeOf: () => Object.prototype,
  get(target, name) {
    noteEnv(name);
    return name in target ? target[name] : Object.prototype[name];
  },
  has(target, name) {
    noteEnv(name);
    return Reflect.has(target, name);
  },
  ownKeys(target) {
    noteEnv('*');
    return Reflect.ownKeys(target);
  },
});

let directory = '/app';
let startedAt = 0;

function hrtime(previous) {
  const now = nowNs();
  const seconds = Number(now / 1_000_000_000n);
  const nanoseconds = Number(now % 1_000_000_000n);
  if (previous === undefined) return [seconds, nanoseconds];
  if (!Array.isArray(previous)) throw invalidArgType('time', 'an instance of Array', previous);
  let ds = seconds - previous[0];
  let dn = nanoseconds - previous[1];
  if (dn < 0) {
    ds -= 1;
    dn += 1_000_000_000;
  }
  return [ds, dn];
}
hrtime.bigint = () => nowNs();

function outputStream(fd) {
  const out = new stream.Writable({
    decodeStrings: true,
    write(chunk, _encoding, done) {
      writeStdio(fd, chunk);
      done();
    },
  });
  out.fd = fd;
  out._type = 'pipe';
  out._isStdio = true;
  // Ending them would end the log.
  out.destroy = () => out;
  out.end = (chunk, encoding, done) => {
    if (chunk !== undefined && typeof chunk !== 'function') out.write(chunk, encoding);
    const callback = [chunk, encoding, done].find((value) => typeof value === 'function');
    if (callback !== undefined) nextTick(callback);
    return out;
  };
  return asTerminal(out, fd);
}

const lazily = (make) => {
  let made;
  return { configurable: true, enumerable: true, get: () => (made ??= make()) };
};

function inputStream() {
  const input = new stream.Readable({
    read() {
      readStdin((error, bytes) => {
        if (error) return input.destroy(error);
        input.push(bytes === null ? null : globalThis.Buffer.from(bytes));
      });
    },
  });
  input.fd = 0;
  input.setRawMode = () => input;
  input.ref = input.unref = () => input;
  return asTerminal(input, 0);
}

function emitWarning(warning, options, code) {
  const settings = typeof options === 'object' && options !== null ? options : { type: options, code };
  const error = warning instanceof Error ? warning : new Error(String(warning));
  if (!(warning instanceof Error)) error.name = settings.type ?? 'Warning';
  if (settings.code !== undefined) error.code = settings.code;
  nextTick(() => {
    process.emit('warning', error);
    if (process.noDeprecation && error.name === 'DeprecationWarning') return;
    const label = error.code ? `[${error.code}] ` : '';
    writeStdio(2, `(node:${process.pid}) ${label}${error.name}: ${error.message}\n`);
  });
}

Object.assign(process, {
  title: 'node',
  version: `v${VERSION}`,
  versions: { node: VERSION, v8: '11.3.244.8', uv: '1.46.0', modules: '115' },
  arch: 'x64',
  platform: 'linux',
  release: { name: 'node', lts: 'Iron' },
  env,
  argv: ['node'],
  argv0: 'node',
  execArgv: [],
  execPath: '/usr/local/bin/node',
  exitCode: undefined,
  pid: 4,
  ppid: 1,
  debugPort: 9229,
  features: { inspector: false, debug: false, uv: true, ipv6: true, tls: true },
  config: { target_defaults: {}, variables: {} },
  allowedNodeEnvironmentFlags: new Set(),
  report: undefined,
  connected: false,
  noDeprecation: false,
  nextTick,
  hrtime,
  emitWarning,
  exit: (code) => exitProcess(code),
  reallyExit: (code) => terminate(code),
  abort: () => terminate(134),
  cwd: () => directory,
  chdir(path) {
    directory = path.startsWith('/') ? path : `${directory}/${path}`;
  },
  umask: () => 0o022,
  uptime: () => (nowMs() - startedAt) / 1000,
  getuid: () => 1000,
  geteuid: () => 1000,
  getgid: () => 1000,
  getegid: () => 1000,
  getgroups: () => [1000],
  // The engine shows neither its heap nor its processor time to the app.
  memoryUsage: Object.assign(() => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }), {
    rss: () => 0,
  }),
  constrainedMemory: () => 0,
  availableMemory: () => 0,
  cpuUsage: () => ({ user: Math.round((nowMs() - startedAt) * 1000), system: 0 }),
  resourceUsage: () => ({ userCPUTime: 0, systemCPUTime: 0, maxRSS: 0 }),
  getActiveResourcesInfo: () => [],
  hasUncaughtExceptionCaptureCallback: () => false,
  setUncaughtExceptionCaptureCallback(callback) {
    process.removeAllListeners('uncaughtException');
    if (callback !== null) process.on('uncaughtException', callback);
  },
  setSourceMapsEnabled() {},
  loadEnvFile: unavailable('loadEnvFile'),
  kill: unavailable('kill'),
  dlopen: unavailable('dlopen'),
  binding: unavailable('binding'),
  setuid: unavailable('setuid'),
  setgid: unavailable('setgid'),
});

Object.defineProperties(process, {
  stdout: lazily(() => outputStream(1)),
  stderr: lazily(() => outputStream(2)),
  stdin: lazily(inputStream),
  _exiting: { configurable: true, enumerable: false, writable: true, value: false },
  [Symbol.toStringTag]: { configurable: true, value: 'process' },
});

setProcess(process);

// The names that the host gave; the app's own assignments are not among them.
let given = [];

/** Takes away what the host gave, so that another host can give its own. What the app has set stays. */
export function forgetEnvironment() {
  for (const [name, value] of given) if (environment[name] === value) delete environment[name];
}

/** Sets what the host gives to a dyno: `vars` as [name, value] pairs, `args` as process.argv without the engine. */
export function startProcess(vars, args) {
  startedAt = nowMs();
  given = vars;
  for (const [name, value] of vars) {
    // The engine's bindings would print every host call to this app's log.
    if (name !== 'JCO_DEBUG') environment[name] = value;
  }
  process.argv = [process.execPath, ...args];
}

export default process;
