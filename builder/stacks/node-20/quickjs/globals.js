// The global scope as Node has it. Imported first: everything else may use it.
import './lang/install.js';
import './web/text.js';
import './web/events.js';
import './web/crypto.js';
import 'core-js/actual/url/index.js';
import 'core-js/actual/url-search-params/index.js';
import 'core-js/actual/structured-clone.js';
import './web/blobs.js';
import './lang/abort.js';
import { define } from './node/globals.js';
import './web/fetch.js';
import './web/compression.js';
import './web/streams.js';
import './lang/inspect-web.js';
import './web/intl.js';
import './web/subtle.js';
import { replaceMathRandom } from './lang/math-random.js';
import { createNotImplementedError } from './lang/unavailable.js';

delete globalThis.Atomics;
replaceMathRandom();

define('fetch', async function fetch() {
  throw new TypeError('fetch failed', { cause: createNotImplementedError('fetch') });
});
