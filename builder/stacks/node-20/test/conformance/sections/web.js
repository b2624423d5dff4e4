'use strict';

const text = (stream) => new Response(stream).text();
const streamOf = (...chunks) => ReadableStream.from(chunks);

module.exports = async (check) => {
  await check('iterate a stream', async () => {
    const seen = [];
    for await (const chunk of streamOf('a', 'b')) seen.push(chunk);
    return seen;
  });
  await check('leave early', async () => {
    let reason = 'none';
    const stream = new ReadableStream({
      pull: (controller) => controller.enqueue(1),
      cancel: () => {
        reason = 'cancelled';
      },
    });
    for await (const chunk of stream) if (chunk) break;
    return [reason, stream.locked];
  });
  await check('blob', async () => [await new Blob(['ab', new Uint8Array([99])]).text(), await text(new Blob(['x']).stream())]);
  await check('TextDecoderStream', async () => {
    let all = '';
    for await (const part of streamOf(new Uint8Array([0xc3]), new Uint8Array([0xbc])).pipeThrough(new TextDecoderStream())) all += part;
    return all;
  });
  await check('TextEncoderStream', async () => {
    const bytes = [];
    for await (const part of streamOf('a\ud83d', '\ude00').pipeThrough(new TextEncoderStream())) bytes.push(...part);
    return bytes;
  });
  await check('pipeTo with a signal', async () => {
    let all = '';
    const { signal } = new AbortController();
    await streamOf('a', 'b').pipeTo(new WritableStream({ write: (part) => void (all += part) }), { signal });
    return all;
  });
  await check('pipeTo aborted', () => {
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(1) });
    return endless.pipeTo(new WritableStream(), { signal: AbortSignal.abort(new Error('enough')) });
  });
  const multipart =
    '--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n' +
    '--x\r\nContent-Disposition: form-data; name="f"; filename="a b.bin"\r\nContent-Type: image/png\r\n\r\n\r\n\u00fc\r\n--x--\r\n';
  const parse = (body) => new Response(body, { headers: { 'content-type': 'multipart/form-data; boundary=x' } }).formData();
  await check('formData', async () => {
    const form = await parse(multipart);
    const file = form.get('f');
    return [[...form.keys()], form.get('note'), file.type, file.size, await file.text()];
  });
  await check('formData of nothing', () => parse('').then(String, (error) => error.name));
  await check('a form there and back', async () => {
    const form = new FormData();
    form.append('a', '1\n2');
    form.append('f', new File(['content'], 'n.txt', { type: 'text/plain' }));
    const request = new Request('http://app/', { method: 'POST', body: form });
    const back = await request.formData();
    return [/^multipart\/form-data; boundary=/.test(request.headers.get('content-type')), back.get('a'), back.get('f').name, await back.get('f').text()];
  });
  const { subtle } = globalThis.crypto;
  const encode = (string) => new TextEncoder().encode(string);
  const hex = (buffer) => Buffer.from(buffer).toString('hex');
  for (const hash of ['SHA-1', 'SHA-256', 'SHA-512']) {
    await check(`PBKDF2 ${hash}`, async () => {
      const key = await subtle.importKey('raw', encode('password'), 'PBKDF2', false, ['deriveBits']);
      return hex(await subtle.deriveBits({ name: 'PBKDF2', hash, salt: encode('salt'), iterations: 3 }, key, 320));
    });
    await check(`HKDF ${hash}`, async () => {
      const key = await subtle.importKey('raw', encode('secret'), 'HKDF', false, ['deriveBits']);
      return hex(await subtle.deriveBits({ name: 'HKDF', hash, salt: encode(''), info: encode('info') }, key, 320));
    });
  }
  for (const name of ['AES-GCM', 'AES-CBC', 'AES-CTR']) {
    await check(name, async () => {
      const key = await subtle.importKey('raw', new Uint8Array(32).fill(7), name, true, ['encrypt', 'decrypt']);
      const settings = { name, iv: new Uint8Array(name === 'AES-GCM' ? 12 : 16), counter: new Uint8Array(16), length: 64 };
      const secret = await subtle.encrypt(settings, key, encode('hello'));
      return [hex(secret), Buffer.from(await subtle.decrypt(settings, key, secret)).toString(), key instanceof CryptoKey, hex(await subtle.exportKey('raw', key))];
    });
  }
  await check('tampered', async () => {
    const key = await subtle.generateKey({ name: 'AES-GCM', length: 128 }, false, ['encrypt', 'decrypt']);
    const iv = new Uint8Array(12);
    const secret = new Uint8Array(await subtle.encrypt({ name: 'AES-GCM', iv }, key, encode('hello')));
    secret[0] ^= 1;
    return subtle.decrypt({ name: 'AES-GCM', iv }, key, secret).catch((error) => error.name);
  });
  await check('HMAC', async () => {
    const key = await subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify']);
    return [key.type, key.algorithm.name, await subtle.verify('HMAC', key, await subtle.sign('HMAC', key, encode('x')), encode('x'))];
  });
};
