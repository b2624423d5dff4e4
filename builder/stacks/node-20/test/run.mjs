// Runs the stack's component in Node as a command: `run.mjs MODULE_DIR APP_DIR ENV_JSON ARGS…`, where jco made the module.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { _setArgs, _setEnv } from '@bytecodealliance/preview2-shim/cli';
import { _addPreopen, _setPreopens } from '@bytecodealliance/preview2-shim/filesystem';
import './terminals.mjs';

const [module, app, env, ...args] = process.argv.slice(2);
_setArgs(args);
_setEnv(JSON.parse(env));
_setPreopens({});
_addPreopen('/app', app);
_addPreopen('/tmp', mkdtempSync(join(tmpdir(), 'wpaas-test-tmp-')));

const { run } = await import(join(module, 'stack.js'));
await run.run();
