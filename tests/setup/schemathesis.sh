#!/usr/bin/env bash
# Installs schemathesis, which asks the Platform API whatever its schema allows, into the tests' cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

python_environment schemathesis schemathesis
