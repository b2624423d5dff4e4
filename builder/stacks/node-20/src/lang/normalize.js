// String.prototype.normalize: the engine has no Unicode tables. Those of unorm take 3 MB once they are read, so that
// happens when a string with more than ASCII is normalised for the first time; most apps never do.
import source from 'text:unorm/lib/unorm.js';

const ASCII = /^[\0-\x7f]*$/;
const FORMS = ['NFC', 'NFD', 'NFKC', 'NFKD'];
let tables;

function load() {
  const module = { exports: {} };
  (0, eval)(`(function (module, exports) {${source}\n})`).call(module.exports, module, module.exports);
  return module.exports;
}

Object.defineProperty(String.prototype, 'normalize', {
  configurable: true,
  writable: true,
  value: function normalize(form = 'NFC') {
    const name = String(form);
    if (!FORMS.includes(name)) throw new RangeError(`The normalization form should be one of ${FORMS.join(', ')}.`);
    const text = String(this);
    if (ASCII.test(text)) return text;
    tables ??= load();
    return tables[name.toLowerCase()](text);
  },
});
