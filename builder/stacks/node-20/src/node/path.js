// node:path: path-browserify is Node's own code; Windows paths mean nothing in a dyno.
import posix from 'path-browserify';
import { invalidArgType } from '../lang/codes.js';

function check(name, value) {
  if (typeof value !== 'string') throw invalidArgType(name, 'of type string', value);
}

const path = {
  ...posix,
  toNamespacedPath: (name) => name,
  relative(from, to) {
    check('from', from);
    check('to', to);
    return posix.relative(from, to);
  },
  basename(name, suffix) {
    check('path', name);
    if (suffix !== undefined) check('suffix', suffix);
    return posix.basename(name, suffix);
  },
};
for (const name of ['dirname', 'extname', 'isAbsolute', 'normalize', 'parse']) {
  path[name] = (value) => {
    check('path', value);
    return posix[name](value);
  };
}
for (const name of ['join', 'resolve']) {
  path[name] = (...parts) => {
    for (const part of parts) check('path', part);
    return posix[name](...parts);
  };
}
path.posix = path;
path.win32 = path;

export default path;
