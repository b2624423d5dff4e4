'use strict';
const assert = require('node:assert');

module.exports = async (check) => {
  await check('ok', () => assert(true));
  await check('exports', () => typeof assert.strict.equal + typeof assert.AssertionError);
  await check('equal', () => assert.equal(1, '1'));
  await check('strictEqual code', () => {
    try {
      assert.strictEqual(1, 2);
    } catch (error) {
      return [error.code, error.name, error.actual, error.expected, error.operator, error.generatedMessage];
    }
  });
  await check('message', () => assert.fail('own message'));
  await check('deepEqual', () => assert.deepStrictEqual({ a: [1, new Map([[1, { b: 2 }]])] }, { a: [1, new Map([[1, { b: 2 }]])] }));
  await check('deepEqual fails', () => {
    try {
      assert.deepStrictEqual({ a: 1 }, { a: 2 });
    } catch (error) {
      return error.code;
    }
  });
  await check('throws', () =>
    assert.throws(() => {
      throw new TypeError('x');
    }, TypeError));
  await check('rejects', () => assert.rejects(Promise.reject(new Error('no')), /no/));
  await check('ifError', () => assert.ifError(null));
  await check('match', () => assert.match('abc', /b/));
};
