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

# Copies an npm project from $1 to $2 and installs its packages, named $3 to who watches. What it leaves out of the
# copy besides node_modules are the further arguments.
npm_project() {
  local from=$1 copy=$2 name=$3 wanted
  shift 3
  mkdir -p "$copy"
  find "$copy" -mindepth 1 -maxdepth 1 ! -name node_modules ! -name installed -exec rm -rf {} +
  (cd "$from" && tar --exclude=node_modules "${@/#/--exclude=}" -cf - .) | tar -xf - -C "$copy"
  # Again only when the lockfile changed; the mark is written last.
  wanted=$(sha256sum <"$from/package-lock.json")
  if [[ $(cat "$copy/installed" 2>/dev/null) != "$wanted" ]]; then
    say "Installing the packages of $name"
    rm -f "$copy/installed"
    (cd "$copy" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    echo "$wanted" >"$copy/installed"
  fi
}

# Makes in $test_cache/$1 an environment of Python with the versions and digests of $1.txt in this directory
# (made by `pip-compile --generate-hashes --strip-extras -o NAME.txt NAME.in`), named $2 to who watches.
python_environment() {
  local environment=$test_cache/$1 requirements=$PWD/$1.txt wanted
  wanted=$(sha256sum "$requirements" | cut -d' ' -f1)
  mkdir -p "$test_cache"
  exec 9>"$test_cache/$1.lock"
  flock 9
  if [[ $(cat "$environment/installed" 2>/dev/null) != "$wanted" ]] ||
    ! "$environment/bin/python" -c '' 2>/dev/null; then
    say "Installing $2"
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$requirements"
    echo "$wanted" >"$environment/installed"
  fi
}

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
