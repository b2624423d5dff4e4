// node:diagnostics_channel
import { invalidArgType } from '../lang/codes.js';
import { uncaught } from '../boot/fatal.js';
import { nextTick } from '../loop/ticks.js';

const channels = new Map();

export class Channel {
  constructor(name) {
    this.name = name;
    this._subscribers = [];
    this._stores = new Map();
  }
  get hasSubscribers() {
    return this._subscribers.length > 0 || this._stores.size > 0;
  }
  subscribe(subscriber) {
    if (typeof subscriber !== 'function') throw invalidArgType('subscription', 'of type function', subscriber);
    this._subscribers = [...this._subscribers, subscriber];
  }
  unsubscribe(subscriber) {
    const index = this._subscribers.indexOf(subscriber);
    if (index < 0) return false;
    this._subscribers = this._subscribers.toSpliced(index, 1);
    return true;
  }
  publish(message) {
    for (const subscriber of this._subscribers) {
      try {
        subscriber(message, this.name);
      } catch (error) {
        nextTick(() => uncaught(error, 'uncaughtException'));
      }
    }
  }
  bindStore(store, transform = (value) => value) {
    this._stores.set(store, transform);
  }
  unbindStore(store) {
    return this._stores.delete(store);
  }
  runStores(message, fn, self, ...args) {
    let run = () => {
      this.publish(message);
      return Reflect.apply(fn, self, args);
    };
    for (const [store, transform] of this._stores) {
      const inner = run;
      run = () => store.run(transform(message), inner);
    }
    return run();
  }
}

export function channel(name) {
  if (typeof name !== 'string' && typeof name !== 'symbol') {
    throw invalidArgType('channel', 'of type string or symbol', name);
  }
  if (!channels.has(name)) channels.set(name, new Channel(name));
  return channels.get(name);
}

const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];

class TracingChannel {
  constructor(source) {
    for (const event of EVENTS) {
      this[event] = typeof source === 'string' ? channel(`tracing:${source}:${event}`) : source[event];
    }
  }
  get hasSubscribers() {
    return EVENTS.some((event) => this[event]?.hasSubscribers);
  }
  subscribe(handlers) {
    for (const event of EVENTS) if (handlers[event]) this[event].subscribe(handlers[event]);
  }
  unsubscribe(handlers) {
    let all = true;
    for (const event of EVENTS) if (handlers[event] && !this[event].unsubscribe(handlers[event])) all = false;
    return all;
  }
  #fail(context, error) {
    context.error = error;
    this.error.publish(context);
  }
  traceSync(fn, context = {}, self, ...args) {
    if (!this.hasSubscribers) return Reflect.apply(fn, self, args);
    return this.start.runStores(context, () => {
      try {
        context.result = Reflect.apply(fn, self, args);
        return context.result;
      } catch (error) {
        this.#fail(context, error);
        throw error;
      } finally {
        this.end.publish(context);
      }
    });
  }
  tracePromise(fn, context = {}, self, ...args) {
    if (!this.hasSubscribers) return Reflect.apply(fn, self, args);
    const settle = () => {
      this.asyncStart.publish(context);
      this.asyncEnd.publish(context);
    };
    return this.start.runStores(context, () => {
      try {
        return Promise.resolve(Reflect.apply(fn, self, args)).then(
          (result) => {
            context.result = result;
            settle();
            return result;
          },
          (error) => {
            this.#fail(context, error);
            settle();
            throw error;
          },
        );
      } catch (error) {
        this.#fail(context, error);
        throw error;
      } finally {
        this.end.publish(context);
      }
    });
  }
  traceCallback(fn, position = -1, context = {}, self, ...args) {
    if (!this.hasSubscribers) return Reflect.apply(fn, self, args);
    const callback = args.at(position);
    if (typeof callback !== 'function') throw invalidArgType('callback', 'of type function', callback);
    const channelOf = this;
    const traced = function (error, result, ...rest) {
      if (error) channelOf.#fail(context, error);
      else context.result = result;
      return channelOf.asyncStart.runStores(context, () => {
        try {
          return callback.call(this, error, result, ...rest);
        } finally {
          channelOf.asyncEnd.publish(context);
        }
      });
    };
    args.splice(position, 1, traced);
    return this.start.runStores(context, () => {
      try {
        return Reflect.apply(fn, self, args);
      } catch (error) {
        this.#fail(context, error);
        throw error;
      } finally {
        this.end.publish(context);
      }
    });
  }
}

/** node:diagnostics_channel */
export default {
  Channel,
  channel,
  hasSubscribers: (name) => channels.get(name)?.hasSubscribers === true,
  subscribe: (name, subscriber) => channel(name).subscribe(subscriber),
  unsubscribe: (name, subscriber) => channel(name).unsubscribe(subscriber),
  tracingChannel: (source) => new TracingChannel(source),
};
