// node:os: what a dyno knows of its machine, which is little.
import { ERRNO } from './errno.js';
import process from './process.js';

const SIGNALS = [
  'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGKILL', 'SIGUSR1', 'SIGSEGV',
  'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGSTKFLT', 'SIGCHLD', 'SIGCONT', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN',
  'SIGTTOU', 'SIGURG', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGWINCH', 'SIGIO', 'SIGPWR', 'SIGSYS',
];

const errno = Object.fromEntries([...ERRNO].map(([number, [name]]) => [name, number]));
const signals = Object.fromEntries(SIGNALS.map((name, i) => [name, i + 1]));
const priority = {
  PRIORITY_LOW: 19,
  PRIORITY_BELOW_NORMAL: 10,
  PRIORITY_NORMAL: 0,
  PRIORITY_ABOVE_NORMAL: -7,
  PRIORITY_HIGH: -14,
  PRIORITY_HIGHEST: -20,
};

/** node:os */
export default {
  EOL: '\n',
  devNull: '/dev/null',
  constants: { UV_UDP_REUSEADDR: 4, dlopen: {}, errno, signals, priority },
  arch: () => process.arch,
  availableParallelism: () => 1,
  cpus: () => [{ model: 'wasm', speed: 0, times: { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 } }],
  endianness: () => 'LE',
  freemem: () => 512 * 2 ** 20,
  totalmem: () => 512 * 2 ** 20,
  getPriority: () => 0,
  setPriority() {},
  homedir: () => process.env.HOME ?? '/app',
  hostname: () => process.env.DYNO ?? 'dyno',
  loadavg: () => [0, 0, 0],
  machine: () => 'wasm32',
  networkInterfaces: () => ({}),
  platform: () => process.platform,
  release: () => '6.0.0',
  tmpdir: () => process.env.TMPDIR?.replace(/(.)\/$/, '$1') ?? '/tmp',
  type: () => 'Linux',
  uptime: () => process.uptime(),
  userInfo: () => ({ uid: 1000, gid: 1000, username: 'app', homedir: '/app', shell: '/bin/sh' }),
  version: () => '#1 wpaas',
};
