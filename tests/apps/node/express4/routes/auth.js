const express = require('express');
const jwt = require('jsonwebtoken');

const router = express.Router();
const SECRET = process.env.JWT_SECRET || 'not so secret';

router.post('/login', (req, res) => {
  const token = jwt.sign({ sub: req.body.name, iat: 1700000000 }, SECRET, { algorithm: 'HS256' });
  res.json({ token });
});

router.get('/me', (req, res) => {
  const [, token] = (req.get('authorization') ?? '').split(' ');
  jwt.verify(token, SECRET, (error, payload) => {
    if (error) return res.status(401).json({ error: error.name, message: error.message });
    res.json(payload);
  });
});

module.exports = router;
