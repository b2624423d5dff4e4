"""Libraries of an app in the component's memory, so that a dyno has nothing to load but the app's own modules.

`needed` runs at a build, in the app's tree and with its config vars: it starts the app up to where it would listen, and
says which modules of its libraries that took. `load` imports those when the app's component is made, in a world
without config vars, network and randomness: what wants any of these while it is imported is left for the dyno.
"""

import asyncio
import builtins
import contextlib
import functools
import importlib
import importlib._bootstrap_external
import io
import json
import os
import random
import socket
import sys
import traceback
import types
from collections.abc import Callable, Iterator

# Where a build puts what an app requires.
SITE_PACKAGES = "/app/.heroku/python/lib/python3.14/site-packages"
# Characters of what an app that does not start says.
_SHOWN = 4000
_PATHS = (SITE_PACKAGES, "/python")


class _Listens(BaseException):
    """The app has come to where it would listen."""


class _Later(Exception):
    """What a module does at its import is the dyno's."""


def _stop(*_arguments: object, **_options: object) -> None:
    raise _Listens


def needed(run: Callable[[], None]) -> list[str]:
    """The modules of libraries that `run` imports until it listens, in their order; also if it fails before."""
    before = set(sys.modules)
    # No build has a network, not even for an event loop's pipe to itself.
    socket.socket.__init__ = _stop
    asyncio.selector_events.BaseSelectorEventLoop._make_self_pipe = lambda self: None
    asyncio.selector_events.BaseSelectorEventLoop._close_self_pipe = lambda self: None
    streams, said, listens = (sys.stdout, sys.stderr), io.StringIO(), False
    sys.stdout = sys.stderr = said
    os.environ.setdefault("PORT", "8080")
    try:
        run()
    except BaseException as error:
        # Servers make an exit of whatever goes wrong.
        while error and not isinstance(error, _Listens):
            error = error.__context__
        listens = error is not None
        if not listens:
            traceback.print_exc()
    sys.stdout, sys.stderr = streams
    if not listens:
        print("The app does not start at its build, so some of its libraries may be unknown:", file=sys.stderr)
        print(said.getvalue()[-_SHOWN:], file=sys.stderr)
    found = []
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        if name not in before and origin.startswith(_PATHS):
            found.append(name)
    return found


@contextlib.contextmanager
def _replaced(changes: list[tuple[object, str, object]]) -> Iterator[None]:
    old = [(owner, name, getattr(owner, name)) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in old:
            setattr(owner, name, value)


class _Elsewhere:
    """Functions that find `SITE_PACKAGES` in another directory, for as long as modules are loaded from there."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.active = True

    def _path(self, path: object) -> object:
        if not self.active or isinstance(path, int):
            return path
        text = os.fspath(path)
        inside = isinstance(text, str) and (text == SITE_PACKAGES or text.startswith(f"{SITE_PACKAGES}/"))
        return self._directory + text[len(SITE_PACKAGES) :] if inside else path

    def function(self, real: Callable) -> Callable:
        """`real` with its first argument found there."""

        @functools.wraps(real)
        def moved(path: object = ".", *arguments: object, **options: object) -> object:
            return real(self._path(path), *arguments, **options)

        return moved

    def module(self, real: types.ModuleType, names: list[str]) -> types.SimpleNamespace:
        """`real` with some of its functions so."""
        return types.SimpleNamespace(**vars(real) | {name: self.function(getattr(real, name)) for name in names})


def _later(*_arguments: object, **_options: object) -> None:
    raise _Later("randomness is the dyno's")


def _random(self: random.Random, seed: object = None) -> None:
    if seed is None:
        _later()
    self.seed(seed)
    self.gauss_next = None


class _Environment(dict):
    """No variable is set, and who asks is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def __getitem__(self, name: bytes) -> bytes:
        self.asked.add(os.fsdecode(name))
        return super().__getitem__(name)


def load(directory: str, list_file: str, report_file: str) -> None:
    """Imports the modules that the JSON in `list_file` names, from `SITE_PACKAGES` as it is in `directory`.

    What the app's build says of it goes to `report_file`.
    """
    with open(list_file, "rb") as file:
        names = json.load(file)
    external = importlib._bootstrap_external
    there = _Elsewhere(directory)
    paths = ["stat", "lstat", "listdir", "scandir", "open"]
    changes = [
        (external, "_os", there.module(external._os, ["stat", "listdir", "open"])),
        (external, "_io", there.module(external._io, ["open_code", "FileIO"])),
        (builtins, "open", there.function(open)), (io, "open", there.function(io.open)),
        *((os, name, there.function(getattr(os, name))) for name in paths),
        (os, "urandom", _later), (random, "_urandom", _later), (random.Random, "__init__", _random),
        # Where componentize-py has put it is no place of a dyno.
        (sys, "path", [*(path for path in sys.path if path != directory), SITE_PACKAGES]),
    ]
    left: list[str] = []
    variables = os.environ._data
    os.environ._data = environment = _Environment()
    with _replaced(changes):
        for name in names:
            before = set(sys.modules)
            try:
                importlib.import_module(name)
            except BaseException as error:
                # What it had imported before it failed may be half of something.
                for new in set(sys.modules) - before:
                    del sys.modules[new]
                left.append(f"{name} ({type(error).__name__})")
    there.active = False
    os.environ._data = variables
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    with open(report_file, "w", encoding="utf-8") as file:
        if left:
            print(f"Loaded by each dyno: {', '.join(left)}", file=file)
        if environment.asked:
            print(f"Not set while libraries were loaded: {', '.join(sorted(environment.asked))}", file=file)
