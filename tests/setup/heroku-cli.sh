#!/usr/bin/env bash
# Installs the unmodified heroku command from npm as $test_cache/heroku-cli/node_modules/.bin/heroku, in the version
# that research and tests know.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

version=11.10.0
out="$test_cache/heroku-cli"
mkdir -p "$out"
exec 9>"$test_cache/heroku-cli.lock"
flock 9
if [[ $(cat "$out/installed" 2>/dev/null) != "$version" ]]; then
  say "Installing heroku $version"
  rm -f "$out/installed"
  [[ -f $out/package.json ]] || echo '{"private": true}' >"$out/package.json"
  (cd "$out" && npm install --save-exact --ignore-scripts --no-audit --no-fund --loglevel=error "heroku@$version")
  echo "$version" >"$out/installed"
fi
