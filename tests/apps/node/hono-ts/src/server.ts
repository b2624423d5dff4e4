import { serve } from '@hono/node-server';
import { serveStatic } from '@hono/node-server/serve-static';
import { zValidator } from '@hono/zod-validator';
import { Hono } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { HTTPException } from 'hono/http-exception';
import { streamSSE } from 'hono/streaming';
import { nanoid } from 'nanoid';
import { z } from 'zod';
import { newUser, type User } from './users.ts';

const app = new Hono();
const users = new Map<string, User>();

app.get('/', (c) => c.text('Hello from Hono'));
app.get('/id', (c) => c.json({ length: nanoid().length }));
app.get('/users/:name', (c) => {
  const user = users.get(c.req.param('name'));
  return user ? c.json(user) : c.notFound();
});
app.post('/users', zValidator('json', newUser), (c) => {
  const user: User = { ...c.req.valid('json'), roles: ['user'] };
  users.set(user.name, user);
  return c.json(user, 201);
});
app.get('/search', zValidator('query', z.object({ page: z.coerce.number().int().positive() })), (c) =>
  c.json(c.req.valid('query')),
);
app.post('/upload', async (c) => {
  const form = await c.req.formData();
  const file = form.get('file') as File;
  return c.json({ name: file.name, text: await file.text(), note: form.get('note') });
});
app.get('/cookie', (c) => {
  setCookie(c, 'b', '2', { httpOnly: true });
  return c.text(getCookie(c, 'a') ?? 'none');
});
app.get('/events', (c) =>
  streamSSE(c, async (stream) => {
    for (let id = 1; id <= 3; id++) {
      await stream.writeSSE({ data: `event ${id}`, id: String(id) });
      await stream.sleep(10);
    }
  }),
);
app.get('/forbidden', () => {
  throw new HTTPException(403, { message: 'not you' });
});
app.use('/static/*', serveStatic({ root: './' }));

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) });
