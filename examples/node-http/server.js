'use strict';

const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');

const port = process.env.PORT || 3000;

async function sendEvents(res, count) {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  for (let id = 1; id <= count && !res.destroyed; id++) {
    res.write(`id: ${id}\ndata: ${new Date().toISOString()}\n\n`);
    await sleep(300);
  }
  res.end();
}

function sendText(res, status, text) {
  res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
  res.end(text);
}

const server = http.createServer((req, res) => {
  const { pathname } = new URL(req.url, 'http://app');
  console.log(`${req.method} ${pathname}`);
  if (pathname === '/') {
    sendText(res, 200, 'Hello from node:http\n');
  } else if (pathname === '/events') {
    sendEvents(res, 4);
  } else if (pathname === '/echo' && req.method === 'POST') {
    res.writeHead(200, { 'Content-Type': req.headers['content-type'] ?? 'application/octet-stream' });
    req.pipe(res);
  } else if (pathname === '/env') {
    sendText(res, 200, `${process.env.GREETING ?? 'GREETING is not set'}\n`);
  } else {
    sendText(res, 404, 'Not found\n');
  }
});

server.listen(port, () => {
  console.log(`Listening on port ${server.address().port}`);
});
