// readline over streams, vm in the one global scope, and what else runs text.
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { PassThrough, Readable } = require('node:stream');
const util = require('node:util');
const vm = require('node:vm');

module.exports = async (check) => {
  await check('lines', async () => {
    const lines = [];
    const rl = readline.createInterface({ input: Readable.from(['one\ntw', 'o\r', '\nthree\u2028', 'last']), crlfDelay: Infinity });
    for await (const line of rl) lines.push(line);
    return lines;
  });
  await check('line events', () => new Promise((resolve) => {
    const seen = [];
    const input = new PassThrough();
    const rl = readline.createInterface({ input });
    rl.on('line', (line) => seen.push(line)).on('close', () => resolve(seen));
    input.write(Buffer.from('grü').subarray(0, 3));
    input.write(Buffer.from('grü').subarray(3));
    input.end('n\n\nx');
  }));
  await check('a file', async () => {
    const file = path.join(os.tmpdir(), `readline-${process.pid}-${Date.now()}`);
    fs.writeFileSync(file, 'a\nb\n');
    const lines = [];
    for await (const line of readline.createInterface({ input: fs.createReadStream(file) })) lines.push(line);
    const buffers = [Buffer.alloc(1), Buffer.alloc(2)];
    const fd = fs.openSync(file, 'r+');
    const count = fs.readvSync(fd, buffers, 0);
    fs.writevSync(fd, [Buffer.from('x'), Buffer.from('y')], 0);
    fs.closeSync(fd);
    const text = fs.readFileSync(file, 'utf8');
    fs.unlinkSync(file);
    return [lines, count, String(buffers[1]), text];
  });
  await check('question', async () => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const rl = readline.createInterface({ input, output });
    const answer = util.promisify(rl.question).call(rl, 'Name? ');
    input.write('Ada\n');
    const text = await answer;
    rl.close();
    return [text, output.read().toString()];
  });
  await check('question as a promise', async () => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const rl = readline.promises.createInterface({ input, output });
    const answer = rl.question('Name? ');
    input.write('Ada\n');
    const text = await answer;
    rl.close();
    return text;
  });
  await check('closed', () => {
    const rl = readline.createInterface({ input: new PassThrough() });
    rl.close();
    rl.question('x', () => {});
  });
  await check('cursor', () => {
    const output = new PassThrough();
    readline.cursorTo(output, 3);
    readline.cursorTo(output, 3, 4);
    readline.clearLine(output, 0);
    readline.moveCursor(output, -1, 2);
    readline.clearScreenDown(output);
    return JSON.stringify(output.read().toString());
  });
  await check('vm', () => [vm.runInThisContext('1 + 1'), new vm.Script('typeof globalThis').runInThisContext(), vm.isContext({})]);
  await check('vm syntax', () => {
    try {
      return new vm.Script('a b');
    } catch (error) {
      return error.name;
    }
  });
  await check('compileFunction', () => vm.compileFunction('return a + b', ['a', 'b'])(1, 2));
  await check('parseEnv', () => util.parseEnv('A=1\n# no\nB="two\\nlines" # c\nexport C=\'x\'\n D = plain # c\nE=\n'));
  await check('parseArgs', () => util.parseArgs({ args: ['-f', '--bar', 'b'], options: { foo: { type: 'boolean', short: 'f' }, bar: { type: 'string' } } }));
};
