// A stack trace in the form that V8 gives it: CallSite objects, and their text.

class CallSite {
  #frame;
  constructor(frame) {
    this.#frame = frame;
  }
  getThis() {
    return undefined;
  }
  getTypeName() {
    return null;
  }
  getFunction() {
    return undefined;
  }
  getFunctionName() {
    return this.#frame.name;
  }
  getMethodName() {
    return null;
  }
  getFileName() {
    return this.#frame.file;
  }
  getLineNumber() {
    return this.#frame.line;
  }
  getColumnNumber() {
    return this.#frame.column;
  }
  getEvalOrigin() {
    return undefined;
  }
  getScriptNameOrSourceURL() {
    return this.#frame.file;
  }
  getScriptHash() {
    return '';
  }
  getEnclosingLineNumber() {
    return this.#frame.line;
  }
  getEnclosingColumnNumber() {
    return this.#frame.column;
  }
  getPosition() {
    return 0;
  }
  getPromiseIndex() {
    return null;
  }
  isToplevel() {
    return true;
  }
  isEval() {
    return false;
  }
  isNative() {
    return false;
  }
  isConstructor() {
    return false;
  }
  isAsync() {
    return this.#frame.async;
  }
  isPromiseAll() {
    return false;
  }
  toString() {
    const { name, file, line, column, async } = this.#frame;
    const position = `${file}:${line}:${column}`;
    return name === null ? position : `${async ? 'async ' : ''}${name} (${position})`;
  }
}

function header(error) {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return 'Error';
  }
}

/**
 * What `error.stack` is for `frames` (`{ name, file, line, column, async }`): the text, or what the app's own `prepare`
 * (Error.prepareStackTrace) makes of it.
 */
export function formatFrames(error, frames, prepare) {
  const limit = Error.stackTraceLimit;
  if (typeof limit !== 'number') return header(error);
  const sites = frames.slice(0, Math.max(0, limit)).map((frame) => new CallSite(frame));
  if (typeof prepare === 'function') return prepare(error, sites);
  return [header(error), ...sites.map((site) => `    at ${site}`)].join('\n');
}
