// Intl by formatjs, with the data of English (United States) and of all time zones; other locales fall back to it. Not
// part of the stack's module: src/web/intl.js evaluates it when an app first needs it.
import '@formatjs/intl-getcanonicallocales/polyfill.js';
import '@formatjs/intl-locale/polyfill.js';
import '@formatjs/intl-pluralrules/polyfill-force.js';
import '@formatjs/intl-pluralrules/locale-data/en.js';
import '@formatjs/intl-numberformat/polyfill-force.js';
import '@formatjs/intl-numberformat/locale-data/en.js';
import '@formatjs/intl-datetimeformat/polyfill-force.js';
import '@formatjs/intl-datetimeformat/locale-data/en.js';
import '@formatjs/intl-datetimeformat/add-all-tz.js';

// A dyno's clock is UTC.
Intl.DateTimeFormat.__setDefaultTimeZone('UTC');
