// node:util/types: tests by what a value is made of, not by its prototype.

const tag = (value) => Object.prototype.toString.call(value).slice(8, -1);

// Whether calling a built-in getter or method on the value works: it does only on the real thing.
function brand(call) {
  return (value) => {
    if (value === null || typeof value !== 'object') return false;
    try {
      call(value);
      return true;
    } catch {
      return false;
    }
  };
}

const typedArrayTag = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
).get;
const typedArray = (name) => (value) => ArrayBuffer.isView(value) && typedArrayTag.call(value) === name;
const getter = (prototype, name) => Object.getOwnPropertyDescriptor(prototype, name).get;
const AsyncFunction = Object.getPrototypeOf(async () => {});
const GeneratorFunction = Object.getPrototypeOf(function* () {});
const AsyncGeneratorFunction = Object.getPrototypeOf(async function* () {});
const isBoxed = (prototype) => brand((value) => prototype.valueOf.call(value));

const flagsOf = getter(RegExp.prototype, 'global');
const isRegExp = brand((value) => {
  // RegExp.prototype itself answers too.
  if (value === RegExp.prototype) throw new TypeError('not a RegExp');
  flagsOf.call(value);
});

const types = {
  isExternal: () => false,
  isDate: brand((value) => Date.prototype.getTime.call(value)),
  isArgumentsObject: (value) => tag(value) === 'Arguments' && !(Symbol.toStringTag in value),
  isBooleanObject: isBoxed(Boolean.prototype),
  isNumberObject: isBoxed(Number.prototype),
  isStringObject: isBoxed(String.prototype),
  isSymbolObject: isBoxed(Symbol.prototype),
  isBigIntObject: isBoxed(BigInt.prototype),
  isNativeError: (value) => (Error.isError ? Error.isError(value) : tag(value) === 'Error'),
  isRegExp: (value) => isRegExp(value),
  isAsyncFunction: (value) =>
    typeof value === 'function' &&
    (AsyncFunction.isPrototypeOf(value) || AsyncGeneratorFunction.isPrototypeOf(value)),
  isGeneratorFunction: (value) =>
    typeof value === 'function' &&
    (GeneratorFunction.isPrototypeOf(value) || AsyncGeneratorFunction.isPrototypeOf(value)),
  isGeneratorObject: (value) => ['Generator', 'AsyncGenerator'].includes(tag(value)),
  isPromise: (value) => value instanceof Promise,
  isMap: brand(getterCall(Map.prototype, 'size')),
  isSet: brand(getterCall(Set.prototype, 'size')),
  isMapIterator: (value) => tag(value) === 'Map Iterator',
  isSetIterator: (value) => tag(value) === 'Set Iterator',
  isWeakMap: brand((value) => WeakMap.prototype.has.call(value, {})),
  isWeakSet: brand((value) => WeakSet.prototype.has.call(value, {})),
  isArrayBuffer: brand(getterCall(ArrayBuffer.prototype, 'byteLength')),
  isAnyArrayBuffer: brand(getterCall(ArrayBuffer.prototype, 'byteLength')),
  isSharedArrayBuffer: () => false,
  isDataView: (value) => ArrayBuffer.isView(value) && typedArrayTag.call(value) === undefined,
  isArrayBufferView: (value) => ArrayBuffer.isView(value),
  isTypedArray: (value) => ArrayBuffer.isView(value) && typedArrayTag.call(value) !== undefined,
  // The engine does not tell a proxy from its target.
  isProxy: () => false,
  isModuleNamespaceObject: (value) => tag(value) === 'Module',
  isBoxedPrimitive: (value) =>
    types.isNumberObject(value) ||
    types.isStringObject(value) ||
    types.isBooleanObject(value) ||
    types.isBigIntObject(value) ||
    types.isSymbolObject(value),
  isCryptoKey: (value) => typeof CryptoKey === 'function' && value instanceof CryptoKey,
  isKeyObject: (value) => /^(?:Secret|Public|Private)KeyObject$/.test(value?.constructor?.name),
};

function getterCall(prototype, name) {
  const get = getter(prototype, name);
  return (value) => get.call(value);
}

for (const name of [
  'Uint8Array', 'Uint8ClampedArray', 'Uint16Array', 'Uint32Array', 'Int8Array', 'Int16Array', 'Int32Array',
  'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array',
]) {
  types[`is${name}`] = typedArray(name);
}

export default types;
