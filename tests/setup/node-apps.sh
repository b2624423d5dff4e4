#!/usr/bin/env bash
# Makes $test_cache/node-apps the ordinary Node apps of tests/apps/node with their packages, for the stack's own tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

apps="$PWD/../apps/node"
copy="$test_cache/node-apps"
mkdir -p "$copy"
exec 9>"$test_cache/node-apps.lock"
flock 9

mkdir -p "$copy/services"
cp "$apps"/services/*.js "$copy/services/"
for table in "$apps"/*.json; do
  name=$(basename "$table" .json)
  cp "$table" "$copy/"
  mkdir -p "$copy/$name"
  find "$copy/$name" -mindepth 1 -maxdepth 1 ! -name node_modules ! -name installed -exec rm -rf {} +
  (cd "$apps/$name" && tar --exclude=node_modules --exclude=.wpaas --exclude=dist -cf - .) | tar -xf - -C "$copy/$name"
  # Again only when the lockfile changed; the mark is written last.
  wanted=$(sha256sum <"$apps/$name/package-lock.json")
  if [[ $(cat "$copy/$name/installed" 2>/dev/null) != "$wanted" ]]; then
    say "Installing the packages of the Node app $name"
    rm -f "$copy/$name/installed"
    (cd "$copy/$name" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    echo "$wanted" >"$copy/$name/installed"
  fi
done
