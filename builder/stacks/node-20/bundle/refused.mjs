// Modules of Node that a dyno cannot have. An app that imports one itself fails here and not in production. Packages may:
// many have a part that an app never reaches, and what is reached throws an error with the name of the function.
import { packageOf } from './errors.mjs';

const INSTEAD = {
  child_process: 'a dyno is one sandboxed process and starts no others; do the work in JavaScript, or by a service',
  worker_threads: 'a dyno has one thread; scale out with `wpaas ps:scale web=N`',
};

export function refused() {
  return {
    name: 'refused',
    setup(build) {
      build.onResolve({ filter: /^(?:node:)?(?:child_process|worker_threads)$/ }, (args) => {
        if (packageOf(args.importer) !== undefined || args.namespace !== 'file') return undefined;
        const name = args.path.replace(/^node:/, '');
        return { errors: [{ text: `node:${name} is not there on wpaas: ${INSTEAD[name]}.` }] };
      });
    },
  };
}
