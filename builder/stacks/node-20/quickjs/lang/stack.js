// Stack traces as V8 shows them. The engine has V8's API; here it gets V8's CallSite objects, positions in the app's own
// files, and none of the frames of the stack itself.
import { formatFrames } from './call-site.js';

// The engine's names of the stack's sources and of what was evaluated.
const OWN_SOURCE = 'componentize-qjs:user.js';
const EVALUATED = '<input>';

let mapPosition = (file, line, column) => ({ file, line, column });
let bundle = EVALUATED;

/** Sets how a position in the app's bundle, the file `path`, becomes one in the app's files. */
export function setPositionMapper(mapper, path) {
  mapPosition = mapper;
  bundle = path;
}

function frameOf(site) {
  const file = site.getFileName() ?? '<native>';
  const place = { line: site.getLineNumber() ?? 0, column: site.getColumnNumber() ?? 0 };
  const name = site.getFunctionName();
  const shown = { name: name === '' || name === '<anonymous>' ? null : name, async: false };
  if (file === OWN_SOURCE) return { ...shown, file: 'node:internal', ...place };
  return { ...shown, ...mapPosition(file === EVALUATED ? bundle : file, place.line, place.column) };
}

let prepare;

function stackOf(error, sites) {
  const frames = sites.filter((site) => !site.isNative()).map(frameOf);
  while (frames.length > 1 && frames[frames.length - 1].file === 'node:internal') frames.pop();
  return formatFrames(error, frames, prepare);
}

/** Puts V8's stack traces in place; once, before anything else runs. */
export function installStackTraces() {
  Error.stackTraceLimit = 10;
  Error.prepareStackTrace = stackOf;
  const engine = Object.getOwnPropertyDescriptor(Error, 'prepareStackTrace');
  if (engine.get?.call(Error) !== stackOf) throw new Error('the engine has changed how stack traces are prepared');
  Object.defineProperty(Error, 'prepareStackTrace', {
    configurable: true,
    enumerable: false,
    get: () => prepare,
    set(next) {
      prepare = next;
    },
  });
}
