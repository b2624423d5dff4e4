#!/usr/bin/env bash
# Installs Autobahn's test suite for WebSockets in $test_cache/autobahn: an environment for fuzz.py (env) with what
# the app of tests/apps/python/websockets takes natively, and the suite made Python 3 (suite).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

lists=(../autobahn/build.txt ../autobahn/requirements.txt ../apps/python/requirements.txt ../autobahn/suite.txt)
out="$test_cache/autobahn"
wanted=$(cat autobahn.sh "${lists[@]}" | sha256sum)
mkdir -p "$test_cache"
exec 9>"$test_cache/autobahn.lock"
flock 9
if [[ $(cat "$out/installed" 2>/dev/null) != "$wanted" ]] || ! "$out/env/bin/python" -c '' 2>/dev/null; then
  say "Installing Autobahn's test suite"
  rm -rf "$out"
  mkdir -p "$out/suite"
  python3 -m venv "$out/env"
  pip() { "$out/env/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
  pip install --require-hashes -r "${lists[0]}"
  for list in "${lists[@]:1:2}"; do
    pip install --require-hashes --no-deps --no-build-isolation -r "$list"
  done
  pip download --require-hashes --no-deps --no-build-isolation --dest "$out/sdist" -r "${lists[3]}"
  tar -xzf "$out"/sdist/*.tar.gz -C "$out/sdist"
  mv "$out"/sdist/*/autobahntestsuite "$out/suite"
  rm -rf "$out/sdist"

  suite="$out/suite/autobahntestsuite"
  # Its strings are bytes: each byte of a source becomes a character.
  while IFS= read -r source; do
    iconv -f latin1 -t utf8 "$source" >"$source.utf8"
    mv "$source.utf8" "$source"
  done < <(grep -lP '[^\x00-\x7F]' "$suite"/case/*.py)
  "$out/env/bin/python" -c 'import sys; from fissix.main import main; sys.exit(main("fissix.fixes"))' \
    --write --nobackups --no-diffs "$suite/case" "$suite/caseset.py" >"$out/2to3.log" 2>&1
  # What 2to3 leaves: classes' bases, a division, and imports of parts that are not used.
  sed -i 's/(object, Case, *)/(Case,)/' "$suite"/case/*.py
  sed -i 's,len(self.payload) / ,len(self.payload) // ,' "$suite/case/case10_1_1.py"
  echo >"$suite/__init__.py"
  echo "$wanted" >"$out/installed"
fi
