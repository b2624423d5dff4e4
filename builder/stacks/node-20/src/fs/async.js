// The callback and promise functions of node:fs, made of the synchronous ones. Each runs in a turn of its own, so
// that callbacks never come before the caller is done, as in Node.
import { defer } from '../loop/work.js';
import { invalidArgType } from '../lang/codes.js';
import * as sync from './sync.js';
import { FileHandle } from './handle.js';

const NAMES = [
  'access', 'appendFile', 'chmod', 'chown', 'close', 'copyFile', 'cp', 'fchmod', 'fchown', 'fdatasync', 'fstat',
  'fsync', 'ftruncate', 'futimes', 'lchmod', 'lchown', 'link', 'lstat', 'mkdir', 'mkdtemp', 'open', 'opendir',
  'readFile', 'readdir', 'readlink', 'realpath', 'rename', 'rm', 'rmdir', 'stat', 'statfs', 'symlink', 'truncate',
  'unlink', 'utimes', 'writeFile',
];
const ON_DESCRIPTORS = new Set(['close', 'fchmod', 'fchown', 'fdatasync', 'fstat', 'fsync', 'ftruncate', 'futimes']);

function takeCallback(args) {
  if (typeof args.at(-1) !== 'function') throw invalidArgType('cb', 'of type function', undefined);
  return args.pop();
}

function withCallback(run, callback) {
  defer(() => {
    let result;
    try {
      result = run();
    } catch (error) {
      return callback(error);
    }
    return result === undefined ? callback(null) : callback(null, result);
  });
}

/** Runs `run` in a later turn; a promise of its result. */
export function later(run) {
  return new Promise((resolve, reject) => {
    defer(() => {
      try {
        resolve(run());
      } catch (error) {
        reject(error);
      }
    });
  });
}

export const callbacks = {};
export const promises = {};
for (const name of NAMES) {
  const run = sync[`${name}Sync`];
  const fn = function (...args) {
    const callback = takeCallback(args);
    withCallback(() => run(...args), callback);
  };
  Object.defineProperty(fn, 'name', { value: name });
  callbacks[name] = fn;
  if (!ON_DESCRIPTORS.has(name)) {
    const promised = (...args) => later(() => run(...args));
    Object.defineProperty(promised, 'name', { value: name });
    promises[name] = promised;
  }
}
callbacks.realpath.native = callbacks.realpath;

callbacks.exists = (file, callback) => defer(() => callback(sync.existsSync(file)));
callbacks.exists[Symbol.for('nodejs.util.promisify.custom')] = (file) => later(() => sync.existsSync(file));

callbacks.read = function read(fd, ...args) {
  const callback = takeCallback(args);
  // read(fd, buffer, offset, length, position), read(fd, buffer, options), read(fd, options), read(fd)
  let [target, ...rest] = args;
  if (!ArrayBuffer.isView(target)) {
    rest = [target ?? {}];
    target = target?.buffer ?? Buffer.alloc(16_384);
  }
  defer(() => {
    let count;
    try {
      count = sync.readSync(fd, target, ...rest);
    } catch (error) {
      return callback(error);
    }
    return callback(null, count, target);
  });
};

callbacks.write = function write(fd, data, ...args) {
  const callback = takeCallback(args);
  defer(() => {
    let count;
    try {
      count = sync.writeSync(fd, data, ...args);
    } catch (error) {
      return callback(error);
    }
    return callback(null, count, data);
  });
};

callbacks.writev = function writev(fd, buffers, position, callback) {
  if (typeof position === 'function') [position, callback] = [null, position];
  callbacks.write(fd, Buffer.concat(buffers), 0, undefined, position, (error, count) => callback(error, count, buffers));
};

callbacks.readv = function readv(fd, buffers, position, callback) {
  if (typeof position === 'function') [position, callback] = [null, position];
  withCallback(() => sync.readvSync(fd, buffers, position), (error, count) => callback(error, count, buffers));
};

promises.open = (file, flags, mode) => later(() => new FileHandle(sync.openSync(file, flags, mode)));
// The file may be given as a FileHandle.
for (const name of ['readFile', 'writeFile', 'appendFile']) {
  const plain = promises[name];
  promises[name] = (file, ...args) => (file instanceof FileHandle ? file[name](...args) : plain(file, ...args));
}
