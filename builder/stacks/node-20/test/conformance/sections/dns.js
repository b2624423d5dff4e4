'use strict';
const dns = require('node:dns');

const lookup = (...args) =>
  new Promise((resolve) => {
    dns.lookup(...args, (error, ...results) => resolve(error ? `${error.code} ${error.syscall}` : results));
  });

module.exports = async (check) => {
  await check('an address', () => lookup('192.0.2.1'));
  await check('an address of version 6', () => lookup('2001:db8::1', 6));
  await check('all', () => lookup('192.0.2.1', { all: true }));
  await check('nothing', () => lookup(''));
  await check('promises', () => dns.promises.lookup('192.0.2.1'));
  await check('promises all', () => require('node:dns/promises').lookup('192.0.2.1', { all: true }));
  await check('promisify', () => require('node:util').promisify(dns.lookup)('192.0.2.1'));
  await check('no callback', () => dns.lookup('192.0.2.1'));
  await check('order', () => dns.getDefaultResultOrder());
  await check('codes', () => [dns.NOTFOUND, dns.SERVFAIL, dns.ADDRCONFIG]);
};
