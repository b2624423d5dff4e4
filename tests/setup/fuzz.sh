#!/usr/bin/env bash
# Makes sure that cargo-fuzz and a C++ compiler (for libFuzzer) are there. The command is kept in the cache of tests.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=0.13.2

if ! command -v c++ >/dev/null; then
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    apt-get install -q -y --no-install-recommends g++ >&2
  else
    echo "Fuzzing needs a C++ compiler. On Debian: sudo apt-get install g++" >&2
    exit 1
  fi
fi

installed=$("$test_cache/cargo-fuzz/bin/cargo-fuzz" --version 2>/dev/null || true)
if [[ $installed != "cargo-fuzz $version" ]]; then
  say "Installing cargo-fuzz $version"
  cargo install cargo-fuzz --version "$version" --locked --quiet --root "$test_cache/cargo-fuzz" \
    --target-dir "$test_cache/target"
fi
