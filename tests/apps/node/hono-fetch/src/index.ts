import { Hono } from 'hono';
import { stream, streamText } from 'hono/streaming';

const app = new Hono();

app.get('/', (c) => c.text('Hello from a fetch handler'));
app.get('/text', (c) =>
  streamText(c, async (out) => {
    for (let i = 1; i <= 3; i++) {
      await out.writeln(`part ${i}`);
      await out.sleep(20);
    }
  }),
);
app.post('/upper', (c) =>
  stream(c, async (out) => {
    const reader = c.req.raw.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      await out.write(value.toUpperCase());
    }
  }),
);
app.get('/env', (c) => c.json({ greeting: process.env.GREETING ?? null, url: new URL(c.req.url).pathname }));
app.get('/boom', () => {
  throw new Error('boom');
});

export default { fetch: app.fetch };
