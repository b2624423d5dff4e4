'use strict';

module.exports = async (check) => {
  await check('versions', () => [/^v20\./.test(process.version), typeof process.versions.node, process.release.name, process.platform]);
  await check('argv', () => [process.argv.length, process.argv[1].endsWith('server.js'), Array.isArray(process.execArgv)]);
  await check('env', () => [process.env.GREETING, process.env.NOPE, 'GREETING' in process.env, 'NOPE' in process.env]);
  await check('env set', () => {
    process.env.X_NUMBER = 5;
    process.env.X_UNDEFINED = undefined;
    const got = [process.env.X_NUMBER, process.env.X_UNDEFINED, Object.keys(process.env).includes('X_NUMBER')];
    delete process.env.X_NUMBER;
    return [...got, process.env.X_NUMBER, 'X_NUMBER' in process.env, { ...process.env }.GREETING];
  });
  await check('env hasOwnProperty', () => process.env.hasOwnProperty('GREETING'));
  await check('cwd', () => typeof process.cwd());
  await check('hrtime', () => {
    const start = process.hrtime();
    const delta = process.hrtime(start);
    return [delta[0] === 0, typeof process.hrtime.bigint()];
  });
  await check('uptime', () => process.uptime() >= 0);
  await check('memoryUsage', () => Object.keys(process.memoryUsage()));
  await check('nextTick order', async () => {
    const seen = [];
    await new Promise((resolve) => {
      setImmediate(() => {
        Promise.resolve().then(() => seen.push('promise'));
        process.nextTick((a, b) => seen.push(`tick${a}${b}`), 1, 2);
        process.nextTick(() => process.nextTick(() => seen.push('inner tick')));
        queueMicrotask(() => seen.push('microtask'));
        setImmediate(resolve);
      });
    });
    return seen;
  });
  await check('nextTick bad', () => process.nextTick(5));
  await check('emitter', () => [typeof process.on, typeof process.listenerCount, process.listenerCount('nope')]);
  await check('warning', () => new Promise((resolve) => {
    process.once('warning', (warning) => resolve([warning.name, warning.message, warning.code]));
    process.emitWarning('careful', { type: 'CustomWarning', code: 'X1' });
  }));
  await check('uncaughtException', () => new Promise((resolve) => {
    process.once('uncaughtException', (error, origin) => resolve([error.message, origin]));
    setTimeout(() => {
      throw new Error('late');
    }, 1);
  }));
  await check('stdout', () => [process.stdout.writable, process.stdout.fd, process.stderr.fd, process.stdout.write('')]);
  await check('exitCode', () => process.exitCode);
  await check('tag', () => Object.prototype.toString.call(process));
};
