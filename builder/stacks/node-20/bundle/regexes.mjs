// Regular expressions with Unicode properties (`\p{L}`), which the engine has no tables for, become ones that list the
// characters. Only literals, and `RegExp(…)` with literal arguments, can be seen.
import { parse } from 'acorn';
import { full } from 'acorn-walk';
import rewritePattern from 'regexpu-core';

const PROPERTY_ESCAPE = /\\[pP]\{/;

function rewrite(pattern, flags) {
  return rewritePattern(pattern, flags, {
    unicodePropertyEscapes: 'transform',
    ...(flags.includes('v') ? { unicodeSetsFlag: 'transform' } : {}),
  });
}

const newFlags = (flags) => flags.replace('v', 'u');

function parseEither(text) {
  const options = { ecmaVersion: 'latest', allowHashBang: true, allowReturnOutsideFunction: true };
  try {
    return parse(text, { ...options, sourceType: 'module' });
  } catch {
    return parse(text, { ...options, sourceType: 'script' });
  }
}

const isText = (node) => node?.type === 'Literal' && typeof node.value === 'string';

/** The edits that node `node` needs: [start, end, new text]. */
function edits(node) {
  if (node.type === 'Literal' && node.regex !== undefined && PROPERTY_ESCAPE.test(node.regex.pattern)) {
    const { pattern, flags } = node.regex;
    return [[node.start, node.end, `/${rewrite(pattern, flags)}/${newFlags(flags)}`]];
  }
  if ((node.type === 'NewExpression' || node.type === 'CallExpression') && node.callee.name === 'RegExp') {
    const [pattern, flags] = node.arguments;
    if (isText(pattern) && isText(flags) && /[uv]/.test(flags.value) && PROPERTY_ESCAPE.test(pattern.value)) {
      return [
        [pattern.start, pattern.end, JSON.stringify(rewrite(pattern.value, flags.value))],
        [flags.start, flags.end, JSON.stringify(newFlags(flags.value))],
      ];
    }
  }
  return [];
}

/** `text` with the regular expressions lowered; as it is when it does not parse, which esbuild then explains. */
export function lower(text) {
  let tree;
  try {
    tree = parseEither(text);
  } catch {
    return text;
  }
  const found = [];
  full(tree, (node) => found.push(...edits(node)));
  let result = text;
  for (const [start, end, replacement] of found.sort((a, b) => b[0] - a[0])) {
    result = result.slice(0, start) + replacement + result.slice(end);
  }
  return result;
}
