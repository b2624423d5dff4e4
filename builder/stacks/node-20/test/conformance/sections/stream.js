'use strict';
const stream = require('node:stream');
const { pipeline: pipelinePromise, finished } = require('node:stream/promises');
const { Readable, Writable, Transform, PassThrough, Duplex, pipeline } = stream;
const { StringDecoder } = require('node:string_decoder');
const consumers = require('node:stream/consumers');

const collector = () => {
  const chunks = [];
  const writable = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  return { chunks, writable };
};

module.exports = async (check) => {
  await check('module', () => [typeof stream, stream === stream.Stream, typeof stream.promises.pipeline, stream.Readable === Readable]);
  await check('from', async () => {
    const seen = [];
    for await (const chunk of Readable.from(['a', 'b'])) seen.push(chunk);
    return seen;
  });
  await check('pipe', async () => {
    const { chunks, writable } = collector();
    Readable.from(['x', 'y']).pipe(writable);
    await finished(writable);
    return chunks;
  });
  await check('events', async () => {
    const seen = [];
    const readable = new Readable({ read() {} });
    for (const name of ['readable', 'data', 'end', 'close', 'pause', 'resume']) readable.on(name, () => seen.push(name));
    readable.push('a');
    readable.push(null);
    readable.resume();
    readable.read();
    await finished(readable);
    await new Promise(setImmediate);
    return seen;
  });
  await check('backpressure', async () => {
    const slow = new Writable({ highWaterMark: 4, write: (_chunk, _encoding, done) => setTimeout(done, 1) });
    const first = slow.write('abcdef');
    const seen = [first, slow.writableNeedDrain, slow.writableLength];
    await new Promise((resolve) => slow.once('drain', resolve));
    return [...seen, slow.writableLength];
  });
  await check('transform', async () => {
    const upper = new Transform({
      transform(chunk, _encoding, done) {
        done(null, chunk.toString().toUpperCase());
      },
      flush(done) {
        this.push('!');
        done();
      },
    });
    const { chunks, writable } = collector();
    await pipelinePromise(Readable.from(['a', 'b']), upper, writable);
    return chunks;
  });
  await check('pipeline error', () => new Promise((resolve) => {
    const broken = new Transform({ transform: (_chunk, _encoding, done) => done(new Error('broken')) });
    pipeline(Readable.from(['a']), broken, new PassThrough(), (error) => resolve(error.message));
  }));
  await check('pipeline generator', async () => {
    const { chunks, writable } = collector();
    await pipelinePromise(
      Readable.from(['1', '2']),
      async function* (source) {
        for await (const chunk of source) yield `${chunk}0`;
      },
      writable,
    );
    return chunks;
  });
  await check('write after end', () => new Promise((resolve) => {
    const { writable } = collector();
    writable.on('error', (error) => resolve([error.code, error.message]));
    writable.end();
    writable.write('x');
  }));
  await check('destroy', async () => {
    const readable = new Readable({ read() {} });
    const seen = [];
    readable.on('error', (error) => seen.push(error.message));
    readable.on('close', () => seen.push('close'));
    readable.destroy(new Error('gone'));
    await new Promise(setImmediate);
    return [seen, readable.destroyed, readable.errored?.message];
  });
  await check('object mode', async () => {
    const seen = [];
    for await (const item of Readable.from([{ a: 1 }, { a: 2 }]).map((value) => value.a)) seen.push(item);
    return seen;
  });
  await check('helpers', async () => [await Readable.from([1, 2, 3]).filter((n) => n > 1).toArray(), await Readable.from([1, 2]).reduce((a, b) => a + b, 0)]);
  await check('duplex', async () => {
    const duplex = new Duplex({
      read() {},
      write(chunk, _encoding, done) {
        this.push(chunk);
        done();
      },
      final(done) {
        this.push(null);
        done();
      },
    });
    duplex.end('echo');
    return consumers.text(duplex);
  });
  await check('setEncoding', async () => {
    const readable = new Readable({ read() {} });
    readable.setEncoding('utf8');
    const bytes = Buffer.from('✓é');
    readable.push(bytes.subarray(0, 2));
    readable.push(bytes.subarray(2));
    readable.push(null);
    return consumers.text(readable);
  });
  await check('unshift', () => {
    const readable = new Readable({ read() {} });
    readable.push('bc');
    readable.unshift('a');
    return readable.read().toString();
  });
  await check('cork', async () => {
    const batches = [];
    const writable = new Writable({
      writev(chunks, done) {
        batches.push(chunks.length);
        done();
      },
    });
    writable.cork();
    writable.write('a');
    writable.write('b');
    process.nextTick(() => writable.uncork());
    writable.end();
    await finished(writable);
    return batches;
  });
  await check('state', () => {
    const { writable } = collector();
    return [writable.writableHighWaterMark, writable.writableObjectMode, new Readable().readableHighWaterMark, new Readable().readableFlowing];
  });
  await check('string decoder', () => {
    const decoder = new StringDecoder('utf8');
    const bytes = Buffer.from('€✓');
    return [decoder.write(bytes.subarray(0, 2)), decoder.write(bytes.subarray(2, 4)), decoder.end(bytes.subarray(4)), new StringDecoder('base64').write(Buffer.from('ab'))];
  });
  await check('web', async () => {
    const web = Readable.toWeb(Readable.from([Buffer.from('x')]));
    return consumers.text(Readable.fromWeb(web));
  });
};
