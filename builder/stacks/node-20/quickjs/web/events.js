// EventTarget and its family, AbortController.
import { Event, EventTarget, defineEventAttribute } from 'event-target-shim';
import { define } from '../host/define.js';

class CustomEvent extends Event {
  #detail;
  constructor(type, init) {
    super(type, init);
    this.#detail = init?.detail ?? null;
  }
  get detail() {
    return this.#detail;
  }
}

const MAKING = Symbol('making');

class AbortSignal extends EventTarget {
  #aborted = false;
  #reason;
  constructor(making) {
    if (making !== MAKING) throw Object.assign(new TypeError('Illegal constructor'), { code: 'ERR_ILLEGAL_CONSTRUCTOR' });
    super();
  }
  get aborted() {
    return this.#aborted;
  }
  get reason() {
    return this.#reason;
  }
  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }
  static [MAKING](signal, reason) {
    if (signal.#aborted) return;
    signal.#aborted = true;
    signal.#reason = reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason;
    signal.dispatchEvent(new Event('abort'));
  }
}
defineEventAttribute(AbortSignal.prototype, 'abort');

class AbortController {
  #signal = new AbortSignal(MAKING);
  get signal() {
    return this.#signal;
  }
  abort(reason) {
    AbortSignal[MAKING](this.#signal, reason);
  }
}

for (const Class of [AbortSignal, AbortController, EventTarget, Event, CustomEvent]) {
  Object.defineProperty(Class.prototype, Symbol.toStringTag, { configurable: true, value: Class.name });
}

define({ Event, EventTarget, CustomEvent, AbortSignal, AbortController });
