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

npm_project "$recipe" "$copy" "the Node.js stack"
