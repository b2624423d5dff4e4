// Looking names up. A dyno gets an address that means the name in its own network only; the host looks the name up when
// the app connects.
import { instanceNetwork } from 'wasi:sockets/instance-network@0.2.10';
import { resolveAddresses } from 'wasi:sockets/ip-name-lookup@0.2.10';
import { whenReady } from '../loop/loop.js';
import { hostError } from '../wasi/errors.js';
import { fromHost, isIP } from './address.js';
import { lookupError } from './errors.js';
import { beforeFreeze, notInSnapshot } from '../snapshot/phase.js';

let handle;
beforeFreeze(() => {
  handle?.[Symbol.dispose]();
  handle = undefined;
});

/** The dyno's network. */
export const network = () => (handle ??= instanceNetwork());

/** Gives `done(error, addresses)` the addresses of `hostname`: a list of `{ address, family }`. */
export function addressesOf(hostname, done) {
  const literal = isIP(hostname);
  if (literal !== 0) return done(null, [{ address: hostname, family: literal }]);
  notInSnapshot(`it looks up ${hostname}`);
  let stream;
  try {
    stream = resolveAddresses(network(), hostname);
  } catch (error) {
    return done(lookupError(hostError(error), hostname));
  }
  const found = [];
  const finish = (error) => {
    stream[Symbol.dispose]();
    if (error === undefined && found.length === 0) error = lookupError('name-unresolvable', hostname);
    done(error ?? null, found);
  };
  const take = () => {
    for (;;) {
      let next;
      try {
        next = stream.resolveNextAddress();
      } catch (error) {
        const reason = hostError(error);
        if (reason !== 'would-block') return finish(lookupError(reason, hostname));
        whenReady(stream.subscribe(), take);
        return;
      }
      if (next === undefined) return finish();
      found.push(fromHost(next));
    }
  };
  take();
}
