// Standard output and error of the dyno: what the app's log is made of.
import { getStdout } from 'wasi:cli/stdout@0.2.10';
import { getStderr } from 'wasi:cli/stderr@0.2.10';

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
