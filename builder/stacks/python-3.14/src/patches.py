"""What the standard library and popular packages expect of an operating system, and get in another way.

There are no threads: whatever is handed to one runs at once, in the caller's place.
"""

import asyncio
import functools
import socketserver
import sys
from importlib.machinery import PathFinder


def _run_in_executor(
    self: asyncio.AbstractEventLoop, executor: object, func: object, *args: object
) -> asyncio.Future:
    future = self.create_future()
    try:
        future.set_result(func(*args))
    except Exception as error:
        future.set_exception(error)
    return future


async def _shutdown_default_executor(self: asyncio.AbstractEventLoop, timeout: object = None) -> None:
    """There is none, and ending it takes a thread."""


def _process_request(self: socketserver.ThreadingMixIn, request: object, client_address: object) -> None:
    self.process_request_thread(request, client_address)


def _anyio(module: object) -> None:
    async def run_sync_in_worker_thread(
        cls: type, func: object, args: tuple, abandon_on_cancel: bool = False, limiter: object = None
    ) -> object:
        await cls.checkpoint()
        return func(*args)

    module.AsyncIOBackend.run_sync_in_worker_thread = classmethod(run_sync_in_worker_thread)


# By the name of the module, which is changed when it has been imported.
LATER = {"anyio._backends._asyncio": _anyio}


class _Later:
    """Finds what is to be changed as the others do, and changes it after its import."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        """Of `importlib.abc.MetaPathFinder`."""
        change = LATER.get(name)
        spec = PathFinder.find_spec(name, path, target) if change else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        @functools.wraps(load)
        def load_and_change(module: object) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = load_and_change
        return spec


def install() -> None:
    """Changes what there is, and what will be imported."""
    asyncio.BaseEventLoop.run_in_executor = _run_in_executor
    socketserver.ThreadingMixIn.process_request = _process_request
    asyncio.BaseEventLoop.shutdown_default_executor = _shutdown_default_executor
    sys.meta_path.insert(0, _Later())
