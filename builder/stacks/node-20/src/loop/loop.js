// The event loop of the app: timers, immediates and what the host signals.
//
// The engine has a loop of its own that cannot wait for the streams and futures of the host, so this one runs on
// top: it wakes in the engine's loop once per turn (that is when promises go on) and, when nothing else is due,
// blocks in the host's `poll` on exactly what the app waits for. A request is served by running turns until its
// response is complete; between requests nothing runs at all.
import { poll } from 'wasi:io/poll@0.2.10';
import { subscribeDuration } from 'wasi:clocks/monotonic-clock@0.2.10';
import { unhandledRejection } from '../boot/fatal.js';
import { reportRejections } from '../lang/rejections.js';
import { drainTicks } from './ticks.js';
import { run, runImmediates, runTimers, untilDue, workLeft } from './work.js';

// Kept before the app's own timers take their names.
const engineSetTimeout = globalThis.setTimeout;

// How long the loop may sleep in the engine when the engine itself may have work (see `engineWork`) while the app
// also waits for the host: what the host signals is then seen this much later.
const SHARED_WAIT_MS = 2;
// So many turns of the engine without anything to wait for, and nothing will ever happen.
const IDLE_TURNS = 32;
// The longest sleep in one turn.
const LONGEST_WAIT_MS = 60_000;

const waits = new Set(); // { pollable, callback }
let engineWork = 0;
let engineUsed = false;

/**
 * Calls `callback` when the host's `pollable` is ready; the pollable is dropped then. Returns a cancel function. With
 * `refed` false nothing is kept alive by the wait.
 */
export function whenReady(pollable, callback, refed = true) {
  const wait = { pollable, callback, refed };
  waits.add(wait);
  return () => {
    if (waits.delete(wait)) pollable[Symbol.dispose]();
  };
}

/** Tells the loop that the engine itself works on `promise` (a fetch): then the engine's own waits must be served. */
export function trackEngineWork(promise) {
  engineWork += 1;
  engineUsed = true;
  const done = () => {
    engineWork -= 1;
  };
  promise.then(done, done);
  return promise;
}

/** Whether the engine has unfinished work of the app. */
export const engineBusy = () => engineWork > 0;

/** Whether the app waits for something of the host. */
export const waitsForHost = () => waits.size > 0;

/** Forgets that the engine was used; for the start of a request, when nothing of it can be left. */
export function forgetEngineWork() {
  engineUsed = engineWork > 0;
}

// Whether anything can still happen. Without a listening server only what is ref'd counts, as in Node.
function alive(listening) {
  if (engineUsed) return true;
  for (const wait of waits) if (wait.refed) return true;
  return workLeft(listening);
}

/** Whether a process without a server has anything left to wait for. */
export const isAlive = () => alive(false);

/**
 * Runs turns until `until()` holds (true) or nothing can happen any more (false). `listening` says that a server
 * keeps the process alive; `beat` limits the sleep of one turn in ms, for an `until` that looks at the clock.
 */
export async function runLoop(until, { listening = false, beat = LONGEST_WAIT_MS } = {}) {
  await engineTurn(0);
  for (;;) {
    drainTicks();
    if (until()) return true;
    await runTimers(afterCallback);
    if (until()) return true;
    await runImmediates(afterCallback);
    if (until()) return true;
    if (!alive(listening) && !(await engineGoesOn(until, listening))) return false;
    await runWaits(untilDue(Math.min(beat, LONGEST_WAIT_MS)));
  }
}

// What the engine does on its own (reading a body) shows nowhere, and takes some of its turns.
async function engineGoesOn(until, listening) {
  for (let turn = 0; turn < IDLE_TURNS; turn++) {
    await engineTurn(0);
    if (until() || alive(listening)) return true;
  }
  return false;
}

// One turn of the engine: every promise that can go on has gone on when this resolves.
async function engineTurn(ms) {
  await new Promise((resolve) => engineSetTimeout(resolve, ms));
  reportRejections(unhandledRejection);
}

const afterCallback = () => engineTurn(0);

async function runWaits(limit) {
  if (engineUsed) {
    // The engine serves its own waits during this sleep.
    await engineTurn(waits.size > 0 ? Math.min(limit, SHARED_WAIT_MS) : Math.ceil(limit));
    if (waits.size === 0) return;
    limit = 0;
  }
  const waiting = [...waits];
  if (waiting.length === 0 && limit <= 0) return;
  const alarm = subscribeDuration(BigInt(Math.ceil(limit * 1e6)));
  const ready = poll([...waiting.map((wait) => wait.pollable), alarm]);
  alarm[Symbol.dispose]();
  for (const index of ready) {
    const wait = waiting[index];
    // The alarm has no wait; another callback may have cancelled this one.
    if (wait === undefined || !waits.delete(wait)) continue;
    wait.pollable[Symbol.dispose]();
    run(wait.callback);
    await engineTurn(0);
  }
}
