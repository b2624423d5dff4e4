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
  if (mark >= 0) setPositionMapper(lineMapper(path, source.slice(mark + LINES_MARK.length)));
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
    table ??= readTable(JSON.parse(json));
    const jump = table.jumps[table.places[line]];
    // A line from nowhere is shown as it is.
    if (jump === undefined) return { file, line, column };
    return { file: table.files[jump[0]], line: table.lines[line], column: Math.max(1, column + jump[2]) };
  };
}

// For each line of the bundle: which of `jumps` it belongs to (-1: none), and its line in the file.
function readTable({ files, steps, jumps }) {
  const places = new Int32Array(steps.length + 1).fill(-1);
  const lines = new Int32Array(steps.length + 1);
  let jump = -1;
  let original = 0;
  for (let i = 0; i < steps.length; i++) {
    const code = steps.charCodeAt(i);
    if (code === NOWHERE) continue;
    if (code === JUMP) original = jumps[++jump][1];
    else original += code - FIRST_STEP - (code > BACKSLASH ? 1 : 0);
    places[i + 1] = jump;
    lines[i + 1] = original;
  }
  return { files, jumps, places, lines };
}
