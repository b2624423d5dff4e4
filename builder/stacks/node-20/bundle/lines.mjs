// The table that leads from lines of the bundle back to the app's files: what a stack trace needs of a source map, in
// a tenth of its size.
import { posix, relative, resolve, sep } from 'node:path';
import { MOUNT } from './bundle.mjs';

const DIGITS = new Map([...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].map((c, i) => [c, i]));

/** The numbers of one Base64 VLQ segment. */
function decodeSegment(text) {
  const numbers = [];
  let value = 0;
  let shift = 0;
  for (const character of text) {
    const digit = DIGITS.get(character);
    value |= (digit & 31) << shift;
    if (digit & 32) {
      shift += 5;
    } else {
      numbers.push(value & 1 ? -(value >> 1) : value >> 1);
      value = 0;
      shift = 0;
    }
  }
  return numbers;
}

/** For each line of the output the place of its first code: [file, line, column, output column], or undefined. */
function firstPlaces(mappings) {
  let [file, line, column] = [0, 0, 0];
  return mappings.split(';').map((group) => {
    let outColumn = 0;
    let first;
    for (const segment of group === '' ? [] : group.split(',')) {
      const [dOut, dFile, dLine, dColumn] = decodeSegment(segment);
      outColumn += dOut;
      if (dFile === undefined) continue;
      file += dFile;
      line += dLine;
      column += dColumn;
      first ??= [file, line, column, outColumn];
    }
    return first;
  });
}

/** How the path of a file reads in a dyno. */
export function mounted(app, file) {
  const path = relative(app, file).split(sep).join('/');
  // Linked packages lie outside the app; in a dyno nothing does.
  return posix.join(MOUNT, path.replace(/^(\.\.\/)+/, ''));
}

/**
 * `{ files, runs }` of esbuild's source map. A run is [lines, file, line of the first, column shift]: lines of the
 * output that follow each other as they do in the file; file -1 stands for lines from nowhere.
 */
export function lineTable(map, app, outDirectory) {
  const files = map.sources.map((source) => mounted(app, resolve(outDirectory, source)));
  const runs = [];
  let run;
  for (const place of firstPlaces(map.mappings)) {
    const [file, line, column, outColumn] = place ?? [-1, -1, 0, 0];
    const shift = column - outColumn;
    const follows =
      run !== undefined && run[1] === file && (file < 0 || (run[2] + run[0] === line + 1 && run[3] === shift));
    if (follows) run[0] += 1;
    else {
      run = [1, file, line + 1, shift];
      runs.push(run);
    }
  }
  return { files, runs };
}
