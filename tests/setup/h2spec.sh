#!/usr/bin/env bash
# Builds h2spec, the conformance test of HTTP/2, as $test_cache/h2spec/h2spec, with the versions and digests of
# h2spec/go.mod and h2spec/go.sum. (2.2.1 is the newest that can be had as a Go module: the later ones have a
# go.mod that does not fit their version.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

if ! command -v go >/dev/null; then
  echo "The tests need Go 1.26 or newer, to build h2spec: https://go.dev/dl/" >&2
  exit 1
fi
out="$test_cache/h2spec"
mkdir -p "$out"
exec 9>"$test_cache/h2spec.lock"
flock 9
wanted=$(cat h2spec.sh h2spec/go.mod h2spec/go.sum | sha256sum | cut -d' ' -f1)
if [[ ! -x $out/h2spec || $(cat "$out/installed" 2>/dev/null) != "$wanted" ]]; then
  say "Building h2spec"
  (cd h2spec && go build -mod=readonly -trimpath -o "$out/h2spec.new" \
    github.com/summerwind/h2spec/cmd/h2spec)
  mv "$out/h2spec.new" "$out/h2spec"
  echo "$wanted" >"$out/installed"
fi
