// The apps that the tests run find the functions that they name, and docs/node-api.md says what a run says.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { LEAST_COVERAGE, makeTable } from './api-table.mjs';
import { importedFunctions } from './imported.mjs';

const wrapper = (name, module) => `var ${name} = __commonJS({ "node:${module}"(exports, module) { module.exports = __require("node:${module}"); } });`;

test('functions are found however they are imported', () => {
  const code = `(async function () {
    ${wrapper('require_node_fs', 'fs')} ${wrapper('require_node_path', 'path')} ${wrapper('require_node_crypto', 'crypto')}
    var import_crypto = __toESM(require_node_crypto(), 1);
    var require_a = __commonJS({ "a.js"(exports) {
      const fs = require_node_fs();
      const { join, posix: { sep }, resolve: r } = require_node_path();
      function later() { other.stat(); fs.promises.readFile(); late.basename(); }
      var other = fs;
      let late;
      late = require_node_path();
      const { mkdir } = fs.promises;
      (0, import_crypto.createHash)('x');
      import_crypto.default.randomBytes(1);
      fs.constants.F_OK; fs.nothing(); fs.toString();
    } });
    var require_b = __commonJS({ "b.js"(exports) {
      const fs = {};
      fs.rename();
      function f(path) { path.dirname(); }
      const ts_1 = __importStar(require_node_fs());
      ts_1.unlink();
    } });
  })`;
  assert.deepEqual(importedFunctions(code), [
    'crypto.createHash', 'crypto.randomBytes', 'fs.stat', 'fs.unlink', 'fs/promises.mkdir', 'fs/promises.readFile', 'path.basename',
    'path.join', 'path.resolve',
  ]);
});

test('what apps import is there', { timeout: 120_000 }, async () => {
  const { text, coverage } = await makeTable();
  assert.ok(coverage >= LEAST_COVERAGE, text);
  const page = process.env.WPAAS_NODE_API;
  if (page === undefined) return;
  if (process.env.UPDATE_DOCS) await writeFile(page, text);
  // Which functions a module has differs between versions of Node; what apps import does not.
  const imports = (whole) => whole.slice(whole.indexOf('## What apps import'), whole.indexOf('## Module by module'));
  assert.equal(imports(await readFile(page, 'utf8')), imports(text), 'UPDATE_DOCS=1 makes it anew');
});
