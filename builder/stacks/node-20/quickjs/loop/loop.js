// The event loop of the app on an engine that waits with the host: every wait of the app is a call that the host
// finishes with an event, and any number of requests wait at once. What is left to do here is what no event of the
// host's is for: timers, immediates, and pollables of WASI 0.2.
import { waitFor } from 'wasi:clocks/monotonic-clock@0.3.0';
import { crash } from '../boot/fatal.js';
import { turn } from '../host/tasks.js';
import { nowMs } from '../wasi/clock.js';
import { drainTicks } from './ticks.js';
import { run, runImmediates, runTimers, untilDue, whenAdded, workLeft } from './work.js';

// A pollable is asked this often: soon after something has happened, and more and more seldom while nothing does.
const SOONEST_ASK_MS = 0.25;
const LATEST_ASK_MS = 50;
// The host has no longer waits than this here.
const LONGEST_WAIT_MS = 60_000;

const waits = new Set(); // { pollable, callback, refed }
const watchers = new Set(); // { until, resolve, listening, beat }
const alarms = new Set(); // when the host wakes the loop, in ms of the clock
let hostWork = 0;
let pumping = false;
let askMs = SOONEST_ASK_MS;

whenAdded(wake);

/**
 * Calls `callback` when the host's `pollable` is ready; the pollable is dropped then. Returns a cancel function. With
 * `refed` false nothing is kept alive by the wait.
 */
export function whenReady(pollable, callback, refed = true) {
  const wait = { pollable, callback, refed };
  waits.add(wait);
  wake();
  return () => {
    if (waits.delete(wait)) pollable[Symbol.dispose]();
  };
}

/** Calls `callback(error, value)` as a callback of the app when the host has settled `promise`. */
export function whenSettled(promise, callback) {
  hostWork += 1;
  const settled = (error, value) => {
    hostWork -= 1;
    run(() => callback(error, value));
    wake();
  };
  promise.then(
    (value) => settled(undefined, value),
    (error) => settled(error ?? new Error('the host gave it up')),
  );
}

// The engine does nothing by itself.
export const trackEngineWork = (promise) => promise;
export const engineBusy = () => false;

/** Resolves to true when `until()` holds, to false when nothing can happen any more. As on an engine with turns. */
export function runLoop(until, { listening = false, beat = LONGEST_WAIT_MS } = {}) {
  return new Promise((resolve) => {
    watchers.add({ until, resolve, listening, beat });
    wake();
  });
}

/** Looks at everything once more, soon. */
export function wake() {
  askMs = SOONEST_ASK_MS;
  if (pumping) return;
  pumping = true;
  pump().catch(crash);
}

async function pump() {
  do {
    await turn();
    drainTicks();
    await runTimers(turn);
    await runImmediates(turn);
  } while (runReady() || tellWatchers() || untilDue(1) <= 0);
  pumping = false;
  setAlarm();
}

// Runs what the pollables that are ready were for; whether there was anything.
function runReady() {
  let any = false;
  for (const wait of waits) {
    if (!wait.pollable.ready() || !waits.delete(wait)) continue;
    any = true;
    wait.pollable[Symbol.dispose]();
    run(wait.callback);
  }
  return any;
}

// A server that listens may always get another request, which may bring what those before it wait for.
const isAlive = (listening) => listening || hostWork > 0 || [...waits].some((wait) => wait.refed) || workLeft(false);

// Tells those who wait for something that has come, or cannot come any more; whether there was anybody. Of a request that
// waits for nothing the host says so, when its time is over.
function tellWatchers() {
  let any = false;
  for (const watcher of watchers) {
    const holds = watcher.until();
    if (!holds && isAlive(watcher.listening)) continue;
    any = true;
    watchers.delete(watcher);
    watcher.resolve(holds);
  }
  return any;
}

// Has the host wake the loop when something is due next, unless it does so by then.
function setAlarm() {
  let ms = untilDue(Number.POSITIVE_INFINITY);
  for (const { beat } of watchers) if (beat < LONGEST_WAIT_MS) ms = Math.min(ms, beat);
  if (waits.size > 0) {
    ms = Math.min(ms, askMs);
    askMs = Math.min(askMs * 2, LATEST_ASK_MS);
  }
  if (ms === Number.POSITIVE_INFINITY) return;
  const at = nowMs() + Math.min(ms, LONGEST_WAIT_MS);
  for (const alarm of alarms) if (alarm <= at) return;
  alarms.add(at);
  waitFor(Math.ceil((at - nowMs()) * 1e6)).then(() => {
    alarms.delete(at);
    const before = askMs;
    wake();
    askMs = before;
  });
}
