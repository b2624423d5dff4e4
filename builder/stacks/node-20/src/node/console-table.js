// The box that console.table draws.
import { inspect } from './inspect.js';

const cell = (value) => inspect(value, { depth: 0, compact: 3, breakLength: Infinity });

/** The rows of `data` (an array, object, Map or Set) as text. */
export function renderTable(data, columns) {
  const entries = data instanceof Map ? [...data] : data instanceof Set ? [...data].entries().toArray() : Object.entries(data);
  const keys = columns === undefined ? [] : [...columns];
  let values = false;
  for (const [, row] of entries) {
    if (row === null || typeof row !== 'object') values = true;
    else if (columns === undefined) for (const key of Object.keys(row)) if (!keys.includes(key)) keys.push(key);
  }
  const head = ['(index)', ...keys, ...(values ? ['Values'] : [])];
  const lines = entries.map(([index, row]) => {
    const plain = row === null || typeof row !== 'object';
    const cells = keys.map((key) => (!plain && Object.hasOwn(row, key) ? cell(row[key]) : ''));
    return [String(index), ...cells, ...(values ? [plain ? cell(row) : ''] : [])];
  });
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i].length)) + 2);
  const centre = (text, width) => {
    const left = Math.floor((width - text.length) / 2);
    return ' '.repeat(left) + text + ' '.repeat(width - text.length - left);
  };
  const rule = (left, middle, right) => left + widths.map((width) => '─'.repeat(width)).join(middle) + right;
  const draw = (cells) => `│${cells.map((text, i) => centre(text, widths[i])).join('│')}│`;
  return [rule('┌', '┬', '┐'), draw(head), rule('├', '┼', '┤'), ...lines.map(draw), rule('└', '┴', '┘')].join('\n');
}
