// A request of the host, as the app's server takes it.
import { BodyReader } from './body.js';
import { fieldsToList } from './fields.js';

/** `{ method, url, authority, fields, body }`, the fields as [name, value] pairs and the body as a BodyReader. */
export function takeRequest(incoming) {
  const method = incoming.method();
  const headers = incoming.headers();
  const fields = fieldsToList(headers);
  headers[Symbol.dispose]();
  return {
    method: method.tag === 'other' ? method.val : method.tag.toUpperCase(),
    url: incoming.pathWithQuery() ?? '/',
    authority: incoming.authority(),
    fields,
    body: new BodyReader(incoming.consume()),
  };
}
