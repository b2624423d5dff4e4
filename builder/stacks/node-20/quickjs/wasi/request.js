// A request of the host, as the app's server takes it.
import { BodyReader } from './body.js';
import { fieldsToList } from './fields.js';

/** `{ method, url, authority, fields, body }`, the fields as [name, value] pairs and the body as a BodyReader. */
export function takeRequest({ request }) {
  const method = request.getMethod();
  const headers = request.getHeaders();
  const fields = fieldsToList(headers);
  headers[Symbol.dispose]();
  return {
    method: method.tag === 'other' ? method.val : method.tag.toUpperCase(),
    url: request.getPathWithQuery() ?? '/',
    authority: request.getAuthority() ?? undefined,
    fields,
    body: new BodyReader(request),
  };
}
