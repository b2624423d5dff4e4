#!/usr/bin/env bash
# Compiles the native packages of the stack: build.sh CACHE OUT. Those are the packages of sources.txt and our own in
# hashes/. OUT gets their wheels, from CACHE if they were compiled before, which takes some minutes once. Takes pip from
# the Python on $PATH; CARGO and RUSTC name the programs.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cache="$1" out="$2"
mkdir -p "$out"

# wheels NAME FILE… -- ARGUMENT…: gets what `pip wheel ARGUMENT…` makes, which the content of the FILEs decides.
wheels() {
  local name="$1" files=() kept work
  shift
  while [[ $1 != -- ]]; do
    files+=("$1")
    shift
  done
  shift
  kept="$cache/$name-$(cat "$here/maturin.py" "${files[@]}" | sha256sum | cut -c1-16)"
  if [[ ! -d $kept ]]; then
    echo "Compiling $name for the stack (once on this machine, some minutes)"
    work="$(mktemp -d "$cache/XXXXXXXX")"
    # A copy: it is compiled where it is.
    cp -r "$here/hashes" "$work"
    (cd "$work" && PYTHONPATH="$here" python -m pip wheel --quiet --disable-pip-version-check --no-cache-dir --no-deps \
      --no-build-isolation --wheel-dir wheels "$@") || { rm -rf "$work"; return 1; }
    mv "$work/wheels" "$kept" 2>/dev/null || [[ -d $kept ]]
    rm -rf "$work"
  fi
  cp "$kept"/*.whl "$out"
}

wheels packages "$here/sources.txt" -- --require-hashes --no-binary :all: -r "$here/sources.txt"
wheels hashes "$here"/hashes/{Cargo.toml,Cargo.lock,src/lib.rs} -- ./hashes
