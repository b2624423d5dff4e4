// Serves the stack's component in Node: `serve.mjs MODULE_DIR PORT APP_DIR ENV_JSON ARGS…`, where jco made the module.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { _setArgs, _setEnv } from '@bytecodealliance/preview2-shim/cli';
import { _addPreopen, _setPreopens } from '@bytecodealliance/preview2-shim/filesystem';
import { HTTPServer } from '@bytecodealliance/preview2-shim/http';
import './terminals.mjs';

const [module, port, app, env, ...args] = process.argv.slice(2);
_setArgs(args);
_setEnv(JSON.parse(env));
_setPreopens({});
_addPreopen('/app', app);
_addPreopen('/tmp', mkdtempSync(join(tmpdir(), 'wpaas-test-tmp-')));

const { incomingHandler } = await import(join(module, 'stack.js'));
new HTTPServer(incomingHandler).listen(Number(port), '127.0.0.1');
