const { createPublicKey } = require('crypto');
const fs = require('fs');
const path = require('path');
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

// Tokens that others can check with the public key.
router.get('/signed/:algorithm', (req, res) => {
  const { algorithm } = req.params;
  const name = algorithm.startsWith('ES') ? 'ec.pem' : 'rsa.pem';
  const key = fs.readFileSync(path.join(__dirname, '..', 'keys', name));
  const token = jwt.sign({ sub: 'ada', iat: 1700000000 }, key, { algorithm });
  const payload = jwt.verify(token, createPublicKey(key), { algorithms: [algorithm] });
  res.json({ payload, header: jwt.decode(token, { complete: true }).header });
});

module.exports = router;
