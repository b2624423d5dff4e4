// http.ClientRequest: the engine's bindings cannot call wasi:http/client of WASI 0.3, so every request fails at once and
// says why.
import { createNotImplementedError } from '../lang/unavailable.js';
import { OutgoingMessage } from './outgoing.js';

export function ClientRequest() {
  throw createNotImplementedError('http.request');
}
Object.setPrototypeOf(ClientRequest.prototype, OutgoingMessage.prototype);
Object.setPrototypeOf(ClientRequest, OutgoingMessage);
