const Koa = require('koa');
const Router = require('@koa/router');
const bodyParser = require('koa-bodyparser');
const serve = require('koa-static');

const app = new Koa();
const router = new Router();

app.use(async (ctx, next) => {
  try {
    await next();
  } catch (error) {
    ctx.status = error.status ?? 500;
    ctx.body = { error: error.message };
  }
});
app.use(async (ctx, next) => {
  await next();
  ctx.set('X-Seen', ctx.method);
});
app.use(serve(`${__dirname}/public`));
app.use(bodyParser());

router.get('/', (ctx) => {
  ctx.body = 'Hello from Koa';
});
router.get('/users/:id', (ctx) => {
  ctx.body = { id: ctx.params.id, query: ctx.query, ip: typeof ctx.ip };
});
router.post('/echo', (ctx) => {
  ctx.status = 201;
  ctx.body = ctx.request.body;
});
router.get('/stream', (ctx) => {
  ctx.type = 'text';
  ctx.body = require('fs').createReadStream(`${__dirname}/public/hello.txt`);
});
router.get('/cookie', (ctx) => {
  ctx.cookies.set('seen', 'yes', { httpOnly: true });
  ctx.body = ctx.cookies.get('was') ?? 'none';
});
router.get('/throw', (ctx) => ctx.throw(403, 'not you'));

app.use(router.routes()).use(router.allowedMethods());
app.listen(process.env.PORT ?? 3000);
