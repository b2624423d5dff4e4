#!/bin/sh
# Copies the SDK into the example that uses it. A deploy packs one directory, so the example has to hold
# everything that the registry does not have; tests/vendored.rs fails when the copy is out of date.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to="$here/../../examples/rust-hello/vendor/wpaas-sdk"
rm -rf "$to"
mkdir -p "$to/macros"
cp -R "$here/Cargo.toml" "$here/README.md" "$here/src" "$to"
cp -R "$here/macros/Cargo.toml" "$here/macros/src" "$to/macros"
