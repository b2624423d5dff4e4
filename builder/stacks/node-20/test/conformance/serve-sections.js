// Runs one section of checks per request and answers with what it printed.
'use strict';

const http = require('node:http');
const util = require('node:util');

async function run(section, context) {
  const lines = [];
  const show = (value) => (typeof value === 'string' ? value : util.inspect(value, { depth: 6, breakLength: 110 }));
  const check = async (name, call) => {
    let result;
    try {
      result = show(await call());
    } catch (error) {
      result = `throws ${error?.name} ${error?.code ?? ''} ${error?.message ?? error}`;
    }
    lines.push(`${name}: ${result}`);
  };
  await section(check, context);
  return lines.join('\n');
}

module.exports = (sections) => {
  const server = http.createServer(async (req, res) => {
    const name = new URL(req.url, 'http://app').pathname.slice(1);
    const section = sections[name.split('/')[0]];
    if (section === undefined) {
      res.writeHead(404).end();
      return;
    }
    const text = await run(section, { req, res });
    if (!res.writableEnded) res.end(text);
  });

  server.listen(process.env.PORT);
};
