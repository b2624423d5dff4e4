'use strict';
const fs = require('node:fs');
const path = require('node:path');
const os = require('node:os');

module.exports = async (check) => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'conformance-'));
  const at = (...parts) => path.join(dir, ...parts);
  // Temporary names differ from run to run.
  const clean = async (name, call) =>
    check(name, async () => {
      try {
        const value = await call();
        return typeof value === 'string' ? value.replaceAll(dir, 'DIR') : value;
      } catch (error) {
        error.message = error.message.replaceAll(dir, 'DIR');
        throw error;
      }
    });
  await clean('write read', () => {
    fs.writeFileSync(at('a.txt'), 'héllo');
    return [fs.readFileSync(at('a.txt'), 'utf8'), fs.readFileSync(at('a.txt'))];
  });
  await clean('append', () => {
    fs.appendFileSync(at('a.txt'), ' more');
    return fs.readFileSync(at('a.txt'), { encoding: 'utf8' });
  });
  await clean('stat', () => {
    const stat = fs.statSync(at('a.txt'));
    return [stat.size, stat.isFile(), stat.isDirectory(), stat.mtime instanceof Date, Math.abs(stat.mtimeMs - Date.now()) < 60_000];
  });
  await clean('no entry', () => fs.readFileSync(at('nope')));
  await clean('no entry stat', () => fs.statSync(at('nope')));
  await clean('no entry quiet', () => fs.statSync(at('nope'), { throwIfNoEntry: false }));
  await clean('open code', () => {
    try {
      fs.openSync(at('nope'), 'r');
    } catch (error) {
      return [error.code, error.errno, error.syscall, error.path === at('nope')];
    }
  });
  await clean('exists', () => [fs.existsSync(at('a.txt')), fs.existsSync(at('nope'))]);
  await clean('access', () => fs.accessSync(at('nope')));
  await clean('wx', () => fs.writeFileSync(at('a.txt'), 'x', { flag: 'wx' }));
  await clean('read a directory', () => fs.readFileSync(dir));
  await clean('mkdir', () => {
    fs.mkdirSync(at('d'));
    return fs.mkdirSync(at('e/f/g'), { recursive: true }).replaceAll(dir, 'DIR');
  });
  await clean('mkdir exists', () => fs.mkdirSync(at('d')));
  await clean('mkdir recursive exists', () => fs.mkdirSync(at('d'), { recursive: true }));
  await clean('readdir', () => fs.readdirSync(dir).sort());
  await clean('readdir types', () => fs.readdirSync(dir, { withFileTypes: true }).map((entry) => `${entry.name} ${entry.isDirectory()}`).sort());
  await clean('readdir recursive', () => fs.readdirSync(dir, { recursive: true }).sort());
  await clean('rename', () => {
    fs.renameSync(at('a.txt'), at('b.txt'));
    return fs.readdirSync(dir).sort();
  });
  await clean('copy', () => {
    fs.copyFileSync(at('b.txt'), at('c.txt'));
    return fs.readFileSync(at('c.txt'), 'utf8');
  });
  await clean('descriptor', () => {
    const fd = fs.openSync(at('c.txt'), 'r+');
    const bytes = Buffer.alloc(5);
    const first = fs.readSync(fd, bytes, 0, 3, 0);
    const written = fs.writeSync(fd, 'XY', 1);
    fs.ftruncateSync(fd, 4);
    const { size } = fs.fstatSync(fd);
    fs.closeSync(fd);
    return [first, written, bytes.subarray(0, 3), size, fs.readFileSync(at('c.txt'))];
  });
  await clean('closed descriptor', () => fs.readSync(9999, Buffer.alloc(1)));
  await clean('truncate', () => {
    fs.truncateSync(at('c.txt'), 2);
    return fs.readFileSync(at('c.txt')).length;
  });
  await clean('callback', () => new Promise((resolve) => fs.readFile(at('b.txt'), 'utf8', (error, text) => resolve([error, text]))));
  await clean('callback error', () => new Promise((resolve) => fs.readFile(at('nope'), (error, text) => resolve([error.code, text]))));
  await clean('no callback', () => fs.readFile(at('b.txt')));
  await clean('promises', () => fs.promises.readFile(at('b.txt'), 'utf8'));
  await clean('promises error', () => fs.promises.readFile(at('nope')));
  await clean('promises open', async () => {
    const handle = await fs.promises.open(at('h.txt'), 'w+');
    const { bytesWritten } = await handle.write('hello');
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(5), 0, 5, 1);
    const { size } = await handle.stat();
    await handle.close();
    return [bytesWritten, bytesRead, buffer, size];
  });
  await clean('utimes', () => {
    fs.utimesSync(at('b.txt'), 1000, 2000);
    return fs.statSync(at('b.txt')).mtime.toISOString();
  });
  await clean('write stream', async () => {
    const stream = fs.createWriteStream(at('s.txt'));
    const seen = [];
    for (const name of ['open', 'ready', 'finish', 'close']) stream.on(name, () => seen.push(name));
    stream.write('one ');
    stream.end('two');
    await new Promise((resolve) => stream.on('close', resolve));
    return [fs.readFileSync(at('s.txt'), 'utf8'), seen, stream.bytesWritten];
  });
  await clean('read stream', async () => {
    const stream = fs.createReadStream(at('s.txt'), { start: 1, end: 4, encoding: 'utf8' });
    const seen = [];
    for (const name of ['open', 'ready', 'end', 'close']) stream.on(name, () => seen.push(name));
    let text = '';
    stream.on('data', (chunk) => (text += chunk));
    await new Promise((resolve) => stream.on('close', resolve));
    return [text, seen, stream.bytesRead];
  });
  await clean('read stream error', () => new Promise((resolve) => fs.createReadStream(at('nope')).on('error', (error) => resolve(error.code))));
  await clean('large', async () => {
    const data = Buffer.alloc(300_000, 'abc');
    await fs.promises.writeFile(at('large'), data);
    let size = 0;
    for await (const chunk of fs.createReadStream(at('large'))) size += chunk.length;
    return [size, data.equals(await fs.promises.readFile(at('large')))];
  });
  await clean('opendir', async () => {
    const names = [];
    for await (const entry of await fs.promises.opendir(at('e'))) names.push(entry.name);
    return names;
  });
  await clean('realpath', () => fs.realpathSync(at('e/../b.txt')) === fs.realpathSync(at('b.txt')));
  await clean('unlink directory', () => {
    try {
      fs.unlinkSync(at('d'));
    } catch (error) {
      return ['EISDIR', 'EPERM'].includes(error.code);
    }
  });
  await clean('rmdir not empty', () => fs.rmdirSync(at('e')));
  await clean('rm directory', () => fs.rmSync(at('e')));
  await clean('rm missing', () => fs.rmSync(at('nope')));
  await clean('rm force', () => fs.rmSync(at('nope'), { force: true }));
  await clean('rm recursive', () => {
    fs.rmSync(at('e'), { recursive: true });
    fs.unlinkSync(at('c.txt'));
    return fs.readdirSync(dir).sort();
  });
  await clean('bad path', () => fs.readFileSync({}));
  await clean('null byte', () => fs.readFileSync('a\0b'));
  await clean('file url', () => fs.readFileSync(require('node:url').pathToFileURL(at('b.txt')), 'utf8'));
  fs.rmSync(dir, { recursive: true });
};
