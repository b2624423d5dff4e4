#!/usr/bin/env bash
# Makes sure that the programs which the tests run are there. Installs what is missing when it can
# (as root, with apt-get); otherwise says what to install and fails. The distribution pins the versions.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

missing_packages() {
  command -v cc >/dev/null || echo gcc
  command -v git >/dev/null || echo git
  # Builds are isolated with it.
  command -v bwrap >/dev/null || echo bubblewrap
  # For the S3 server.
  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  # Attacks the router with slow clients.
  command -v slowhttptest >/dev/null || echo slowhttptest
  # Databases that Node apps under test talk to.
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || echo postgresql
  command -v redis-server >/dev/null || echo redis-server
  [[ -x /usr/sbin/mariadbd && -x /usr/bin/my_print_defaults ]] || echo mariadb-server-core mariadb-client-core
  # Names for tests of what an app may reach, without a DNS server.
  compgen -G '/usr/lib/*/libnss_wrapper.so' >/dev/null || echo libnss-wrapper
  # Links the Python stack's native packages, for Debian's Rust has no linker.
  has_wasip2_std || compgen -G '/usr/bin/wasm-ld-[2-9]*' >/dev/null || echo lld-22
  # For guests and apps in Rust.
  has_wasip2_std || has_debian_wasi || echo rustc-web cargo-web rust-web-src wasi-libc lld
}

has_node() {
  command -v npm >/dev/null || return 1
  local version
  version=$(node --version 2>/dev/null) || return 1
  version=${version#v}
  ((${version%%.*} >= 20))
}

read -ra packages <<<"$(missing_packages | tr '\n' ' ')"
if ((${#packages[@]} > 0)); then
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    say "Installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    apt-get install -q -y --no-install-recommends "${packages[@]}" >&2
  else
    cat >&2 <<EOF
The tests need programs that are not installed. On Debian:

    sudo apt-get install ${packages[*]}

Instead of Debian's rustc-web, cargo-web, rust-web-src, wasi-libc and lld, rustup's target will do:

    rustup target add wasm32-wasip2
EOF
    exit 1
  fi
fi

if ! has_node; then
  # Debian 12 has 18; which of the ways to get a newer one is the user's choice.
  echo "The tests need Node.js 20 or newer with npm; found: $(node --version 2>/dev/null || echo none)" >&2
  exit 1
fi
