// node:async_hooks: AsyncLocalStorage and AsyncResource on the loop's context; hooks that observe nothing.
import { currentFrame, followPromises, keepFrame, runInFrame, setFrame } from '../loop/context.js';

let nextId = 1;

export class AsyncLocalStorage {
  constructor() {
    followPromises();
  }
  run(store, callback, ...args) {
    return runInFrame(new Map(currentFrame()).set(this, store), callback, undefined, args);
  }
  exit(callback, ...args) {
    const frame = new Map(currentFrame());
    frame.delete(this);
    return runInFrame(frame, callback, undefined, args);
  }
  enterWith(store) {
    setFrame(new Map(currentFrame()).set(this, store));
  }
  getStore() {
    return currentFrame().get(this);
  }
  disable() {
    const frame = new Map(currentFrame());
    frame.delete(this);
    setFrame(frame);
  }
  static bind(fn) {
    return keepFrame(fn);
  }
  static snapshot() {
    const frame = currentFrame();
    return (fn, ...args) => runInFrame(frame, fn, undefined, args);
  }
}

export class AsyncResource {
  #frame = currentFrame();
  #id = nextId++;
  constructor(type) {
    if (typeof type !== 'string') throw new TypeError('The "type" argument must be of type string');
    this.type = type;
  }
  runInAsyncScope(fn, self, ...args) {
    return runInFrame(this.#frame, fn, self, args);
  }
  bind(fn, self) {
    const resource = this;
    return function (...args) {
      return resource.runInAsyncScope(fn, self ?? this, ...args);
    };
  }
  static bind(fn, type, self) {
    return new AsyncResource(type ?? fn.name ?? 'bound-anonymous-fn').bind(fn, self);
  }
  emitDestroy() {
    return this;
  }
  asyncId() {
    return this.#id;
  }
  triggerAsyncId() {
    return 0;
  }
}

const hook = {
  enable() {
    return this;
  },
  disable() {
    return this;
  },
};

export default {
  AsyncLocalStorage,
  AsyncResource,
  createHook: () => hook,
  executionAsyncId: () => 1,
  triggerAsyncId: () => 0,
  executionAsyncResource: () => ({}),
  asyncWrapProviders: {},
};
