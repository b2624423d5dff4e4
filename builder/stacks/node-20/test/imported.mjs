// Which functions of Node's modules a bundled app names, read from the bundle's code: `crypto.createHash`,
// `const { join } = require('path')`, `import { pipeline } from 'stream/promises'`. A function that is reached by a
// computed name is not seen; one in code that never runs is.
import { createRequire } from 'node:module';
import { parse } from 'acorn';
import { base } from 'acorn-walk';

const require = createRequire(import.meta.url);

// Modules that are also a property of another.
const PARTS = {
  'fs.promises': 'fs/promises',
  'dns.promises': 'dns/promises',
  'stream.promises': 'stream/promises',
  'timers.promises': 'timers/promises',
  'readline.promises': 'readline/promises',
  'util.types': 'util/types',
  'path.posix': 'path',
  'path.win32': 'path',
  'assert.strict': 'assert',
};

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

/** Calls `visit(node, scope)` for every node. A scope is `{ parent, names }`, one for each function; `scopes` keeps them. */
function walk(program, scopes, visit) {
  const step = (node, scope, override) => {
    if (FUNCTIONS.has(node.type) && !scopes.has(node)) scopes.set(node, { parent: scope, names: new Map() });
    const inner = scopes.get(node) ?? scope;
    visit(node, inner);
    base[override ?? node.type](node, inner, step);
  };
  if (!scopes.has(program)) scopes.set(program, { parent: undefined, names: new Map() });
  step(program, scopes.get(program));
}

function moduleName(specifier) {
  return specifier.startsWith('node:') ? specifier.slice('node:'.length) : specifier;
}

// `__require("node:x")` and `require("node:x")`.
function required(node) {
  const isCall = node.type === 'CallExpression' && node.callee.type === 'Identifier' && /^(__)?require\d*$/.test(node.callee.name);
  const [argument] = isCall ? node.arguments : [];
  return typeof argument?.value === 'string' ? moduleName(argument.value) : undefined;
}

// esbuild's wrapper of a module: `var require_x = __commonJS({ "…"(exports, module) { module.exports = __require("x") } })`.
function wrapped(node) {
  if (node.type !== 'CallExpression' || node.callee.name !== '__commonJS') return undefined;
  const statements = node.arguments[0]?.properties?.[0]?.value?.body?.body ?? [];
  const expressions = statements.map((statement) => statement.expression);
  const assigned = expressions.find((one) => one?.type === 'AssignmentExpression' && required(one.right) !== undefined);
  return assigned === undefined ? undefined : required(assigned.right);
}

/** The functions that `code` names, as `module.function`, sorted. */
export function importedFunctions(code) {
  const program = parse(code, { ecmaVersion: 'latest', sourceType: 'script', allowAwaitOutsideFunction: true });
  const scopes = new Map();
  const wrappers = new Map();
  walk(program, scopes, (node) => {
    if (node.type === 'VariableDeclarator' && node.init != null && wrapped(node.init) !== undefined) {
      wrappers.set(node.id.name, wrapped(node.init));
    }
  });

  const find = (name, scope) => {
    for (let at = scope; at !== undefined; at = at.parent) if (at.names.has(name)) return at.names.get(name);
    return undefined;
  };
  /** The module that an expression gives, undefined for any other value. */
  const moduleOf = (node, scope) => {
    if (node == null) return undefined;
    if (node.type === 'Identifier') return find(node.name, scope);
    if (node.type === 'CallExpression') {
      // TypeScript's helpers may be those of tslib.
      const helper = node.callee.type === 'MemberExpression' ? node.callee.property.name : undefined;
      if (/^__import(?:Default|Star)$/.test(helper)) return moduleOf(node.arguments[0], scope);
      if (node.callee.type !== 'Identifier') return undefined;
      if (/^__(?:toESM|importDefault|importStar)$/.test(node.callee.name)) return moduleOf(node.arguments[0], scope);
      return wrappers.get(node.callee.name) ?? required(node);
    }
    if (node.type === 'MemberExpression' && !node.computed) {
      const object = moduleOf(node.object, scope);
      if (object === undefined) return undefined;
      return node.property.name === 'default' ? object : PARTS[`${object}.${node.property.name}`];
    }
    if (node.type === 'LogicalExpression') return moduleOf(node.left, scope) ?? moduleOf(node.right, scope);
    if (node.type === 'SequenceExpression') return moduleOf(node.expressions.at(-1), scope);
    return undefined;
  };

  const used = new Set();
  const use = (module, name) => used.add(`${module}\t${name}`);
  // Names are often used in functions above the line that gives them their value, so they are collected first.
  walk(program, scopes, (node, scope) => {
    if (FUNCTIONS.has(node.type)) {
      // A parameter hides the outer name.
      for (const parameter of node.params) if (parameter.type === 'Identifier') scope.names.set(parameter.name, undefined);
    }
    const target = node.type === 'VariableDeclarator' ? node.id : node.type === 'AssignmentExpression' ? node.left : undefined;
    if (target === undefined) return;
    const module = moduleOf(node.init ?? node.right, scope);
    if (target.type === 'Identifier' && (module !== undefined || node.type === 'VariableDeclarator')) {
      if (module !== undefined || !scope.names.has(target.name)) scope.names.set(target.name, module);
    } else if (target.type === 'ObjectPattern' && module !== undefined) {
      for (const { key, value } of target.properties) {
        if (key?.type !== 'Identifier') continue;
        use(module, key.name);
        const part = PARTS[`${module}.${key.name}`];
        if (value.type === 'Identifier') scope.names.set(value.name, part);
      }
    }
  });
  walk(program, scopes, (node, scope) => {
    if (node.type !== 'MemberExpression' || node.computed || node.property.type !== 'Identifier') return;
    const module = moduleOf(node.object, scope);
    if (module !== undefined) use(module, node.property.name);
  });
  return [...used].filter(isFunction).map((entry) => entry.replace('\t', '.')).sort();
}

/** Whether Node itself has the function, so that neither a constant nor a method of every function is meant. */
function isFunction(entry) {
  const [module, name] = entry.split('\t');
  let object;
  try {
    object = require(`node:${module}`);
  } catch {
    return false;
  }
  return typeof object[name] === 'function' && !(name in Function.prototype) && !(name in Object.prototype);
}
