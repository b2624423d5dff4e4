#!/usr/bin/env bash
# Runs benchmarks in release mode and keeps their tables in bench/RESULTS.md:
#   bench/run.sh NAME [OPTION]…   one of: redeploy host instantiate cold apps neighbours sockets node python tail
#   bench/run.sh soak [CONNECTIONS]   what a million connections leave behind; keeps no table
#   bench/run.sh all              all of them; fails at the end when any missed a target
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=${1:?"usage: bench/run.sh redeploy|host|instantiate|cold|apps|neighbours|sockets|node|python|tail|soak|all"}
shift

if [[ $name == all ]]; then
  missed=()
  for one in host instantiate cold apps neighbours sockets node python tail redeploy; do
    "${BASH_SOURCE[0]}" "$one" || missed+=("$one")
  done
  ((${#missed[@]} == 0)) || echo "Not met: ${missed[*]}" >&2
  exit "${#missed[@]}"
fi

case $name in
  host) bench/setup.sh wasmtime wrk ;;
  cold) bench/setup.sh wasmtime ;;
  neighbours | soak) bench/setup.sh guests ;;
  node) bench/setup.sh wrk workerd ;;
  python) bench/setup.sh wrk native-python ;;
  sockets) bench/setup.sh wasmtime wrk python ;;
esac

if [[ $name == soak ]]; then
  # A test that runs for long: bench/run.sh soak [CONNECTIONS]
  WPAAS_SOAK="${1:-1000000}" exec cargo test --release --locked --package wpaas-runtime --test all \
    nothing_is_left_of_connections -- --nocapture
fi

cargo build --release --locked --package wpaas --package wpaas-bench
# A copy, so that a build in another checkout with the same target directory changes nothing half-way.
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
cp "${CARGO_TARGET_DIR:-target}"/release/{wpaas,wpaas-bench,plain-hyper} "$programs"
if [[ $name == instantiate ]]; then
  WPAAS_BENCH_COMPONENT=$("$programs/wpaas-bench" component)
  export WPAAS_BENCH_COMPONENT WPAAS_BENCH_MEMORY="$programs/memory" CRITERION_HOME="$programs/criterion"
  cargo bench --locked --package wpaas-runtime --features bench --bench instantiate -- "$@"
  set -- "$CRITERION_HOME" "$WPAAS_BENCH_MEMORY"
fi
"$programs/wpaas-bench" "$name" "$@"
