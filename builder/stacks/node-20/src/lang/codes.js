// Errors with Node's codes and texts.
import { inspect } from '../node/inspect.js';

/** An error of class `Base` with Node's `code` and Node's way to show it. */
export function codedError(Base, code, message) {
  const error = new Base(message);
  error.code = code;
  // Node's own errors print as `TypeError [ERR_X]: text` while `name` stays `TypeError`.
  Object.defineProperty(error, 'toString', {
    configurable: true,
    enumerable: false,
    writable: true,
    value() {
      return `${this.name} [${code}]: ${this.message}`;
    },
  });
  return error;
}

function received(value) {
  if (value == null) return ` Received ${value}`;
  if (typeof value === 'function') return ` Received function ${value.name}`;
  if (typeof value === 'object') {
    return value.constructor?.name ? ` Received an instance of ${value.constructor.name}` : ` Received ${String(value)}`;
  }
  let shown = String(value);
  if (shown.length > 28) shown = `${shown.slice(0, 25)}...`;
  if (typeof value === 'string') shown = `'${shown}'`;
  return ` Received type ${typeof value} (${shown})`;
}

/** ERR_INVALID_ARG_TYPE; `expected` is Node's phrase: "of type string", "an instance of Buffer". */
export function invalidArgType(name, expected, value) {
  const kind = name.includes('.') ? 'property' : 'argument';
  const which = name.endsWith(' argument') ? name : `"${name}" ${kind}`;
  return codedError(TypeError, 'ERR_INVALID_ARG_TYPE', `The ${which} must be ${expected}.${received(value)}`);
}

/** ERR_INVALID_ARG_VALUE */
export function invalidArgValue(name, value, reason = 'is invalid') {
  const kind = name.includes('.') ? 'property' : 'argument';
  let shown = inspect(value);
  if (shown.length > 128) shown = `${shown.slice(0, 128)}...`;
  return codedError(TypeError, 'ERR_INVALID_ARG_VALUE', `The ${kind} '${name}' ${reason}. Received ${shown}`);
}

/** ERR_OUT_OF_RANGE */
export function outOfRange(name, range, value) {
  return codedError(
    RangeError,
    'ERR_OUT_OF_RANGE',
    `The value of "${name}" is out of range. It must be ${range}. Received ${String(value)}`,
  );
}

/** ABORT_ERR, as AbortSignal-aware functions of Node throw it. */
export function abortError(signal) {
  const error = new Error('The operation was aborted', { cause: signal?.reason });
  error.name = 'AbortError';
  error.code = 'ABORT_ERR';
  return error;
}
