'use strict';
const timers = require('node:timers');
const promises = require('node:timers/promises');

module.exports = async (check) => {
  await check('order', async () => {
    const seen = [];
    await new Promise((resolve) => {
      setImmediate(() => {
        setTimeout(() => seen.push('timeout 2'), 2);
        setTimeout(() => seen.push('timeout 30'), 30);
        setTimeout(() => seen.push('timeout 10'), 10);
        setImmediate(() => seen.push('immediate'));
        process.nextTick(() => seen.push('tick'));
        Promise.resolve().then(() => seen.push('promise'));
        setTimeout(resolve, 50);
      });
    });
    return seen;
  });
  await check('arguments', () => new Promise((resolve) => setTimeout((a, b) => resolve([a, b]), 1, 'x', 'y')));
  await check('interval', () => new Promise((resolve) => {
    let count = 0;
    const interval = setInterval(() => {
      count += 1;
      if (count === 3) {
        clearInterval(interval);
        setTimeout(() => resolve(count), 10);
      }
    }, 1);
  }));
  await check('object', () => {
    const timeout = setTimeout(() => {}, 1000);
    const got = [typeof timeout, timeout.hasRef(), timeout.unref() === timeout, timeout.hasRef(), timeout.ref().hasRef(), typeof timeout[Symbol.toPrimitive]()];
    clearTimeout(timeout);
    return got;
  });
  await check('clear by number', async () => {
    let fired = false;
    const timeout = setTimeout(() => (fired = true), 1);
    clearTimeout(Number(timeout));
    await promises.setTimeout(10);
    return fired;
  });
  await check('refresh', async () => {
    let fired = 0;
    const timeout = setTimeout(() => (fired += 1), 5);
    await promises.setTimeout(20);
    timeout.refresh();
    await promises.setTimeout(20);
    return fired;
  });
  await check('immediate cleared', async () => {
    let fired = false;
    clearImmediate(setImmediate(() => (fired = true)));
    await promises.setImmediate();
    return fired;
  });
  await check('promises', async () => [await promises.setTimeout(1, 'a'), await promises.setImmediate('b')]);
  await check('promises abort', () => promises.setTimeout(1000, undefined, { signal: AbortSignal.abort() }));
  await check('promises interval', async () => {
    let count = 0;
    for await (const value of promises.setInterval(1, 'v')) {
      count += 1;
      if (count === 2) return value;
    }
  });
  await check('promisify', () => require('node:util').promisify(setTimeout)(1, 'p'));
  await check('bad callback', () => setTimeout('code'));
  await check('same', () => timers.setTimeout === setTimeout);
  await check('between callbacks', async () => {
    const seen = [];
    await new Promise((resolve) => {
      setTimeout(() => {
        seen.push('first');
        Promise.resolve().then(() => seen.push('promise of first'));
      }, 1);
      setTimeout(() => {
        seen.push('second');
        resolve();
      }, 1);
    });
    return seen;
  });
};
