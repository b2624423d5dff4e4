const express = require('express');
const mysql = require('mysql2/promise');

const pool = mysql.createPool({ uri: process.env.DATABASE_URL, connectionLimit: 4 });
const app = express();
app.use(express.json());

app.get('/', (req, res) => res.send('Hello from Express with mysql2'));

app.post('/setup', async (req, res) => {
  await pool.query('DROP TABLE IF EXISTS notes');
  await pool.query(
    'CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(200) NOT NULL, price DECIMAL(8,2), made DATETIME)',
  );
  res.status(204).end();
});

app.post('/notes', async (req, res) => {
  const { text = null, price = null } = req.body;
  const [{ insertId }] = await pool.execute('INSERT INTO notes (text, price, made) VALUES (?, ?, ?)', [
    text,
    price,
    new Date(0),
  ]);
  const [rows] = await pool.execute('SELECT id, text, price FROM notes WHERE id = ?', [insertId]);
  res.status(201).json(rows[0]);
});

app.get('/notes', async (req, res) => {
  const [rows] = await pool.query('SELECT id, text FROM notes WHERE id IN (?) ORDER BY id', [[1, 2, 3]]);
  res.json(rows);
});

app.get('/parallel', async (req, res) => {
  const answers = await Promise.all([1, 2, 3].map((n) => pool.execute('SELECT CAST(? AS INT) AS n, SLEEP(0.05)', [n])));
  res.json(answers.map(([[row]]) => row.n));
});

app.get('/large', async (req, res) => {
  const [rows] = await pool.query("SELECT REPEAT('x', 1000) AS text FROM seq_1_to_2000");
  res.json({ rows: rows.length, bytes: rows.reduce((sum, { text }) => sum + text.length, 0) });
});

app.get('/transaction', async (req, res) => {
  const connection = await pool.getConnection();
  try {
    await connection.beginTransaction();
    await connection.query('DELETE FROM notes');
    await connection.rollback();
    const [[row]] = await connection.query('SELECT COUNT(*) AS count FROM notes');
    res.json(row);
  } finally {
    connection.release();
  }
});

app.get('/error', async () => {
  await pool.query('SELECT * FROM nothing');
});

app.use((error, req, res, next) => res.status(500).json({ code: error.code, errno: error.errno }));

app.listen(process.env.PORT || 3000);
