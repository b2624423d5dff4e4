// node:vm in the one global scope that the engine has. Contexts of their own are not there.
import { notImplemented } from '../lang/unavailable.js';

// Indirect, so that it runs in the global scope.
const evaluate = (code) => (0, eval)(code);

class Script {
  #code;
  constructor(code) {
    this.#code = String(code);
    // What cannot be parsed fails now, as in Node.
    new Function(this.#code.replace(/^#!.*/, ''));
    this.cachedDataRejected = undefined;
    this.sourceMapURL = undefined;
  }
  runInThisContext() {
    return evaluate(this.#code);
  }
  createCachedData() {
    return globalThis.Buffer.alloc(0);
  }
}
Script.prototype.runInContext = notImplemented('vm.Script.runInContext');
Script.prototype.runInNewContext = notImplemented('vm.Script.runInNewContext');

function compileFunction(code, parameters = [], { contextExtensions, parsingContext } = {}) {
  if (parsingContext !== undefined || contextExtensions?.length > 0) notImplemented('vm.compileFunction in a context')();
  return new Function(...parameters, code);
}

/** node:vm */
export default {
  Script,
  compileFunction,
  createScript: (code, options) => new Script(code, options),
  isContext: () => false,
  runInThisContext: evaluate,
  createContext: notImplemented('vm.createContext'),
  runInContext: notImplemented('vm.runInContext'),
  runInNewContext: notImplemented('vm.runInNewContext'),
  measureMemory: notImplemented('vm.measureMemory'),
  constants: {},
};
