#!/usr/bin/env bash
# Installs moto's S3 server into the tests' cache, with the versions and digests of s3.txt
# (made by `pip-compile --generate-hashes --strip-extras -o s3.txt s3.in`). Starts nothing: the tests do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

environment="$test_cache/s3"
wanted=$(sha256sum s3.txt | cut -d' ' -f1)
mkdir -p "$test_cache"
exec 9>"$test_cache/s3.lock"
flock 9
if [[ $(cat "$environment/installed" 2>/dev/null) != "$wanted" ]] ||
  ! "$environment/bin/python" -c '' 2>/dev/null; then
  say "Installing the S3 server"
  rm -rf "$environment"
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r s3.txt
  echo "$wanted" >"$environment/installed"
fi
