'use strict';
const http = require('node:http');

module.exports = async (check, { req, res }) => {
  await check('exports', () => [typeof http.Agent, typeof http.request, http.METHODS.length, http.STATUS_CODES[418]]);
  await check('method', () => [req.method, req.url, req.httpVersion, req.httpVersionMajor]);
  await check('headers', () => [req.headers['x-one'], req.headers['x-many'], req.headers.cookie, req.headers['content-type']]);
  await check('raw', () => req.rawHeaders.map((text) => text.toLowerCase()).filter((_, i, all) => /^x-(one|many)$/.test(all[i - (i % 2)])));
  await check('distinct', () => req.headersDistinct['x-many']);
  await check('instances', () => [req instanceof http.IncomingMessage, res instanceof http.ServerResponse, req instanceof require('node:stream').Readable]);
  await check('body', async () => {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    return [Buffer.concat(chunks).toString(), req.complete, req.readableEnded];
  });
  await check('response before', () => [res.headersSent, res.statusCode, res.finished, res.writableEnded, res.getHeaderNames()]);
  await check('set', () => {
    res.setHeader('X-A', 'b');
    res.setHeader('x-list', ['1', '2']);
    res.setHeader('X-Num', 5);
    return [res.getHeader('x-a'), res.getHeader('X-LIST'), res.getHeader('x-num'), res.getHeaders(), res.hasHeader('X-a'), res.getHeaderNames(), res.getRawHeaderNames()];
  });
  await check('remove', () => {
    res.removeHeader('X-LIST');
    return res.getHeaderNames();
  });
  await check('append', () => {
    res.appendHeader('x-a', 'c');
    return res.getHeader('x-a');
  });
  await check('bad name', () => res.setHeader('bad name', 'x'));
  await check('bad value', () => res.setHeader('x', 'a\nb'));
  await check('undefined value', () => res.setHeader('x', undefined));
  await check('bad status', () => res.writeHead(99));
  await check('writeHead', () => {
    res.writeHead(201, 'Made', { 'X-Late': 'yes', 'X-A': 'z' });
    return [res.headersSent, res.statusCode, res.statusMessage, res.getHeader('x-late')];
  });
  await check('writeHead twice', () => res.writeHead(200));
  await check('set after', () => res.setHeader('x', 'y'));
  await check('remove after', () => res.removeHeader('x'));
  await check('write bad', () => res.write(5));
  await check('write null', () => res.write(null));
  await check('server', () => {
    const server = http.createServer();
    return [server.listening, server.address(), server.keepAliveTimeout, server.requestTimeout, server instanceof http.Server];
  });
  await check('close without listen', () => new Promise((resolve) => http.createServer().close((error) => resolve(error.code))));
  await check('subclasses', () => {
    function Response(request) {
      http.ServerResponse.call(this, request);
    }
    require('node:util').inherits(Response, http.ServerResponse);
    const made = new Response({ method: 'GET' });
    made.setHeader('a', 'b');
    return made.getHeader('A');
  });
  await check('prototype', () => {
    const request = Object.create(http.IncomingMessage.prototype);
    return request instanceof http.IncomingMessage;
  });
  await check('validate', () => [http.validateHeaderName('x-ok'), http.validateHeaderValue('x', 'ok')]);
};
