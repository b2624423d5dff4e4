// node:module and `require`. The app's modules are in its bundle; what is left to `require` at run time are Node's
// own modules and files of the app that the bundle does not have (JSON and CommonJS below the app's directory).
import { builtins, builtinNames } from './builtins.js';
import { readFileBytes } from '../fs/host.js';
import { statSync } from '../fs/sync.js';
import { codedError, invalidArgValue } from '../lang/codes.js';
import { createNotImplementedError } from '../lang/unavailable.js';
import { fileURLToPath } from './url.js';
import path from './path.js';

const EXTENSIONS = ['.js', '.json', '.cjs'];
const cache = Object.create(null);

const provided = new Map();

/** Packages of the bundle that code may require under a computed name: name -> function that gives the exports. */
export function providePackages(packages) {
  for (const name of Object.keys(packages)) provided.set(name, packages[name]);
}

function isFile(name) {
  return statSync(name, { throwIfNoEntry: false })?.isFile() === true;
}

function resolveFile(name) {
  const candidates = [name, ...EXTENSIONS.map((extension) => name + extension)];
  candidates.push(...EXTENSIONS.map((extension) => path.join(name, `index${extension}`)));
  return candidates.find(isFile);
}

function notFound(request, from) {
  const hint = /^[./]/.test(request)
    ? ''
    : '\nIt was not in the app when it was built. A module that is required under a computed name is not bundled; ' +
      'require it under its name once.';
  const error = new Error(`Cannot find module '${request}'\nRequire stack:\n- ${from}${hint}`);
  error.code = 'MODULE_NOT_FOUND';
  error.requireStack = [from];
  return error;
}

function resolve(request, from) {
  if (typeof request !== 'string' || request === '') {
    throw invalidArgValue('id', request, 'must be a non-empty string');
  }
  if (builtinNames.has(request.replace(/^node:/, '')) || provided.has(request)) return request;
  if (request.startsWith('node:')) {
    throw codedError(Error, 'ERR_UNKNOWN_BUILTIN_MODULE', `No such built-in module: ${request}`);
  }
  const file = /^\.{0,2}\//.test(request) ? resolveFile(path.resolve(path.dirname(from), request)) : undefined;
  if (file === undefined) throw notFound(request, from);
  return file;
}

function makeModule(file, parent) {
  return { id: file, filename: file, path: path.dirname(file), exports: {}, loaded: false, children: [], paths: [], parent };
}

function load(file, parent) {
  if (cache[file] !== undefined) return cache[file].exports;
  if (file.endsWith('.node')) throw createNotImplementedError(`process.dlopen (native addon ${file})`);
  const module = makeModule(file, parent);
  cache[file] = module;
  try {
    const text = new TextDecoder().decode(readFileBytes(file));
    if (file.endsWith('.json')) module.exports = JSON.parse(text);
    else {
      const source = text.replace(/^#!/, '//');
      const run = (0, eval)(
        `(function (exports, require, module, __filename, __dirname) {${source}\n})\n//# sourceURL=${file}`,
      );
      run.call(module.exports, module.exports, makeRequire(module), module, file, module.path);
    }
  } catch (error) {
    delete cache[file];
    throw error;
  }
  module.loaded = true;
  return module.exports;
}

let main;

function makeRequire(module) {
  const require = function require(request) {
    const name = resolve(request, module.filename);
    if (provided.has(name)) return provided.get(name)();
    const builtin = name.replace(/^node:/, '');
    return builtinNames.has(builtin) ? builtins(builtin) : load(name, module);
  };
  require.resolve = (request) => resolve(request, module.filename);
  require.resolve.paths = () => [];
  require.main = main;
  require.cache = cache;
  require.extensions = Object.create(null);
  module.require = require;
  return require;
}

/** The `require` and `module` of the app's main file. */
export function makeMainRequire(file) {
  main = makeModule(file, undefined);
  main.id = '.';
  const require = makeRequire(main);
  globalThis.process.mainModule = main;
  globalThis.process.getBuiltinModule = (name) => builtins(String(name).replace(/^node:/, ''));
  return { require, module: main };
}

function createRequire(from) {
  const file = from instanceof URL || from.startsWith('file:') ? fileURLToPath(from) : from;
  return makeRequire(makeModule(file, undefined));
}

/** node:module, which is its class Module. */
export function Module(id = '', parent = undefined) {
  Object.assign(this, makeModule(id, parent));
}

const listed = [...builtinNames].filter((name) => !/^(test|sqlite|sea)(\/|$)/.test(name));

Object.assign(Module, {
  Module,
  builtinModules: listed,
  isBuiltin: (name) => builtinNames.has(String(name).replace(/^node:/, '')),
  createRequire,
  _cache: cache,
  _extensions: Object.create(null),
  _nodeModulePaths: () => [],
  _resolveFilename: (request, parent) => resolve(request, parent?.filename ?? main.filename),
  _load: (request, parent) => makeRequire(parent ?? main)(request),
  register() {
    throw createNotImplementedError('module.register');
  },
  syncBuiltinESMExports() {},
  findSourceMap: () => undefined,
  wrap: (text) => `(function (exports, require, module, __filename, __dirname) { ${text}\n});`,
});
