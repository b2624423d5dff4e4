"""Stands in for the build backend maturin: makes a wheel of a package's module in Rust, for the stack's Python.

pip fetches the source, compares its hash and calls this (build.sh). The wheel has the module alone, a shared library
of WebAssembly as componentize-py links them into a component; what is in Python comes from the package's usual wheel.
The standard library is compiled too, because only then it can be part of a shared library. Nothing is linked in of the
C library: a component has one, and it is the interpreter's. A panic ends the process, as there is no unwinding.

Environment: CARGO and RUSTC name the programs. They have to have the source of the standard library (rustup's component
`rust-src`, Debian's `rust-web-src`), and a linker: rustup's own, or Debian's package `lld-22`.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

TARGET = "wasm32-wasip1"
TAG = "cp314-cp314-wasi_wasm32"
SUFFIX = ".cpython-314-wasm32-wasi.so"
WHEEL = f"Wheel-Version: 1.0\nGenerator: wpaas\nRoot-Is-Purelib: false\nTag: {TAG}\n"
# For PyO3: what it would ask the interpreter, which does not run where this does.
INTERPRETER = """implementation=CPython
version=3.14
shared=true
abi3=false
lib_name=python3.14
pointer_width=32
build_flags=
suppress_build_script_link_lines=true
"""


def _names() -> tuple[str, str]:
    """Name and version as the package's metadata has them."""
    head = Path("PKG-INFO").read_text("utf-8").partition("\n\n")[0]
    name, version = (re.search(rf"^{field}: *(.+)$", head, re.MULTILINE)[1] for field in ("Name", "Version"))
    return re.sub(r"[-_.]+", "_", name).lower(), version


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    """Of PEP 517."""
    return []


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: object = None) -> str:
    """Of PEP 517."""
    name, version = _names()
    info = f"{name}-{version}.dist-info"
    directory = Path(metadata_directory, info)
    directory.mkdir()
    shutil.copy("PKG-INFO", directory / "METADATA")
    (directory / "WHEEL").write_text(WHEEL)
    return info


def build_wheel(wheel_directory: str, config_settings: object = None, metadata_directory: str | None = None) -> str:
    """Of PEP 517."""
    name, version = _names()
    crate = tomllib.loads(Path("Cargo.toml").read_text("utf-8"))
    library = crate.get("lib", {}).get("name") or crate["package"]["name"].replace("-", "_")
    made = _compile(library)
    module = f"{name}/{library}" if library != name else library
    with zipfile.ZipFile(Path(wheel_directory, f"{name}-{version}-{TAG}.whl"), "w", zipfile.ZIP_DEFLATED) as wheel:
        # One time for all, so that the same source makes the same file.
        wheel.writestr(zipfile.ZipInfo(module + SUFFIX), made.read_bytes(), zipfile.ZIP_DEFLATED)
        info = f"{name}-{version}.dist-info"
        wheel.writestr(zipfile.ZipInfo(f"{info}/METADATA"), Path("PKG-INFO").read_bytes())
        wheel.writestr(zipfile.ZipInfo(f"{info}/WHEEL"), WHEEL)
    return f"{name}-{version}-{TAG}.whl"


def _compile(library: str) -> Path:
    work = Path("wpaas-target").resolve()
    work.mkdir()
    interpreter = work / "pyo3.cfg"
    interpreter.write_text(INTERPRETER)
    # Stands for the C library, which the linker is told of and which is not to be a part.
    (work / "libc.a").write_bytes(b"!<arch>\n")
    flags = [
        "-Crelocation-model=pic", "-Zdefault-visibility=hidden", "-Clink-self-contained=no", f"-L{work}",
        "-Clink-arg=-shared", "-Clink-arg=--experimental-pic", "-Clink-arg=--unresolved-symbols=import-dynamic",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("RUSTFLAGS")}
    rustc = environment.get("RUSTC", "rustc")
    sysroot = subprocess.run([rustc, "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    if not any(Path(sysroot, "lib/rustlib").glob("*/bin/rust-lld")):
        # Debian's Rust comes without a linker, and lld before 16 makes no such libraries.
        versions = [number for number in range(99, 15, -1) if shutil.which(f"wasm-ld-{number}")]
        flags.append(f"-Clinker=wasm-ld-{versions[0]}" if versions else "-Clinker=wasm-ld")
    environment |= {
        "PYO3_CONFIG_FILE": str(interpreter),
        f"CARGO_TARGET_{TARGET.upper().replace('-', '_')}_RUSTFLAGS": " ".join(flags),
        # The standard library from source, and its visibility, are for nightly compilers, which this is not.
        "RUSTC_BOOTSTRAP": "1",
    }
    command = [environment.get("CARGO", "cargo"), "build", "--locked", "--release", "--lib", "--quiet"]
    command += ["--target", TARGET, "-Zbuild-std=std,panic_abort", "--target-dir", str(work)]
    if subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode:
        raise SystemExit("cargo could not compile it")
    return work / TARGET / "release" / f"{library}.wasm"
