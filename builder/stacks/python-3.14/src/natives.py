"""Imports the packages' native modules that are a part of the component (`native/`), wherever the packages lie.

componentize-py links each library into the component under the path that it has at the build; `dlopen` finds it by
that name alone, and no file needs to be there.
"""

import os
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec

SUFFIX = ".cpython-314-wasm32-wasi.so"
# By the module's name, the path.
_libraries: dict[str, str] = {}


class _Finder:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Of `importlib.abc.MetaPathFinder`."""
        library = _libraries.get(name)
        if library is None:
            return None
        return ModuleSpec(name, ExtensionFileLoader(name, library), origin=library)


def install(root: str) -> None:
    """Knows from now on what lies below `root`, as packages would have it."""
    for directory, _, files in os.walk(root):
        for file in files:
            if file.endswith(SUFFIX):
                path = os.path.join(directory, file)
                _libraries[os.path.relpath(path, root).removesuffix(SUFFIX).replace("/", ".")] = path
    sys.meta_path.insert(0, _Finder)
