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
  npm_project "$apps/$name" "$copy/$name" "the Node app $name" .wpaas dist
done
