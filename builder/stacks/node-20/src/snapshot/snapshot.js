// A snapshot of the app: `snapshot` is called at the build, evaluates the app until it listens, and leaves it so that
// the host can keep the memory. Dynos of the app then start from there (`resume`).
import { getArguments, getEnvironment } from 'wasi:cli/environment@0.2.10';
import { boot } from '../boot/boot.js';
import { parseArguments } from '../boot/args.js';
import { openFiles } from '../fs/table.js';
import { engineBusy, runLoop, waitsForHost } from '../loop/loop.js';
import { immediatesPending, restartTimers } from '../loop/work.js';
import { nowMs } from '../wasi/clock.js';
import { forgetEnvironment, startProcess } from '../node/process.js';
import { beginEvaluation, endEvaluation, freeze, thaw } from './phase.js';
import { replaceRandom } from './random.js';

// What the app began before it listened (immediates, promises) may go on for so long.
const SETTLE_MS = 10_000;

let frozen = false;

/** Evaluates the app. Returns the problems for which there can be no snapshot, and the names of the environment it read. */
export async function takeSnapshot() {
  replaceRandom();
  beginEvaluation();
  const listens = await boot();
  if (listens) {
    const until = nowMs() + SETTLE_MS;
    await runLoop(() => (!immediatesPending() && !engineBusy()) || nowMs() >= until, { listening: true, beat: 100 });
  }
  const { refused, env } = endEvaluation();
  const problems = refused.map(({ what, at }) => (at === undefined ? what : `${what}, at ${at}`));
  // The log has said why.
  if (!listens) problems.push('it does not listen on $PORT');
  for (const name of openFiles()) problems.push(`it has left ${name} open`);
  if (engineBusy()) problems.push('it waits for a fetch, or for a stream of one');
  if (waitsForHost()) problems.push('it waits for a connection or for its standard input');
  if (problems.length === 0) {
    forgetEnvironment();
    freeze();
    frozen = true;
  }
  return [problems, env];
}

/** Goes on from the snapshot, if there is one: with the dyno's own environment and clocks. */
export function resume() {
  if (!frozen) return;
  frozen = false;
  thaw();
  const { argv } = parseArguments(getArguments());
  startProcess(getEnvironment(), argv);
  restartTimers();
}
