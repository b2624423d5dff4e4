// One TCP connection of the host: connecting, reading, writing, closing.
import { createTcpSocket } from 'wasi:sockets/tcp-create-socket@0.2.10';
import { whenReady } from '../loop/loop.js';
import { hostError } from '../wasi/errors.js';
import { StreamWriter, readNow } from '../wasi/streams.js';
import { fromHostSocket, isIPv6, toHost } from './address.js';
import { socketError } from './errors.js';
import { network } from './lookup.js';

export class Connection {
  #socket;
  #input;
  #writer;
  #waiting;

  /** Connects to `address` and `port`, then calls `done(error)`; never after `close`, never at once. */
  connect(address, port, hostname, done) {
    const fail = (error) => done(socketError(hostError(error), 'connect', { address, port, hostname }));
    const finish = () => {
      this.#waiting = undefined;
      try {
        const [input, output] = this.#socket.finishConnect();
        this.#input = input;
        this.#writer = new StreamWriter(output);
      } catch (error) {
        if (error?.payload === 'would-block') {
          this.#waiting = whenReady(this.#socket.subscribe(), finish);
          return undefined;
        }
        return fail(error);
      }
      return done(null);
    };
    this.#socket = createTcpSocket(isIPv6(address) ? 'ipv6' : 'ipv4');
    this.#socket.startConnect(network(), toHost(address, port));
    this.#waiting = whenReady(this.#socket.subscribe(), finish);
  }

  /** `{ address, family, port }` of this side (`local`) or the other (`remote`), undefined without a connection. */
  address(side) {
    try {
      return fromHostSocket(side === 'local' ? this.#socket.localAddress() : this.#socket.remoteAddress());
    } catch {
      return undefined;
    }
  }

  /** Reads the next bytes: `done(error, bytes)`, `bytes` null at the end. */
  read(done) {
    const { error, bytes } = readNow(this.#input);
    if (error !== undefined) return done(error);
    if (bytes === null || bytes.length > 0) return done(undefined, bytes);
    this.#waiting = whenReady(this.#input.subscribe(), () => {
      this.#waiting = undefined;
      this.read(done);
    });
    return undefined;
  }

  write(bytes, done) {
    this.#writer.write(bytes, done);
  }

  /** Says to the other side that nothing more comes. */
  shutdown() {
    try {
      this.#socket.shutdown('send');
    } catch (error) {
      hostError(error); // it is closed already
    }
  }

  /** `ms` of silence before the host asks whether the other side is still there; 0 for never. */
  keepAlive(enable, ms) {
    try {
      this.#socket.setKeepAliveEnabled(enable);
      if (enable && ms > 0) this.#socket.setKeepAliveIdleTime(BigInt(Math.trunc(ms)) * 1_000_000n);
    } catch (error) {
      hostError(error);
    }
  }

  /** Gives everything back to the host. */
  close() {
    this.#waiting?.();
    this.#waiting = undefined;
    this.#input?.[Symbol.dispose]();
    this.#input = undefined;
    this.#writer?.close();
    this.#writer = undefined;
    this.#socket?.[Symbol.dispose]();
    this.#socket = undefined;
  }
}
