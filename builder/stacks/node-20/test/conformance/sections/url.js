'use strict';
const url = require('node:url');
const querystring = require('node:querystring');
const punycode = require('node:punycode');

module.exports = async (check) => {
  for (const text of [
    'http://user:pass@host.com:8080/p/a/t/h?query=string#hash', '/a?b=c', '//host/path', 'mailto:a@b.c', 'http://x.com', '?q',
    'javascript:alert(1)', 'http://ex ample.com/a b', 'HTTP://EXAMPLE.com/%7Efoo', 'http://münchen.de/',
  ]) {
    await check(`parse ${text}`, () => ({ ...url.parse(text) }));
  }
  await check('parse query', () => ({ ...url.parse('/x?a=1&a=2&b=%20', true).query }));
  await check('parse slashes', () => url.parse('//host/p', false, true).host);
  await check('parse bad', () => url.parse(5));
  await check('format', () => [url.format({ protocol: 'https', host: 'a.b', pathname: '/c', query: { d: 1 } }), url.format(new URL('http://a/b?c#d'), { fragment: false })]);
  await check('resolve', () => [url.resolve('/one/two/three', 'four'), url.resolve('http://example.com/', '/one'), url.resolve('http://example.com/one', '//x/y')]);
  await check('fileURLToPath', () => url.fileURLToPath('file:///a%20b/c'));
  await check('fileURLToPath bad', () => url.fileURLToPath('http://a/b'));
  await check('pathToFileURL', () => [url.pathToFileURL('/a b/c#d?e').href, url.pathToFileURL('/a/').href]);
  await check('urlToHttpOptions', () => ({ ...url.urlToHttpOptions(new URL('https://u:p@a.b:1/c?d#e')) }));
  await check('domain', () => [url.domainToASCII('español.com'), url.domainToUnicode('xn--espaol-zwa.com')]);
  await check('same', () => [url.URL === URL, url.URLSearchParams === URLSearchParams]);
  await check('qs parse', () => [querystring.parse('a=1&b=2&a=3&c=%E2%9C%93&d'), querystring.parse('a:1;b:2', ';', ':'), querystring.parse('x+y=1')].map((value) => ({ ...value })));
  await check('qs stringify', () => [querystring.stringify({ a: [1, 2], b: 'x y', c: true, d: undefined, e: '✓' }), querystring.escape('a b&c'), querystring.unescape('%41%zz')]);
  await check('punycode', () => [punycode.toASCII('mañana.com'), punycode.encode('ü')]);
};
