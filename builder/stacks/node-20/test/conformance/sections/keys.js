// Keys, signatures and encryption with keys. What is by chance is checked by its opposite.
'use strict';
const crypto = require('node:crypto');
const { promisify, types } = require('node:util');
const keys = require('../data/keys.json');

const DATA = Buffer.from('data');
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const short = (text) => crypto.createHash('sha256').update(text).digest('hex').slice(0, 16);

module.exports = async (check) => {
  const sources = {
    rsaPrivate: () => crypto.createPrivateKey(keys.rsa.privateKey),
    rsaPublic: () => crypto.createPublicKey(keys.rsa.publicKey),
    rsaPublicOfPrivate: () => crypto.createPublicKey(keys.rsa.privateKey),
    ecPrivate: () => crypto.createPrivateKey(keys.ec.privateKey),
    ecPublic: () => crypto.createPublicKey({ key: keys.ec.publicKey, format: 'pem' }),
    edPrivate: () => crypto.createPrivateKey(Buffer.from(keys.ed.privateKey)),
    edPublic: () => crypto.createPublicKey(keys.ed.publicKey),
    encrypted: () => crypto.createPrivateKey({ key: keys.enc, passphrase: 'top secret' }),
    p521: () => crypto.createPrivateKey({ key: keys.p521, format: 'jwk' }),
    certificate: () => crypto.createPublicKey(keys.cert),
  };
  for (const [name, make] of Object.entries(sources)) {
    await check(name, () => {
      const key = make();
      return [key.type, key.asymmetricKeyType, key.asymmetricKeyDetails, types.isKeyObject(key), key.constructor.name];
    });
    await check(`${name} exports`, () => {
      const key = make();
      const all = key.type === 'private' ? ['pkcs1', 'pkcs8', 'sec1'] : ['pkcs1', 'spki'];
      return all.map((type) => {
        try {
          return [type, short(key.export({ type, format: 'pem' })), key.export({ type, format: 'der' }).length];
        } catch (error) {
          return [type, error.code];
        }
      });
    });
    await check(`${name} jwk`, () => Object.entries(make().export({ format: 'jwk' })).map(([field, value]) => [field, short(value)]).sort());
    await check(`${name} der and back`, () => {
      const key = make();
      if (key.type === 'public') return key.equals(crypto.createPublicKey({ key: key.export({ type: 'spki', format: 'der' }), type: 'spki', format: 'der' }));
      return key.equals(crypto.createPrivateKey({ key: key.export({ type: 'pkcs8', format: 'der' }), type: 'pkcs8', format: 'der' }));
    });
  }
  await check('encrypted export', () => {
    const pem = sources.rsaPrivate().export({ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' });
    return [pem.split('\n')[0], crypto.createPrivateKey({ key: pem, passphrase: 'x' }).equals(sources.rsaPrivate())];
  });
  for (const [what, call] of Object.entries({
    'no key': () => crypto.createPrivateKey('nonsense'),
    'a public key for a private one': () => crypto.createPrivateKey(keys.rsa.publicKey),
    'no passphrase': () => crypto.createPrivateKey(keys.enc),
    'a wrong type': () => crypto.createPrivateKey(5),
    'public of public': () => crypto.createPublicKey(sources.rsaPublic()),
    'a bad format': () => sources.rsaPublic().export({ type: 'spki', format: 'nope' }),
    'a bad type': () => sources.rsaPublic().export({ type: 'pkcs8', format: 'pem' }),
    'a bad jwk': () => crypto.createPublicKey({ key: { kty: 'nope' }, format: 'jwk' }),
    'a secret key as private': () => crypto.sign('sha256', DATA, crypto.createSecretKey(DATA)),
  })) await check(what, call);
  await check('secret', () => {
    const key = crypto.createSecretKey(Buffer.from('key'));
    return [key.type, key.symmetricKeySize, key.export(), key.export({ format: 'jwk' }), key.equals(crypto.createSecretKey('key', 'utf8'))];
  });

  for (const hash of ['sha256', 'RSA-SHA512', 'sha1', 'sha384', 'md5']) {
    await check(`rsa sign ${hash}`, () => crypto.createSign(hash).update('da').update('ta').sign(keys.rsa.privateKey, 'base64').slice(0, 40));
    await check(`rsa verify ${hash}`, () => {
      const signature = crypto.sign(hash, DATA, keys.rsa.privateKey);
      return [signature.length, crypto.verify(hash, DATA, keys.rsa.publicKey, signature), crypto.verify(hash, Buffer.from('other'), keys.rsa.publicKey, signature)];
    });
  }
  await check('ed25519', () => hex(crypto.sign(null, DATA, keys.ed.privateKey)));
  await check('ed25519 verify', () => {
    const signature = crypto.sign(undefined, DATA, keys.ed.privateKey);
    return [crypto.verify(null, DATA, keys.ed.publicKey, signature), crypto.verify(null, Buffer.from('x'), keys.ed.publicKey, signature)];
  });
  for (const dsaEncoding of ['der', 'ieee-p1363']) {
    await check(`ecdsa ${dsaEncoding}`, () => {
      const signature = crypto.sign('sha256', DATA, { key: keys.ec.privateKey, dsaEncoding });
      const key = { key: keys.ec.publicKey, dsaEncoding };
      return [crypto.verify('sha256', DATA, key, signature), crypto.verify('sha512', DATA, key, signature), dsaEncoding === 'der' || signature.length];
    });
  }
  await check('ecdsa of OpenSSL', () => crypto.verify('sha256', DATA, keys.ec.publicKey, Buffer.from(keys.ecs, 'base64')));
  await check('ecdsa garbage', () => crypto.verify('sha256', DATA, keys.ec.publicKey, Buffer.from('garbage')));
  await check('ecdsa p521', () => crypto.verify('sha512', DATA, crypto.createPublicKey(sources.p521()), crypto.sign('sha512', DATA, sources.p521())));
  await check('pss of OpenSSL', () => {
    const verify = (more) => crypto.verify('sha256', DATA, { key: keys.rsa.publicKey, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, ...more }, Buffer.from(keys.pss, 'base64'));
    return [verify({}), verify({ saltLength: 20 }), verify({ saltLength: 32 }), verify({ saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST })];
  });
  await check('pss', () => {
    const key = { key: keys.rsa.privateKey, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    return crypto.createVerify('sha256').update(DATA).verify({ ...key, key: keys.rsa.publicKey }, crypto.createSign('sha256').update(DATA).sign(key));
  });
  await check('sign later', () => new Promise((resolve) => crypto.sign('sha256', DATA, keys.rsa.privateKey, (error, signature) => resolve([error, signature.length]))));
  await check('an unknown hash', () => crypto.sign('nope', DATA, keys.rsa.privateKey));
  await check('createSign of an unknown hash', () => crypto.createSign('nope'));
  await check('sign without a key', () => crypto.createSign('sha256').sign());
  await check('createSign is a stream', () => new Promise((resolve) => {
    const sign = crypto.createSign('sha256');
    sign.on('finish', () => resolve(sign.sign(keys.rsa.privateKey, 'hex').slice(0, 20)));
    sign.end('data');
  }));

  await check('oaep of OpenSSL', () => crypto.privateDecrypt({ key: keys.rsa.privateKey, oaepHash: 'sha256' }, Buffer.from(keys.oaep, 'base64')).toString());
  await check('oaep', () => crypto.privateDecrypt(keys.rsa.privateKey, crypto.publicEncrypt(keys.rsa.publicKey, DATA)).toString());
  await check('oaep with a label', () => {
    const more = { oaepHash: 'sha512', oaepLabel: Buffer.from('label') };
    return crypto.privateDecrypt({ key: keys.rsa.privateKey, ...more }, crypto.publicEncrypt({ key: keys.rsa.publicKey, ...more }, DATA)).toString();
  });
  await check('oaep of something else', () => {
    try {
      crypto.privateDecrypt(keys.rsa.privateKey, Buffer.alloc(256, 1));
    } catch (error) {
      return error.code;
    }
  });
  await check('privateEncrypt', () => hex(crypto.privateEncrypt(keys.rsa.privateKey, DATA)).slice(0, 40));
  await check('publicDecrypt', () => crypto.publicDecrypt(keys.rsa.publicKey, crypto.privateEncrypt(keys.rsa.privateKey, DATA)).toString());
  await check('too much', () => {
    try {
      crypto.publicEncrypt(keys.rsa.publicKey, Buffer.alloc(300));
    } catch (error) {
      return error.code;
    }
  });

  await check('generate rsa', async () => {
    const { publicKey, privateKey } = await promisify(crypto.generateKeyPair)('rsa', { modulusLength: 1024 });
    return [publicKey.asymmetricKeyDetails, crypto.verify('sha256', DATA, publicKey, crypto.sign('sha256', DATA, privateKey))];
  });
  for (const namedCurve of ['P-256', 'secp384r1', 'secp256k1']) {
    await check(`generate ${namedCurve}`, () => {
      const pair = crypto.generateKeyPairSync('ec', {
        namedCurve, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      });
      const signature = crypto.sign('sha256', DATA, pair.privateKey);
      return [pair.publicKey.length, pair.privateKey.length, crypto.verify('sha256', DATA, pair.publicKey, signature)];
    });
  }
  await check('generate ed25519', () => {
    const { publicKey, privateKey } = crypto.generateKeyPairSync('ed25519');
    return crypto.verify(null, DATA, publicKey, crypto.sign(null, DATA, privateKey));
  });
  await check('generate nonsense', () => crypto.generateKeyPairSync('nope'));
  await check('generateKeySync', () => [crypto.generateKeySync('aes', { length: 128 }).symmetricKeySize, crypto.generateKeySync('hmac', { length: 64 }).type]);

  await check('ecdh', () => {
    const [a, b] = [crypto.createECDH('prime256v1'), crypto.createECDH('prime256v1')];
    a.setPrivateKey('01'.repeat(32), 'hex');
    const other = b.generateKeys();
    return [a.getPublicKey('hex'), a.getPublicKey('hex', 'compressed'), a.computeSecret(other).equals(b.computeSecret(a.getPublicKey())), other.length];
  });
  await check('ecdh of something else', () => crypto.createECDH('prime256v1').setPrivateKey('01'.repeat(32), 'hex').computeSecret(Buffer.alloc(65)));
  await check('diffieHellman of keys', () => {
    const [a, b] = [crypto.generateKeyPairSync('x25519'), crypto.generateKeyPairSync('x25519')];
    const secret = crypto.diffieHellman({ privateKey: a.privateKey, publicKey: b.publicKey });
    return [secret.length, secret.equals(crypto.diffieHellman({ privateKey: b.privateKey, publicKey: a.publicKey }))];
  });
  await check('diffie-hellman', () => {
    const [a, b] = [crypto.getDiffieHellman('modp14'), crypto.createDiffieHellmanGroup('modp14')];
    a.generateKeys();
    b.generateKeys();
    return [a.getPrime('hex').slice(0, 20), a.getGenerator('hex'), a.computeSecret(b.getPublicKey()).equals(b.computeSecret(a.getPublicKey()))];
  });
  await check('primes', () => {
    const prime = crypto.generatePrimeSync(64, { bigint: true });
    return [crypto.checkPrimeSync(prime), crypto.checkPrimeSync(91n), crypto.checkPrimeSync(97n), prime.toString(2).length];
  });
  // On Node an error that is left in OpenSSL's queue would be the answer to another section's call.
  try {
    crypto.createPrivateKey('nonsense');
  } catch {}
};
