# Shared by the set-up scripts; sourced, not run.

# Where tests keep what they build or install, between runs and apart from the user's own cache of wpaas.
test_cache="${WPAAS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wpaas-tests}"

# rustup's std for WASI 0.2, the way that users build.
has_wasip2_std() {
  local libraries
  libraries=$(rustc --print target-libdir --target wasm32-wasip2 2>/dev/null) || return 1
  compgen -G "$libraries/libstd-*.rlib" >/dev/null
}

# Debian's Rust, which has no std for WASI but its source, to be built with Debian's C library for WASI.
debian_sysroot=/usr/lib/wasm32-wasi
has_debian_wasi() {
  [[ -x /usr/bin/rustc && -x /usr/bin/cargo ]] &&
    [[ -d /usr/lib/rustlib/src/rust/library/std ]] &&
    [[ -f $debian_sysroot/libc.a && -f $debian_sysroot/crt1-reactor.o ]] &&
    command -v wasm-ld >/dev/null
}

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
