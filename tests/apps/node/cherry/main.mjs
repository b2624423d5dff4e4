import { createServer } from 'node:http';
import { handler } from './src/app.mjs';

// Ring for node:http: the request as a map with plain keys, the response as one.
createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { status, headers, body } = await handler(request.method, request.url, Buffer.concat(chunks).toString());
  response.writeHead(status, headers);
  response.end(body);
}).listen(process.env.PORT ?? 3000);
