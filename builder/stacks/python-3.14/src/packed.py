"""Imports the standard library from what `pack.py` made, under the paths that it had."""

import json
import marshal
import sys
import zlib
from importlib.machinery import ModuleSpec

ROOT = "/python"

_index: dict[str, tuple[int, int, bool]] = {}
_modules: bytes = b""


class Finder:
    """Finds the modules of one directory below `ROOT`, and loads them."""

    def __init__(self, directory: str) -> None:
        if directory != ROOT and not directory.startswith(ROOT + "/"):
            raise ImportError("not of the standard library", path=directory)
        self._prefix = directory.removeprefix(ROOT).strip("/").replace("/", ".")

    def find_spec(self, fullname: str, target: object = None) -> ModuleSpec | None:
        """Of `importlib.abc.PathEntryFinder`."""
        name = ".".join(filter(None, (self._prefix, fullname.rpartition(".")[2])))
        entry = _index.get(name)
        if entry is None:
            return None
        path = f"{ROOT}/{name.replace('.', '/')}"
        is_package = entry[2]
        origin = f"{path}/__init__.py" if is_package else f"{path}.py"
        spec = ModuleSpec(fullname, self, origin=origin, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [path]
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Of `importlib.abc.Loader`: the default."""

    def exec_module(self, module: object) -> None:
        """Of `importlib.abc.Loader`."""
        exec(self.get_code(module.__spec__.name), module.__dict__)

    def get_code(self, fullname: str) -> object:
        """Of `importlib.abc.InspectLoader`; `python -m` uses it."""
        name = ".".join(filter(None, (self._prefix, fullname.rpartition(".")[2])))
        try:
            offset, length, _ = _index[name]
        except KeyError:
            raise ImportError(f"no module {fullname}", name=fullname) from None
        return marshal.loads(zlib.decompress(_modules[offset : offset + length]))

    def get_source(self, fullname: str) -> None:
        """Of `importlib.abc.InspectLoader`: there is none, so tracebacks show no lines of these modules."""

    def is_package(self, fullname: str) -> bool:
        """Of `importlib.abc.InspectLoader`."""
        name = ".".join(filter(None, (self._prefix, fullname.rpartition(".")[2])))
        return name in _index and _index[name][2]


def install(path: str) -> None:
    """Reads the packed library, which is part of the component from then on."""
    global _index, _modules
    with open(path, "rb") as file:
        _index = json.loads(file.read(int(file.readline())))
        _modules = file.read()
    sys.path_hooks.insert(0, Finder)
    sys.path_importer_cache.clear()
