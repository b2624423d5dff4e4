// node:tty. A terminal is the standard stream of a one-off dyno that somebody runs at one.
import readline from './readline.js';
import stream from './stream.js';
import { isTerminal } from '../wasi/stdio.js';

// What a terminal of unknown size has, and most programs assume.
const COLUMNS = 80;
const ROWS = 24;
// Terminals by the beginning or the whole of their names, as Node knows them, and bits of colour.
const SIXTEEN_COLOURS = /^(ansi|cygwin|konsole|linux|putty|rxvt|screen|tmux|vt100|xterm)|color/i;

const isStandard = (fd) => Number.isInteger(fd) && fd >= 0 && fd <= 2;

/** Bits of colour that `env` says its terminal has: 1 for none, 4, 8 or 24. */
function getColorDepth(env = globalThis.process.env) {
  const forced = env.FORCE_COLOR;
  if (forced !== undefined) return { 0: 1, 2: 8, 3: 24 }[forced] ?? 4;
  if (env.NODE_DISABLE_COLORS || env.NO_COLOR || env.TERM === 'dumb' || !env.TERM) return 1;
  if (env.COLORTERM === 'truecolor' || env.COLORTERM === '24bit') return 24;
  if (/-256/.test(env.TERM)) return 8;
  return env.COLORTERM || SIXTEEN_COLOURS.test(env.TERM) ? 4 : 1;
}

// The client says the size of its terminal by variables (Heroku's do), once, when it begins.
const size = (name, otherwise) => Number.parseInt(globalThis.process.env[name], 10) || otherwise;

const WRITING = {
  get columns() {
    return size('COLUMNS', COLUMNS);
  },
  get rows() {
    return size('LINES', ROWS);
  },
  getWindowSize() {
    return [this.columns, this.rows];
  },
  getColorDepth,
  hasColors(count = 16, env = undefined) {
    if (typeof count === 'object') [count, env] = [16, count];
    return count <= 2 ** getColorDepth(env);
  },
  clearLine(direction, done) {
    return readline.clearLine(this, direction, done);
  },
  clearScreenDown(done) {
    return readline.clearScreenDown(this, done);
  },
  cursorTo(x, y, done) {
    return readline.cursorTo(this, x, y, done);
  },
  moveCursor(dx, dy, done) {
    return readline.moveCursor(this, dx, dy, done);
  },
};

/** Gives the standard stream `object` of `fd` what a terminal's has, if it is one. */
export function asTerminal(object, fd) {
  if (!isTerminal(fd)) return object;
  if (fd !== 0) Object.defineProperties(object, Object.getOwnPropertyDescriptors(WRITING));
  return Object.assign(object, { isTTY: true, _type: 'tty' });
}

export default {
  isatty: (fd) => isStandard(fd) && isTerminal(fd),
  ReadStream: class ReadStream extends stream.Readable {},
  WriteStream: class WriteStream extends stream.Writable {},
};
