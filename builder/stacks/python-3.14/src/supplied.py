"""Modules of packages that the component has, wherever the packages lie.

`natives/` has those in native code (see `native/`). componentize-py links each library into the component under the path
that it has at the build; `dlopen` finds it by that name alone, and no file needs to be there. `later/` has modules in
Python that stand in for native ones, and import the rest of their package.
"""

import os
import sys
from collections.abc import Iterator
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from types import CodeType

NATIVE = ".cpython-314-wasm32-wasi.so"
# By the module's name, the path of a library or the code.
_modules: dict[str, str | CodeType] = {}


class _Code:
    """Loads what is in memory."""

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Of `importlib.abc.Loader`: the default."""

    @staticmethod
    def exec_module(module: object) -> None:
        """Of `importlib.abc.Loader`."""
        exec(_modules[module.__spec__.name], module.__dict__)


class _Finder:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Of `importlib.abc.MetaPathFinder`."""
        found = _modules.get(name)
        if found is None:
            return None
        if isinstance(found, str):
            return ModuleSpec(name, ExtensionFileLoader(name, found), origin=found)
        return ModuleSpec(name, _Code, origin=found.co_filename)


def _files(root: str, suffix: str) -> Iterator[tuple[str, str]]:
    for directory, _, files in os.walk(root):
        for file in files:
            if file.endswith(suffix):
                path = os.path.join(directory, file)
                yield os.path.relpath(path, root).removesuffix(suffix).replace("/", "."), path


def install(natives: str, later: str) -> None:
    """Knows from now on what lies below the two directories, as packages would have it."""
    _modules.update(_files(natives, NATIVE))
    for name, path in _files(later, ".py"):
        with open(path, "rb") as source:
            _modules[name] = compile(source.read(), path, "exec", dont_inherit=True)
    sys.meta_path.insert(0, _Finder)
