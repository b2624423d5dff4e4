// Makes apps for the tests out of texts.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after } from 'node:test';

const made = [];

after(() => Promise.all(made.map((directory) => rm(directory, { recursive: true, force: true }))));

/** Writes `files` (path -> text) into a directory of their own, which goes when the tests of the file are done. */
export async function makeApp(files) {
  const directory = await mkdtemp(join(tmpdir(), 'wpaas-app-'));
  made.push(directory);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text);
  }
  return directory;
}
