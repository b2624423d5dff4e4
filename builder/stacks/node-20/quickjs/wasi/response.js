// The responses that the host waits for: one for each request that is not answered.
import { Bell } from '../host/tasks.js';
import { newResponse } from './body.js';

const open = new Set();

/** One request of the host. Made in the task of the request. */
export class Exchange {
  #bell = new Bell();
  #answer;

  constructor(request) {
    this.request = request;
    open.add(this);
  }

  /** The host's response; throws the host's error code. */
  async answered() {
    await this.#bell.heard();
    return this.#answer();
  }

  /** Answers it, once, with what `answer` returns or throws; whether it was open. */
  answer(answer) {
    if (!open.delete(this)) return false;
    this.#answer = answer;
    this.#bell.ring();
    return true;
  }

  // The stack's sources give back what the host gave them.
  [Symbol.dispose]() {}
}

/** Hands the head of the `message` to the host. Returns the writer of its body, undefined when it has none. */
export function sendResponse(message, pairs, hasBody) {
  const exchange = message._incoming;
  if (!open.has(exchange)) return undefined;
  const [response, writer] = newResponse(pairs, hasBody);
  response.setStatusCode(message.statusCode);
  exchange.answer(() => response);
  return writer;
}

/** Answers all requests that wait with a failure of the dyno: `code` is Heroku's, R10 or H10. */
export function reportFailure(code, message) {
  for (const exchange of open) {
    exchange.answer(() => {
      throw { tag: 'internal-error', val: `${code} ${message}` };
    });
  }
}
