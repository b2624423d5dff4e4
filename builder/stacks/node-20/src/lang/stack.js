// Stack traces as V8 shows them. The engine writes `fn@file:line:column`; packages (depd, callsites, loggers) and
// people expect `    at fn (file:line:column)`, Error.captureStackTrace, Error.prepareStackTrace and CallSite objects.

import { formatFrames } from './call-site.js';

const nativeStack = Object.getOwnPropertyDescriptor(Error.prototype, 'stack');
const nativeCapture = Error.captureStackTrace;

// How frames of the stack's own code are named, and which are not shown at all.
const OWN_SOURCE = 'wpaas-node.js';
const HIDDEN = /(^|\/)initializer\.js$/;

let mapPosition = (file, line, column) => ({ file, line, column });

/** Sets how a position in the app's bundle becomes one in the app's files. */
export function setPositionMapper(mapper) {
  mapPosition = mapper;
}

// `outer/inner/<` is a function without a name inside `inner`; V8 shows those as their place alone.
function functionName(raw) {
  const name = raw.replace(/^async\*/, '');
  if (name === '' || name.endsWith('<')) return null;
  return name.slice(name.lastIndexOf('/') + 1).replace(/^.*\.(?=[^.]+\.[^.]+$)/, '') || null;
}

function parse(text) {
  const frames = [];
  for (const line of text.split('\n')) {
    const at = line.lastIndexOf('@');
    const place = /^(.*):(\d+):(\d+)$/.exec(line.slice(at + 1));
    if (at < 0 || place === null || HIDDEN.test(place[1])) continue;
    const raw = line.slice(0, at);
    const own = place[1].endsWith(OWN_SOURCE);
    const position = own
      ? { file: 'node:internal', line: Number(place[2]), column: Number(place[3]) }
      : mapPosition(place[1], Number(place[2]), Number(place[3]));
    frames.push({ name: functionName(raw), async: raw.startsWith('async*'), ...position });
  }
  // The app was called by the stack, of which only the parts between the app's own frames say anything.
  while (frames.length > 1 && frames[frames.length - 1].file === 'node:internal') frames.pop();
  return frames;
}

function format(error, text) {
  return formatFrames(error, parse(text), Error.prepareStackTrace);
}

const formatted = new WeakMap();

function stackOf(error) {
  const text = nativeStack.get.call(error);
  if (typeof text !== 'string') return text;
  if (!formatted.has(error)) formatted.set(error, format(error, text));
  return formatted.get(error);
}

function captureStackTrace(object, above) {
  const holder = {};
  nativeCapture(holder, typeof above === 'function' ? above : captureStackTrace);
  const text = String(holder.stack ?? '');
  let value;
  let known = typeof Error.prepareStackTrace === 'function';
  if (known) value = format(object, text);
  Object.defineProperty(object, 'stack', {
    configurable: true,
    enumerable: false,
    get() {
      if (!known) {
        known = true;
        value = format(object, text);
      }
      return value;
    },
    set(next) {
      Object.defineProperty(this, 'stack', { configurable: true, enumerable: false, writable: true, value: next });
    },
  });
}

/** Puts V8's stack traces in place; once, before anything else runs. */
export function installStackTraces() {
  Error.stackTraceLimit = 10;
  Object.defineProperty(Error, 'captureStackTrace', {
    configurable: true,
    enumerable: false,
    writable: true,
    value: captureStackTrace,
  });
  Object.defineProperty(Error.prototype, 'stack', {
    configurable: true,
    enumerable: false,
    get() {
      return this === Error.prototype ? undefined : stackOf(this);
    },
    set(value) {
      Object.defineProperty(this, 'stack', { configurable: true, enumerable: false, writable: true, value });
    },
  });
}
