// An app of its own, with its section beside it: one that uses AsyncLocalStorage is bundled otherwise.
'use strict';

require('./serve-sections.js')({ async_hooks: require('./async_hooks.js') });
