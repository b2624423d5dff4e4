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

// One character for each line of the output: how many lines further it is in the same file. The largest step that a
// character can tell; and those that JSON would have to escape are left out.
const STEPS = [...Array(91).keys()].map((i) => String.fromCharCode(36 + i)).filter((c) => c !== '\\');
const NOWHERE = '!';
const JUMP = '#';

// A position is looked up by reading one block, and packages that look at call sites do that when the app starts.
const LINES_IN_BLOCK = 256;

/**
 * `{ files, blocks, jumps }` of esbuild's source map. A block is [index of its first jump, line before it, steps]. Its
 * steps have a character for each line of the output: `!` for a line from nowhere, `#` for one whose place is the next
 * of `jumps` ([file, line, column shift]), and otherwise its distance from the line before, from `$` for 0. Columns are
 * exact in the app's own files only.
 */
export function lineTable(map, app, outDirectory) {
  const files = map.sources.map((source) => mounted(app, resolve(outDirectory, source)));
  const inPackage = files.map((file) => file.includes('/node_modules/'));
  const jumps = [];
  const blocks = [];
  let [atFile, atLine, atShift] = [-1, 0, 0];
  for (const [index, place] of firstPlaces(map.mappings).entries()) {
    if (index % LINES_IN_BLOCK === 0) blocks.push([jumps.length, atLine + 1, '']);
    const block = blocks.at(-1);
    if (place === undefined) {
      block[2] += NOWHERE;
      continue;
    }
    const [file, line, column, outColumn] = place;
    const shift = inPackage[file] ? atShift : column - outColumn;
    const step = STEPS[line - atLine];
    if (file === atFile && shift === atShift && step !== undefined) block[2] += step;
    else {
      block[2] += JUMP;
      atShift = column - outColumn;
      jumps.push([file, line + 1, atShift]);
    }
    [atFile, atLine] = [file, line];
  }
  return { files, blocks, jumps, linesInBlock: LINES_IN_BLOCK };
}
