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

/**
 * A mapper of positions from the table `{files: [...], runs: [...]}`. A run is five numbers: how many lines of the
 * bundle it covers, the file it comes from (-1: none), the change to the first line there, and how much further left
 * or right the code stands there.
 */
function lineMapper(path, json) {
  let table;
  const starts = [];
  const load = () => {
    table = JSON.parse(json);
    let line = 1;
    for (const run of table.runs) {
      starts.push(line);
      line += run[0];
    }
  };
  return (file, line, column) => {
    if (file !== path) return { file, line, column };
    if (table === undefined) load();
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= line) low = middle;
      else high = middle - 1;
    }
    const run = table.runs[low];
    if (run === undefined || run[1] < 0) return { file, line, column };
    return {
      file: table.files[run[1]],
      line: run[2] + (run[4] === 1 ? 0 : line - starts[low]),
      column: Math.max(1, column + run[3]),
    };
  };
}
