// Changes to the language's own objects; imported before any other module.
import './normalize.js';
import { installStackTraces } from './stack.js';

installStackTraces();

// node-inspect-extracted lists its functions while it loads. globals.js takes it away again: the engine has no shared
// memory, and packages look for this to know.
globalThis.Atomics ??= {};
