// The host's arguments: its own options, the bundle to load, and then process.argv.

const DEFAULT_BOOT_TIMEOUT_MS = 60_000;

/** Splits `["--boot-timeout-ms=60000", "/app/.wpaas/web.cjs", "node", "/app/server.js", …]`. */
export function parseArguments(list) {
  let bootTimeoutMs = DEFAULT_BOOT_TIMEOUT_MS;
  let at = 0;
  for (; at < list.length && list[at].startsWith('--'); at++) {
    const option = /^--boot-timeout-ms=(\d+)$/.exec(list[at]);
    if (option !== null) bootTimeoutMs = Number(option[1]);
  }
  const [bundle, , ...argv] = list.slice(at);
  if (bundle === undefined) throw new Error('the host named no bundle to run');
  return { bootTimeoutMs, bundle, argv };
}
