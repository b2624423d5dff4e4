#!/usr/bin/env bash
# Compiles the packages of sources.txt for the stack: build.sh CACHE OUT. OUT gets their wheels, from CACHE if they were
# compiled before, which takes some minutes once. Takes pip from the Python on $PATH; CARGO and RUSTC name the programs.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cache="$1/$(cat "$here"/{sources.txt,maturin.py,build.sh} | sha256sum | cut -c1-16)" out="$2"

if [[ ! -d $cache ]]; then
  echo "Compiling $(grep -c == "$here/sources.txt") native package(s) for the stack (once on this machine, some minutes)"
  work="$(mktemp -d "$1/XXXXXXXX")"
  trap 'rm -rf "$work"' EXIT
  PYTHONPATH="$here" python -m pip wheel --quiet --disable-pip-version-check --no-cache-dir --no-deps --no-build-isolation \
    --require-hashes --no-binary :all: --wheel-dir "$work/wheels" -r "$here/sources.txt"
  mv "$work/wheels" "$cache" 2>/dev/null || [[ -d $cache ]]
fi
mkdir -p "$out"
cp "$cache"/*.whl "$out"
