// node:util
import { isDeepStrictEqual } from 'assert/build/internal/util/comparisons.js';
import { MIMEParams, MIMEType } from 'unenv/node/util';
import types from './types.js';
import process from './process.js';
import { format, formatWithOptions, inspect, stripVTControlCharacters } from './inspect.js';
import { nextTick } from '../loop/ticks.js';
import { codedError, invalidArgType } from '../lang/codes.js';
import { notImplemented } from '../lang/unavailable.js';
import { parseArgs } from './parse-args.js';
import { ERRNO } from './errno.js';

const custom = Symbol.for('nodejs.util.promisify.custom');

function promisify(original) {
  if (typeof original !== 'function') throw invalidArgType('original', 'of type function', original);
  if (original[custom] !== undefined) {
    if (typeof original[custom] !== 'function') {
      throw invalidArgType('util.promisify.custom', 'of type function', original[custom]);
    }
    return Object.defineProperty(original[custom], custom, { configurable: true, value: original[custom] });
  }
  const promised = function (...args) {
    return new Promise((resolve, reject) => {
      Reflect.apply(original, this, [...args, (error, value) => (error ? reject(error) : resolve(value))]);
    });
  };
  Object.setPrototypeOf(promised, Object.getPrototypeOf(original));
  Object.defineProperty(promised, custom, { configurable: true, value: promised });
  return Object.defineProperties(promised, Object.getOwnPropertyDescriptors(original));
}
promisify.custom = custom;

function callbackify(original) {
  if (typeof original !== 'function') throw invalidArgType('original', 'of type function', original);
  const fn = function (...args) {
    const callback = args.pop();
    if (typeof callback !== 'function') throw invalidArgType('last argument', 'of type function', callback);
    Reflect.apply(original, this, args).then(
      (value) => nextTick(callback, null, value),
      (reason) => nextTick(callback, reason || rejectedWithFalsy(reason)),
    );
  };
  Object.setPrototypeOf(fn, Object.getPrototypeOf(original));
  const properties = Object.getOwnPropertyDescriptors(original);
  if (typeof properties.name?.value === 'string') properties.name.value += 'Callbackified';
  if (typeof properties.length?.value === 'number') properties.length.value += 1;
  return Object.defineProperties(fn, properties);
}

function rejectedWithFalsy(reason) {
  const error = codedError(Error, 'ERR_FALSY_VALUE_REJECTION', 'Promise was rejected with falsy value');
  error.reason = reason;
  return error;
}

function inherits(constructor, parent) {
  if (typeof constructor !== 'function') throw invalidArgType('ctor', 'of type function', constructor);
  if (typeof parent !== 'function') throw invalidArgType('superCtor', 'of type function', parent);
  if (parent.prototype === undefined) {
    throw invalidArgType('superCtor.prototype', 'of type object', parent.prototype);
  }
  Object.defineProperty(constructor, 'super_', { configurable: true, writable: true, value: parent });
  Object.setPrototypeOf(constructor.prototype, parent.prototype);
}

const warned = new Set();

function deprecate(fn, message, code) {
  if (process.noDeprecation) return fn;
  let done = false;
  const deprecated = function (...args) {
    if (!done) {
      done = true;
      if (code === undefined || !warned.has(code)) {
        warned.add(code);
        process.emitWarning(message, 'DeprecationWarning', code);
      }
    }
    return new.target ? Reflect.construct(fn, args, new.target) : Reflect.apply(fn, this, args);
  };
  Object.setPrototypeOf(deprecated, fn);
  if (fn.prototype) deprecated.prototype = fn.prototype;
  return deprecated;
}

