// Which promises were rejected and never handled. The engine keeps them in a Set of its own and shows it to nobody;
// only before it takes its snapshot it goes through the set to report what is in it. So a promise is left rejected
// while the stack is built, and the iterator with which the engine comes for it is kept: an iterator of a Set sees what
// is added later, as long as it never reaches the end.

const setIterator = Object.getPrototypeOf(new Set().values());
const nativeNext = setIterator.next;
const bait = Promise.reject(new Error('left rejected for src/lang/rejections.js'));
const ignore = () => {};
let rejected;

setIterator.next = function next() {
  const result = nativeNext.call(this);
  if (result.value !== bait) return result;
  setIterator.next = nativeNext;
  rejected = this;
  return { value: undefined, done: true };
};

/** Calls `report(reason, promise)` for promises that are rejected and have no handler. Each is reported once. */
export function reportRejections(report) {
  if (rejected === undefined) return;
  // The last in the set, so that the iterator stops before its end.
  const last = Promise.reject(undefined);
  for (;;) {
    const { value, done } = nativeNext.call(rejected);
    if (done) throw new Error('the engine has changed how it keeps rejected promises');
    if (value === last) break;
    value.then(undefined, (reason) => report(reason, value));
  }
  last.then(undefined, ignore);
}
