#!/bin/sh
# Builds wpaas and the benchmarks in release mode and runs one: bench/run.sh redeploy
set -eu
cd "$(dirname "$0")/.."
cargo build --release --package wpaas --package wpaas-bench
exec "${CARGO_TARGET_DIR:-target}/release/wpaas-bench" "$@"
