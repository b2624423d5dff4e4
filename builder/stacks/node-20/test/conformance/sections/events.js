'use strict';
const EventEmitter = require('node:events');
const { once, on } = EventEmitter;

module.exports = async (check) => {
  await check('same', () => EventEmitter === EventEmitter.EventEmitter);
  await check('order', () => {
    const emitter = new EventEmitter();
    const seen = [];
    emitter.on('x', (value) => seen.push(`a${value}`));
    emitter.prependListener('x', (value) => seen.push(`b${value}`));
    emitter.once('x', (value) => seen.push(`c${value}`));
    return [emitter.emit('x', 1), emitter.emit('x', 2), emitter.emit('y'), seen];
  });
  await check('newListener', () => {
    const emitter = new EventEmitter();
    const seen = [];
    emitter.on('newListener', (name) => seen.push(`+${String(name)}`));
    emitter.on('removeListener', (name) => seen.push(`-${String(name)}`));
    const listener = () => {};
    emitter.on('a', listener).off('a', listener);
    return seen;
  });
  await check('unhandled error', () => new EventEmitter().emit('error', new TypeError('bad')));
  await check('unhandled non-error', () => new EventEmitter().emit('error', { a: 1 }));
  await check('errorMonitor', () => {
    const emitter = new EventEmitter();
    const seen = [];
    emitter.on(EventEmitter.errorMonitor, (error) => seen.push(`monitor ${error.message}`));
    emitter.on('error', (error) => seen.push(`error ${error.message}`));
    emitter.emit('error', new Error('e'));
    return seen;
  });
  await check('bad listener', () => {
    try {
      new EventEmitter().on('x', 5);
    } catch (error) {
      return error.name;
    }
  });
  await check('remove while emitting', () => {
    const emitter = new EventEmitter();
    const seen = [];
    const second = () => seen.push(2);
    emitter.on('x', () => {
      seen.push(1);
      emitter.off('x', second);
    });
    emitter.on('x', second);
    emitter.emit('x');
    emitter.emit('x');
    return seen;
  });
  await check('listeners', () => {
    const emitter = new EventEmitter();
    const symbol = Symbol('s');
    emitter.on('a', () => {});
    emitter.on(symbol, () => {});
    emitter.once('a', () => {});
    return [emitter.eventNames(), emitter.listenerCount('a'), emitter.rawListeners('a').length, emitter.getMaxListeners()];
  });
  await check('once promise', async () => {
    const emitter = new EventEmitter();
    process.nextTick(() => emitter.emit('x', 1, 2));
    return once(emitter, 'x');
  });
  await check('once error', async () => {
    const emitter = new EventEmitter();
    process.nextTick(() => emitter.emit('error', new Error('no')));
    return once(emitter, 'x');
  });
  await check('on iterator', async () => {
    const emitter = new EventEmitter();
    process.nextTick(() => {
      emitter.emit('x', 1);
      emitter.emit('x', 2);
    });
    const seen = [];
    for await (const [value] of on(emitter, 'x')) {
      seen.push(value);
      if (value === 2) break;
    }
    return [seen, emitter.listenerCount('x')];
  });
  await check('inherits old style', () => {
    function Old() {
      EventEmitter.call(this);
    }
    require('node:util').inherits(Old, EventEmitter);
    const seen = [];
    new Old().on('x', (value) => seen.push(value)).emit('x', 7);
    return seen;
  });
  await check('mixin', () => {
    const app = Object.assign(() => {}, EventEmitter.prototype);
    let got;
    app.on('x', (value) => (got = value));
    app.emit('x', 3);
    return got;
  });
  await check('EventTarget', () => {
    const target = new EventTarget();
    let got;
    target.addEventListener('x', (event) => (got = event.type));
    target.dispatchEvent(new Event('x'));
    return got;
  });
};
