// fs.Stats and fs.Dirent from what the host tells of a file.
import { constants } from './constants.js';

const { S_IFMT, S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFLNK, S_IFSOCK } = constants;

const TYPE_BITS = {
  'regular-file': S_IFREG,
  directory: S_IFDIR,
  'symbolic-link': S_IFLNK,
  'character-device': S_IFCHR,
  'block-device': S_IFBLK,
  fifo: S_IFIFO,
  socket: S_IFSOCK,
};
const BLOCK = 512;

const toMs = (time) => (time === undefined ? 0 : Number(time.seconds) * 1000 + time.nanoseconds / 1e6);

class StatsBase {
  isFile() {
    return this._is(S_IFREG);
  }
  isDirectory() {
    return this._is(S_IFDIR);
  }
  isSymbolicLink() {
    return this._is(S_IFLNK);
  }
  isFIFO() {
    return this._is(S_IFIFO);
  }
  isSocket() {
    return this._is(S_IFSOCK);
  }
  isCharacterDevice() {
    return this._is(S_IFCHR);
  }
  isBlockDevice() {
    return this._is(S_IFBLK);
  }
  _is(type) {
    return (Number(this.mode) & S_IFMT) === type;
  }
}

/** fs.Stats; permissions and owners are the same for every file, as the sandbox decides access. */
export class Stats extends StatsBase {
  constructor(stat) {
    super();
    const type = TYPE_BITS[stat.type] ?? S_IFREG;
    const size = Number(stat.size);
    this.dev = 0;
    this.mode = type | (type === S_IFDIR ? 0o755 : 0o644);
    this.nlink = Number(stat.linkCount);
    this.uid = 1000;
    this.gid = 1000;
    this.rdev = 0;
    this.blksize = 4096;
    this.ino = 0;
    this.size = size;
    this.blocks = Math.ceil(size / BLOCK);
    this.atimeMs = toMs(stat.dataAccessTimestamp);
    this.mtimeMs = toMs(stat.dataModificationTimestamp);
    this.ctimeMs = toMs(stat.statusChangeTimestamp ?? stat.dataModificationTimestamp);
    this.birthtimeMs = this.ctimeMs;
    // Rounded, as Node does it: entity tags of files are made of these.
    for (const time of ['atime', 'mtime', 'ctime', 'birthtime']) this[time] = new Date(Math.round(this[`${time}Ms`]));
  }
}

/** fs.Stats with BigInts, for `{ bigint: true }`. */
export class BigIntStats extends StatsBase {
  constructor(stat) {
    super();
    const plain = new Stats(stat);
    for (const [name, value] of Object.entries(plain)) {
      this[name] = typeof value === 'number' ? BigInt(Math.trunc(value)) : value;
    }
    for (const time of ['atime', 'mtime', 'ctime', 'birthtime']) this[`${time}Ns`] = this[`${time}Ms`] * 1_000_000n;
  }
}

export class Dirent extends StatsBase {
  constructor(name, type, parent) {
    super();
    this.name = name;
    this.parentPath = parent;
    this.path = parent;
    Object.defineProperty(this, 'mode', { value: TYPE_BITS[type] ?? S_IFREG });
  }
}
