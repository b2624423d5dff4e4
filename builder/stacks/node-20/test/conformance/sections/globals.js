'use strict';

module.exports = async (check) => {
  for (const name of [
    'AbortController', 'AbortSignal', 'Blob', 'Buffer', 'CompressionStream', 'CustomEvent', 'DOMException', 'Event',
    'EventTarget', 'File', 'FormData', 'Headers', 'ReadableStream', 'Request', 'Response', 'TextDecoder', 'TextEncoder',
    'TransformStream', 'URL', 'URLSearchParams', 'WritableStream', 'atob', 'btoa', 'clearImmediate', 'console', 'crypto',
    'fetch', 'global', 'globalThis', 'performance', 'process', 'queueMicrotask', 'setImmediate', 'structuredClone',
    'self', 'window', 'location', 'document',
  ]) {
    if (name === 'File') continue;
    await check(name, () => typeof globalThis[name]);
  }
  await check('global', () => global === globalThis);
  await check('enumerable', () => Object.keys(globalThis).includes('process'));
  await check('structuredClone', () => structuredClone({ a: new Date(0), b: new Map([[1, [2]]]) }));
  await check('abort', () => {
    const controller = new AbortController();
    controller.abort();
    return [controller.signal.aborted, controller.signal.reason.name];
  });
  await check('timeout signal', async () => {
    const signal = AbortSignal.timeout(5);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return signal.reason.name;
  });
  await check('TextDecoder', () => new TextDecoder('utf-8').decode(new Uint8Array([0xe2, 0x9c, 0x93])));
  await check('URL', () => new URL('../b?x=1#y', 'http://u:p@example.com:8080/a/c').href);
  await check('URLSearchParams', () => new URLSearchParams({ a: '1 2', b: 'é' }).toString());
  await check('Headers', () => [...new Headers({ B: '2', a: '1' })]);
  await check('Response', async () => (await new Response('{"a":1}').json()).a);
  await check('web stream', async () => {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue('a');
        controller.enqueue('b');
        controller.close();
      },
    });
    const reader = stream.getReader();
    const seen = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return seen;
      seen.push(value);
    }
  });
  await check('normalize', () => ['e\u0301'.normalize(), 'é'.normalize('NFD').length, '①'.normalize('NFKC'), 'plain'.normalize()]);
  await check('toSorted', () => [3, 1, 2].toSorted());
  await check('date', () => new Date(0).toISOString());
};
