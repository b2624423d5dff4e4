// What is changed in single files before esbuild reads them: their place in the dyno, and regular expressions that the
// engine does not know. Most files pass untouched.
import { readFile } from 'node:fs/promises';
import { extname, posix, resolve } from 'node:path';
import { transform } from 'esbuild';
import { mounted } from './lines.mjs';

const LOADERS = {
  '.js': 'js', '.cjs': 'js', '.mjs': 'js', '.jsx': 'jsx', '.ts': 'ts', '.cts': 'ts', '.mts': 'ts', '.tsx': 'tsx',
};
const PROPERTY_ESCAPE = /\\[pP]\{/;
const OWN_DIRNAME = /\b(?:const|let|var|function)\s+(?:\{[^}]*)?__(?:dirname|filename)\b/;
// A hashbang, comments and directives: what must stay in front.
const PROLOGUE = /^(?:#![^\n]*\n)?(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|(?:'use [^'\n]*'|"use [^"\n]*")[^\S\n]*;?)*/;

/**
 * Stands for `"use strict"` until `restoreStrict`: esbuild drops the directive, as its output would be a module. The
 * `module` after it makes esbuild give the file a function of its own.
 */
const STRICT = '__wpaas_strict';
const DIRECTIVE = /(['"])use strict\1/;
const WRAPPER_WITH_STRICT = new RegExp(`(\\n *"[^\\n]*"\\((?:exports(?:, module)?)?\\) \\{\\n *)${STRICT};`, 'g');
const STRICT_ELSEWHERE = new RegExp(`\\b${STRICT};`, 'g');

/** Puts the directives of CommonJS files back where they were: in front of the file's own function. */
export function restoreStrict(code) {
  return code.replace(WRAPPER_WITH_STRICT, '$1"use strict";').replace(STRICT_ELSEWHERE, '');
}

/** The declarations that tell a file where it is; in one line, so that its line numbers stay. */
function placeDeclarations(text, file, isEntry) {
  const directory = posix.dirname(file);
  let declarations = '';
  if (/\bimport\.meta\b/.test(text)) {
    const url = JSON.stringify(`file://${encodeURI(file)}`);
    declarations +=
      `const __wpaas_meta={url:${url},filename:${JSON.stringify(file)},dirname:${JSON.stringify(directory)},` +
      `main:${isEntry},resolve:s=>/^[./]/.test(s)?new URL(s,${url}).href:s};`;
  }
  if (/\b__(?:dirname|filename)\b/.test(text) && !OWN_DIRNAME.test(text)) {
    declarations += `var __dirname=${JSON.stringify(directory)},__filename=${JSON.stringify(file)};`;
  }
  return declarations;
}

async function lowerRegexes(text, loader, file) {
  const { lower } = await import('./regexes.mjs');
  if (loader === 'js') return { text: lower(text), loader };
  // The parser knows JavaScript only.
  const { code } = await transform(text, { loader, sourcefile: file, sourcemap: 'inline', target: 'esnext' });
  return { text: lower(code), loader: 'js' };
}

// Smaller, and read several times faster by the engine, than the object literal that esbuild would print.
async function loadJson(args) {
  const text = await readFile(args.path, 'utf8');
  try {
    const compact = JSON.stringify(JSON.parse(text.replace(/^\ufeff/, '')));
    return { contents: `module.exports = JSON.parse(${JSON.stringify(compact)});`, loader: 'js' };
  } catch {
    return undefined; // esbuild shows where it is not JSON
  }
}

/** The trait of apps that follow an asynchronous context. */
export const ASYNC_CONTEXT = 'async context';

/** Notes in `traits` what the app is seen to use. */
export function sources(app, entry, traits) {
  const main = resolve(app, entry);
  return {
    name: 'sources',
    setup(build) {
      build.onLoad({ filter: /\.json$/, namespace: 'file' }, loadJson);
      build.onLoad({ filter: /\.(?:[cm]?[jt]s|[jt]sx)$/, namespace: 'file' }, async (args) => {
        let text = await readFile(args.path, 'utf8');
        let loader = LOADERS[extname(args.path)];
        if (/\bAsyncLocalStorage\b/.test(text)) traits.add(ASYNC_CONTEXT);
        const isEntry = args.path === main;
        let changed = false;
        if (isEntry && /\brequire\.main\b/.test(text)) {
          // The entry's own module object is the bundle's; it is asked whether it is the main one.
          text = text.replace(/\brequire\.main\b/g, 'module'.padEnd('require.main'.length));
          changed = true;
        }
        const declarations = placeDeclarations(text, mounted(app, args.path), isEntry);
        const [prologue] = PROLOGUE.exec(text);
        if (declarations !== '' || DIRECTIVE.test(prologue)) {
          text = prologue.replace(DIRECTIVE, `${STRICT};module;`) + declarations + text.slice(prologue.length);
          changed = true;
        }
        if (PROPERTY_ESCAPE.test(text)) {
          ({ text, loader } = await lowerRegexes(text, loader, args.path));
          changed = true;
        }
        return changed ? { contents: text, loader } : undefined;
      });
    },
  };
}
