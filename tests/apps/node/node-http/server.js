const http = require('node:http');
const { pipeline } = require('node:stream/promises');

const { PORT = 3000, UPSTREAM_URL } = process.env;

const json = (res, value) => {
  res.writeHead(200, { 'content-type': 'application/json' });
  res.end(JSON.stringify(value));
};

const textOf = async (message) => {
  message.setEncoding('utf8');
  let text = '';
  for await (const part of message) text += part;
  return text;
};

const answerOf = (request) =>
  new Promise((resolve, reject) => request.once('response', resolve).once('error', reject));

function events(req, res, last) {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  let id = 0;
  const timer = setInterval(() => {
    res.write(`id: ${++id}\ndata: event ${id}\n\n`);
    if (id === last) {
      clearInterval(timer);
      res.end();
    }
  }, 20);
  res.on('close', () => {
    clearInterval(timer);
    console.log(res.writableFinished ? `all ${id} events sent` : 'the client left in the middle of the events');
  });
}

const routes = {
  'GET /': (req, res) => res.end('Hello from node:http'),
  'GET /header': (req, res) => {
    res.setHeader('X-Greeting', process.env.GREETING);
    res.setHeader('Set-Cookie', ['a=1', 'b=2']);
    res.end(`${req.headers.accept} ${req.httpVersion}`);
  },
  'POST /echo': async (req, res) => {
    res.setHeader('content-type', req.headers['content-type']);
    await pipeline(req, res);
  },
  'GET /events': (req, res) => events(req, res, 3),
  'GET /events/endless': (req, res) => events(req, res, Infinity),
  'GET /outbound': async (req, res) => {
    const answer = await answerOf(http.get(`${UPSTREAM_URL}/hello?from=app`, { headers: { 'x-from': 'app' } }));
    const { statusCode, headers } = answer;
    json(res, { statusCode, cookies: headers['set-cookie'], type: headers['content-type'], text: await textOf(answer) });
  },
  'POST /outbound/digest': async (req, res) => {
    const request = http.request(`${UPSTREAM_URL}/digest`, { method: 'POST' });
    const [answer] = await Promise.all([answerOf(request), pipeline(req, request)]);
    json(res, { digest: await textOf(answer) });
  },
  'GET /outbound/parts': async (req, res) => {
    const answer = await answerOf(http.get(`${UPSTREAM_URL}/parts`));
    await pipeline(answer, res);
  },
  'GET /outbound/parallel': async (req, res) => {
    const texts = [1, 2, 3].map(async (n) => textOf(await answerOf(http.get(`${UPSTREAM_URL}/hello?from=${n}`))));
    json(res, await Promise.all(texts));
  },
  'GET /outbound/fetch': async (req, res) => {
    const answer = await fetch(`${UPSTREAM_URL}/hello?from=fetch`);
    json(res, { status: answer.status, text: await answer.text() });
  },
  'GET /outbound/refused': async (req, res) => {
    const { hostname } = new URL(UPSTREAM_URL);
    const failure = await answerOf(http.get({ hostname, port: 2 })).catch((error) => error);
    json(res, { code: failure.code, syscall: failure.syscall });
  },
};

http
  .createServer(async (req, res) => {
    const route = routes[`${req.method} ${req.url}`];
    if (route === undefined) {
      res.writeHead(404, 'Nothing here').end();
      return;
    }
    await route(req, res);
  })
  .listen(PORT, () => console.log(`listening on ${PORT}`));