function debuglog(section, callback) {
  let enabled;
  const test = () => {
    const pattern = (process.env.NODE_DEBUG ?? '').split(',').map((part) => part.trim().toUpperCase());
    return pattern.includes(section.toUpperCase()) || pattern.includes('*');
  };
  const log = (...args) => {
    enabled ??= test();
    if (enabled) process.stderr.write(`${section.toUpperCase()} ${process.pid}: ${format(...args)}\n`);
  };
  Object.defineProperty(log, 'enabled', { configurable: true, enumerable: true, get: () => (enabled ??= test()) });
  callback?.(log);
  return log;
}

const STYLES = inspect.colors;

function styleText(style, text, { validateStream = true } = {}) {
  // The log is no terminal, so nothing is coloured for it.
  if (validateStream) return text;
  const codes = (Array.isArray(style) ? style : [style]).map((name) => STYLES[name]);
  return codes.reduceRight((inner, [on, off]) => `\u001b[${on}m${inner}\u001b[${off}m`, text);
}

function getSystemErrorName(number) {
  return ERRNO.get(-number)?.[0];
}

function systemError(number, syscall, original) {
  const code = getSystemErrorName(number);
  const error = new Error(`${syscall} ${code}${original ? ` ${original}` : ''}`);
  return Object.assign(error, { errno: number, code, syscall });
}

async function aborted(signal, resource) {
  if (signal?.aborted === undefined) throw invalidArgType('signal', 'an instance of AbortSignal', signal);
  if (resource === null || resource === undefined) throw invalidArgType('resource', 'of type object', resource);
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

function log(...args) {
  const now = new Date();
  const month = now.toDateString().slice(4, 7);
  process.stdout.write(`${now.getDate()} ${month} ${now.toTimeString().slice(0, 8)} - ${format(...args)}\n`);
}

const isObject = (value) => value !== null && typeof value === 'object';

// The lines of a file of config vars, as `node --env-file` reads them.
const ENV_LINE = /^[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=[ \t]*(?:"((?:[^"])*)"|'([^']*)'|`([^`]*)`|([^#\n]*))/gm;

function parseEnv(text) {
  const variables = {};
  for (const [, name, double, single, tick, plain] of String(text).matchAll(ENV_LINE)) {
    variables[name] = double?.replaceAll('\\n', '\n') ?? single ?? tick ?? plain.trim();
  }
  return variables;
}

/** node:util */
export default {
  promisify,
  callbackify,
  inherits,
  deprecate,
  debuglog,
  debug: debuglog,
  inspect,
  format,
  formatWithOptions,
  stripVTControlCharacters,
  styleText,
  isDeepStrictEqual,
  types,
  parseArgs,
  aborted,
  log,
  TextDecoder: globalThis.TextDecoder,
  TextEncoder: globalThis.TextEncoder,
  MIMEType,
  MIMEParams,
  toUSVString: (text) => String(text).toWellFormed(),
  getSystemErrorName,
  getSystemErrorMap: () => new Map([...ERRNO].map(([number, entry]) => [-number, entry])),
  _errnoException: systemError,
  _exceptionWithHostPort: (number, syscall, address, port) => systemError(number, syscall, `${address}:${port}`),
  _extend: (target, source) => (isObject(source) ? Object.assign(target, source) : target),
  parseEnv,
  transferableAbortController: notImplemented('util.transferableAbortController'),
  transferableAbortSignal: notImplemented('util.transferableAbortSignal'),
  isArray: Array.isArray,
  isBoolean: (value) => typeof value === 'boolean',
  isBuffer: (value) => globalThis.Buffer.isBuffer(value),
  isDate: types.isDate,
  isError: (value) => types.isNativeError(value) || value instanceof Error,
  isFunction: (value) => typeof value === 'function',
  isNull: (value) => value === null,
  isNullOrUndefined: (value) => value === null || value === undefined,
  isNumber: (value) => typeof value === 'number',
  isObject,
  isPrimitive: (value) => !isObject(value) && typeof value !== 'function',
  isRegExp: types.isRegExp,
  isString: (value) => typeof value === 'string',
  isSymbol: (value) => typeof value === 'symbol',
  isUndefined: (value) => value === undefined,
};
