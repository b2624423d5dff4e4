// Changes to the language's own objects; imported before any other module.
import { installStackTraces } from './stack.js';

installStackTraces();

// As on the other engine: packages look for shared memory by this name.
globalThis.Atomics ??= {};
