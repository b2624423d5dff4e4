require('dotenv').config();
const crypto = require('crypto');
const path = require('path');
const express = require('express');
const compression = require('compression');
const cookieParser = require('cookie-parser');
const cors = require('cors');
const helmet = require('helmet');
const logger = require('morgan');
const session = require('express-session');

const app = express();
app.set('views', path.join(__dirname, 'views'));
app.set('view engine', 'ejs');
app.set('trust proxy', 1);

app.use(helmet());
app.use(cors());
app.use(compression({ threshold: 100 }));
app.use(logger('tiny'));
app.use(express.json());
app.use(express.urlencoded({ extended: false }));
app.use(cookieParser('a secret'));
app.use(express.static(path.join(__dirname, 'public')));
app.use('/session', session({ secret: 'another', resave: false, saveUninitialized: true, genid: () => 'fixed' }));

app.use('/auth', require('./routes/auth'));
app.use('/upload', require('./routes/upload'));

app.get('/', (req, res) => res.render('index', { title: 'Express 4', items: ['<a>', 'b'] }));
app.post('/form', (req, res) => res.json(req.body));
app.get('/cookies/set', (req, res) => {
  res.cookie('plain', 'a b').cookie('signed', 'value', { signed: true, httpOnly: true });
  res.json({ set: true });
});
app.get('/cookies', (req, res) => res.json({ plain: req.cookies, signed: req.signedCookies }));
app.get('/session/count', (req, res) => {
  req.session.count = (req.session.count ?? 0) + 1;
  res.json({ count: req.session.count, id: req.sessionID });
});
app.get('/hash/:text', (req, res) => res.send(crypto.createHash('sha1').update(req.params.text).digest('hex')));
app.get('/long', (req, res) => res.type('text').send('0123456789'.repeat(100)));
app.get('/file', (req, res) => res.sendFile(path.join(__dirname, 'public', 'hello.txt')));
app.get('/download', (req, res) => res.download(path.join(__dirname, 'public', 'hello.txt'), 'greeting.txt'));

app.use((req, res) => res.status(404).render('error', { message: 'Not Found', status: 404 }));
app.use((error, req, res, next) => {
  res.status(error.status || 500).render('error', { message: error.message, status: error.status || 500 });
});

module.exports = app;
