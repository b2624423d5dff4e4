#!/usr/bin/env bash
# Makes $test_cache/node-20 the recipe of the Node.js stack with its packages installed, for its own tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

recipe=../../builder/stacks/node-20
copy="$test_cache/node-20"
mkdir -p "$copy"
exec 9>"$test_cache/node-20.lock"
flock 9

find "$copy" -mindepth 1 -maxdepth 1 ! -name node_modules ! -name installed -exec rm -rf {} +
(cd "$recipe" && tar --exclude=node_modules -cf - .) | tar -xf - -C "$copy"

# Again only when the lockfile changed; the mark is written last.
wanted=$(sha256sum <"$recipe/package-lock.json")
if [[ $(cat "$copy/installed" 2>/dev/null) != "$wanted" ]]; then
  say "Installing the packages of the Node.js stack"
  rm -f "$copy/installed"
  (cd "$copy" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  echo "$wanted" >"$copy/installed"
fi
