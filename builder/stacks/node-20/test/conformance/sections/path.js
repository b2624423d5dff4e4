'use strict';
const path = require('node:path');

module.exports = async (check) => {
  for (const name of ['/a/b/c.txt', 'a/b/', './x', '', '/', '../..', 'c.tar.gz', '.profile', '/a//b/../c/.']) {
    await check(`parts of ${name}`, () => [path.dirname(name), path.basename(name), path.extname(name), path.normalize(name), path.parse(name), path.isAbsolute(name)]);
  }
  await check('basename ext', () => path.basename('a/b.html', '.html'));
  await check('join', () => [path.join('a', '..', '/b', './c'), path.join(''), path.join('/a', '')]);
  await check('resolve', () => [path.resolve('/a', 'b', '../c'), path.resolve('/a', '/b')]);
  await check('relative', () => [path.relative('/a/b/c', '/a/d'), path.relative('/a', '/a'), path.relative('/a/b', '/')]);
  await check('format', () => path.format({ dir: '/x', name: 'y', ext: '.z' }));
  await check('constants', () => [path.sep, path.delimiter, path.posix.sep]);
  await check('bad', () => path.join(1));
};
