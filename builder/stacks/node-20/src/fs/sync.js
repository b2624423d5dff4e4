// The synchronous functions of node:fs. The others are made of these (async.js): the host's file system does not wait.
import buffer from '../node/buffer.js';
import path from '../node/path.js';
import { createNotImplementedError } from '../lang/unavailable.js';
import { codedError, invalidArgType } from '../lang/codes.js';
import { constants } from './constants.js';
import { fsError, guarded, locate, readFileBytes } from './host.js';
import { Dirent } from './stats.js';
import { closeSync, entryOf, openSync, readRest, statOf, toPath, writeBytes } from './table.js';

import { readSync, writeSync } from './table.js';

export { closeSync, fstatSync, openSync, readSync, writeSync } from './table.js';

const { Buffer } = buffer;

const optionsOf = (options) => (typeof options === 'string' ? { encoding: options } : (options ?? {}));
const encoded = (bytes, encoding) => (encoding && encoding !== 'buffer' ? bytes.toString(encoding) : bytes);

function toBytes(data, encoding) {
  if (typeof data === 'string') return Buffer.from(data, encoding ?? 'utf8');
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw invalidArgType('data', 'of type string or an instance of Buffer, TypedArray, or DataView', data);
}

export function readFileSync(file, options) {
  const { encoding, flag } = optionsOf(options);
  if (typeof file === 'number') return encoded(readRest(file), encoding);
  if (flag !== undefined && flag !== 'r') {
    const fd = openSync(file, flag);
    try {
      return encoded(readRest(fd), encoding);
    } finally {
      closeSync(fd);
    }
  }
  const bytes = readFileBytes(toPath(file));
  return encoded(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), encoding);
}

export function writeFileSync(file, data, options) {
  const { encoding, flag } = optionsOf(options);
  const bytes = toBytes(data, encoding);
  if (typeof file === 'number') {
    writeBytes(file, bytes, null);
    return;
  }
  const fd = openSync(file, flag ?? 'w');
  try {
    writeBytes(fd, bytes, null);
  } finally {
    closeSync(fd);
  }
}

export function appendFileSync(file, data, options) {
  writeFileSync(file, data, { ...optionsOf(options), flag: optionsOf(options).flag ?? 'a' });
}

