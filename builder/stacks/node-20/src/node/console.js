// The `console` as Node has it: log, info and debug go to stdout, the rest to stderr; text by util.format.
import { writeStdio } from '../wasi/stdio.js';
import { nowMs } from '../wasi/clock.js';
import { formatWithOptions, inspect } from './inspect.js';
import { renderTable } from './console-table.js';

const GROUP_INDENT = 2;

/** A console over two writers of text (`stderr` defaults to `stdout`). */
export function Console(stdout, stderr) {
  if (!new.target) return new Console(stdout, stderr);
  const options = stdout !== null && typeof stdout?.write !== 'function' ? stdout : { stdout, stderr };
  const out = (text) => options.stdout.write(text);
  const err = (text) => (options.stderr ?? options.stdout).write(text);
  const counts = new Map();
  const times = new Map();
  let indent = '';

  const text = (args) => {
    const line = formatWithOptions(options.inspectOptions ?? {}, ...args);
    return indent === '' ? `${line}\n` : `${indent}${line.replaceAll('\n', `\n${indent}`)}\n`;
  };
  const elapsed = (label) => {
    const start = times.get(label);
    if (start === undefined) {
      err(`Warning: No such label '${label}' for console.time()\n`);
      return undefined;
    }
    const ms = nowMs() - start;
    return ms < 1000 ? `${Number(ms.toFixed(3))}ms` : `${(ms / 1000).toFixed(3)}s`;
  };

  Object.assign(this, {
    log: (...args) => void out(text(args)),
    error: (...args) => void err(text(args)),
    dir: (object, dirOptions) => void out(text([inspect(object, { customInspect: false, ...dirOptions })])),
    trace(...args) {
      const trace = { name: 'Trace', message: formatWithOptions({}, ...args) };
      Error.captureStackTrace(trace, this.trace);
      err(text([trace.stack.replace(/^.*/, args.length > 0 ? `Trace: ${trace.message}` : 'Trace')]));
    },
    assert(condition, ...args) {
      if (condition) return;
      if (typeof args[0] === 'string') args[0] = `Assertion failed: ${args[0]}`;
      else args.unshift('Assertion failed');
      err(text(args));
    },
    count(label = 'default') {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      out(text([`${label}: ${counts.get(label)}`]));
    },
    countReset: (label = 'default') => void counts.delete(label),
    time: (label = 'default') => void times.set(label, nowMs()),
    timeLog(label = 'default', ...args) {
      const time = elapsed(label);
      if (time !== undefined) out(text([`${label}: ${time}`, ...args]));
    },
    timeEnd(label = 'default') {
      const time = elapsed(label);
      if (time !== undefined) out(text([`${label}: ${time}`]));
      times.delete(label);
    },
    group(...args) {
      if (args.length > 0) out(text(args));
      indent += ' '.repeat(GROUP_INDENT);
    },
    groupEnd() {
      indent = indent.slice(GROUP_INDENT);
    },
    table(data, columns) {
      out(text([data !== null && typeof data === 'object' ? renderTable(data, columns) : data]));
    },
    clear() {},
    timeStamp() {},
    profile() {},
    profileEnd() {},
  });
  this.info = this.debug = this.log;
  this.warn = this.error;
  this.groupCollapsed = this.group;
  this.dirxml = this.log;
}

// Straight to the host: `process.stdout` is a stream of its own that an app may replace or wrap.
const console = new Console({ write: (text) => writeStdio(1, text) }, { write: (text) => writeStdio(2, text) });
console.Console = Console;

export default console;
