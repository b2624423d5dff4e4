// What the host's typed errors carry. The bindings throw them with a `payload`; anything else is a bug and goes on.

/** The payload of an error of the host: an error code, a `{ tag, val }` or a string. */
export function hostError(error) {
  if (error !== null && typeof error === 'object' && 'payload' in error) return error.payload;
  throw error;
}
