'use strict';

const app = require('node:path').dirname(__dirname);
// The app lies elsewhere in a dyno.
const place = (text) => text.replaceAll(app, 'APP');

function named() {
  return new Error('here');
}

module.exports = async (check) => {
  await check('first line', () => named().stack.split('\n')[0]);
  await check('frame', () => place(named().stack.split('\n')[1].replace(/:\d+\)$/, ')')));
  await check('capture', () => {
    const target = {};
    Error.captureStackTrace(target);
    return [typeof target.stack, Object.keys(target), target.stack.split('\n')[0]];
  });
  await check('capture above', () => {
    const target = {};
    function outer() {
      inner();
    }
    function inner() {
      Error.captureStackTrace(target, inner);
    }
    outer();
    return target.stack.split('\n')[1].trim().split(' ').slice(0, 2).join(' ');
  });
  await check('prepareStackTrace', () => {
    const original = Error.prepareStackTrace;
    Error.prepareStackTrace = (_, sites) => sites;
    const { stack } = new Error('x');
    Error.prepareStackTrace = original;
    return [Array.isArray(stack), place(stack[0].getFileName()), typeof stack[0].getLineNumber(), stack[0].isNative()];
  });
  await check('limit', () => {
    const before = Error.stackTraceLimit;
    Error.stackTraceLimit = 1;
    const lines = new Error('x').stack.split('\n').length;
    Error.stackTraceLimit = before;
    return lines;
  });
  await check('set stack', () => {
    const error = new Error('x');
    error.stack = 'mine';
    return error.stack;
  });
  await check('subclass', () => {
    class Mine extends Error {
      constructor(message) {
        super(message);
        this.name = 'Mine';
      }
    }
    return new Mine('m').toString();
  });
  await check('cause', () => new Error('a', { cause: 'b' }).cause);
  await check('keys', () => Object.keys(new Error('x')));
};
