// The response that the host waits for: one at a time, in this engine.
import { OutgoingResponse, ResponseOutparam } from 'wasi:http/types@0.2.10';
import { BodyWriter } from './body.js';
import { listToFields } from './fields.js';

let outparam;

/** The host waits for a response there; a failure is reported there while it is not answered. */
export function expectResponse(value) {
  outparam = value;
}

// The place of the response, for whoever answers it: undefined when it is already answered.
function takeOutparam() {
  const taken = outparam;
  outparam = undefined;
  return taken;
}

/** Hands the head of the `message` to the host. Returns the writer of its body, undefined when it has none. */
export function sendResponse(message, pairs, hasBody) {
  const out = takeOutparam();
  if (out === undefined) return undefined;
  const outgoing = new OutgoingResponse(listToFields(pairs));
  outgoing.setStatusCode(message.statusCode);
  // A response whose body is never taken has none: so content-length may tell the length of what is not sent.
  const writer = hasBody ? new BodyWriter(outgoing.body()) : undefined;
  ResponseOutparam.set(out, { tag: 'ok', val: outgoing });
  return writer;
}

/** Answers the waiting request with a failure of the dyno: `code` is Heroku's, R10 or H10. */
export function reportFailure(code, message) {
  const out = takeOutparam();
  if (out !== undefined) ResponseOutparam.set(out, { tag: 'err', val: { tag: 'internal-error', val: `${code} ${message}` } });
}
