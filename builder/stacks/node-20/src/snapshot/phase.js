// Whether the app's snapshot is being made: then the app is evaluated at its build, and what it is when it listens is
// what every dyno starts from. Nothing is imported here, so that everything can ask.

let evaluating = false;
const refused = [];
const freezing = [];
const thawing = [];
const envRead = new Set();

/** Whether the app is evaluated for its snapshot now. */
export const isEvaluating = () => evaluating;

/** The app is evaluated from now on. */
export function beginEvaluation() {
  evaluating = true;
}

/** The evaluation is over. What it did that cannot be in a snapshot, and the names of `process.env` that it read. */
export function endEvaluation() {
  evaluating = false;
  return { refused: refused.splice(0), env: [...envRead].sort() };
}

/** Called before the app does what a snapshot cannot keep: `what` is for people. Throws while one is made. */
export function notInSnapshot(what) {
  if (!evaluating) return;
  const error = new Error(`${what} while the snapshot of the app is made: do it when a request needs it`);
  error.code = 'ERR_WPAAS_SNAPSHOT';
  refused.push({ what, at: placeOf(error) });
  throw error;
}

// The innermost line of the app's own, or of a package, that is on the stack.
function placeOf(error) {
  const lines = String(error.stack).split('\n');
  const place = (line) => /\(?(\/app\/[^():\n]+:\d+:\d+)\)?$/.exec(line)?.[1];
  const own = lines.find((line) => place(line) !== undefined && !line.includes('/node_modules/'));
  const any = own ?? lines.find((line) => place(line) !== undefined);
  return any === undefined ? undefined : place(any);
}

/** Notes that the app looked at the environment: at `name`, or at all of it. */
export function noteEnv(name) {
  if (evaluating && typeof name === 'string') envRead.add(name);
}

/** `forget` runs when the app is evaluated: gives back what is the host's, as the snapshot's dynos have another host. */
export const beforeFreeze = (forget) => void freezing.push(forget);

/** `renew` runs in each dyno that starts from the snapshot, before its first request. */
export const afterThaw = (renew) => void thawing.push(renew);

export function freeze() {
  for (const forget of freezing) forget();
}

export function thaw() {
  for (const renew of thawing) renew();
}
