// An app of its own: one that uses AsyncLocalStorage is bundled otherwise.
'use strict';

require('./serve-sections.js')({ async_hooks: require('./sections/async_hooks.js') });
