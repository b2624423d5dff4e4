// What goes wrong with an app, in words for the person who deploys it.
import { formatMessages } from 'esbuild';

/** A failure whose message is for the person who deploys. */
export class BundleError extends Error {}

/** The package that a file below node_modules belongs to, or undefined. */
export function packageOf(file) {
  const parts = file.replaceAll('\\', '/').split('/node_modules/');
  if (parts.length === 1) return undefined;
  const [first, second] = parts.at(-1).split('/');
  return first.startsWith('@') ? `${first}/${second}` : first;
}

const UNRESOLVED = /^Could not resolve "([^"]+)"/;

/** The import specifier that esbuild could not resolve, or undefined. */
export const unresolvedName = (message) => UNRESOLVED.exec(message.text)?.[1];

function installName(specifier) {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}

/** Adds what to do next to esbuild's own errors. */
function advise(message) {
  const name = unresolvedName(message);
  if (name === undefined) return message;
  const importer = `/${message.location?.file ?? ''}`;
  const text = /^[./]/.test(name)
    ? 'There is no such file in the app. Names of files are case-sensitive, and what .gitignore or .slugignore ' +
      'leaves out is not deployed.'
    : packageOf(importer) === undefined
      ? `Install it and deploy again: npm install ${installName(name)}`
      : `The package ${packageOf(importer)} needs it: npm install ${installName(name)}`;
  return { ...message, notes: [{ text, location: null }] };
}

/** esbuild's errors as one BundleError that shows them with file, line and code. */
export async function toBundleError(messages) {
  const shown = await formatMessages(messages.map(advise), { kind: 'error', color: false, terminalWidth: 100 });
  return new BundleError(shown.join('').trimEnd());
}

/** esbuild's warnings as text. */
export async function toWarnings(messages) {
  const shown = await formatMessages(messages, { kind: 'warning', color: false, terminalWidth: 100 });
  return shown.map((text) => text.trimEnd());
}
