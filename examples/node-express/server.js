const express = require('express');
const path = require('node:path');

const app = express();
const port = process.env.PORT || 3000;

app.use(express.json());
app.use('/public', express.static(path.join(__dirname, 'public')));

app.get('/', (req, res) => {
  console.log('Saying hello');
  res.send('Hello from Express\n');
});

app.post('/json', (req, res) => {
  res.json({ received: req.body });
});

app.get('/env', (req, res) => {
  res.type('text').send(`${process.env.GREETING ?? 'GREETING is not set'}\n`);
});

app.get('/users/:id', (req, res) => {
  res.json({ id: req.params.id, query: req.query });
});

app.get('/error', async () => {
  throw new Error('Something broke');
});

app.use((req, res) => {
  res.status(404).type('text').send('Not found\n');
});

app.use((err, req, res, next) => {
  console.error(err);
  if (res.headersSent) return next(err);
  res.status(err.status ?? 500).json({ error: err.message });
});

app.listen(port, () => {
  console.log(`Listening on port ${port}`);
});
