'use strict';
const util = require('node:util');

class Point {
  constructor() {
    this.x = 1;
    this.y = 2;
  }
}
class Secret {
  [util.inspect.custom](depth, options) {
    return options.stylize('SECRET', 'special');
  }
}

module.exports = async (check) => {
  const circular = { name: 'c' };
  circular.self = circular;
  const values = {
    number: 1.5, negative: -0, big: 10n, string: 'it\'s', empty: '', nothing: null, missing: undefined, symbol: Symbol('s'),
    array: [1, 'a', [2, [3, [4]]]], sparse: [1, , 3], long: Array.from({ length: 120 }, (_, i) => i),
    object: { a: 1, 'b-c': { d: { e: { f: 1 } } } }, map: new Map([['k', { v: 1 }]]), set: new Set([1, 'x']), date: new Date(0),
    regexp: /a+/gi, fn: function foo() {}, arrow: () => {}, class: Point, instance: new Point(), nullProto: Object.create(null),
    circular, secret: new Secret(), typed: new Uint8Array([1, 2]), arrayBuffer: new ArrayBuffer(2),
    weak: new WeakMap(), boxed: new Number(3), getter: { get a() { return 1; } }, multi: 'line\nbreak', wide: { text: 'x'.repeat(90), more: 'y' },
    asyncFn: async () => {}, generator: function* gen() {}, proxyless: { toString() { return 'x'; } }, url: new URL('http://a/b'),
    error: Object.assign(new Error('msg'), { stack: 'Error: msg\n    at somewhere' }), errorProps: Object.assign(new RangeError('r'), { stack: 'RangeError: r', code: 'E1' }),
    nested: { level: { level: { level: { level: 1 } } } }, symbolKey: { [Symbol('k')]: 1 }, aggregate: [undefined, null, NaN],
  };
  for (const [name, value] of Object.entries(values)) await check(`inspect ${name}`, () => util.inspect(value));
  await check('inspect options', () => util.inspect({ a: { b: { c: {} } }, s: 'str' }, { depth: 0, colors: true }));
  await check('inspect compact', () => util.inspect({ a: [1, 2, { b: 1 }] }, { compact: false }));
  await check('inspect sorted', () => util.inspect({ b: 1, a: 2 }, { sorted: true }));
  await check('format', () => [
    util.format('%s %d %i %f %j %o %O %c %%', 'str', '42', 3.9, '1.5', { a: 1 }, [1], { b: 2 }, 'css'),
    util.format('a', 'b', { c: 1 }), util.format('%s', null, undefined, 5n, Symbol('x')), util.format('%d', '0x10'), util.format('%s', { a: { b: { c: 1 } } }),
    util.format(1, 2, '3'), util.format('%s', () => 1), util.format('%s', new Point()), util.format('no args %s'), util.format('%s', -0), util.format(),
  ]);
  await check('promisify', async () => [await util.promisify((value, done) => done(null, value * 2))(4), util.promisify.custom.toString()]);
  await check('promisify error', () => util.promisify((done) => done(new Error('no')))());
  await check('promisify bad', () => util.promisify(5));
  await check('callbackify', () => new Promise((resolve) => util.callbackify(async (a) => a + 1)(1, (error, value) => resolve([error, value]))));
  await check('inherits', () => {
    function A() {}
    function B() {}
    A.prototype.hi = () => 'hi';
    util.inherits(B, A);
    return [new B().hi(), B.super_ === A];
  });
  await check('inherits bad', () => util.inherits(function () {}, null));
  await check('deprecate', () => {
    const fn = util.deprecate((a) => a, 'old', 'DEP1');
    process.once('warning', () => {});
    return fn(3);
  });
  await check('deep equal', () => [
    util.isDeepStrictEqual({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }), util.isDeepStrictEqual([1], ['1']), util.isDeepStrictEqual(new Set([{}]), new Set([{}])),
    util.isDeepStrictEqual(NaN, NaN), util.isDeepStrictEqual(0, -0), util.isDeepStrictEqual(new Date(1), new Date(1)), util.isDeepStrictEqual(/a/g, /a/i),
  ]);
  const kinds = [new Date(), /x/, new Map(), new Set(), Promise.resolve(), new Uint8Array(1), async () => {}, function* () {}, new Error('e'), new Number(1), new Proxy({}, {}), [], new DataView(new ArrayBuffer(1))];
  for (const name of ['isDate', 'isRegExp', 'isMap', 'isSet', 'isPromise', 'isUint8Array', 'isTypedArray', 'isArrayBufferView', 'isAsyncFunction', 'isGeneratorFunction', 'isNativeError', 'isNumberObject', 'isBoxedPrimitive', 'isDataView']) {
    await check(`types ${name}`, () => kinds.map((value) => util.types[name](value)));
  }
  await check('strip', () => util.stripVTControlCharacters('\u001b[31mred\u001b[0m'));
  await check('styleText', () => util.styleText('red', 'x'));
  await check('parseArgs', () => {
    const { values: options, positionals } = util.parseArgs({
      args: ['-f', '--bar', 'b', 'pos', '--many=1', '--many=2'],
      options: { foo: { type: 'boolean', short: 'f' }, bar: { type: 'string' }, many: { type: 'string', multiple: true } },
      allowPositionals: true,
    });
    return [{ ...options }, positionals];
  });
  await check('parseArgs unknown', () => util.parseArgs({ args: ['--nope'], options: {} }).values);
  await check('toUSVString', () => util.toUSVString('a\ud800'));
  await check('errno', () => util.getSystemErrorName(-2));
  await check('debuglog', () => util.debuglog('nothing').enabled);
  await check('diagnostics', () => {
    const channel = require('node:diagnostics_channel').channel('x');
    const seen = [];
    channel.subscribe((message) => seen.push(message));
    channel.publish({ a: 1 });
    return [seen, channel.hasSubscribers];
  });
  await check('tracing', async () => {
    const { tracingChannel } = require('node:diagnostics_channel');
    const trace = tracingChannel('t');
    const seen = [];
    const note = (event) => (context) => seen.push([event, context.result, context.error?.message]);
    trace.subscribe({ start: note('start'), end: note('end'), asyncStart: note('asyncStart'), asyncEnd: note('asyncEnd'), error: note('error') });
    seen.push(trace.traceSync((a) => a + 1, {}, null, 1));
    seen.push(await trace.tracePromise(async () => 2, {}));
    await new Promise((resolve) => trace.traceCallback((done) => setImmediate(done, null, 3), 0, {}, null, resolve));
    await new Promise(setImmediate);
    try {
      trace.traceSync(() => {
        throw new Error('no');
      }, {});
    } catch {}
    return seen;
  });
  await check('os', () => [typeof require('node:os').hostname(), require('node:os').EOL, require('node:os').platform(), require('node:os').constants.signals.SIGTERM]);
  await check('module', () => {
    const { builtinModules, isBuiltin, createRequire } = require('node:module');
    return [builtinModules.includes('fs'), isBuiltin('node:fs'), isBuiltin('x'), typeof createRequire(__filename)('node:path').join];
  });
  await check('require missing', () => {
    try {
      const name = './nowhere.js';
      module.require?.(name);
      require(name);
    } catch (error) {
      return error.code;
    }
  });
};
