import { readFile } from 'node:fs/promises';
import Fastify from 'fastify';
import cookie from '@fastify/cookie';
import cors from '@fastify/cors';
import formbody from '@fastify/formbody';
import pino from 'pino';

const logger = pino({ level: process.env.LOG_LEVEL ?? 'info', redact: ['password'] });
const app = Fastify({ loggerInstance: logger });
const greeting = (await readFile(new URL('./greeting.txt', import.meta.url), 'utf8')).trim();

await app.register(cors, { origin: true });
await app.register(cookie, { secret: 'a secret' });
await app.register(formbody);

app.get('/', async () => greeting);
app.post(
  '/sum',
  {
    schema: {
      body: {
        type: 'object',
        required: ['a', 'b'],
        properties: { a: { type: 'number' }, b: { type: 'number' }, when: { type: 'string', format: 'date-time' } },
      },
      response: { 200: { type: 'object', properties: { sum: { type: 'number' } } } },
    },
  },
  async (request) => ({ sum: request.body.a + request.body.b, hidden: true }),
);
app.get('/users/:id', { schema: { params: { type: 'object', properties: { id: { type: 'integer' } } } } }, async (request) => ({
  id: request.params.id,
  query: request.query,
}));
app.post('/form', async (request) => request.body);
app.get('/cookie', async (request, reply) => {
  reply.setCookie('one', '1', { path: '/', signed: true });
  return request.cookies;
});
app.get('/error', async () => {
  throw Object.assign(new Error('no tea'), { statusCode: 418 });
});
app.get('/log', async (request) => {
  request.log.info({ password: 'secret', answer: 42 }, 'logged');
  return 'ok';
});
app.register(
  async (scope) => {
    scope.addHook('preHandler', async (request, reply) => {
      if (request.headers.authorization !== 'Bearer token') return reply.code(401).send({ error: 'who are you?' });
    });
    scope.get('/secret', async () => ({ secret: true }));
  },
  { prefix: '/admin' },
);

await app.listen({ port: Number(process.env.PORT ?? 3000), host: '0.0.0.0' });
