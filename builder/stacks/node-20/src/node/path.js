// node:path: path-browserify is Node's own code; Windows paths mean nothing in a dyno.
import posix from 'path-browserify';

const path = { ...posix };
path.posix = path;
path.win32 = path;
path.toNamespacedPath = (name) => name;

export default path;
