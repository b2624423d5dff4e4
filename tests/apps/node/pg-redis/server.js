const express = require('express');
const Redis = require('ioredis');
const { Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 4 });
const redis = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: 2 });
redis.on('error', (error) => console.error('redis:', error.message));

const app = express();
app.use(express.json());

app.get('/', (req, res) => res.send('Hello from Express with pg and ioredis'));

app.post('/setup', async (req, res) => {
  await pool.query('DROP TABLE IF EXISTS notes');
  await pool.query(
    'CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL, tags jsonb, made timestamptz DEFAULT now())',
  );
  res.status(204).end();
});

app.post('/notes', async (req, res) => {
  const { rows } = await pool.query('INSERT INTO notes (text, tags) VALUES ($1, $2) RETURNING id, text, tags', [
    req.body.text,
    JSON.stringify(req.body.tags),
  ]);
  await redis.del('count');
  res.status(201).json(rows[0]);
});

app.get('/notes/count', async (req, res) => {
  const cached = await redis.get('count');
  if (cached !== null) return res.json({ count: Number(cached), from: 'redis' });
  const { rows } = await pool.query('SELECT count(*)::int AS count FROM notes');
  await redis.set('count', rows[0].count, 'EX', 60);
  res.json({ count: rows[0].count, from: 'postgres' });
});

app.get('/parallel', async (req, res) => {
  const numbers = await Promise.all([1, 2, 3].map((n) => pool.query('SELECT $1::int AS n, pg_sleep(0.05)', [n])));
  res.json(numbers.map(({ rows }) => rows[0].n));
});

app.get('/large', async (req, res) => {
  const { rows } = await pool.query("SELECT repeat('x', 1000) AS text FROM generate_series(1, 2000)");
  await redis.set('large', rows.map((row) => row.text).join(''));
  res.json({ rows: rows.length, redis: (await redis.get('large')).length });
});

app.get('/transaction', async (req, res) => {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query('DELETE FROM notes');
    await client.query('ROLLBACK');
    const { rows } = await client.query('SELECT count(*)::int AS count FROM notes');
    res.json(rows[0]);
  } finally {
    client.release();
  }
});

app.get('/pipeline', async (req, res) => {
  const results = await redis.multi().set('a', 1).incr('a').hset('h', { x: 1, y: 2 }).hgetall('h').exec();
  await redis.del('h');
  res.json(results.map(([, value]) => value));
});

app.get('/error', async (req, res) => {
  await pool.query('SELECT * FROM nothing');
  res.end();
});

app.use((error, req, res, next) => res.status(500).json({ error: error.message, code: error.code }));

app.listen(process.env.PORT || 3000);
