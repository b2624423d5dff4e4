// Standard output and error of the dyno, what the app's log is made of, and the standard input of a command.
import { getStdin } from 'wasi:cli/stdin@0.2.10';
import { getStdout } from 'wasi:cli/stdout@0.2.10';
import { getStderr } from 'wasi:cli/stderr@0.2.10';
import { getTerminalStdin } from 'wasi:cli/terminal-stdin@0.2.10';
import { getTerminalStdout } from 'wasi:cli/terminal-stdout@0.2.10';
import { getTerminalStderr } from 'wasi:cli/terminal-stderr@0.2.10';

import { whenReady } from '../loop/loop.js';
import { readNow } from './streams.js';
import { beforeFreeze } from '../snapshot/phase.js';

// The host accepts at most this much in one blocking write (wasi:io).
const LARGEST_WRITE = 4096;
const encoder = new TextEncoder();
const streams = [undefined, undefined, undefined];

/** Writes text or bytes to stdout (1) or stderr (2) at once. */
export function writeStdio(fd, data) {
  const bytes = typeof data === 'string' ? encoder.encode(data) : data;
  streams[fd] ??= fd === 1 ? getStdout() : getStderr();
  for (let at = 0; at < bytes.length; at += LARGEST_WRITE) {
    try {
      streams[fd].blockingWriteAndFlush(bytes.subarray(at, at + LARGEST_WRITE));
    } catch {
      return; // the log is gone; the app goes on, as it does with a closed pipe
    }
  }
}

const TERMINALS = [getTerminalStdin, getTerminalStdout, getTerminalStderr];

/** Whether the standard stream `fd` is a terminal: that of who runs a one-off dyno. */
export function isTerminal(fd) {
  // What the host gives has no methods, and goes when it is collected.
  return TERMINALS[fd]?.() !== undefined;
}

let stdin;
beforeFreeze(() => {
  for (const stream of [...streams, stdin]) stream?.[Symbol.dispose]();
  streams.fill(undefined);
  stdin = undefined;
});
// What was read before the app asked for it: bytes, or null for the end.
let early;
let appReads = false;

/** Waits for the next bytes of standard input: `done(error, bytes)`, `bytes` null at the end. */
export function readStdin(done) {
  appReads = true;
  if (early !== undefined) {
    const bytes = early;
    if (bytes !== null) early = undefined;
    return void done(undefined, bytes);
  }
  stdin ??= getStdin();
  const step = () => {
    const { error, bytes } = readNow(stdin);
    if (error !== undefined) return done(error);
    if (bytes === null) early = null;
    if (bytes === null || bytes.length > 0) return done(undefined, bytes);
    whenReady(stdin.subscribe(), step);
  };
  step();
}

/** Everything that is still to come, at once: the process stands still meanwhile. */
export function readAllStdin() {
  appReads = true;
  const parts = early ? [early] : [];
  if (early === null) return [];
  early = null;
  stdin ??= getStdin();
  for (;;) {
    try {
      parts.push(stdin.blockingRead(65_536n));
    } catch {
      return parts;
    }
  }
}

/**
 * Calls `ended` when standard input ends and the app has never asked for it: that is how the platform asks a worker to
 * end. It keeps nothing alive.
 */
export function whenAskedToEnd(ended) {
  stdin ??= getStdin();
  const look = () => {
    if (appReads) return;
    const { error, bytes } = readNow(stdin);
    if (error !== undefined || bytes === null) {
      early = null;
      ended();
    } else if (bytes.length > 0) early = bytes;
    else whenReady(stdin.subscribe(), look, false);
  };
  look();
}
