#!/usr/bin/env bash
# Builds an app's own component: snapshot.sh LIB SITE_PACKAGES MODULES.json OUT.wasm, which is the stack with the modules
# that are listed loaded from SITE_PACKAGES. LIB is what build-stack.sh left. Takes componentize-py from $PATH.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
site="$(realpath "$2")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

cp -r "$1" "$work/lib"
cp "$3" "$work/lib/preload.json"
(cd "$work" && componentize-py --quiet --wit-path "$here/wit" --world python componentize \
  --python-path lib --python-path "$site" preloaded --output app.wasm)
cat "$work/lib/preload.txt"
mv "$work/app.wasm" "$4"
