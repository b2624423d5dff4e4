#!/usr/bin/env bash
# Builds the guests of ../guests that tests load as components into $test_cache/guests/NAME.wasm, unless
# that is up to date. `guests.sh --examples` also renews examples/component-hello/app.wasm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./lib.sh

# Reactors export the HTTP handler and nothing else; commands have a `main`.
reactors=(attack component-hello hello p3)
commands=(cgi socket worker)
out="$test_cache/guests"
mkdir -p "$out"
exec 9>"$test_cache/guests.lock"
flock 9

# The digest of all that decides what a guest's component is.
digest() {
  {
    (cd "../guests/$1" && find . -type f -not -path './target/*' -print0 | sort -z | xargs -0 sha256sum)
    cat guests.sh lib.sh componentize/Cargo.lock componentize/src/main.rs
    if has_wasip2_std; then rustc --version; else /usr/bin/rustc --version; fi
  } | sha256sum | cut -d' ' -f1
}

build() {
  local kind=$1 name=$2 file=$2.wasm
  # Of a library cargo names the file by the crate, of a program by the package.
  [[ $kind == command ]] || file=${name//-/_}.wasm
  local target_dir="$test_cache/target"
  if has_wasip2_std; then
    (cd "../guests/$name" &&
      cargo build --quiet --locked --release --target wasm32-wasip2 --target-dir "$target_dir")
    cp "$target_dir/wasm32-wasip2/release/$file" "$out/$name.wasm.new"
  else
    cargo build --quiet --locked --release --manifest-path componentize/Cargo.toml \
      --target-dir "$test_cache/tools"
    # std comes from source, which stable allows only under this name; Debian's crt1 and libc stand in for
    # those that rustup would bring.
    (
      cd "../guests/$name"
      export PATH="/usr/bin:$PATH" RUSTC_BOOTSTRAP=1
      export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-Clink-self-contained=no -Clinker=wasm-ld \
-L$debian_sysroot -Clink-arg=$debian_sysroot/crt1-$kind.o"
      unset RUSTC RUSTC_WRAPPER RUSTUP_TOOLCHAIN RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
      /usr/bin/cargo build --quiet --locked --release -Zbuild-std=std,panic_abort \
        --target wasm32-wasip1 --target-dir "$target_dir"
    )
    "$test_cache/tools/release/componentize" "$kind" \
      "$target_dir/wasm32-wasip1/release/$file" "$out/$name.wasm.new"
  fi
  # Renamed into place, so that a test never sees half a component.
  mv "$out/$name.wasm.new" "$out/$name.wasm"
}

for guest in "${reactors[@]/#/reactor:}" "${commands[@]/#/command:}"; do
  kind=${guest%%:*} name=${guest#*:}
  wanted=$(digest "$name")
  if [[ ! -f $out/$name.wasm || $(cat "$out/$name.digest" 2>/dev/null) != "$wanted" ]]; then
    say "Building the guest $name"
    build "$kind" "$name"
    echo "$wanted" >"$out/$name.digest"
  fi
done

if [[ ${1:-} == --examples ]]; then
  cp "$out/component-hello.wasm" ../../examples/component-hello/app.wasm
fi