function statAt(file, follow, syscall, options) {
  const name = toPath(file);
  try {
    const { descriptor, rest } = locate(name, syscall);
    return statOf(
      guarded(() => descriptor.statAt({ symlinkFollow: follow }, rest), syscall, name),
      options,
    );
  } catch (error) {
    if (options?.throwIfNoEntry === false && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
    throw error;
  }
}

export const statSync = (file, options) => statAt(file, true, 'stat', options);
export const lstatSync = (file, options) => statAt(file, false, 'lstat', options);

export function existsSync(file) {
  try {
    return statAt(file, true, 'stat', { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

export function accessSync(file, _mode = constants.F_OK) {
  statAt(file, true, 'access');
}

export function mkdirSync(file, options) {
  const name = toPath(file);
  const recursive = typeof options === 'object' && options !== null && options.recursive === true;
  if (!recursive) {
    makeDirectory(name);
    return undefined;
  }
  const missing = [];
  let current = path.resolve(name);
  while (!existsSync(current)) {
    missing.push(current);
    current = path.dirname(current);
  }
  if (missing.length === 0 && !statSync(current).isDirectory()) throw fsError('exist', 'mkdir', name);
  for (const directory of missing.toReversed()) makeDirectory(directory);
  return missing.at(-1);
}

function makeDirectory(name) {
  const { descriptor, rest } = locate(name, 'mkdir');
  guarded(() => descriptor.createDirectoryAt(rest), 'mkdir', name);
}

export function mkdtempSync(prefix, options) {
  for (;;) {
    const suffix = Array.from({ length: 6 }, () => Math.floor(Math.random() * 36).toString(36)).join('');
    try {
      makeDirectory(toPath(prefix) + suffix);
      return encoded(Buffer.from(toPath(prefix) + suffix), optionsOf(options).encoding ?? 'utf8');
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
  }
}

export function rmdirSync(file, options) {
  if (options?.recursive) return rmSync(file, { recursive: true });
  const name = toPath(file);
  const { descriptor, rest } = locate(name, 'rmdir');
  guarded(() => descriptor.removeDirectoryAt(rest), 'rmdir', name);
}

export function unlinkSync(file) {
  const name = toPath(file);
  const { descriptor, rest } = locate(name, 'unlink');
  guarded(() => descriptor.unlinkFileAt(rest), 'unlink', name);
}

export function rmSync(file, options = {}) {
  const name = toPath(file);
  const stat = lstatSync(name, { throwIfNoEntry: false });
  if (stat === undefined) {
    if (options.force) return;
    throw fsError('no-entry', 'lstat', name);
  }
  if (!stat.isDirectory()) return unlinkSync(name);
  if (!options.recursive) {
    const error = codedError(Error, 'ERR_FS_EISDIR', `Path is a directory: rm returned EISDIR (is a directory) ${name}`);
    error.name = 'SystemError';
    throw error;
  }
  for (const entry of readdirSync(name)) rmSync(path.join(name, entry), options);
  rmdirSync(name);
}

export function renameSync(from, to) {
  const [source, target] = [toPath(from, 'oldPath'), toPath(to, 'newPath')];
  const a = locate(source, 'rename');
  const b = locate(target, 'rename');
  guarded(() => a.descriptor.renameAt(a.rest, b.descriptor, b.rest), 'rename', source, target);
}

export function copyFileSync(from, to, mode = 0) {
  const bytes = readFileSync(from);
  writeFileSync(to, bytes, { flag: mode & constants.COPYFILE_EXCL ? 'wx' : 'w' });
}

export function cpSync(from, to, options = {}) {
  const source = toPath(from);
  const target = toPath(to);
  if (!statSync(source).isDirectory()) {
    if (options.force === false && existsSync(target)) return;
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(source, target);
    return;
  }
  if (!options.recursive) {
    throw codedError(Error, 'ERR_FS_EISDIR', `Recursive option not enabled, cannot copy a directory: ${source}`);
  }
  mkdirSync(target, { recursive: true });
  for (const entry of readdirSync(source)) cpSync(path.join(source, entry), path.join(target, entry), options);
}

/** The entries of a directory as [name, type] pairs, sorted by name. */
function entriesOf(name) {
  const { descriptor, rest } = locate(name, 'scandir');
  const handle = guarded(
    () => descriptor.openAt({ symlinkFollow: true }, rest, { directory: true }, { read: true }),
    'scandir',
    name,
  );
  const stream = guarded(() => handle.readDirectory(), 'scandir', name);
  const entries = [];
  try {
    for (;;) {
      const entry = guarded(() => stream.readDirectoryEntry(), 'scandir', name);
      if (entry === undefined || entry === null) break;
      entries.push([entry.name, entry.type]);
    }
  } finally {
    stream[Symbol.dispose]();
    handle[Symbol.dispose]();
  }
  return entries.sort(([a], [b]) => (a < b ? -1 : 1));
}

export function readdirSync(file, options) {
  const { withFileTypes, recursive, encoding } = optionsOf(options);
  const root = toPath(file);
  const found = [];
  const visit = (directory, prefix) => {
    for (const [name, type] of entriesOf(directory)) {
      const relative = path.join(prefix, name);
      if (withFileTypes) found.push(new Dirent(name, type, directory));
      else found.push(encoding === 'buffer' ? Buffer.from(relative) : relative);
      if (recursive && type === 'directory') visit(path.join(directory, name), relative);
    }
  };
  visit(root, '');
  return found;
}

export class Dir {
  #entries;
  constructor(name) {
    this.path = name;
    this.#entries = readdirSync(name, { withFileTypes: true });
  }
  readSync() {
    return this.#entries.shift() ?? null;
  }
  read(callback) {
    if (callback === undefined) return Promise.resolve(this.readSync());
    queueMicrotask(() => callback(null, this.readSync()));
  }
  closeSync() {}
  close(callback) {
    if (callback === undefined) return Promise.resolve();
    queueMicrotask(() => callback(null));
  }
  async *[Symbol.asyncIterator]() {
    for (let entry = this.readSync(); entry !== null; entry = this.readSync()) yield entry;
  }
}

export const opendirSync = (file) => new Dir(toPath(file));

export function readlinkSync(file, options) {
  const name = toPath(file);
  const { descriptor, rest } = locate(name, 'readlink');
  const target = guarded(() => descriptor.readlinkAt(rest), 'readlink', name);
  return encoded(Buffer.from(target), optionsOf(options).encoding ?? 'utf8');
}

export function symlinkSync(target, file) {
  const name = toPath(file);
  const { descriptor, rest } = locate(name, 'symlink');
  guarded(() => descriptor.symlinkAt(toPath(target, 'target'), rest), 'symlink', toPath(target), name);
}

export function linkSync(from, to) {
  const a = locate(toPath(from), 'link');
  const b = locate(toPath(to), 'link');
  guarded(() => a.descriptor.linkAt({}, a.rest, b.descriptor, b.rest), 'link', toPath(from), toPath(to));
}

const LONGEST_LINK_CHAIN = 40;

export function realpathSync(file, options) {
  const name = toPath(file);
  let parts = path.resolve(name).split('/').filter(Boolean);
  let done = '/';
  for (let links = 0; parts.length > 0; ) {
    const next = path.join(done, parts[0]);
    let target;
    try {
      target = readlinkSync(next);
    } catch (error) {
      // Above the mounted directories nothing can be asked; what is no link says EINVAL.
      if (error.code === 'ENOENT' && !existsSync(path.resolve(name))) throw fsError('no-entry', 'realpath', name);
      target = undefined;
    }
    parts.shift();
    if (target === undefined) done = next;
    else {
      if (++links > LONGEST_LINK_CHAIN) throw fsError('loop', 'realpath', name);
      parts = path.resolve(done, target).split('/').filter(Boolean).concat(parts);
      done = '/';
    }
  }
  return encoded(Buffer.from(done), optionsOf(options).encoding ?? 'utf8');
}
realpathSync.native = realpathSync;

export function truncateSync(file, length = 0) {
  const fd = openSync(file, 'r+');
  try {
    ftruncateSync(fd, length);
  } finally {
    closeSync(fd);
  }
}

export function ftruncateSync(fd, length = 0) {
  guarded(() => entryOf(fd, 'ftruncate').handle.setSize(BigInt(length)), 'ftruncate');
}

export function fsyncSync(fd) {
  guarded(() => entryOf(fd, 'fsync').handle.sync(), 'fsync');
}
export const fdatasyncSync = fsyncSync;

function timestamp(time) {
  const ms = time instanceof Date ? time.getTime() : Number(time) * 1000;
  return {
    tag: 'timestamp',
    val: { seconds: BigInt(Math.floor(ms / 1000)), nanoseconds: Math.floor((ms % 1000) * 1e6) },
  };
}

export function utimesSync(file, atime, mtime) {
  const name = toPath(file);
  const { descriptor, rest } = locate(name, 'utime');
  const set = () => descriptor.setTimesAt({ symlinkFollow: true }, rest, timestamp(atime), timestamp(mtime));
  guarded(set, 'utime', name);
}

export function futimesSync(fd, atime, mtime) {
  guarded(() => entryOf(fd, 'futime').handle.setTimes(timestamp(atime), timestamp(mtime)), 'futime');
}

// The sandbox knows no modes and owners: what exists is accepted and stays as it is.
export const chmodSync = (file) => accessSync(file);
export const lchmodSync = chmodSync;
export const chownSync = chmodSync;
export const lchownSync = chmodSync;
export const fchmodSync = (fd) => void entryOf(fd, 'fchmod');
export const fchownSync = (fd) => void entryOf(fd, 'fchown');

export function statfsSync() {
  throw createNotImplementedError('fs.statfs');
}

/** Fills one buffer after the other. */
export function readvSync(fd, buffers, position = null) {
  let count = 0;
  for (const target of buffers) {
    const got = readSync(fd, target, 0, target.byteLength, position === null ? null : position + count);
    count += got;
    if (got < target.byteLength) break;
  }
  return count;
}

export const writevSync = (fd, buffers, position = null) => writeSync(fd, Buffer.concat(buffers), 0, undefined, position);
