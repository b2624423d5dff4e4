#!/usr/bin/env bash
# Builds the component of the stack: build-stack.sh OUT.wasm [WHEELS [LIB]], with the native modules of the wheels in that
# directory (native/). LIB gets what it was made of, for snapshot.sh. Takes componentize-py (requirements.txt) from $PATH, which must be in an environment of its own:
# it adds whatever is installed beside it.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
out="$1"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

component() { # ENTRY OUT
  (cd "$work" && componentize-py --quiet --wit-path "$here/wit" --world python componentize \
    --python-path lib "$1" --output "$2")
}

cp -r "$here/src" "$work/lib"
mkdir "$work/lib/natives"
for wheel in ${2:+"$2"/*.whl}; do
  [[ ! -f $wheel ]] || python -m zipfile -e "$wheel" "$work/lib/natives"
done
# First its standard library is packed, by the interpreter that will run it; then the component is made around that.
component pack "$work/pack.wasm"
component python "$work/python.wasm"
if [[ -n ${3:-} ]]; then
  rm -rf "$3"
  mv "$work/lib" "$3"
fi
mv "$work/python.wasm" "$out"
