"""Runs the stack's Python on the machine that builds.

    guest.py --compile STACK.wasm CODE
    guest.py CODE APP [ARGUMENT ...]

The component is the one that dynos run, so what it compiles and says is what holds there. It sees the directory APP
as /app, a directory of its own as /tmp, and the environment's variables; no other file, and no network.
"""

import os
import sys
import tempfile
from pathlib import Path

from wasmtime import Engine, Store, WasiConfig, WasmtimeError, component

# Of the build's machine, not of a dyno.
_NOT_FOR_DYNOS = ("HOME", "PATH", "TMPDIR", "PWD", "PYTHONPATH", "PYTHONHOME")
# As much as a build may use is more than a 32-bit guest can address; this is what a large app takes to compile.
_MEMORY_BYTES = 2 << 30


def run(code: str, app: str, arguments: list[str]) -> int:
    """Runs a command; returns its exit status."""
    engine = Engine()
    linker = component.Linker(engine)
    linker.add_wasip2()
    try:
        program = component.Component.deserialize_file(engine, code)
    except WasmtimeError as error:
        raise SystemExit(f"{code} does not fit this machine, remove its directory and try again: {error}") from None
    wasi = WasiConfig()
    wasi.argv = ["python", *arguments]
    wasi.env = [(name, value) for name, value in os.environ.items() if name not in _NOT_FOR_DYNOS]
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    wasi.preopen_dir(app, "/app")
    with tempfile.TemporaryDirectory() as directory:
        wasi.preopen_dir(directory, "/tmp")
        store = Store(engine)
        store.set_limits(memory_size=_MEMORY_BYTES)
        store.set_wasi(wasi)
        instance = linker.instantiate(store, program)
        export = program.get_export_index("run", program.get_export_index("wasi:cli/run@0.2.12"))
        result = instance.get_func(store, export)(store)
    return 0 if result.tag == "ok" else 1


if __name__ == "__main__":
    if sys.argv[1] == "--compile":
        Path(sys.argv[3]).write_bytes(component.Component(Engine(), Path(sys.argv[2]).read_bytes()).serialize())
        sys.exit()
    sys.exit(run(sys.argv[1], sys.argv[2], sys.argv[3:]))
