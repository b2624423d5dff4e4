// How the app's process ends: an exception nobody caught, process.exit, and what the host is told of it.
import { exit as hostExit, exitWithCode } from 'wasi:cli/exit@0.2.10';
import { readFileBytes } from '../fs/host.js';
import { inspect } from '../node/inspect.js';
import { reportFailure } from '../wasi/response.js';
import { writeStdio } from '../wasi/stdio.js';

// A longer line is generated code, which tells nobody anything.
const LONGEST_EXCERPT = 200;

let booting = true;
let isCommand = false;
let process;

/** Gives this module the `process` object, whose listeners have a say in how it ends. */
export function setProcess(object) {
  process = object;
}

/** The process is a command: nobody waits for it to listen, and its exit status counts. */
export function commandStarts() {
  isCommand = true;
}

/** The app listens: from now on a failure is a crash of a running dyno. */
export function bootFinished() {
  booting = false;
}

/** Ends the dyno. Does not return. */
export function terminate(code) {
  if (booting) {
    reportFailure('H10', `App crashed: process exited with status ${code} before it listened on $PORT`);
  }
  // A dyno that serves has no status that anybody sees; not every host has codes.
  if (isCommand) exitWithCode(code & 0xff);
  hostExit(code === 0 ? { tag: 'ok' } : { tag: 'err' });
}

function emitGuarded(event, ...args) {
  try {
    process.emit(event, ...args);
  } catch (error) {
    printError(error);
  }
}

/** process.exit: 'exit' listeners run, then the dyno ends. */
export function exitProcess(code) {
  const status = Number(code ?? process.exitCode ?? 0) || 0;
  if (!process._exiting) {
    process._exiting = true;
    process.exitCode = status;
    emitGuarded('exit', status);
  }
  terminate(Number(process.exitCode) || 0);
}

/** Prints an error as Node does when it ends a process: the line of source, the stack, the version. */
export function printError(error, prefix = '') {
  let text;
  try {
    text = error instanceof Error ? `${excerpt(error)}${prefix}${inspect(error)}` : `Uncaught ${inspect(error)}`;
  } catch {
    text = `${prefix}${String(error)}`;
  }
  writeStdio(2, `${text}\n\nNode.js ${process?.version ?? ''} (wpaas)\n`);
}

// The line that threw, from the app's own file, if the file is there.
function excerpt(error) {
  const place = /\(?(\/[^():\n]+):(\d+):(\d+)\)?$/m.exec(String(error.stack));
  if (place === null) return '';
  const [, file, line, column] = place;
  try {
    const source = new TextDecoder().decode(readFileBytes(file)).split('\n')[line - 1];
    if (source === undefined || source.length > LONGEST_EXCERPT) return '';
    return `${file}:${line}\n${source}\n${' '.repeat(Math.min(column - 1, source.length))}^\n\n`;
  } catch {
    return '';
  }
}

function rejectionError(reason) {
  if (reason instanceof Error) return reason;
  const error = new Error(
    'This error originated either by throwing inside of an async function without a catch block, or by rejecting ' +
      `a promise which was not handled with .catch(). The promise rejected with the reason "${inspect(reason)}".`,
  );
  error.code = 'ERR_UNHANDLED_REJECTION';
  return error;
}

/** A promise that was rejected and has no handler. */
export function unhandledRejection(reason, promise) {
  if (process.listenerCount('unhandledRejection') === 0) {
    uncaught(rejectionError(reason), 'unhandledRejection');
    return;
  }
  try {
    process.emit('unhandledRejection', reason, promise);
  } catch (error) {
    uncaught(error, 'uncaughtException');
  }
}

/** An exception that the app did not handle. Returns only when the app's own listener took it. */
export function uncaught(error, origin) {
  process.emit('uncaughtExceptionMonitor', error, origin);
  if (process.listenerCount('uncaughtException') > 0) {
    try {
      process.emit('uncaughtException', error, origin);
      return;
    } catch (second) {
      error = second;
    }
  }
  crash(error);
}

/** Prints the error and ends the dyno with status 1. */
export function crash(error) {
  printError(error, booting ? '' : 'Uncaught ');
  if (booting) reportFailure('H10', `App crashed: ${summary(error)}`);
  process.exitCode = 1;
  if (!process._exiting) {
    process._exiting = true;
    emitGuarded('exit', 1);
  }
  terminate(1);
}

function summary(error) {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.split('\n', 1)[0].slice(0, 200);
}

/** The app waits for nothing and has not answered: no response can come any more, so the dyno ends at once. */
export function stalled() {
  writeStdio(
    2,
    'Error: the request was not answered and nothing is left to wait for. A handler ended without ' +
      'sending a response, or waits for a promise that nothing will settle.\n',
  );
  terminate(1);
}
