#!/usr/bin/env bash
# Runs every test, installing what that needs. CI runs this and nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/setup/lib.sh

# CI starts from a fresh checkout; compiled dependencies survive in the user's cache.
if [[ ${CI:-} == true && -z ${CARGO_TARGET_DIR:-} ]]; then
  export CARGO_TARGET_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/wpaas/target"
fi
target="${CARGO_TARGET_DIR:-$PWD/target}"
started=$SECONDS

say "Set-up"
tests/setup/debian.sh
tests/setup/s3.sh
tests/setup/schemathesis.sh
tests/setup/h2spec.sh
tests/setup/guests.sh
tests/setup/node-stack.sh
tests/setup/node-apps.sh
tests/setup/heroku-cli.sh
tests/setup/python.sh
tests/setup/autobahn.sh

say "Format"
cargo fmt --all --check
for manifest in sdk/rust examples/rust-hello tests/setup/componentize tests/guests/*; do
  cargo fmt --all --check --manifest-path "$manifest/Cargo.toml"
done

say "Clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings

say "Tests of the workspace"
cargo test --workspace --locked

say "Runtime without a compiler"
cargo check -p wpaas-runtime --no-default-features --locked
if cargo tree -p wpaas-runtime --no-default-features --edges normal --locked --prefix none |
  grep -E '^(cranelift-codegen|wasmtime-internal-cranelift|regalloc2) '; then
  echo "wpaas-runtime without its feature compiler must not depend on Cranelift" >&2
  exit 1
fi

say "Fuzzing"
cargo fmt --check --manifest-path fuzz/Cargo.toml
scripts/fuzz.sh 5

say "SDK for Rust"
sdk=(--manifest-path sdk/rust/Cargo.toml --target-dir "$target/sdk" --workspace --locked)
cargo clippy "${sdk[@]}" --all-targets -- -D warnings
cargo test "${sdk[@]}"

say "Python stack"
(cd builder/stacks/python-3.14 && python3 -m unittest discover --quiet test)

say "Node.js stack"
page="$PWD/docs/node-api.md"
(cd "$test_cache/node-20" && WPAAS_NODE_APPS="$test_cache/node-apps" WPAAS_NODE_API="$page" npm test)

say "All tests passed in $((SECONDS - started)) s"
