#!/usr/bin/env bash
# Installs moto's S3 server into the tests' cache. Starts nothing: the tests do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

python_environment s3 "the S3 server"
