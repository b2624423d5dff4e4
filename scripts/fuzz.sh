#!/usr/bin/env bash
# Feeds every parser of bytes from outside with what a fuzzer makes of the seeds in fuzz/corpus:
#
#   scripts/fuzz.sh [SECONDS_PER_TARGET] [TARGET…]
#
# 5 seconds each by default, as in CI. What the fuzzer finds interesting is kept in the cache, so that each run
# goes on where the last one ended; an input that fails is left in fuzz/artifacts/TARGET, and
# `fuzz/artifacts/TARGET/crash-…` as the argument of the target's program runs it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/setup/lib.sh

seconds=${1:-5}
shift || true
targets=("$@")
if ((${#targets[@]} == 0)); then
  targets=(fuzz/fuzz_targets/*.rs)
  targets=("${targets[@]##*/}")
  targets=("${targets[@]%.rs}")
fi

tests/setup/fuzz.sh
# Apart from other builds: everything in here is instrumented.
build="${WPAAS_FUZZ_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/wpaas/fuzz}"
triple=$(rustc -vV | sed -n 's/^host: //p')
# The sanitizer is a matter of the compiler's flags, which a stable toolchain takes only when told so.
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$build"
"$test_cache/cargo-fuzz/bin/cargo-fuzz" build >&2

failed=()
for target in "${targets[@]}"; do
  kept="$test_cache/fuzz/$target" found="fuzz/artifacts/$target/" log="$test_cache/fuzz/$target.log"
  mkdir -p "$kept" "$found"
  seeds="fuzz/corpus/$target"
  if "$build/$triple/release/$target" "$kept" "$seeds" -max_total_time="$seconds" \
    -artifact_prefix="$found" -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -o ' cov: [0-9]*' "$log" | tail -1 | grep -o '[0-9]*')
    printf '%-14s %10s runs, %6s edges\n' "$target" "$runs" "$coverage"
  else
    tail -n 40 "$log" >&2
    failed+=("$target")
  fi
done
if ((${#failed[@]} > 0)); then
  echo "Inputs that fail are in fuzz/artifacts: ${failed[*]}" >&2
  exit 1
fi
