// http.ClientRequest: the engine's bindings cannot call wasi:http/client of WASI 0.3, so every request fails and says why.
import { createNotImplementedError } from '../lang/unavailable.js';
import { nextTick } from '../loop/ticks.js';
import { OutgoingMessage } from './outgoing.js';

export function ClientRequest() {
  if (!(this instanceof ClientRequest)) return new ClientRequest();
  OutgoingMessage.call(this);
  nextTick(() => this.destroy(createNotImplementedError('http.request')));
}
Object.setPrototypeOf(ClientRequest.prototype, OutgoingMessage.prototype);
Object.setPrototypeOf(ClientRequest, OutgoingMessage);

ClientRequest.prototype._implicitHeader = function () {
  this._header = '';
};
ClientRequest.prototype._sendHead = () => {};
ClientRequest.prototype.setNoDelay = ClientRequest.prototype.setSocketKeepAlive = () => {};
