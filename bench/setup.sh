#!/usr/bin/env bash
# Installs what benchmarks compare with into the user's cache, unless it is there: `setup.sh wasmtime wrk guests python native-python workerd`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/setup/lib.sh

# The release that the runtime embeds.
wasmtime_version=48.0.8
bench_cache="${XDG_CACHE_HOME:-$HOME/.cache}/wpaas-bench"

install_wasmtime() {
  mkdir -p "$bench_cache"
  # One installation at a time; a second caller finds it done.
  exec 9>"$bench_cache/lock"
  flock 9
  local found
  found=$("$bench_cache/bin/wasmtime" --version 2>/dev/null || true)
  if [[ $found != "wasmtime $wasmtime_version"* ]]; then
    say "Installing wasmtime-cli $wasmtime_version"
    cargo install wasmtime-cli --version "$wasmtime_version" --locked --force \
      --root "$bench_cache" --target-dir "$bench_cache/target"
  fi
  flock -u 9
}

install_wrk() {
  command -v wrk >/dev/null && return
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    say "Installing wrk"
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends wrk >&2
  else
    echo "This benchmark needs wrk. On Debian: sudo apt-get install wrk" >&2
    exit 1
  fi
}

install_workerd() {
  mkdir -p "$bench_cache"
  exec 9>"$bench_cache/workerd.lock"
  flock 9
  npm_project bench/apps/workerd "$bench_cache/workerd" "the benchmark with workerd"
  flock -u 9
}

# The machine's Python: there is no other one for it in a registry.
install_native_python() {
  local wanted
  mkdir -p "$bench_cache"
  exec 9>"$bench_cache/python.lock"
  flock 9
  wanted=$(cat bench/apps/{flask,starlette,python}/requirements.txt | sha256sum)
  if [[ $(cat "$bench_cache/python/installed" 2>/dev/null) != "$wanted" ]]; then
    say "Installing gunicorn and uvicorn"
    rm -rf "$bench_cache/python"
    python3 -m venv "$bench_cache/python"
    "$bench_cache/python/bin/pip" install --quiet --disable-pip-version-check -r bench/apps/python/requirements.txt
    echo "$wanted" >"$bench_cache/python/installed"
  fi
  flock -u 9
}

for what in "$@"; do
  case $what in
    wasmtime) install_wasmtime ;;
    wrk) install_wrk ;;
    guests) tests/setup/guests.sh ;;
    python) tests/setup/python.sh ;;
    native-python) install_native_python ;;
    workerd) install_workerd ;;
    *)
      echo "setup.sh knows wasmtime, wrk, guests, python, native-python and workerd, not $what" >&2
      exit 1
      ;;
  esac
done
