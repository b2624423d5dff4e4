const path = require('path');
const express = require('express');

const app = express();
app.use(express.json());
app.use(express.static(path.join(__dirname, 'public')));

const router = express.Router();
router.get('/:id', (req, res) => res.json({ id: req.params.id, query: req.query }));

app.get('/', (req, res) => res.send('Hello from Express 5'));
app.use('/users', router);
app.post('/echo', (req, res) => res.status(201).json(req.body));
app.get('/sync-error', () => {
  throw new Error('sync');
});
app.get('/async-error', async () => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  throw Object.assign(new Error('async'), { status: 418 });
});
app.get('/redirect', (req, res) => res.redirect(302, '/users/1'));
app.get('/files/*rest', (req, res) => res.send(req.params.rest.join('|')));
app.get('/format', (req, res) =>
  res.format({ html: () => res.send('<p>hi</p>'), json: () => res.json({ message: 'hi' }) }),
);
app.use((error, req, res, next) => {
  res.status(error.status ?? 500).json({ error: error.message, type: error.type });
});

app.listen(process.env.PORT || 3000, () => console.log('listening'));
