// node:fs
import * as sync from '../fs/sync.js';
import { callbacks, promises } from '../fs/async.js';
import { constants } from '../fs/constants.js';
import { BigIntStats, Dirent, Stats } from '../fs/stats.js';
import { ReadStream, WriteStream } from '../fs/streams.js';
import { notImplemented } from '../lang/unavailable.js';

promises.constants = constants;

const unavailable = {};
for (const name of ['watch', 'watchFile', 'unwatchFile', 'openAsBlob', 'glob', 'globSync']) {
  unavailable[name] = notImplemented(`fs.${name}`);
}

/** node:fs */
export default {
  ...sync,
  ...callbacks,
  ...unavailable,
  ...constants,
  constants,
  promises,
  Stats,
  BigIntStats,
  Dirent,
  ReadStream,
  WriteStream,
  FileReadStream: ReadStream,
  FileWriteStream: WriteStream,
  createReadStream: (file, options) => new ReadStream(file, options),
  createWriteStream: (file, options) => new WriteStream(file, options),
};

/** node:fs/promises */
export { promises };
