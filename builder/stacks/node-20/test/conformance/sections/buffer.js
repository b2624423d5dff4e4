'use strict';
const { Buffer, constants, isUtf8, transcode, Blob } = require('node:buffer');

module.exports = async (check) => {
  const text = 'héllo wörld ✓ 😀';
  for (const encoding of ['utf8', 'hex', 'base64', 'base64url', 'latin1', 'ascii', 'utf16le', 'binary', 'ucs2']) {
    await check(`encode ${encoding}`, () => Buffer.from(text).toString(encoding));
    await check(`byteLength ${encoding}`, () => Buffer.byteLength(text, encoding));
    await check(`isEncoding ${encoding}`, () => Buffer.isEncoding(encoding));
  }
  await check('decode hex', () => Buffer.from('68656c6c6fzz11', 'hex'));
  await check('decode odd hex', () => Buffer.from('abc', 'hex'));
  await check('decode base64', () => Buffer.from('aGVs bG8=\n', 'base64').toString());
  await check('decode base64url', () => Buffer.from('_-8', 'base64url'));
  await check('decode base64 mixed', () => Buffer.from('_-+/', 'base64'));
  await check('decode base64 tail', () => [Buffer.from('a', 'base64'), Buffer.from('ab', 'base64'), Buffer.from('abc', 'base64')]);
  await check('decode latin1', () => Buffer.from('ÿé', 'latin1'));
  await check('decode utf16le', () => Buffer.from('hé', 'utf16le'));
  await check('invalid utf8', () => Buffer.from([0x68, 0xff, 0xc3, 0x28, 0xe2, 0x82]).toString());
  await check('lone surrogate', () => Buffer.from('a\ud800b'));
  await check('bom', () => Buffer.from('\ufeffx').toString().length);
  await check('unknown encoding', () => Buffer.from('x', 'nope'));
  await check('from number', () => Buffer.from(5));
  await check('from array', () => Buffer.from([1, 256, -1, 3.7, 'x']));
  await check('from arraybuffer', () => Buffer.from(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2));
  await check('from typed array', () => Buffer.from(new Uint16Array([1, 300])));
  await check('from object', () => Buffer.from({ type: 'Buffer', data: [1, 2] }));
  await check('from String object', () => Buffer.from(new String('abc')));
  await check('alloc', () => [Buffer.alloc(3), Buffer.alloc(5, 'ab'), Buffer.alloc(3, 1), Buffer.alloc(4, 'YQ==', 'base64')]);
  await check('alloc bad', () => Buffer.alloc('5'));
  await check('concat', () => Buffer.concat([Buffer.from('a'), Buffer.from('bc')]).toString());
  await check('concat length', () => Buffer.concat([Buffer.from('abc'), Buffer.from('d')], 2).toString());
  await check('subarray', () => Buffer.from('hello').subarray(1, 3).toString('hex'));
  await check('subarray is Buffer', () => Buffer.isBuffer(Buffer.from('hello').subarray(1)));
  await check('slice negative', () => Buffer.from('hello').slice(-3, -1).toString());
  await check('shared memory', () => {
    const buffer = Buffer.from('hello');
    buffer.subarray(0, 1)[0] = 0x4a;
    return buffer.toString();
  });
  await check('compare', () => [Buffer.compare(Buffer.from('a'), Buffer.from('b')), Buffer.from('a').equals(Buffer.from('a'))]);
  await check('indexOf', () => [
    Buffer.from('hello').indexOf('l'), Buffer.from('hello').lastIndexOf('l'), Buffer.from('hello').includes('ell'),
    Buffer.from('hello').indexOf(Buffer.from('lo')), Buffer.from('hello').indexOf(101), Buffer.from('hello').indexOf('zz'),
    Buffer.from('hello').indexOf('l', 3), Buffer.from('hello').indexOf('6c', 'hex'), Buffer.from('hello').indexOf('l', -2),
  ]);
  await check('write', () => {
    const buffer = Buffer.alloc(8);
    return [buffer.write('hé✓', 1), buffer.write('ff', 6, 'hex'), buffer];
  });
  await check('write cut', () => {
    const buffer = Buffer.alloc(3);
    return [buffer.write('a✓'), buffer];
  });
  await check('fill', () => [Buffer.alloc(4).fill('ab'), Buffer.alloc(4).fill(0x61, 1, 3), Buffer.alloc(4).fill('6162', 'hex')]);
  await check('copy', () => {
    const target = Buffer.alloc(4);
    return [Buffer.from('hello').copy(target, 1, 1, 3), target];
  });
  await check('swap', () => [Buffer.from([1, 2, 3, 4]).swap16(), Buffer.from([1, 2, 3, 4]).swap32()]);
  await check('numbers', () => {
    const buffer = Buffer.alloc(16);
    buffer.writeUInt32BE(0xdeadbeef, 0);
    buffer.writeInt16LE(-2, 4);
    buffer.writeDoubleLE(1.5, 8);
    return [buffer, buffer.readUInt32BE(0), buffer.readInt16LE(4), buffer.readDoubleLE(8), buffer.readUIntBE(0, 3), buffer.readBigUInt64LE(8)];
  });
  await check('read out of range', () => Buffer.alloc(2).readUInt32LE(0));
  await check('read past end', () => Buffer.alloc(6).readUInt32LE(4));
  await check('write', () => Buffer.alloc(4).writeUInt16BE(513, 1));
  await check('write default', () => Buffer.alloc(2).writeUInt16BE(1));
  await check('toJSON', () => JSON.stringify(Buffer.from('ab')));
  await check('inspect', () => [Buffer.from('hi'), Buffer.alloc(0), Buffer.alloc(60, 1)]);
  await check('iterate', () => [...Buffer.from('ab').entries()]);
  await check('toString range', () => [Buffer.from('hello').toString('utf8', 1, 3), Buffer.from('hello').toString('utf8', 3, 1), Buffer.from('hello').toString('utf8', -2)]);
  await check('toString number', () => Buffer.from('hello').toString(undefined, 1));
  await check('instanceof', () => [Buffer.from('a') instanceof Uint8Array, Buffer.isBuffer(new Uint8Array(1))]);
  await check('constants', () => typeof constants.MAX_LENGTH);
  await check('isUtf8', () => [isUtf8(Buffer.from([0xff])), isUtf8(Buffer.from('é'))]);
  await check('transcode', () => transcode(Buffer.from('€'), 'utf8', 'utf16le'));
  await check('blob', async () => (await new Blob(['ab', Buffer.from('c')]).text()) + new Blob(['xyz']).size);
  await check('map', () => Buffer.from('ab').map((byte) => byte + 1));
  await check('atob', () => atob(btoa('hello')));
};
