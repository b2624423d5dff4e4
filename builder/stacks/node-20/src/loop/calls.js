// Outbound calls (http.request, fetch) that wait for their response. A request's instance stays with it until the
// calls it started are answered, so that "send and forget" sends; a call from before is not waited for.

let generation = 0;
const open = new Set();

/** A new request begins: calls from now on belong to it. */
export function beginGeneration() {
  generation += 1;
}

/** Notes a call; the returned function ends it. */
export function startCall() {
  const call = { generation };
  open.add(call);
  return () => open.delete(call);
}

/** Whether a call of the present request waits for its response. */
export function callsOpen() {
  for (const call of open) if (call.generation === generation) return true;
  return false;
}
