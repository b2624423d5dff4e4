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
};
