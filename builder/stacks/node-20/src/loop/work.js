// What the app has set to happen: timers and immediates; and how its callbacks are run.
import { nowMs } from '../wasi/clock.js';
import { uncaught } from '../boot/fatal.js';
import { drainTicks } from './ticks.js';

const timers = new Map(); // id -> timer, in order of creation
let nextTimerId = 1;
let immediates = [];
let added = () => {};

/** Calls `callback` after each timer and immediate that is added, for a loop that has to be told. */
export function whenAdded(callback) {
  added = callback;
}

/** Adds a timer; `timer` has `ms`, `callback`, `repeat`, `refed`. Returns its id. */
export function addTimer(timer) {
  const id = nextTimerId++;
  timer.id = id;
  timer.due = nowMs() + timer.ms;
  timers.set(id, timer);
  added();
  return id;
}

/** Starts a timer anew, also one that has fired. */
export function restartTimer(timer) {
  timer.due = nowMs() + timer.ms;
  // Timers of equal due time fire in the order they were started.
  timers.delete(timer.id);
  timers.set(timer.id, timer);
  added();
}

/** Starts all timers anew, in a process whose clock is another one. */
export function restartTimers() {
  const now = nowMs();
  for (const timer of timers.values()) timer.due = now + timer.ms;
}

export const removeTimer = (id) => timers.delete(id);
export const timerById = (id) => timers.get(id);

/** Queues an immediate: `{ callback, refed, done }`. */
export function addImmediate(immediate) {
  immediates.push(immediate);
  added();
  return immediate;
}

/** Runs `callback` in a turn of its own, as Node does with finished I/O. */
export function defer(callback) {
  addImmediate({ callback, refed: true, done: false });
}

/** Whether immediates wait to run. */
export const immediatesPending = () => immediates.some((immediate) => !immediate.done);

/** Whether a timer or an immediate can still fire. Without a listening server only what is ref'd counts, as in Node. */
export function workLeft(listening) {
  for (const immediate of immediates) if ((listening || immediate.refed) && !immediate.done) return true;
  for (const timer of timers.values()) if (listening || timer.refed) return true;
  return false;
}

/** Milliseconds until something is due, `limit` at most. */
export function untilDue(limit) {
  if (immediates.length > 0) return 0;
  const now = nowMs();
  for (const timer of timers.values()) limit = Math.min(limit, timer.due - now);
  return Math.max(0, limit);
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

/** Runs the timers that are due, waiting for `turn()` after each. */
export async function runTimers(turn) {
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
    await turn();
  }
}

/** Runs the immediates that wait now, waiting for `turn()` after each. */
export async function runImmediates(turn) {
  if (immediates.length === 0) return;
  const batch = immediates;
  immediates = [];
  for (const immediate of batch) {
    if (immediate.done) continue;
    immediate.done = true;
    run(immediate.callback);
    await turn();
  }
}
