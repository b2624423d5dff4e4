'use strict';
const crypto = require('node:crypto');

module.exports = async (check) => {
  for (const name of ['md5', 'sha1', 'sha224', 'sha256', 'SHA384', 'sha512', 'ripemd160', 'sha3-256', 'RSA-SHA256', 'sha512-256']) {
    await check(`hash ${name}`, () => crypto.createHash(name).update('hello').update(Buffer.from(' world')).digest('hex'));
    await check(`hmac ${name}`, () => crypto.createHmac(name, 'key').update('hello').digest('base64'));
  }
  for (const name of ['md5', 'sha1', 'sha256', 'sha384', 'sha512']) {
    for (const length of [0, 1, 55, 56, 63, 64, 111, 112, 128, 255, 256, 257, 1000, 70_000]) {
      const bytes = Buffer.alloc(length, 'abc');
      await check(`${name} of ${length} bytes`, () => {
        const hash = crypto.createHash(name);
        for (let at = 0; at < length; at += 17_001) hash.update(bytes.subarray(at, at + 17_001));
        return [hash.digest('hex'), crypto.createHmac(name, bytes.subarray(0, 200)).update(bytes).digest('hex')];
      });
    }
    await check(`${name}: what changes after update`, () => {
      const bytes = Buffer.from('before');
      const hash = crypto.createHash(name).update(bytes);
      bytes.fill(0);
      return hash.digest('hex');
    });
  }
  await check('digest buffer', () => crypto.createHash('sha1').update('x').digest());
  await check('digest base64url', () => crypto.createHash('sha1').update('x').digest('base64url'));
  await check('digest twice', () => {
    const hash = crypto.createHash('sha1');
    hash.digest();
    return hash.digest();
  });
  await check('update after digest', () => {
    const hash = crypto.createHash('sha1');
    hash.digest();
    hash.update('x');
  });
  await check('update encoding', () => crypto.createHash('sha1').update('6162', 'hex').digest('hex'));
  await check('copy', () => {
    const hash = crypto.createHash('sha1').update('a');
    const copy = hash.copy();
    return [hash.update('b').digest('hex'), copy.digest('hex')];
  });
  await check('unknown hash', () => crypto.createHash('nope').update('x') && 'made');
  await check('bad data', () => crypto.createHash('sha1').update(5));
  await check('stream', () => new Promise((resolve) => {
    const hash = crypto.createHash('sha256');
    hash.on('data', (digest) => resolve(digest.toString('hex')));
    hash.write('a');
    hash.end('b');
  }));
  await check('randomBytes', () => [crypto.randomBytes(8).length, crypto.randomBytes(0).length, Buffer.isBuffer(crypto.randomBytes(1))]);
  await check('randomBytes async', () => new Promise((resolve) => crypto.randomBytes(4, (error, bytes) => resolve([error, bytes.length]))));
  await check('randomBytes bad', () => crypto.randomBytes('5'));
  await check('randomInt', () => { const n = crypto.randomInt(5, 10); return n >= 5 && n < 10; });
  await check('randomUUID', () => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()));
  await check('timingSafeEqual', () => [crypto.timingSafeEqual(Buffer.from('a'), Buffer.from('a')), crypto.timingSafeEqual(Buffer.from('a'), Buffer.from('b'))]);
  await check('timingSafeEqual length', () => crypto.timingSafeEqual(Buffer.from('a'), Buffer.from('ab')));
  await check('pbkdf2Sync', () => crypto.pbkdf2Sync('pass', 'salt', 10, 20, 'sha256').toString('hex'));
  await check('pbkdf2', () => new Promise((resolve) => crypto.pbkdf2('pass', 'salt', 10, 16, 'sha1', (error, key) => resolve(key.toString('hex')))));
  await check('scryptSync', () => crypto.scryptSync('pass', 'salt', 16, { N: 16 }).toString('hex'));
  await check('hkdfSync', () => Buffer.from(crypto.hkdfSync('sha256', 'key', 'salt', 'info', 16)).toString('hex'));
  await check('createSecretKey', () => crypto.createHmac('sha256', crypto.createSecretKey(Buffer.from('key'))).update('x').digest('hex'));
  await check('webcrypto', async () => Buffer.from(await crypto.webcrypto.subtle.digest('SHA-256', Buffer.from('x'))).toString('hex'));
  await check('getHashes', () => crypto.getHashes().includes('sha256'));
};
