// The event loop of the app: timers, immediates and what the host signals.
//
// The engine has a loop of its own that cannot wait for the streams and futures of the host, so this one runs on
// top: it wakes in the engine's loop once per turn (that is when promises go on) and, when nothing else is due,
// blocks in the host's `poll` on exactly what the app waits for. A request is served by running turns until its
// response is complete; between requests nothing runs at all.
import { poll } from 'wasi:io/poll@0.2.10';
import { subscribeDuration } from 'wasi:clocks/monotonic-clock@0.2.10';
import { nowMs } from '../wasi/clock.js';
import { uncaught, unhandledRejection } from '../boot/fatal.js';
import { reportRejections } from '../lang/rejections.js';
import { drainTicks } from './ticks.js';

// Kept before the app's own timers take their names.
const engineSetTimeout = globalThis.setTimeout;

// How long the loop may sleep in the engine when the engine itself may have work (see `engineWork`) while the app
// also waits for the host: what the host signals is then seen this much later.
const SHARED_WAIT_MS = 2;
// So many turns of the engine without anything to wait for, and nothing will ever happen.
const IDLE_TURNS = 32;
// The longest sleep in one turn.
const LONGEST_WAIT_MS = 60_000;

const timers = new Map(); // id -> timer, in order of creation
let nextTimerId = 1;
let immediates = [];
const waits = new Set(); // { pollable, callback }
let engineWork = 0;
let engineUsed = false;

/** Adds a timer; `timer` has `ms`, `callback`, `repeat`, `refed`. Returns its id. */
export function addTimer(timer) {
  const id = nextTimerId++;
  timer.id = id;
  timer.due = nowMs() + timer.ms;
  timers.set(id, timer);
  return id;
}

/** Starts a timer anew, also one that has fired. */
export function restartTimer(timer) {
  timer.due = nowMs() + timer.ms;
  // Timers of equal due time fire in the order they were started.
  timers.delete(timer.id);
  timers.set(timer.id, timer);
}

export const removeTimer = (id) => timers.delete(id);
export const timerById = (id) => timers.get(id);

/** Queues an immediate: `{ callback, refed, done }`. */
export function addImmediate(immediate) {
  immediates.push(immediate);
  return immediate;
}

/** Runs `callback` in a turn of its own, as Node does with finished I/O. */
export function defer(callback) {
  addImmediate({ callback, refed: true, done: false });
}

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

/** Starts all timers anew, in a process whose clock is another one. */
export function restartTimers() {
  const now = nowMs();
  for (const timer of timers.values()) timer.due = now + timer.ms;
}

/** Whether immediates wait to run. */
export const immediatesPending = () => immediates.some((immediate) => !immediate.done);

/** Forgets that the engine was used; for the start of a request, when nothing of it can be left. */
export function forgetEngineWork() {
  engineUsed = engineWork > 0;
}

// Whether anything can still happen. Without a listening server only what is ref'd counts, as in Node.
function alive(listening) {
  if (engineUsed) return true;
  for (const wait of waits) if (wait.refed) return true;
  for (const immediate of immediates) if ((listening || immediate.refed) && !immediate.done) return true;
  for (const timer of timers.values()) if (listening || timer.refed) return true;
  return false;
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
    await runTimers();
    if (until()) return true;
    await runImmediates();
    if (until()) return true;
    if (!alive(listening) && !(await engineGoesOn(until, listening))) return false;
    await runWaits(sleepLimit(beat));
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

/** Runs a callback of the app as the loop does: what it throws is the app's, and its ticks run after it. */
export function run(callback) {
  try {
    callback();
  } catch (error) {
    uncaught(error, 'uncaughtException');
  }
  drainTicks();
}

async function runTimers() {
  if (timers.size === 0) return;
  const now = nowMs();
  const due = [];
  for (const timer of timers.values()) if (timer.due <= now) due.push(timer);
  due.sort((a, b) => a.due - b.due);
  for (const timer of due) {
    if (timers.get(timer.id) !== timer || timer.due > now) continue; // cleared or restarted meanwhile
    if (timer.repeat) timer.due = now + timer.ms;
    else timers.delete(timer.id);
    run(timer.callback);
    await engineTurn(0);
  }
}

async function runImmediates() {
  if (immediates.length === 0) return;
  const batch = immediates;
  immediates = [];
  for (const immediate of batch) {
    if (immediate.done) continue;
    immediate.done = true;
    run(immediate.callback);
    await engineTurn(0);
  }
}

function sleepLimit(beat) {
  if (immediates.length > 0) return 0;
  let limit = Math.min(beat, LONGEST_WAIT_MS);
  const now = nowMs();
  for (const timer of timers.values()) limit = Math.min(limit, timer.due - now);
  return Math.max(0, limit);
}

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
