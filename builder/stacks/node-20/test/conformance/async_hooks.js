'use strict';
const { AsyncLocalStorage, AsyncResource } = require('node:async_hooks');
const { once, EventEmitter } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');

module.exports = async (check) => {
  const storage = new AsyncLocalStorage();
  const get = () => storage.getStore();
  await check('outside', () => get());
  await check('in run', () => storage.run(1, get));
  await check('after await', () => storage.run(1, async () => [get(), await null, get(), await sleep(2), get()]));
  await check('two at once', () =>
    Promise.all([1, 2, 3].map((n) => storage.run(n, async () => {
      await sleep(4 - n);
      const inner = await storage.run(n * 10, async () => (await null, get()));
      return [get(), inner];
    }))));
  await check('then', () => storage.run(1, () => Promise.resolve().then(get).finally(get)));
  await check('rejection', () => storage.run(1, () => Promise.reject(new Error('x')).catch(get)));
  await check('async generator', () => storage.run(1, async () => {
    const seen = [];
    async function* numbers() {
      yield get();
      await sleep(1);
      yield get();
    }
    for await (const number of numbers()) seen.push(number, get());
    return seen;
  }));
  await check('timers', () => storage.run(1, () => new Promise((resolve) => setTimeout(() => setImmediate(() => process.nextTick(() => resolve(get()))), 1))));
  await check('once', () => storage.run(1, async () => {
    const emitter = new EventEmitter();
    setTimeout(() => emitter.emit('x'), 1);
    await once(emitter, 'x');
    return get();
  }));
  await check('resource', () => {
    const resource = storage.run(1, () => new AsyncResource('x'));
    return [get(), resource.runInAsyncScope(get)];
  });
  await check('exit', () => storage.run(1, () => [storage.exit(get), get()]));
  await check('after all', async () => (await sleep(1), get()));
};
