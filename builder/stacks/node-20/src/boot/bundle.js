// The app's bundle: one file that bundle.mjs wrote, an expression that gives a function. Its last line holds a table
// that leads from its lines back to the files it was made of; it is read when the first stack trace is.
import { readFileBytes } from '../fs/host.js';
import { setPositionMapper } from '../lang/stack.js';

const LINES_MARK = '\n//# wpaas-lines=';

/** Reads and compiles the bundle at `path`. Returns the function that runs the app. */
export function loadBundle(path) {
  // The engine's decoder: Buffer's would take longer than all the rest.
  const source = new TextDecoder().decode(readFileBytes(path));
  const mark = source.lastIndexOf(LINES_MARK);
  if (mark >= 0) setPositionMapper(lineMapper(path, source.slice(mark + LINES_MARK.length)), path);
  const code = mark >= 0 ? source.slice(0, mark) : source;
  // Indirect: compiled in the global scope, with the line numbers of the file.
  return (0, eval)(`${code}\n//# sourceURL=${path}`);
}

// The characters of bundle/lines.mjs: `!`, `#`, and the first that tells a step; the backslash is left out of those.
const NOWHERE = 33;
const JUMP = 35;
const FIRST_STEP = 36;
const BACKSLASH = 92;

/** A mapper of positions by the table at the end of the bundle, which bundle/lines.mjs describes. */
function lineMapper(path, json) {
  let table;
  return (file, line, column) => {
    if (file !== path) return { file, line, column };
    table ??= JSON.parse(json);
    const found = lookUp(table, line - 1);
    if (found === undefined) return { file, line, column };
    const [jump, original] = found;
    return { file: table.files[jump[0]], line: original, column: Math.max(1, column + jump[2]) };
  };
}

// The jump that line `index` (from 0) of the bundle belongs to, and its line in the file; undefined for one from nowhere.
function lookUp({ blocks, jumps, linesInBlock }, index) {
  const block = blocks[Math.floor(index / linesInBlock)];
  if (block === undefined) return undefined;
  let [jump, original, steps] = block;
  jump -= 1;
  const last = index % linesInBlock;
  if (last >= steps.length || steps.charCodeAt(last) === NOWHERE) return undefined;
  for (let i = 0; i <= last; i++) {
    const code = steps.charCodeAt(i);
    if (code === NOWHERE) continue;
    if (code === JUMP) original = jumps[++jump][1];
    else original += code - FIRST_STEP - (code > BACKSLASH ? 1 : 0);
  }
  return jump < 0 ? undefined : [jumps[jump], original];
}
