#!/usr/bin/env bash
# Makes in $test_cache/python-3.14 the component of the Python stack (python.wasm) and what the apps in
# ../apps/python require (site-packages), unless both are up to date.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

recipe=../../builder/stacks/python-3.14
requirements=../apps/python/requirements.txt
out="$test_cache/python-3.14"
mkdir -p "$out"
exec 9>"$test_cache/python-3.14.lock"
flock 9

wanted=$( (cd "$recipe" && find . -type f -not -name '*.md' -print0 | sort -z | xargs -0 sha256sum) | sha256sum)
if [[ $(cat "$out/built" 2>/dev/null) != "$wanted" ]]; then
  say "Building the Python stack"
  rm -rf "$out/tools" "$out/wheels"
  python3 -m venv "$out/tools"
  "$out/tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$recipe/requirements.txt"
  # Compiled once for this and for the stack that end-to-end tests install, whose cache it is.
  native="$test_cache/wpaas/native"
  mkdir -p "$native"
  if has_wasip2_std; then
    rust=$(rustc --print sysroot)/bin
  else
    rust=/usr/bin
  fi
  PATH="$out/tools/bin:$PATH" CARGO="$rust/cargo" RUSTC="$rust/rustc" "$recipe/native/build.sh" "$native" "$out/wheels"
  PATH="$out/tools/bin:$PATH" "$recipe/build-stack.sh" "$out/python.wasm" "$out/wheels"
  echo "$wanted" >"$out/built"
fi

wanted=$(sha256sum <"$requirements")
if [[ $(cat "$out/installed" 2>/dev/null) != "$wanted" ]]; then
  say "Installing the packages of the Python apps"
  rm -rf "$out/site-packages"
  # For the stack's Python, not for the one that installs them.
  "$out/tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile \
    --python-version 3.14 --platform any --implementation py --abi none --only-binary=:all: \
    --target "$out/site-packages" -r "$requirements"
  echo "$wanted" >"$out/installed"
fi
