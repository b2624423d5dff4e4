"""Entry of the build's first pass: packs the standard library that componentize-py brings into one file.

The interpreter is to need no directory of it: a dyno's files are the app's. Modules are kept as code, each
compressed by itself, so that an import unpacks no other.
"""

import importlib.resources
import json
import marshal
import os
import zlib

ROOT = "/python"
# Nothing here can work without a screen, processes, threads or a C compiler.
LEFT_OUT = {
    "__pycache__", "config-3.14-wasm32-wasi", "ctypes", "curses", "dbm", "ensurepip", "idlelib", "lib2to3",
    "pydoc_data", "site-packages", "test", "tkinter", "turtle.py", "turtledemo", "venv", "ssl.py",
}


def pack(out: str) -> None:
    """Writes to `out`: the length of the index in a line, the index as JSON, the modules."""
    index: dict[str, tuple[int, int, bool]] = {}
    blobs: list[bytes] = []
    offset = 0
    for directory, directories, files in os.walk(ROOT):
        directories[:] = sorted(set(directories) - LEFT_OUT)
        for file in sorted(set(files) - LEFT_OUT):
            if not file.endswith(".py"):
                continue
            path = os.path.join(directory, file)
            with open(path, "rb") as source:
                code = compile(source.read(), path, "exec", dont_inherit=True)
            blob = zlib.compress(marshal.dumps(code), 9)
            name = path.removeprefix(ROOT + "/").removesuffix(".py").replace("/", ".")
            is_package = name.endswith(".__init__")
            index[name.removesuffix(".__init__")] = (offset, len(blob), is_package)
            blobs.append(blob)
            offset += len(blob)
    table = json.dumps(index).encode()
    with open(out, "wb") as file:
        file.write(b"%d\n" % len(table) + table + b"".join(blobs))


def pack_zones(out: str) -> None:
    """Writes the time zones of the package `tzdata` to `out`, in one piece."""
    root = importlib.resources.files("tzdata.zoneinfo")
    names = importlib.resources.files("tzdata").joinpath("zones").read_text().split()
    zones = {name: root.joinpath(name).read_bytes() for name in names}
    with open(out, "wb") as file:
        file.write(zlib.compress(marshal.dumps(zones), 9))


# The first directory that the build is given is writable, and this pass is for what it leaves there.
pack("/0/stdlib.packed")
pack_zones("/0/zones.packed")


class Run:
    """componentize-py wants the world's export to be there."""

    def run(self) -> None:
        """Never called."""
