'use strict';
const zlib = require('node:zlib');
const { promisify } = require('node:util');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');

module.exports = async (check) => {
  for (const [pack, unpack] of [['gzip', 'gunzip'], ['deflate', 'inflate'], ['deflateRaw', 'inflateRaw'], ['gzip', 'unzip']]) {
    await check(`${pack} ${unpack}`, async () => {
      const packed = await promisify(zlib[pack])(Buffer.from('hello '.repeat(100)));
      return [packed.length < 100, (await promisify(zlib[unpack])(packed)).toString().length];
    });
  }
  await check('stream', async () => {
    const chunks = [];
    await pipeline(Readable.from([Buffer.from('a'), Buffer.from('b')]), zlib.createGzip(), zlib.createGunzip(), async (source) => {
      for await (const chunk of source) chunks.push(chunk);
    });
    return Buffer.concat(chunks).toString();
  });
  await check('bad data', async () => {
    try {
      await promisify(zlib.gunzip)(Buffer.from('nope'));
    } catch (error) {
      return error.code;
    }
  });
  await check('constants', () => [zlib.constants.Z_BEST_SPEED, zlib.constants.BROTLI_PARAM_QUALITY]);

  const text = Buffer.from('The quick brown fox. '.repeat(300));
  for (const [pack, unpack] of [['gzip', 'gunzip'], ['deflate', 'inflate'], ['deflateRaw', 'inflateRaw'], ['gzip', 'unzip'], ['deflate', 'unzip']]) {
    for (const options of [{}, { level: 9 }, { level: 0 }, { memLevel: 9, windowBits: 10 }, { strategy: zlib.constants.Z_HUFFMAN_ONLY }]) {
      await check(`${pack}Sync ${unpack}Sync ${JSON.stringify(options)}`, () => {
        const packed = zlib[`${pack}Sync`](text, options);
        return [packed.length < text.length, zlib[`${unpack}Sync`](packed).equals(text)];
      });
    }
  }
  await check('text', () => zlib.inflateSync(zlib.deflateSync('grün')).toString());
  await check('from Node', () => zlib.gunzipSync(Buffer.from('H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==', 'base64')).toString());
  await check('two members', () => zlib.gunzipSync(Buffer.concat([zlib.gzipSync('a'), zlib.gzipSync('b')])).toString());
  await check('a dictionary', () => {
    const dictionary = Buffer.from('hello world');
    const packed = zlib.deflateSync('hello world hello', { dictionary });
    return [zlib.inflateSync(packed, { dictionary }).toString(), packed.length < 20];
  });
  await check('no dictionary', () => zlib.inflateSync(zlib.deflateSync('hello world', { dictionary: Buffer.from('hello world') })));
  await check('garbage', () => zlib.inflateSync(Buffer.from('garbage')));
  await check('gunzip garbage', () => zlib.gunzipSync(Buffer.from('garbage')));
  await check('raw garbage', () => zlib.inflateRawSync(Buffer.from('garbage')));
  await check('cut off', () => zlib.gunzipSync(zlib.gzipSync(text).subarray(0, 30)));
  await check('cut off, flushed', () => zlib.inflateSync(zlib.deflateSync(text, { level: 0 }).subarray(0, 40), { finishFlush: zlib.constants.Z_SYNC_FLUSH }).toString());
  await check('empty', () => zlib.gunzipSync(Buffer.alloc(0)));
  await check('a wrong checksum', () => {
    const packed = zlib.gzipSync('x');
    packed[packed.length - 5] ^= 1;
    return zlib.gunzipSync(packed);
  });
  await check('too large', () => zlib.gunzipSync(zlib.gzipSync(text), { maxOutputLength: 100 }));
  await check('a wrong type', () => zlib.gzipSync(5));
  await check('an empty text', () => zlib.gunzipSync(zlib.gzipSync('')).length);
  await check('unzip of deflate', async () => (await promisify(zlib.unzip)(zlib.deflateSync('either'))).toString());
  await check('flush', async () => {
    const gzip = zlib.createGzip();
    const sizes = [];
    const gunzip = zlib.createGunzip();
    let seen = '';
    gunzip.on('data', (part) => (seen += part));
    gzip.on('data', (part) => { sizes.push(part.length > 0); gunzip.write(part); });
    for (const part of ['first ', 'second ']) {
      gzip.write(part);
      await new Promise((resolve) => gzip.flush(resolve));
      sizes.push(part);
    }
    gzip.end('third');
    await new Promise((resolve) => gzip.on('end', resolve));
    await new Promise((resolve) => gunzip.end(resolve));
    return [seen, sizes.filter((size) => size !== true), sizes.indexOf('first ') > 0];
  });
  await check('much in a stream', async () => {
    const parts = [];
    await pipeline(Readable.from(Array.from({ length: 50 }, () => text)), zlib.createDeflate({ level: 1 }), zlib.createInflate(), async (source) => {
      for await (const chunk of source) parts.push(chunk);
    });
    return Buffer.concat(parts).length;
  });
  await check('codes', () => [zlib.codes.Z_DATA_ERROR, zlib.codes[-3]]);

  const brotli = Buffer.from('G7gB+B0JNk50bySG12JlaHIahIWNTrKlveUhwDCYDyRDzkBlhl+iVwI=', 'base64');
  const inParts = Buffer.from('i3cAAAQccqSfXyWw1qpBZqsF0h6aXRgYCABAAqAIGawKTn0cAyAACHRoaXJkAw==', 'base64');
  const message = (run) => {
    try {
      return run();
    } catch (error) {
      return error.message;
    }
  };
  await check('brotli', () => zlib.brotliDecompressSync(brotli).toString());
  await check('brotli in parts', () => zlib.brotliDecompressSync(inParts).toString());
  await check('brotli, later', async () => (await promisify(zlib.brotliDecompress)(brotli)).length);
  await check('brotli stream', async () => {
    const chunks = [];
    await pipeline(Readable.from([inParts.subarray(0, 9), inParts.subarray(9)]), zlib.createBrotliDecompress(), async (source) => {
      for await (const chunk of source) chunks.push(chunk);
    });
    return Buffer.concat(chunks).length;
  });
  await check('brotli cut off', () => zlib.brotliDecompressSync(brotli.subarray(0, 20)));
  await check('brotli garbage', () => message(() => zlib.brotliDecompressSync(Buffer.alloc(300, 'garbage!'))));
  await check('brotli too large', () => zlib.brotliDecompressSync(brotli, { maxOutputLength: 10 }));
  await check('brotli of nothing', () => zlib.brotliDecompressSync(Buffer.alloc(0)));
  await check('brotli of a wrong type', () => zlib.brotliDecompressSync(5));
};
