// File descriptors: numbers that stand for the host's descriptors, with a position each.
import buffer from '../node/buffer.js';
import { readAllStdin, writeStdio } from '../wasi/stdio.js';
import { invalidArgType, invalidArgValue } from '../lang/codes.js';
import { constants } from './constants.js';
import { fsError, guarded, locate, readAll } from './host.js';
import { BigIntStats, Stats } from './stats.js';

const { Buffer } = buffer;
const { O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW } = constants;

const FLAGS = {
  r: 0,
  rs: 0,
  'r+': O_RDWR,
  'rs+': O_RDWR,
  w: O_TRUNC | O_CREAT | O_WRONLY,
  wx: O_TRUNC | O_CREAT | O_WRONLY | O_EXCL,
  'w+': O_TRUNC | O_CREAT | O_RDWR,
  'wx+': O_TRUNC | O_CREAT | O_RDWR | O_EXCL,
  a: O_APPEND | O_CREAT | O_WRONLY,
  ax: O_APPEND | O_CREAT | O_WRONLY | O_EXCL,
  'a+': O_APPEND | O_CREAT | O_RDWR,
  'ax+': O_APPEND | O_CREAT | O_RDWR | O_EXCL,
};
const SPELLINGS = { sr: 'rs', 'sr+': 'rs+', xw: 'wx', 'xw+': 'wx+', xa: 'ax', 'xa+': 'ax+', as: 'a', 'as+': 'a+' };

const FIRST_FD = 20; // far from the numbers that mean something to people
const open = new Map();

/** A path argument (string, Buffer, file: URL) as a string. */
export function toPath(value, name = 'path') {
  let text = value;
  if (value instanceof URL) {
    if (value.protocol !== 'file:') throw invalidArgValue(name, value.href, 'must be a file: URL');
    text = decodeURIComponent(value.pathname);
  } else if (value instanceof Uint8Array) {
    text = Buffer.from(value).toString();
  }
  if (typeof text !== 'string') throw invalidArgType(name, 'of type string or an instance of Buffer or URL', value);
  if (text.includes('\0')) throw invalidArgValue(name, text, 'must be a string, Uint8Array, or URL without null bytes');
  return text;
}

function flagBits(flags) {
  if (flags === undefined || flags === null) return 0;
  if (typeof flags === 'number') return flags;
  const bits = FLAGS[SPELLINGS[flags] ?? flags];
  if (bits === undefined) throw invalidArgValue('flags', flags);
  return bits;
}

export function openSync(file, flags = 'r', _mode) {
  const name = toPath(file);
  const bits = flagBits(flags);
  const { descriptor, rest } = locate(name, 'open');
  const writes = (bits & (O_WRONLY | O_RDWR)) !== 0;
  const handle = guarded(
    () =>
      descriptor.openAt(
        { symlinkFollow: (bits & O_NOFOLLOW) === 0 },
        rest,
        {
          create: (bits & O_CREAT) !== 0,
          exclusive: (bits & O_EXCL) !== 0,
          truncate: (bits & O_TRUNC) !== 0,
          directory: (bits & O_DIRECTORY) !== 0,
        },
        { read: (bits & O_WRONLY) === 0, write: writes },
      ),
    'open',
    name,
  );
  let fd = FIRST_FD;
  while (open.has(fd)) fd += 1;
  open.set(fd, { handle, name, position: 0, append: (bits & O_APPEND) !== 0 });
  return fd;
}

/** The files that are open. */
export const openFiles = () => [...open.values()].map(({ name }) => name);

/** What is behind `fd`. */
export function entryOf(fd, syscall) {
  if (typeof fd !== 'number') throw invalidArgType('fd', 'of type number', fd);
  const entry = open.get(fd);
  if (entry === undefined) throw fsError('bad-descriptor', syscall);
  return entry;
}

export function closeSync(fd) {
  if (fd >= 0 && fd <= 2) return;
  const entry = entryOf(fd, 'close');
  open.delete(fd);
  entry.handle[Symbol.dispose]();
}

export function statOf(stat, options) {
  return options?.bigint ? new BigIntStats(stat) : new Stats(stat);
}

export function fstatSync(fd, options) {
  if (fd >= 0 && fd <= 2) return statOf({ type: 'fifo', size: 0n, linkCount: 1n }, options);
  return statOf(
    guarded(() => entryOf(fd, 'fstat').handle.stat(), 'fstat'),
    options,
  );
}

export function readSync(fd, target, offsetOrOptions, length, position) {
  let offset = offsetOrOptions;
  if (offset !== null && typeof offset === 'object') ({ offset, length, position } = offset);
  offset ??= 0;
  length ??= target.byteLength - offset;
  if (fd === 0) return 0;
  const entry = entryOf(fd, 'read');
  const own = position === undefined || position === null || position === -1 || position === -1n;
  const at = own ? entry.position : Number(position);
  if (length === 0) return 0;
  const [bytes] = guarded(() => entry.handle.read(BigInt(length), BigInt(at)), 'read');
  new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(bytes, offset);
  if (own) entry.position += bytes.length;
  return bytes.length;
}

/** Writes all of `bytes`; `position` null is where the descriptor stands. */
export function writeBytes(fd, bytes, position) {
  if (fd === 1 || fd === 2) {
    writeStdio(fd, bytes);
    return bytes.length;
  }
  const entry = entryOf(fd, 'write');
  const own = typeof position !== 'number' && typeof position !== 'bigint';
  let at = own ? entry.position : Number(position);
  if (entry.append) at = Number(guarded(() => entry.handle.stat(), 'write').size);
  let written = 0;
  while (written < bytes.length) {
    const count = Number(
      guarded(() => entry.handle.write(bytes.subarray(written), BigInt(at + written)), 'write'),
    );
    if (count === 0) throw fsError('insufficient-space', 'write');
    written += count;
  }
  if (own || entry.append) entry.position = at + written;
  return written;
}

export function writeSync(fd, data, offsetOrOptions, length, position) {
  if (typeof data === 'string') return writeBytes(fd, Buffer.from(data, length ?? 'utf8'), offsetOrOptions);
  if (!ArrayBuffer.isView(data)) throw invalidArgType('buffer', 'of type string or an instance of Buffer', data);
  let offset = offsetOrOptions;
  if (offset !== null && typeof offset === 'object') ({ offset, length, position } = offset);
  offset ??= 0;
  length ??= data.byteLength - offset;
  return writeBytes(fd, new Uint8Array(data.buffer, data.byteOffset + offset, length), position);
}

/** Everything from where `fd` stands to the end. */
export function readRest(fd) {
  if (fd === 0) return Buffer.concat(readAllStdin());
  const entry = entryOf(fd, 'read');
  const bytes = readAll(entry.handle, entry.position, 'read');
  entry.position += bytes.length;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
