const fs = require('fs');
const os = require('os');
const express = require('express');
const multer = require('multer');

const router = express.Router();
const memory = multer({ storage: multer.memoryStorage(), limits: { fileSize: 1000 } });
const disk = multer({ dest: os.tmpdir() });

router.post('/memory', memory.single('file'), (req, res) => {
  const { originalname, mimetype, size, buffer } = req.file;
  res.json({ originalname, mimetype, size, text: buffer.toString(), fields: req.body });
});

router.post('/disk', disk.array('file', 2), (req, res) => {
  res.json(req.files.map((file) => ({ name: file.originalname, text: fs.readFileSync(file.path, 'utf8') })));
});

module.exports = router;
