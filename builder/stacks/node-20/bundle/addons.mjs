// Native addons are machine code and cannot run in a sandbox of WebAssembly: an app that needs one fails here, with the
// package's name, and not in production.
import { packageOf } from './errors.mjs';

// Packages whose whole use is to load their caller's addon.
const LOADERS =
  /^(?:bindings|node-gyp-build(?:-optional-packages)?|(?:@mapbox\/)?node-pre-gyp|prebuild-install|pkg-prebuilds)$/;

// These only make another package faster, which does without when they fail to load.
const OPTIONAL = new Set([
  'bufferutil',
  'utf-8-validate',
  'cpu-features',
  'msgpackr-extract',
  'fsevents',
  'kerberos',
  'hiredis',
  'node-rdkafka',
  '@parcel/watcher',
  'bson-ext',
  'farmhash-modern',
  'pg-native',
]);

const INSTEAD = {
  bcrypt: 'use bcryptjs',
  argon2: 'use crypto.scrypt of Node or bcryptjs',
  'better-sqlite3': 'use a database over the network',
  sqlite3: 'use a database over the network',
  sharp: 'resize images in the browser or by a service',
  canvas: 'draw SVG, or use a service',
  'node-sass': 'use sass',
};

function explain(name) {
  const hint = INSTEAD[name] === undefined ? 'use a package in plain JavaScript' : INSTEAD[name];
  return `The package "${name}" is a native addon (machine code), which cannot run on wpaas: ${hint}.`;
}

export function addons() {
  const refuse = (args) => {
    const name = packageOf(args.importer) ?? packageOf(`${args.resolveDir}/${args.path}`);
    if (OPTIONAL.has(name)) return { path: args.path, external: true };
    return { errors: [{ text: name === undefined ? `${args.path}: native addons cannot run on wpaas.` : explain(name) }] };
  };
  return {
    name: 'addons',
    setup(build) {
      build.onResolve({ filter: /\.node$/ }, refuse);
      build.onResolve({ filter: LOADERS }, (args) => (packageOf(args.importer) === undefined ? undefined : refuse(args)));
    },
  };
}
