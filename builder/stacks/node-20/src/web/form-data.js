// multipart/form-data. The engine reads the content of files wrongly and never finishes writing a form, so both are
// done here, in place of its own.
import { multipartBody, parseMultipart } from './multipart.js';

const boundaryOf = (type) => /^multipart\/form-data\b.*?;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type ?? '');

for (const Body of [Request, Response]) {
  const engineFormData = Body.prototype.formData;
  Object.defineProperty(Body.prototype, 'formData', {
    configurable: true,
    enumerable: true,
    writable: true,
    async value() {
      const match = boundaryOf(this.headers.get('content-type'));
      if (match === null) return engineFormData.call(this);
      return parseMultipart(new Uint8Array(await this.arrayBuffer()), match[1] ?? match[2]);
    },
  });
}

/** `init` of a request or response, a form in it as bytes with their content type. */
async function encoded(form, init) {
  const { bytes, type } = await multipartBody(form);
  return { ...withType(init, type), body: bytes };
}

function withType(init, type) {
  const headers = new Headers(init?.headers);
  if (!headers.has('content-type')) headers.set('content-type', type);
  return { ...init, headers };
}

// The constructors take a form at once, and its files can only be read later: so its body is a stream.
function formStream(form, boundary) {
  return new ReadableStream({
    async pull(controller) {
      controller.enqueue((await multipartBody(form, boundary)).bytes);
      controller.close();
    },
  });
}

function accepting(Class, split, join) {
  return new Proxy(Class, {
    construct(target, args, newTarget) {
      const { form, init } = split(args);
      if (!(form instanceof FormData)) return Reflect.construct(target, args, newTarget);
      const boundary = newBoundary();
      const type = `multipart/form-data; boundary=${boundary}`;
      return Reflect.construct(target, join(args, formStream(form, boundary), withType(init, type)), newTarget);
    },
  });
}

const newBoundary = () => `----formdata-${globalThis.crypto.randomUUID()}`;

function replace(name, value) {
  Object.defineProperty(globalThis, name, { configurable: true, enumerable: false, writable: true, value });
  value.prototype.constructor = value;
}

replace(
  'Response',
  accepting(
    Response,
    ([body, init]) => ({ form: body, init }),
    (_args, body, init) => [body, init],
  ),
);
replace(
  'Request',
  accepting(
    Request,
    ([, init]) => ({ form: init?.body, init }),
    ([input], body, init) => [input, { ...init, body, duplex: 'half' }],
  ),
);

/** `init` of a fetch with its form, if it has one, as bytes. */
export const encodeForm = (init) => (init?.body instanceof FormData ? encoded(init.body, init) : init);
