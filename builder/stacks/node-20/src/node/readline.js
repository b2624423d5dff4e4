// node:readline over any stream: lines, questions, async iteration. A dyno has no terminal, so there is nothing to edit
// and no history; output goes where Node writes it when its output is no terminal.
import EventEmitter from './events.js';
import StringDecoder from 'string_decoder/lib/string_decoder.js';
import { abortError, codedError } from '../lang/codes.js';

const ESCAPES = { clearLine: ['\x1b[2K', '\x1b[1K', '\x1b[0K'], clearScreenDown: '\x1b[0J' };

/** readline.Interface */
export class Interface extends EventEmitter {
  #decoder = new StringDecoder.StringDecoder('utf8');
  #rest = '';
  #endedWithReturn = false;
  #onQuestion;
  #prompt;
  constructor(input, output, completer, terminal) {
    super();
    const options = input !== null && typeof input === 'object' && input.input !== undefined ? input : { input, output, completer, terminal };
    this.input = options.input;
    this.output = options.output;
    this.terminal = false;
    this.line = '';
    this.cursor = 0;
    this.closed = false;
    this.paused = false;
    this.#prompt = options.prompt ?? '> ';
    const { signal } = options;
    const onData = (chunk) => this.#take(typeof chunk === 'string' ? chunk : this.#decoder.write(chunk));
    const onEnd = () => {
      const last = this.#rest + this.#decoder.end();
      this.#rest = '';
      if (last !== '') this.#emitLine(last);
      this.close();
    };
    const onError = (error) => this.emit('error', error);
    this.input.on('data', onData).on('end', onEnd).on('error', onError);
    this._detach = () => this.input.removeListener('data', onData).removeListener('end', onEnd).removeListener('error', onError);
    if (signal?.aborted) queueMicrotask(() => this.close());
    else signal?.addEventListener('abort', () => this.close(), { once: true });
    this.input.resume();
  }
  #take(text) {
    if (this.closed) return;
    // A \r at the end of a part and a \n at the start of the next are one end of a line.
    if (this.#endedWithReturn && text.startsWith('\n')) text = text.slice(1);
    if (text === '') return;
    this.#endedWithReturn = text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    for (const line of lines) this.#emitLine(line);
  }
  #emitLine(line) {
    const answer = this.#onQuestion;
    if (answer === undefined) return void this.emit('line', line);
    this.#onQuestion = undefined;
    answer(line);
  }
  getPrompt() {
    return this.#prompt;
  }
  setPrompt(prompt) {
    this.#prompt = String(prompt);
  }
  prompt() {
    if (this.paused) this.resume();
    this.output?.write(this.#prompt);
  }
  question(query, options, callback) {
    if (typeof options === 'function') [options, callback] = [{}, options];
    if (this.closed) throw codedError(Error, 'ERR_USE_AFTER_CLOSE', 'readline was closed');
    if (options?.signal?.aborted) return;
    this.output?.write(query);
    this.#onQuestion = callback;
    options?.signal?.addEventListener('abort', () => {
      if (this.#onQuestion === callback) this.#onQuestion = undefined;
    }, { once: true });
    if (this.paused) this.resume();
  }
  write(data) {
    if (this.closed) throw codedError(Error, 'ERR_USE_AFTER_CLOSE', 'readline was closed');
    if (this.paused) this.resume();
    if (data != null) this.#take(typeof data === 'string' ? data : this.#decoder.write(data));
  }
  pause() {
    if (this.paused) return this;
    this.input.pause();
    this.paused = true;
    this.emit('pause');
    return this;
  }
  resume() {
    if (!this.paused) return this;
    this.input.resume();
    this.paused = false;
    this.emit('resume');
    return this;
  }
  close() {
    if (this.closed) return;
    this.pause();
    this._detach();
    this.closed = true;
    this.emit('close');
  }
  getCursorPos() {
    return { rows: 0, cols: 0 };
  }
  [Symbol.dispose]() {
    this.close();
  }
  async *[Symbol.asyncIterator]() {
    const lines = [];
    let wake;
    let failure;
    this.on('line', (line) => {
      lines.push(line);
      wake?.();
    });
    this.once('close', () => wake?.());
    this.once('error', (error) => {
      failure = error;
      wake?.();
    });
    try {
      for (;;) {
        while (lines.length > 0) yield lines.shift();
        if (failure !== undefined) throw failure;
        if (this.closed) return;
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.close();
    }
  }
}

const createInterface = (...args) => new Interface(...args);
Interface.prototype.question[Symbol.for('nodejs.util.promisify.custom')] = function (query, options) {
  return new Promise((resolve) => this.question(query, options, resolve));
};

class PromiseInterface extends Interface {
  question(query, options = {}) {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      if (signal?.aborted) return reject(abortError(signal));
      signal?.addEventListener('abort', () => reject(abortError(signal)), { once: true });
      super.question(query, options, resolve);
    });
  }
}

// What a terminal would understand; a log shows it as it is.
function escape(stream, text, callback) {
  if (stream == null) {
    if (callback) queueMicrotask(() => callback(null));
    return true;
  }
  return stream.write(text, callback);
}

const moves = (dx, dy) =>
  (dx < 0 ? `\x1b[${-dx}D` : dx > 0 ? `\x1b[${dx}C` : '') + (dy < 0 ? `\x1b[${-dy}A` : dy > 0 ? `\x1b[${dy}B` : '');

class Readline {
  #stream;
  #pending = '';
  constructor(stream) {
    this.#stream = stream;
  }
  clearLine(direction) {
    this.#pending += ESCAPES.clearLine[direction < 0 ? 1 : direction > 0 ? 2 : 0];
    return this;
  }
  clearScreenDown() {
    this.#pending += ESCAPES.clearScreenDown;
    return this;
  }
  cursorTo(x, y) {
    this.#pending += y === undefined ? `\x1b[${x + 1}G` : `\x1b[${y + 1};${x + 1}H`;
    return this;
  }
  moveCursor(dx, dy) {
    this.#pending += moves(dx, dy);
    return this;
  }
  commit() {
    const text = this.#pending;
    this.#pending = '';
    return new Promise((resolve) => this.#stream.write(text, resolve));
  }
  rollback() {
    this.#pending = '';
    return this;
  }
}

/** node:readline */
export default {
  Interface,
  createInterface,
  clearLine: (stream, direction, callback) =>
    escape(stream, ESCAPES.clearLine[direction < 0 ? 1 : direction > 0 ? 2 : 0], callback),
  clearScreenDown: (stream, callback) => escape(stream, ESCAPES.clearScreenDown, callback),
  cursorTo(stream, x, y, callback) {
    if (typeof y === 'function') [y, callback] = [undefined, y];
    return escape(stream, y === undefined ? `\x1b[${x + 1}G` : `\x1b[${y + 1};${x + 1}H`, callback);
  },
  moveCursor: (stream, dx, dy, callback) => escape(stream, moves(dx, dy), callback),
  // Only a terminal has keys.
  emitKeypressEvents() {},
  promises: { Interface: PromiseInterface, Readline, createInterface: (...args) => new PromiseInterface(...args) },
};
