'use strict';
const crypto = require('node:crypto');
const { Readable } = require('node:stream');

const key = (bytes) => Buffer.from(Array.from({ length: bytes }, (_, i) => i));
const IV = key(16);
const TEXT = 'The quick brown fox jumps over the lazy dog, again and again.';

module.exports = async (check) => {
  for (const bits of [128, 192, 256]) {
    for (const mode of ['cbc', 'ctr', 'ecb', 'gcm']) {
      const name = `aes-${bits}-${mode}`;
      const iv = mode === 'ecb' ? null : mode === 'gcm' ? IV.subarray(0, 12) : IV;
      const encrypt = (parts) => {
        const cipher = crypto.createCipheriv(name, key(bits / 8), iv);
        const text = parts.map((part) => cipher.update(part, 'utf8', 'hex'));
        text.push(cipher.final('hex'));
        return [text.join(''), mode === 'gcm' ? cipher.getAuthTag() : undefined];
      };
      await check(name, () => encrypt([TEXT]));
      await check(`${name} in parts`, () => encrypt(['', TEXT.slice(0, 5), TEXT.slice(5, 21), TEXT.slice(21)]));
      await check(`${name} back`, () => {
        const [text, tag] = encrypt([TEXT]);
        const decipher = crypto.createDecipheriv(name, key(bits / 8), iv);
        if (tag) decipher.setAuthTag(tag);
        const parts = [text.slice(0, 10), text.slice(10, 64), text.slice(64)].map((part) => decipher.update(part, 'hex', 'latin1'));
        return [parts.map((part) => part.length), parts.join('') + decipher.final('latin1')];
      });
      await check(`${name} info`, () => crypto.getCipherInfo(name));
    }
  }
  await check('a block', () => crypto.createCipheriv('aes128', key(16), IV).update(Buffer.alloc(16)));
  await check('no padding', () => {
    const cipher = crypto.createCipheriv('aes-128-cbc', key(16), IV).setAutoPadding(false);
    return Buffer.concat([cipher.update(Buffer.alloc(32)), cipher.final()]);
  });
  await check('no padding, odd', () => {
    const cipher = crypto.createCipheriv('aes-128-cbc', key(16), IV).setAutoPadding(false);
    cipher.update('odd');
    return cipher.final();
  });
  await check('a wrong key', () => {
    const cipher = crypto.createCipheriv('aes-128-cbc', key(16), IV);
    const secret = Buffer.concat([cipher.update(TEXT), cipher.final()]);
    const decipher = crypto.createDecipheriv('aes-128-cbc', Buffer.alloc(16), IV);
    decipher.update(secret);
    return decipher.final();
  });
  await check('an odd length', () => {
    const decipher = crypto.createDecipheriv('aes-128-cbc', key(16), IV);
    decipher.update('odd');
    return decipher.final();
  });
  await check('aad', () => {
    const cipher = crypto.createCipheriv('aes-256-gcm', key(32), key(20), { authTagLength: 12 });
    cipher.setAAD(Buffer.from('some'));
    cipher.setAAD(Buffer.from(' more'));
    return [cipher.update(TEXT, 'utf8', 'base64'), cipher.final('base64'), cipher.getAuthTag()];
  });
  await check('a wrong tag', () => {
    const decipher = crypto.createDecipheriv('aes-256-gcm', key(32), IV);
    decipher.setAuthTag(Buffer.alloc(16));
    decipher.update('x');
    return decipher.final();
  });
  await check('no tag', () => crypto.createDecipheriv('aes-256-gcm', key(32), IV).final());
  await check('a short tag', () => crypto.createDecipheriv('aes-256-gcm', key(32), IV).setAuthTag(Buffer.alloc(3)));
  await check('the tag too early', () => crypto.createCipheriv('aes-256-gcm', key(32), IV).getAuthTag());
  await check('a tag of another cipher', () => crypto.createCipheriv('aes-256-cbc', key(32), IV).setAAD(Buffer.alloc(1)));
  await check('a short key', () => crypto.createCipheriv('aes-256-cbc', key(31), IV));
  await check('a short iv', () => crypto.createCipheriv('aes-256-cbc', key(32), key(8)));
  await check('no iv', () => crypto.createCipheriv('aes-256-cbc', key(32), null));
  await check('an unknown cipher', () => crypto.createCipheriv('nope', key(32), IV));
  await check('no name', () => crypto.createCipheriv(undefined, key(32), IV));
  await check('update after final', () => {
    const cipher = crypto.createCipheriv('aes-256-ctr', key(32), IV);
    cipher.final();
    return cipher.update('x');
  });
  await check('final twice', () => {
    const cipher = crypto.createCipheriv('aes-256-ctr', key(32), IV);
    cipher.final();
    return cipher.final();
  });
  await check('a key object', () => crypto.createCipheriv('aes-128-ctr', crypto.createSecretKey(key(16)), IV).update('x', 'utf8', 'hex'));
  await check('the counter carries', () => crypto.createCipheriv('aes-128-ctr', key(16), Buffer.alloc(16, 255)).update(Buffer.alloc(40)));
  await check('a stream', async () => {
    const source = Readable.from([Buffer.from(TEXT.slice(0, 7)), Buffer.from(TEXT.slice(7))]);
    const parts = [];
    const there = source.pipe(crypto.createCipheriv('aes-192-cbc', key(24), IV));
    for await (const part of there.pipe(crypto.createDecipheriv('aes-192-cbc', key(24), IV))) parts.push(part);
    return Buffer.concat(parts).toString();
  });
  await check('getCiphers', () => ['aes-128-cbc', 'aes-256-gcm', 'nope'].map((name) => crypto.getCiphers().includes(name)));
  await check('getCipherInfo', () => [crypto.getCipherInfo('nope'), crypto.getCipherInfo('aes-128-cbc', { keyLength: 5 }), crypto.getCipherInfo('aes256')]);
  // On Node an error that is left in OpenSSL's queue would be the answer to another section's call.
  try {
    crypto.createPrivateKey('nonsense');
  } catch {}
};
