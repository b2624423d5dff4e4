// Paths and descriptors of wasi:filesystem, and its error codes as Node's.
import { getDirectories } from 'wasi:filesystem/preopens@0.2.10';
import path from '../node/path.js';
import { hostError } from '../wasi/errors.js';
import { beforeFreeze } from '../snapshot/phase.js';

// wasi:filesystem error code -> [Node's code, errno, text]
const ERRORS = {
  access: ['EACCES', 13, 'permission denied'],
  'would-block': ['EAGAIN', 11, 'resource temporarily unavailable'],
  already: ['EALREADY', 114, 'connection already in progress'],
  'bad-descriptor': ['EBADF', 9, 'bad file descriptor'],
  busy: ['EBUSY', 16, 'resource busy or locked'],
  deadlock: ['EDEADLK', 35, 'resource deadlock avoided'],
  quota: ['EDQUOT', 122, 'disk quota exceeded'],
  exist: ['EEXIST', 17, 'file already exists'],
  'file-too-large': ['EFBIG', 27, 'file too large'],
  'illegal-byte-sequence': ['EILSEQ', 84, 'illegal byte sequence'],
  'in-progress': ['EINPROGRESS', 115, 'operation in progress'],
  interrupted: ['EINTR', 4, 'interrupted system call'],
  invalid: ['EINVAL', 22, 'invalid argument'],
  io: ['EIO', 5, 'i/o error'],
  'is-directory': ['EISDIR', 21, 'illegal operation on a directory'],
  loop: ['ELOOP', 40, 'too many symbolic links encountered'],
  'too-many-links': ['EMLINK', 31, 'too many links'],
  'name-too-long': ['ENAMETOOLONG', 36, 'name too long'],
  'no-entry': ['ENOENT', 2, 'no such file or directory'],
  'insufficient-memory': ['ENOMEM', 12, 'not enough memory'],
  'insufficient-space': ['ENOSPC', 28, 'no space left on device'],
  'not-directory': ['ENOTDIR', 20, 'not a directory'],
  'not-empty': ['ENOTEMPTY', 39, 'directory not empty'],
  unsupported: ['ENOTSUP', 95, 'operation not supported on socket'],
  'not-permitted': ['EPERM', 1, 'operation not permitted'],
  'read-only': ['EROFS', 30, 'read-only file system'],
  'cross-device': ['EXDEV', 18, 'cross-device link not permitted'],
  'text-file-busy': ['ETXTBSY', 26, 'text file is busy'],
  'invalid-seek': ['ESPIPE', 29, 'invalid seek'],
  overflow: ['EOVERFLOW', 75, 'value too large for defined data type'],
};

/** A file system error as Node makes it: code, errno, syscall, path, dest. */
export function fsError(reason, syscall, from, to) {
  const [code, errno, text] = ERRORS[reason] ?? ['EIO', 5, `i/o error (${reason})`];
  const names = (from === undefined ? '' : ` '${from}'`) + (to === undefined ? '' : ` -> '${to}'`);
  const error = new Error(`${code}: ${text}, ${syscall}${names}`);
  error.errno = -errno;
  error.code = code;
  error.syscall = syscall;
  if (from !== undefined) error.path = from;
  if (to !== undefined) error.dest = to;
  return error;
}

/** Runs `call` and turns the host's error into Node's. */
export function guarded(call, syscall, from, to) {
  try {
    return call();
  } catch (error) {
    throw fsError(hostError(error), syscall, from, to);
  }
}

let preopens;
beforeFreeze(() => {
  for (const { descriptor } of preopens ?? []) descriptor[Symbol.dispose]();
  preopens = undefined;
});

/** The preopened directory that holds `file`, and the path inside it. */
export function locate(file, syscall) {
  preopens ??= getDirectories()
    .map(([descriptor, name]) => ({ descriptor, name: path.posix.resolve('/', name) }))
    .sort((a, b) => b.name.length - a.name.length);
  const full = path.posix.resolve(globalThis.process?.cwd() ?? '/', file);
  for (const { descriptor, name } of preopens) {
    if (full === name) return { descriptor, rest: '.', full };
    const prefix = name === '/' ? name : `${name}/`;
    if (full.startsWith(prefix)) return { descriptor, rest: full.slice(prefix.length), full };
  }
  throw fsError('no-entry', syscall, file);
}

const READ_BYTES = 1024 * 1024;

/** The whole of an open descriptor from `offset` on. */
export function readAll(descriptor, offset, syscall, name) {
  // What the host says to reading one depends on the host.
  if (descriptor.getType() === 'directory') throw fsError('is-directory', syscall);
  const parts = [];
  let total = 0;
  for (;;) {
    const [bytes, end] = guarded(() => descriptor.read(BigInt(READ_BYTES), BigInt(offset + total)), syscall, name);
    if (bytes.length > 0) parts.push(bytes);
    total += bytes.length;
    // Some hosts say that every read is the last.
    if (bytes.length === 0 || (end && bytes.length < READ_BYTES)) break;
  }
  if (parts.length === 1) return parts[0];
  const all = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The bytes of a file. */
export function readFileBytes(name) {
  const { descriptor, rest } = locate(name, 'open');
  const file = guarded(() => descriptor.openAt({ symlinkFollow: true }, rest, {}, { read: true }), 'open', name);
  try {
    return readAll(file, 0, 'read');
  } finally {
    file[Symbol.dispose]();
  }
}
